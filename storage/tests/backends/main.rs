//! Each backend of each seam against the seam's contract. The contract is written once, in `contract/`; a backend's file opens the
//! backend, calls it, and adds what is the backend's own.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod etcd;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod kafka;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod mysql;
#[cfg(test)]
mod open;
#[cfg(test)]
mod redis;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod services;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod upgrade;
