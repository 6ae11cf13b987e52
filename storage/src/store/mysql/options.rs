//! Options of a MySQL URL.

use std::{borrow::Cow, path::PathBuf};

use sea_orm::sqlx::{
    self, ConnectOptions as _,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};
use url::form_urlencoded;

use super::OpenError;
use crate::{tls, userinfo};

pub(super) fn parse(url: &str) -> Result<MySqlConnectOptions, OpenError> {
    userinfo::check(url).map_err(|error| OpenError::Url(error.to_string()))?;
    let options: MySqlConnectOptions = url.parse().map_err(|error| OpenError::Url(said(&error)))?;
    if !url.starts_with("mysql://") {
        return Err(OpenError::Url("it does not begin with mysql://".into()));
    }
    if options.get_database().is_none() {
        return Err(OpenError::Url("it names no database".into()));
    }
    if let Some((unknown, _)) = options_of(url).find(|(key, _)| !OPTIONS.iter().any(|option| is(key, option))) {
        return Err(OpenError::Option { option: unknown.into_owned(), known: &OPTIONS });
    }
    // What the driver compares with a certificate is an address without the brackets that a URL has
    // around it.
    let host = options.get_host().trim_matches(['[', ']']).to_owned();
    let options = options.host(&host);
    check_tls(url, &options)?;
    // On this machine TLS protects nothing, and costs every statement.
    let options = match says_ssl_mode(url) || !is_local(&options) {
        true => options,
        false => options.ssl_mode(MySqlSslMode::Disabled),
    };
    Ok(options
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging())
}

/// A password with one of these in it ends the host's part too early, and all else follows from that.
fn said(error: &sqlx::Error) -> String {
    let mut said = error.to_string();
    while let Some(rest) = said.strip_prefix("error with configuration: ") {
        said = rest.to_owned();
    }
    format!("{said} (in user and password write # as %23, / as %2F, ? as %3F, @ as %40, % as %25)")
}

/// Where the server is and which database is meant, for messages: no password.
pub(super) fn place(options: &MySqlConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    match options.get_socket() {
        Some(socket) => format!("{database:?} at {}", socket.display()),
        None if options.get_host().contains(':') => {
            format!("{database:?} at [{}]:{}", options.get_host(), options.get_port())
        }
        None => format!("{database:?} at {}:{}", options.get_host(), options.get_port()),
    }
}

/// The driver takes an authority without a word where nothing is verified, and a file that is not there
/// for a server that is not.
fn check_tls(url: &str, options: &MySqlConnectOptions) -> Result<(), OpenError> {
    let no = |reason: String| Err(OpenError::Tls { place: place(options), reason });
    if let Some(ca) = value(url, "ssl-ca") {
        if !matches!(options.get_ssl_mode(), MySqlSslMode::VerifyCa | MySqlSslMode::VerifyIdentity) {
            return no("ssl-ca is of no use without ssl-mode=VERIFY_IDENTITY (or VERIFY_CA)".into());
        }
        if let Err(error) = tls::authorities(ca.as_ref()) {
            return no(format!("ssl-ca: {error}"));
        }
    }
    for option in ["ssl-cert", "ssl-key"] {
        if let Some(file) = value(url, option)
            && let Err(error) = std::fs::metadata(&file)
        {
            return no(format!("{option}: {file}: {error}"));
        }
    }
    Ok(())
}

/// The files for TLS that the URL names.
pub(super) fn files(url: &str) -> Vec<PathBuf> {
    ["ssl-ca", "ssl-cert", "ssl-key"].into_iter().filter_map(|option| value(url, option)).map(PathBuf::from).collect()
}

/// What stands behind the question mark: key and value.
fn options_of(url: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(url.split_once('?').map_or("", |(_, query)| query).as_bytes())
}

/// The driver takes some with and without a hyphen.
fn is(key: &str, option: &str) -> bool {
    key == option || key == option.replace('-', "")
}

fn says_ssl_mode(url: &str) -> bool {
    value(url, "ssl-mode").is_some()
}

/// What the URL says last of an option, as the driver takes it.
fn value(url: &str, option: &str) -> Option<String> {
    options_of(url).filter(|(key, _)| is(key, option)).map(|(_, value)| value.into_owned()).last()
}

fn is_local(options: &MySqlConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The driver knows more, which are not for who runs this: the time zone, how text is compared.
const OPTIONS: [&str; 5] = ["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];

/// Prepared statements of one connection. All connections of all nodes share the server's
/// `max_prepared_stmt_count`, 16,382 by default.
const STATEMENTS: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv6_is_known_without_its_brackets() {
        let options = parse("mysql://chat:x@[2001:db8::1]:3307/chat").unwrap();
        assert_eq!((options.get_host(), options.get_port()), ("2001:db8::1", 3307));
        assert_eq!(place(&options), "\"chat\" at [2001:db8::1]:3307");
        assert!(is_local(&parse("mysql://chat:x@[::1]/chat").unwrap()));
    }

    #[test]
    fn a_password_is_never_in_a_message() {
        for url in [
            "mysql://chat:secret@db:badport/chat",
            "mysql://chat:secret@db:3306",
            "mysql://chat:secret@db:3306/",
            "mysql://chat:secret@/chat?ssl-mode=SOMETIMES",
            "mysql:chat:secret@db/chat",
            "mysql://chat:secret@ db/chat",
            "mysql://chat:secret/w#1@db:3306/chat",
            "mysql://chat:p@secret/w#1@db:3306/chat",
            "mysql://chat:1/secret?2@db:3306/chat",
        ] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, OpenError::Url(_)), "{url}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
            assert!(error.to_string().contains("mysql://user:password@host:port/database"), "{error}");
        }
        let place = place(&parse("mysql://chat:secret@db.internal:3307/chat").unwrap());
        assert_eq!(place, "\"chat\" at db.internal:3307");
    }

    #[test]
    fn an_option_that_there_is_not_is_refused_and_those_that_there_are_are_named() {
        for (url, unknown) in [
            ("mysql://chat:secret@db/chat?ssl_mode=nonsense", "\"ssl_mode\""),
            ("mysql://chat:secret@db/chat?ssl-mode=REQUIRED&timezone=UTC", "\"timezone\""),
            ("mysql://chat:secret@db/chat?secret", "\"secret\""),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(
                error.contains(unknown) && error.contains("ssl-mode, ssl-ca, ssl-cert, ssl-key, socket"),
                "{error}"
            );
        }
        let wrong = parse("mysql://chat:secret@db/chat?ssl-mode=nonsense").unwrap_err().to_string();
        assert!(wrong.contains("nonsense"), "{wrong}");
    }

    #[test]
    fn files_that_would_not_be_used_are_refused() {
        for (options, says) in [
            ("ssl-ca=/dev/null", "ssl-mode=VERIFY_IDENTITY"),
            ("sslca=%2Fdev%2Fnull&sslmode=preferred", "ssl-mode=VERIFY_IDENTITY"),
            ("ssl-mode=VERIFY_CA&sslca=%2Fdev%2Fnull", "ssl-ca: /dev/null"),
            ("ssl-mode=VERIFY_CA&ssl-cert=/no-such.pem", "ssl-cert: /no-such.pem"),
            ("ssl-mode=VERIFY_CA&sslkey=/no-such.key", "ssl-key: /no-such.key"),
        ] {
            let error = parse(&format!("mysql://chat:secret@127.0.0.1/chat?{options}")).unwrap_err();
            assert!(matches!(error, OpenError::Tls { .. }), "{options}: {error:?}");
            assert!(error.to_string().contains(says) && !error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn tls_is_left_out_on_this_machine_alone() {
        for (url, disabled) in [
            ("mysql://a:b@127.0.0.1:3306/c", true),
            ("mysql://a:b@[::1]:3306/c", true),
            ("mysql://a:b@localhost/c", true),
            ("mysql://a:b@db/c?socket=/run/mysql.sock", true),
            ("mysql://a:b@127.0.0.1/c?ssl-mode=REQUIRED", false),
            ("mysql://a:b@127.0.0.1/c?sslmode=preferred", false),
            ("mysql://a:b@10.0.0.5/c", false),
            ("mysql://a:b@db/c?ssl-mode=disabled", true),
        ] {
            let mode = parse(url).unwrap().get_ssl_mode();
            assert_eq!(matches!(mode, MySqlSslMode::Disabled), disabled, "{url}: {mode:?}");
        }
    }
}
