//! `gogochat-loadtest`: drives a gogochat server as many clients would, and says in JSON how it did.

mod cli;
mod measure;
mod people;
mod progress;
mod report;
mod scenario;
mod tally;
mod transports;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(true) => ExitCode::SUCCESS,
        // Measured, and found wanting: messages were lost, doubled or out of order.
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            progress::say(&format!("error: {}", progress::words(&error)));
            ExitCode::FAILURE
        }
    }
}
