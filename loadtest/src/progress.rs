//! What the person at the console sees: a bar on standard error, and nothing where that is no terminal.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for `length` steps.
pub(crate) fn bar(what: &'static str, length: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{msg:>14} {bar:40} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// A bar that runs for this long.
pub(crate) fn clock(what: &'static str, time: Duration) -> ProgressBar {
    bar(what, time.as_secs())
}

/// A line on standard error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// An error with its causes, each text once, and what helps where the driver itself is at its end.
pub(crate) fn words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Some errors have the text of their cause in their own.
        if !words.contains(&text) {
            words.push_str(if words.is_empty() { "" } else { ": " });
            words.push_str(&text);
        }
        if cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable) {
            words.push_str(PORTS);
        }
    }
    words
}

/// EADDRNOTAVAIL: to one address there can be as many connections as there are local ports.
const PORTS: &str = "; the driver's local ports to this address are used up: name more addresses (--target), widen net.ipv4.ip_local_port_range, \
                     or wait a minute until closed connections have given theirs back";

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use gogochat_client::ConnectError;

    use super::*;

    #[test]
    fn a_text_is_said_once_and_used_up_ports_are_named() {
        let refused = ConnectError::from(io::Error::from_raw_os_error(111));
        let words_of = |error: ConnectError| words(&Err::<(), _>(error).context("registering ann").unwrap_err());
        assert_eq!(words_of(refused), "registering ann: socket: Connection refused (os error 111)");
        let used_up = words_of(ConnectError::from(io::Error::from_raw_os_error(99)));
        assert!(
            used_up.starts_with(
                "registering ann: socket: Cannot assign requested address (os error 99); the driver's local ports"
            ),
            "{used_up}"
        );
        assert_eq!(used_up.matches("os error").count(), 1);
    }
}
