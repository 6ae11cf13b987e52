//! Reads a request's body to its end, within its bound.

use axum::body::Body;
use http_body_util::BodyExt as _;

/// A body is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It has more bytes than it may have.
    #[error("the body is too large")]
    TooLarge,
    /// It did not come, or not in time.
    #[error("the body broke off: {0}")]
    Broken(axum::Error),
}

/// A body of at most so many bytes. It is put together as it comes, so that it takes no more memory when
/// it comes a byte at a time.
///
/// # Errors
/// It is larger, or breaks off.
pub(crate) async fn collect(mut body: Body, most: usize) -> Result<Vec<u8>, BodyError> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        if data.len() > most - whole.len() {
            return Err(BodyError::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::io;

    use bytes::Bytes;

    use super::*;

    fn body(pieces: Vec<Result<Bytes, io::Error>>) -> Body {
        Body::from_stream(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn at_the_limit_and_past_it() {
        let ones = |count: usize| body((0..count).map(|_| Ok(Bytes::from_static(b"1"))).collect());
        assert_eq!(collect(ones(0), 10).await.unwrap(), b"");
        let whole = collect(ones(10), 10).await.unwrap();
        assert!(whole == b"1111111111" && whole.capacity() < 100);
        assert!(matches!(collect(ones(11), 10).await, Err(BodyError::TooLarge)));
        let broken = body(vec![Ok(Bytes::from_static(b"1")), Err(io::ErrorKind::TimedOut.into())]);
        assert!(matches!(collect(broken, 10).await, Err(BodyError::Broken(_))));
    }
}
