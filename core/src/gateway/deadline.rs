//! The deadline that a gRPC client gives with its call (gRPC over HTTP/2, `grpc-timeout`).

use std::time::Duration;

use http::HeaderMap;

/// How long the client waits; `None` where it does not say so, or not as it has to be said.
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > MAX_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3_600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

const MAX_DIGITS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_and_what_is_none() {
        let of =
            |text: &'static str| of(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]));
        for (text, timeout) in [
            ("1H", Duration::from_secs(3_600)),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("0m", Duration::ZERO),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
        ] {
            assert_eq!(of(text), Some(timeout), "{text}");
        }
        for text in ["", "S", "5", "5s", "-5S", "+5S", "5.0S", "100000000S", "5 S"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(super::of(&HeaderMap::new()), None);
    }
}
