//! Waits, with a line in the log, for services that start together with this process and take
//! longer.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep};

/// Tries `opening` until it has opened, has failed otherwise than by `is_away`, or `limit` is over.
///
/// # Errors
/// Its last one, and how long it was waited for.
pub(crate) async fn patiently<T, E: Display>(
    limit: Duration,
    is_away: impl Fn(&E) -> bool,
    opening: impl AsyncFn() -> Result<T, E>,
) -> anyhow::Result<T> {
    let begin = Instant::now();
    loop {
        match opening().await {
            Ok(opened) => return Ok(opened),
            Err(error) if is_away(&error) && begin.elapsed() < limit => {
                let left = (limit - begin.elapsed()).as_secs();
                tracing::warn!("{error}: tried again for {left} s (wait_ms)");
                sleep(PAUSE.min(limit.saturating_sub(begin.elapsed()))).await;
            }
            Err(error) if is_away(&error) => {
                anyhow::bail!("{error} (given up after {:.0} s, see wait_ms)", begin.elapsed().as_secs_f64())
            }
            Err(error) => anyhow::bail!("{error}"),
        }
    }
}

const PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_away_is_waited_for_and_what_is_wrong_is_not() {
        let limit = Duration::from_secs(10);
        let tries = Cell::new(0);
        let open = async |ready: u32, failure: &'static str| {
            let opening = async || {
                tries.set(tries.get() + 1);
                if tries.get() >= ready { Ok(tries.get()) } else { Err(failure) }
            };
            let opened = patiently(limit, |error| *error == "away", opening).await.map_err(|error| error.to_string());
            (opened, tries.replace(0))
        };
        assert_eq!(open(3, "away").await, (Ok(3), 3));
        assert_eq!(open(100, "away").await, (Err("away (given up after 10 s, see wait_ms)".into()), 6));
        assert_eq!(open(3, "wrong").await, (Err("wrong".into()), 1));
    }
}
