//! Which variant of a file a request prefers: Accept-Encoding, RFC 9110 section 12.5.3.

use std::cmp::Reverse;

use http::{HeaderMap, header};

/// A content coding that the build stores files in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Gzip,
    /// The file as it is.
    Identity,
}

impl Coding {
    /// The codings whose files are variants of another.
    pub(super) const COMPRESSED: [Self; 2] = [Self::Brotli, Self::Gzip];
    /// The smallest first: the order among codings that a request weighs equally.
    const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Identity];

    /// The value of Content-Encoding. `None`: the header is left out.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }

    /// What follows the file's name in the name of this variant.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }

    /// Whether a name in Accept-Encoding means this coding.
    fn is(self, name: &str) -> bool {
        let names: &[&str] = match self {
            Self::Brotli => &["br"],
            Self::Gzip => &["gzip", "x-gzip"],
            Self::Identity => &["identity"],
        };
        names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The codings to try, the preferred one first.
///
/// Identity is always among them, last if the request excludes it: where nothing acceptable is
/// stored, the header is disregarded (RFC 9110 section 12.4.1). So is a malformed header.
pub(super) fn in_preference(headers: &HeaderMap) -> Vec<Coding> {
    let listed = listed(headers).unwrap_or_default();
    let mut codings: Vec<(Coding, u16)> = Coding::ALL
        .into_iter()
        .map(|coding| (coding, weight_of(coding, &listed)))
        .filter(|(coding, weight)| *weight > 0 || *coding == Coding::Identity)
        .collect();
    // Stable: equal weights stay in our order.
    codings.sort_by_key(|(_, weight)| Reverse(*weight));
    codings.into_iter().map(|(coding, _)| coding).collect()
}

/// The weight of a coding in thousandths. 0: not acceptable, or identity that is not named.
fn weight_of(coding: Coding, listed: &[(&str, u16)]) -> u16 {
    let least = |is_it: &dyn Fn(&str) -> bool| listed.iter().filter(|(name, _)| is_it(name)).map(|(_, q)| *q).min();
    least(&|name| coding.is(name)).or_else(|| least(&|name| name == "*")).unwrap_or(0)
}

/// What the header lists, with weights in thousandths. Several lines are one list (RFC 9110
/// section 5.3). `None`: malformed.
fn listed(headers: &HeaderMap) -> Option<Vec<(&str, u16)>> {
    let mut all = Vec::new();
    for line in headers.get_all(header::ACCEPT_ENCODING) {
        // Empty elements are to be ignored (section 5.6.1.2).
        for element in line.to_str().ok()?.split(',').map(trim).filter(|element| !element.is_empty()) {
            all.push(parse(element)?);
        }
    }
    Some(all)
}

/// `codings [ OWS ";" OWS "q=" qvalue ]`
fn parse(element: &str) -> Option<(&str, u16)> {
    let (name, weight) = match element.split_once(';') {
        None => (element, 1_000),
        Some((name, parameter)) => (trim(name), parse_weight(trim(parameter))?),
    };
    (!name.is_empty() && name.bytes().all(is_token)).then_some((name, weight))
}

fn parse_weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if !name.eq_ignore_ascii_case("q") || decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", _) => Some(thousandths),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

/// `tchar` of RFC 9110 section 5.6.2; `*` is one.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Without optional whitespace at either end.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
