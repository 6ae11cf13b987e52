//! What is read from files that may be replaced while the server runs: certificates.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};

use crate::expiry::{self, End};

/// Something that is read from files.
pub(crate) trait Reload: Send + Sync {
    /// Its name in the log.
    fn name(&self) -> &'static str;
    /// The files.
    fn files(&self) -> Vec<PathBuf>;
    /// Reads them anew. What begins from here on has what they say, what has begun stays as it is.
    ///
    /// # Errors
    /// They cannot be used: everything is as it was.
    fn reload(&self) -> anyhow::Result<()>;
    /// Makes the files anew where that is this process's to do and it is time, and reads them. `true`:
    /// it has.
    ///
    /// # Errors
    /// They could not be made: everything is as it was.
    fn renew(&self, _now: OffsetDateTime) -> anyhow::Result<bool> {
        Ok(false)
    }
    /// When what was read last ends, as far as that is somebody's to mend: what is shown to others first.
    fn ends(&self) -> Vec<End>;
}

/// Reads anew whatever has changed, every few seconds, and all of it on SIGHUP, for as long as the
/// future lives. What cannot be used is reported, and tried again until it can be: files are seldom
/// replaced all at once.
///
/// # Errors
/// The process cannot listen for signals.
pub(crate) async fn watch(subjects: Vec<Arc<dyn Reload>>) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut watched: Vec<_> = subjects.into_iter().map(Watched::new).collect();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        let asked = tokio::select! {
            signal = hangup.recv() => signal.is_some(),
            _ = ticks.tick() => false,
        };
        for subject in &mut watched {
            subject.look(asked);
            subject.renew(OffsetDateTime::now_utc());
            subject.look_at_end(OffsetDateTime::now_utc());
        }
    }
}

struct Watched {
    subject: Arc<dyn Reload>,
    seen: Vec<Option<Seen>>,
    /// Why the files were of no use when they were last read.
    failed: Option<String>,
    /// Why they could not be made anew.
    stale: Option<String>,
    /// What was wrong with them last was reported.
    complained: bool,
    expiry: HashMap<&'static str, expiry::Watch>,
}

/// What tells a file from the one that was there before.
type Seen = (u64, u64, Option<SystemTime>);

impl Watched {
    fn new(subject: Arc<dyn Reload>) -> Self {
        let seen = subject.files().iter().map(|file| look(file)).collect();
        Self { subject, seen, failed: None, stale: None, complained: false, expiry: HashMap::new() }
    }

    /// `asked`: whether or not something has changed. `true`: it has complained.
    fn look(&mut self, asked: bool) -> bool {
        let now: Vec<_> = self.subject.files().iter().map(|file| look(file)).collect();
        let changed = now != self.seen;
        if !asked && !changed && self.failed.is_none() {
            return false;
        }
        self.seen = now;
        let name = self.subject.name();
        match self.subject.reload() {
            Ok(()) => {
                (self.failed, self.complained) = (None, false);
                match self.subject.ends().into_iter().next() {
                    Some(End { file, at, .. }) => {
                        tracing::info!(file = %file.display(), until = %at, "{name} reloaded")
                    }
                    None => tracing::info!("{name} reloaded"),
                }
                false
            }
            Err(error) => {
                let error = format!("{error:#}");
                if self.failed.as_ref() != Some(&error) {
                    self.complained = false;
                }
                // While the files of a pair are being replaced it mends itself: they have until the next
                // look.
                let complain = asked || !(changed || self.complained);
                if complain {
                    tracing::error!(error, "the new {name} cannot be used: the old one stays");
                    self.complained = true;
                }
                self.failed = Some(error);
                complain
            }
        }
    }

    fn renew(&mut self, now: OffsetDateTime) {
        let name = self.subject.name();
        match self.subject.renew(now) {
            Ok(false) => {}
            Ok(true) => {
                self.seen = self.subject.files().iter().map(|file| look(file)).collect();
                (self.failed, self.stale, self.complained) = (None, None, false);
                // Not a mere note: whoever knows the old one by its hash has to ask for the new one.
                tracing::warn!("{name} renewed: pages ask for its new hash before they connect again");
            }
            Err(error) => {
                let error = format!("{error:#}");
                if self.stale.as_ref() != Some(&error) {
                    tracing::error!(error, "{name} cannot be renewed: the old one stays");
                }
                self.stale = Some(error);
            }
        }
    }

    fn look_at_end(&mut self, now: OffsetDateTime) {
        for end in self.subject.ends() {
            self.expiry.entry(end.which).or_default().look(&end, now);
        }
    }
}

fn look(file: &Path) -> Option<Seen> {
    let found = fs::metadata(file).ok()?;
    Some((found.ino(), found.len(), found.modified().ok()))
}

const INTERVAL: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Text {
        file: PathBuf,
        read: AtomicUsize,
    }

    impl Reload for Text {
        fn name(&self) -> &'static str {
            "text"
        }

        fn files(&self) -> Vec<PathBuf> {
            vec![self.file.clone()]
        }

        fn reload(&self) -> anyhow::Result<()> {
            self.read.fetch_add(1, Ordering::Relaxed);
            anyhow::ensure!(fs::read_to_string(&self.file)? == "good", "bad");
            Ok(())
        }

        fn ends(&self) -> Vec<End> {
            Vec::new()
        }
    }

    #[test]
    fn what_mends_itself_by_the_next_look_is_not_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("text");
        fs::write(&file, "good").unwrap();
        let mut watched = Watched::new(Arc::new(Text { file: file.clone(), read: AtomicUsize::new(0) }));
        // The first file of a pair, then the second.
        fs::write(&file, "half").unwrap();
        assert!(!watched.look(false));
        fs::write(&file, "good").unwrap();
        assert!(!watched.look(false));
        // It stays as it is: that is said once, until it is another mistake, or somebody asks.
        fs::write(&file, "bad.").unwrap();
        assert_eq!([(); 4].map(|()| watched.look(false)), [false, true, false, false]);
        assert!(watched.look(true));
        fs::remove_file(&file).unwrap();
        assert_eq!([(); 3].map(|()| watched.look(false)), [false, true, false]);
        fs::write(&file, "good").unwrap();
        assert!(!watched.look(false));
        fs::write(&file, "bad.").unwrap();
        assert_eq!([(); 3].map(|()| watched.look(false)), [false, true, false]);
    }

    #[test]
    fn files_are_read_when_they_change_and_until_they_are_of_use() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("text");
        fs::write(&file, "good").unwrap();
        let text = Arc::new(Text { file: file.clone(), read: AtomicUsize::new(0) });
        let mut watched = Watched::new(text.clone());
        let mut reads = |asked| {
            watched.look(asked);
            text.read.swap(0, Ordering::Relaxed)
        };
        assert_eq!((reads(false), reads(true), reads(false)), (0, 1, 0));
        // Of the same length, under another name first, as programs that renew certificates do.
        fs::write(dir.path().join("new"), "goof").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        assert_eq!((reads(false), reads(false)), (1, 1));
        fs::write(&file, "good").unwrap();
        assert_eq!((reads(false), reads(false)), (1, 0));
        fs::remove_file(&file).unwrap();
        assert_eq!((reads(false), reads(false)), (1, 1));
    }
}
