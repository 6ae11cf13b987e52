//! The binary `gogochat`.

use clap::Parser as _;

mod assemble;
mod built;
mod certificate;
mod check;
mod command;
mod config;
mod cores;
mod edges;
mod ending;
mod expiry;
mod failover;
mod found;
mod hex;
mod identity;
mod issue;
mod membership;
mod memory;
mod mutual;
mod node;
mod page;
mod patience;
mod reload;
mod settings;
mod status;
mod telemetry;

fn main() -> std::process::ExitCode {
    match command::Cli::parse().run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            telemetry::complain(&error);
            std::process::ExitCode::FAILURE
        }
    }
}
