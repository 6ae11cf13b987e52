//! A byte stream to a server.

use tokio::io::{AsyncRead, AsyncWrite};

/// TCP, within TLS or in clear.
pub(crate) type Stream = Box<dyn ReadWrite>;

pub(crate) trait ReadWrite: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin> ReadWrite for T {}
