//! A connection as HTTP and the engine see it: plain or TLS, and what was read ahead of it comes first.

use super::{stream::Stream, transport::TransportHandle};
use bytes::Bytes;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

/// A connection that has told how it speaks.
pub(super) struct Wire {
    speech: Speech,
    /// Read by HTTP beyond the upgrade request.
    prefix: Bytes,
}

enum Speech {
    Plain(Stream),
    Tls(Box<TlsStream<Stream>>),
}

impl Wire {
    pub(super) fn plain(stream: Stream) -> Self {
        Self::new(Speech::Plain(stream))
    }

    pub(super) fn tls(stream: TlsStream<Stream>) -> Self {
        Self::new(Speech::Tls(Box::new(stream)))
    }

    fn new(speech: Speech) -> Self {
        Self {
            speech,
            prefix: Bytes::new(),
        }
    }

    /// Bytes that were read already come first.
    pub(super) fn prepend(&mut self, bytes: &[u8]) {
        // A copy: the original is a slice of a buffer that would live as long as the connection.
        self.prefix = Bytes::copy_from_slice(bytes);
    }

    /// From now on it carries this session.
    pub(super) fn carry(&mut self, session: Arc<TransportHandle>) {
        match &mut self.speech {
            Speech::Plain(stream) => stream.carry(session),
            Speech::Tls(tls) => tls.get_mut().0.carry(session),
        }
    }
}

/// Does the same with either kind of connection.
macro_rules! either {
    ($wire:expr, $connection:ident => $call:expr) => {
        match &mut $wire.speech {
            Speech::Plain(stream) => {
                let $connection = Pin::new(stream);
                $call
            }
            Speech::Tls(tls) => {
                let $connection = Pin::new(&mut **tls);
                $call
            }
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let now = self.prefix.len().min(buffer.remaining());
            buffer.put_slice(&self.prefix.split_to(now));
            return Poll::Ready(Ok(()));
        }
        either!(self, connection => connection.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, connection => connection.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, connection => connection.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.speech {
            Speech::Plain(stream) => stream.is_write_vectored(),
            Speech::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, connection => connection.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, connection => connection.poll_shutdown(cx))
    }
}
