//! The binary `gogochat`.

use clap::Parser as _;

mod assemble;
mod built;
mod certificate;
mod command;
mod config;
mod cores;
mod detour;
mod edges;
mod expiry;
mod identity;
mod issue;
mod membership;
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
