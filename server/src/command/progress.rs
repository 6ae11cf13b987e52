//! Shows how far a long command has come: on a terminal in one line that is overwritten, elsewhere
//! in lines of the log.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use gogochat_storage::store::transfer::Progress;

/// Tells it, not more often than is of use.
#[derive(Debug)]
pub(super) struct Teller {
    terminal: bool,
    /// Whether the terminal's last line is one to write over.
    open: bool,
    last: Option<Instant>,
}

impl Default for Teller {
    fn default() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), open: false, last: None }
    }
}

impl Teller {
    pub(super) fn tell(&mut self, progress: &Progress) {
        let is_step = matches!(progress, Progress::Written { done, total } if done < total)
            || matches!(progress, Progress::Copied { done, total, .. } if done < total);
        let pause = if self.terminal { BETWEEN_STROKES } else { BETWEEN_LINES };
        if is_step && self.last.is_some_and(|last| last.elapsed() < pause) {
            return;
        }
        self.last = Some(Instant::now());
        let line = line(progress);
        if self.terminal {
            let mut terminal = std::io::stderr().lock();
            let end = if is_step { "" } else { "\n" };
            // Back to the line's start, and nothing of what stood there.
            let _ = write!(terminal, "\r\x1b[2K{line}{end}").and_then(|()| terminal.flush());
            self.open = is_step;
        } else {
            tracing::info!("{line}");
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if self.open {
            let _ = writeln!(std::io::stderr());
        }
    }
}

fn line(progress: &Progress) -> String {
    match progress {
        Progress::Continues => "the database has a part of it already: going on behind it".to_owned(),
        Progress::Written { done, total } => format!("written {} of {}", size(*done), size(*total)),
        Progress::Copied { table, done, total } => format!("copied {done} of {total} rows of {table}"),
        Progress::Checked { table, rows } => format!("read {rows} rows of {table}"),
        Progress::Verified { table, rows, parts } if *parts > 1 => {
            format!("compared {rows} rows of {table} in {parts} logs: equal")
        }
        Progress::Verified { table, rows, .. } => format!("compared {rows} rows of {table}: equal"),
    }
}

/// Bytes, for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..MIB => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / MIB as f64),
    }
}

/// A line for who watches; nobody has to.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

const BETWEEN_STROKES: Duration = Duration::from_millis(200);
const BETWEEN_LINES: Duration = Duration::from_secs(5);
const MIB: u64 = 1 << 20;
