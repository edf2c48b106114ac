//! TCP: accepts, sets the limits that no library sets, and speaks HTTP/1.1 on it.
//!
//! `TCP_NODELAY` (an answer never waits for an acknowledgement), `TCP_USER_TIMEOUT` (a client that does not read
//! is cut), a limit for request headers (a client that does not write is, too).

use super::{stream::Stream, tls, wire::Wire};
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
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tower::{Service, util::ServiceExt};

/// Data that was sent and not acknowledged for this long ends a connection.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(8);
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
        let stream = Stream::new(tcp, asked.clone(), self.telemetry.clone());
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
        if stream.peek(&mut first).await? == 1 && first != [tls::HANDSHAKE] {
            let elsewhere = !tls::is_local(from, stream.local_address());
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
