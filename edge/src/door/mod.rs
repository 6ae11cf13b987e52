//! What all TCP listeners of a process have in common, those for clients and those for nodes: how
//! connections are accepted, until when each may last in every state, and how many bytes wait in
//! it. [`crate::limits::tcp`] has the figures.

mod activity;
mod answers;
mod doors;
mod layer;
mod serve;
mod table;
mod throttle;
mod watched;

pub use self::{
    activity::{Activity, Ending},
    answers::Answer,
    doors::Doors,
    layer::{Connection, Counted, Requests},
    serve::serve_clear,
    throttle::LogThrottle,
    watched::Watched,
};
pub(crate) use self::{
    serve::{Kept, serve},
    table::{Bounds, Table, Ticket, Waits},
};
