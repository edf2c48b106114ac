//! A TCP connection whose writes must make progress, and that says what its client has taken.

use super::transport::{TransportHandle, cut};
use crate::telemetry::{RejectReason, Telemetry};
use socket2::SockRef;
use std::{
    io::{self, Read},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

/// A write that makes no progress for this long ends a connection.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// A connection. It can be cut from outside through the shared socket.
pub(super) struct Stream {
    tcp: Arc<TcpStream>,
    /// The session that it carries, once it is a WebSocket.
    session: Option<Arc<TransportHandle>>,
    stalled: Option<Pin<Box<Sleep>>>,
    /// The last read took all that fitted: there is more. Let the writers of what it caused run first.
    more: bool,
    /// Something was read since the last answer: a request has begun.
    asked: Arc<AtomicBool>,
    telemetry: Arc<Telemetry>,
}

impl Stream {
    pub(super) fn new(
        tcp: Arc<TcpStream>,
        asked: Arc<AtomicBool>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self {
            tcp,
            session: None,
            stalled: None,
            more: false,
            asked,
            telemetry,
        }
    }

    /// From now on it carries this session.
    pub(super) fn carry(&mut self, session: Arc<TransportHandle>) {
        self.session = Some(session);
    }

    /// Looks at the first bytes without taking them.
    pub(super) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.peek(buffer).await
    }

    /// Our end of it.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        self.tcp.local_addr().ok()
    }

    fn written(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.tcp.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return self.stall(cx),
            }
            match write(&self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    if let (Some(session), Ok(bytes)) = (&self.session, &done) {
                        session.took(*bytes as u64);
                    }
                    self.stalled = None;
                    self.asked.store(false, Ordering::Relaxed);
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_LIMIT)));
        ready!(timer.as_mut().poll(cx));
        self.telemetry.metrics.reject(RejectReason::SlowReader);
        // The engine looks only at what it reads: the end must show there as well.
        cut(&self.tcp);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.more) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            ready!(self.tcp.poll_read_ready(cx))?;
            let space = buffer.initialize_unfilled();
            let mut read = None;
            // A read that did not fill the buffer emptied the socket: saying so here, as tokio's own
            // reads do, saves asking the kernel again just to hear that there is nothing.
            let ended = self.tcp.try_io(Interest::READABLE, || {
                let count = (&*SockRef::from(&*self.tcp)).read(space)?;
                read = Some(count);
                if count > 0 && count < space.len() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            match (read, ended) {
                (Some(count), _) => {
                    buffer.advance(count);
                    self.asked.store(true, Ordering::Relaxed);
                    self.more = buffer.remaining() == 0;
                    return Poll::Ready(Ok(()));
                }
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                (None, _) => {}
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written(cx, |tcp| tcp.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written(cx, |tcp| tcp.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.tcp).shutdown(std::net::Shutdown::Write))
    }
}
