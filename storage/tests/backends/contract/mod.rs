//! What every backend of a seam does.

pub(crate) mod blobs;
pub(crate) mod bus;
pub(crate) mod discovery;
pub(crate) mod presence;
pub(crate) mod store;
