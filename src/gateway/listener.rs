//! TCP: accepts, sets the limits that no library sets, and speaks HTTP/1.1 on it.
//!
//! `TCP_NODELAY` (an answer never waits for an acknowledgement), `TCP_USER_TIMEOUT` and a write limit (a
//! client that does not read is cut), a limit for request headers (a client that does not write is, too).

use super::{
    tls,
    transport::{TransportHandle, cut},
    wire::Wire,
};
use crate::{
    event::{Component, FailureKind},
    telemetry::{RejectReason, Telemetry},
};
use axum::body::Body;
use http::{Request, Response};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use std::{
    convert::Infallible,
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
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Sleep,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tower::{Service, util::ServiceExt};

/// Data that was sent and not acknowledged for this long ends a connection.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(8);
/// A write that makes no progress for this long ends a connection.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// Request headers must be complete in this time; an idle keep-alive connection ends with it.
const HEADER_LIMIT: Duration = Duration::from_secs(5);
/// Request headers must fit into this.
const HEADER_BYTES: usize = 32 * 1024;
/// Requests that are still being answered at shutdown may take this long.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Who sent a request, put into its extensions.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The other end of the connection.
    pub address: SocketAddr,
    pub(super) connection: Arc<TcpStream>,
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    telemetry: Arc<Telemetry>,
}

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    ///
    /// When it cannot be bound.
    pub fn bind(address: SocketAddr, telemetry: Arc<Telemetry>) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            None,
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // A reconnect storm comes all at once.
        socket.listen(4096)?;
        Ok(Self {
            tcp: TcpListener::from_std(socket.into())?,
            tls: None,
            telemetry,
        })
    }

    /// Speaks TLS with everybody but this machine itself, which may still speak plainly.
    #[must_use]
    pub fn secured(mut self, tls: Option<Arc<ServerConfig>>) -> Self {
        self.tls = tls;
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves `site` until `stop` resolves, then finishes the requests that are being answered.
    /// `WebSockets` are not requests: they end by draining.
    pub async fn serve<S>(self, site: S, stop: impl Future<Output = ()>)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let stopping = watch::Sender::new(false);
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((tcp, address)) => {
                    self.connection(tcp, address, site.clone(), stopping.subscribe());
                }
                Err(error) => {
                    // Out of descriptors: they come back as connections end.
                    self.telemetry
                        .metrics
                        .error(Component::Http, FailureKind::Io);
                    tracing::warn!(target: "signalbox::listener", kind = %error.kind(), "Accepting a connection failed.");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self.tcp);
        stopping.send_replace(true);
        let _ = tokio::time::timeout(LAST_REQUESTS, stopping.closed()).await;
    }

    fn connection<S>(
        &self,
        tcp: TcpStream,
        address: SocketAddr,
        site: S,
        mut stopping: watch::Receiver<bool>,
    ) where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        // Failing means the connection is gone; reading will tell.
        let _ = tcp.set_nodelay(true);
        let _ = SockRef::from(&tcp).set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT));
        let tcp = Arc::new(tcp);
        let caller = Caller {
            address,
            connection: tcp.clone(),
        };
        let asked = Arc::new(AtomicBool::new(false));
        let stream = Stream {
            tcp,
            session: None,
            stalled: None,
            more: false,
            asked: asked.clone(),
            telemetry: self.telemetry.clone(),
        };
        let telemetry = self.telemetry.clone();
        let tls = self.tls.clone();
        tokio::spawn(async move {
            let (wire, elsewhere) = match tls {
                None => (Wire::plain(stream), false),
                Some(tls) => match speak(stream, address, tls, &telemetry).await {
                    Some(spoken) => spoken,
                    None => return,
                },
            };
            let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
                let mut request = request.map(Body::new);
                let site = site.clone();
                request.extensions_mut().insert(caller.clone());
                async move {
                    if elsewhere {
                        return Ok(tls::redirect(&request));
                    }
                    site.oneshot(request).await
                }
            });
            let http = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_LIMIT)
                .max_buf_size(HEADER_BYTES)
                .serve_connection(TokioIo::new(wire), answer)
                .with_upgrades();
            let mut http = std::pin::pin!(http);
            let ended = tokio::select! {
                ended = http.as_mut() => ended,
                _ = stopping.changed() => {
                    http.as_mut().graceful_shutdown();
                    http.await
                }
            };
            if let Err(error) = ended {
                let metrics = &telemetry.metrics;
                if error.is_timeout() {
                    // A connection that only stays open between requests does no harm.
                    if asked.load(Ordering::Relaxed) {
                        metrics.reject(RejectReason::Timeout);
                    }
                } else if error.is_parse_too_large() {
                    metrics.reject(RejectReason::TooBig);
                } else if error.is_parse() {
                    metrics.reject(RejectReason::Protocol);
                }
            }
        });
    }
}

/// Finds out whether a client speaks TLS, and then speaks it as well. Who does not and comes from elsewhere is
/// to be redirected. Nothing when that fails: it was counted.
async fn speak(
    stream: Stream,
    from: SocketAddr,
    tls: Arc<ServerConfig>,
    telemetry: &Telemetry,
) -> Option<(Wire, bool)> {
    let spoken = async {
        let mut first = [0];
        if stream.tcp.peek(&mut first).await? == 1 && first != [tls::HANDSHAKE] {
            let elsewhere = !tls::is_local(from, stream.tcp.local_addr().ok());
            return io::Result::Ok((Wire::plain(stream), elsewhere));
        }
        Ok((
            Wire::tls(TlsAcceptor::from(tls).accept(stream).await?),
            false,
        ))
    };
    let metrics = &telemetry.metrics;
    match tokio::time::timeout(HEADER_LIMIT, spoken).await {
        Ok(Ok(spoken)) => Some(spoken),
        // Also whoever does not trust the certificate, and says so.
        Ok(Err(_)) => {
            metrics.reject(RejectReason::Protocol);
            None
        }
        Err(_) => {
            metrics.reject(RejectReason::Timeout);
            None
        }
    }
}

/// A connection whose writes must make progress. It can be cut from outside through the shared socket.
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
    /// From now on it carries this session.
    pub(super) fn carry(&mut self, session: Arc<TransportHandle>) {
        self.session = Some(session);
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
