//! The command line: one file for each subcommand.

mod backup;
mod certs;
mod check_config;
mod dev;
mod move_store;
mod progress;
mod restore;
mod serve;
mod store;

use clap::{Parser, Subcommand};

use crate::built;

/// gogochat: instant messages over QUIC, WebSocket and HTTP, from one binary.
#[derive(Debug, Parser)]
#[command(name = "gogochat", version = built::VERSION, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts everything on this machine, with no configuration: page, WebTransport, WebSocket,
    /// REST and gRPC on loopback.
    Dev(dev::Dev),
    /// Starts what the configuration says: edge, core or both.
    Serve(serve::Serve),
    /// Reads a configuration and says what is wrong with it, by file and key.
    CheckConfig(check_config::CheckConfig),
    /// Makes a private CA and node certificates, to run edge and core as processes of their own.
    Certs(certs::Certs),
    /// Makes a backup of the store, beside the servers that work with it.
    Backup(backup::Backup),
    /// Restores a backup into a store, of either kind.
    Restore(restore::Restore),
    /// Moves an installation from SQLite to MySQL.
    Move(move_store::Move),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// It could not be done; the message says what to change.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Dev(dev) => dev.run(),
            Command::Serve(serve) => serve.run(),
            Command::CheckConfig(check) => check.run(),
            Command::Certs(certs) => certs.run(),
            Command::Backup(backup) => backup.run(),
            Command::Restore(restore) => restore.run(),
            Command::Move(moving) => moving.run(),
        }
    }
}
