//! What tests of the whole system share: servers as real processes that can be killed, proxies on the
//! way to them that can be cut or are slow, and clients that do what no client should.

pub mod attack;
pub mod cluster;
pub mod device;
pub mod http;
pub mod links;
pub mod lone_core;
pub mod lost_answer;
pub mod nodes;
pub mod people;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod services;
pub mod slow_link;
