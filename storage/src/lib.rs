//! State outside the process: one folder for each seam, the trait beside its implementations.

pub mod blobs;
pub mod bus;
#[cfg(feature = "cluster")]
mod causes;
pub mod clock;
pub mod discovery;
pub mod log_throttle;
pub mod open;
pub mod presence;
pub mod services;
pub mod store;
pub mod tls;
pub mod userinfo;
