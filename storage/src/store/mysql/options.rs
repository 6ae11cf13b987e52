//! What the URL says.

use sea_orm::sqlx::{
    ConnectOptions as _,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};

use super::OpenError;

pub(super) fn parse(url: &str) -> Result<MySqlConnectOptions, OpenError> {
    let options: MySqlConnectOptions = url.parse().map_err(|error: sqlx::Error| OpenError::Url(error.to_string()))?;
    if !url.starts_with("mysql://") {
        return Err(OpenError::Url("it does not begin with mysql://".into()));
    }
    if options.get_database().is_none() {
        return Err(OpenError::Url("it names no database".into()));
    }
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

/// Where the server is and which database is meant, for messages: no password.
pub(super) fn place(options: &MySqlConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    match options.get_socket() {
        Some(socket) => format!("{database:?} at {}", socket.display()),
        None => format!("{database:?} at {}:{}", options.get_host(), options.get_port()),
    }
}

fn says_ssl_mode(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |parts| parts.1);
    query.split('&').any(|pair| ["ssl-mode=", "sslmode="].iter().any(|key| pair.starts_with(key)))
}

fn is_local(options: &MySqlConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Prepared statements of one connection. All connections of all nodes share the server's `max_prepared_stmt_count`, 16,382 by default.
const STATEMENTS: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_in_a_message() {
        for url in [
            "mysql://chat:secret@db:badport/chat",
            "mysql://chat:secret@db:3306",
            "mysql://chat:secret@db:3306/",
            "mysql://chat:secret@/chat?ssl-mode=SOMETIMES",
            "mysql:chat:secret@db/chat",
            "mysql://chat:secret@ db/chat",
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
    fn tls_is_left_out_on_this_machine_alone() {
        for (url, disabled) in [
            ("mysql://a:b@127.0.0.1:3306/c", true),
            ("mysql://a:b@[::1]:3306/c", true),
            ("mysql://a:b@localhost/c", true),
            ("mysql://a:b@db/c?socket=/run/mysql.sock", true),
            ("mysql://a:b@127.0.0.1/c?ssl-mode=REQUIRED", false),
            ("mysql://a:b@127.0.0.1/c?x=y&sslmode=preferred", false),
            ("mysql://a:b@10.0.0.5/c", false),
            ("mysql://a:b@db/c?ssl-mode=disabled", true),
        ] {
            let mode = parse(url).unwrap().get_ssl_mode();
            assert_eq!(matches!(mode, MySqlSslMode::Disabled), disabled, "{url}: {mode:?}");
        }
    }
}
