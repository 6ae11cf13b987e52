//! Measuring without disturbing: processes through /proc, the driver's own punctuality, limits.

pub(crate) mod files;
pub(crate) mod pace;
pub(crate) mod server;
