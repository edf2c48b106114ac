//! In front of the engine: origin, capacity, secret session ids, body limits, and the WebSocket upgrade,
//! which is done here so that the engine gets a bare connection and no request to keep alive.

#![expect(
    clippy::result_large_err,
    reason = "an answer is made once a request and moved once"
)]

use super::{
    Engine,
    listener::Caller,
    transport::{SidSeal, TransportHandle, cut},
    wire::Wire,
};
use crate::{
    event::{Code, SocketId, Text, WireError},
    guard::{Ceiling, CountLimit, Origins, bearer, client_address, may_be_blocked},
    settings::{Language, Settings},
    telemetry::{HandshakeResult, RejectReason, Telemetry},
};
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use dashmap::DashMap;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::IpAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc;
use tower::Service;
use tungstenite::handshake::derive_accept_key;

/// A polling body must be complete in this time.
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// So many packets of a polling body are handled before others have a turn.
const PACKETS: usize = 32;

/// Nothing behind the engine: requests that are not its own never get here.
#[derive(Clone)]
pub(super) struct Nothing;

impl Service<Request<Body>> for Nothing {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

/// Answers everything under `/socket.io/`.
pub struct Front {
    engine: Engine,
    telemetry: Arc<Telemetry>,
    origins: Origins,
    language: Language,
    hops: usize,
    body_bytes: usize,
    seal: SidSeal,
    sockets: Arc<Ceiling>,
    pending: Arc<CountLimit<IpAddr>>,
    /// Sessions that began with polling and may move to a WebSocket.
    sessions: Arc<DashMap<SocketId, Weak<TransportHandle>>>,
    polling_end: mpsc::UnboundedSender<SocketId>,
    draining: AtomicBool,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").finish_non_exhaustive()
    }
}

/// What the query of an Engine.IO request says.
#[derive(Default)]
struct Query<'q> {
    version: Option<&'q str>,
    transport: Option<&'q str>,
    sid: Option<&'q str>,
}

impl<'q> Query<'q> {
    fn parse(query: &'q str) -> Self {
        let mut parsed = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let place = match name {
                "EIO" => &mut parsed.version,
                "transport" => &mut parsed.transport,
                "sid" => &mut parsed.sid,
                _ => continue,
            };
            // The first one counts, as in the engine.
            place.get_or_insert(value);
        }
        parsed
    }
}

type Answer = Result<Response<Body>, Response<Body>>;

impl Front {
    pub(super) fn new(settings: &Settings, telemetry: Arc<Telemetry>, engine: Engine) -> Arc<Self> {
        let (polling_end, mut ending) = mpsc::unbounded_channel::<SocketId>();
        let sessions: Arc<DashMap<SocketId, Weak<TransportHandle>>> = Arc::default();
        let mut closer = engine.clone();
        let gone = sessions.clone();
        tokio::spawn(async move {
            while let Some(id) = ending.recv().await {
                // The engine has no call to end a session; its client's own way to end one works.
                let uri = engine_uri("polling", Some(id.as_str()));
                let _ = closer.call(bare(Method::POST, uri, Body::from("1"))).await;
                gone.remove(&id);
            }
        });
        Arc::new(Self {
            engine,
            origins: Origins::new(&settings.server.origins),
            language: settings.server.language,
            hops: settings.server.trusted_proxy_hops,
            body_bytes: settings.limits.message_bytes,
            seal: SidSeal::new(),
            sockets: Ceiling::new(settings.limits.sockets_max),
            pending: CountLimit::new(settings.limits.pending_per_address),
            sessions,
            polling_end,
            telemetry,
            draining: AtomicBool::new(false),
        })
    }

    /// From now on nobody new is let in.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether a path is the engine's.
    pub fn owns(path: &str) -> bool {
        path == "/socket.io" || path.starts_with("/socket.io/")
    }

    /// Forgets sessions that are gone. Call it every few seconds.
    pub fn tidy(&self) {
        self.sessions.retain(|_, handle| handle.strong_count() > 0);
    }

    /// Answers one request.
    pub async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        match self.dispatch(request).await {
            Ok(response) | Err(response) => response,
        }
    }

    async fn dispatch(&self, request: Request<Body>) -> Answer {
        if !self.origins.allow(request.headers()) {
            self.telemetry.metrics.handshake(HandshakeResult::Origin);
            return Err(self.refuse(
                RejectReason::Origin,
                Code::Forbidden,
                &Text::OriginNotAllowed,
            ));
        }
        let Some(caller) = request.extensions().get::<Caller>().cloned() else {
            return Err(plain(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let uri = request.uri().clone();
        let query = Query::parse(uri.query().unwrap_or_default());
        if query.version != Some("4") {
            return Err(self.engine_error(5, "Unsupported protocol version"));
        }
        let session = match query.sid {
            None => None,
            Some(secret) => Some(self.session(secret)?),
        };
        match (query.transport, request.method().clone(), session) {
            (Some("websocket"), Method::GET, session) => self.upgrade(request, &caller, session),
            (Some("polling"), Method::GET, None) => {
                let (parts, _) = request.into_parts();
                self.open(&parts.headers, &caller).await
            }
            (Some("polling"), Method::GET | Method::POST, Some(id)) => self.poll(request, id).await,
            (Some("polling"), _, None) => Err(self.engine_error(2, "Bad handshake method")),
            (Some("polling" | "websocket"), ..) => Err(self.engine_error(3, "Bad request")),
            _ => Err(self.engine_error(0, "Transport unknown")),
        }
    }

    /// The session that a secret belongs to.
    fn session(&self, secret: &str) -> Result<SocketId, Response<Body>> {
        self.seal
            .open(secret)
            .and_then(SocketId::parse)
            .ok_or_else(|| {
                self.telemetry.metrics.reject(RejectReason::Sid);
                engine_answer(1, "Session ID unknown")
            })
    }

    /// What a new session counts against.
    fn admit(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        connection: bool,
    ) -> Result<TransportHandle, Response<Body>> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(self.refuse(RejectReason::Draining, Code::Unavailable, &Text::ServerBusy));
        }
        let address = client_address(caller.address.ip(), headers, self.hops);
        let seat = self.sockets.take().ok_or_else(|| {
            self.refuse(
                RejectReason::Connections,
                Code::Unavailable,
                &Text::ServerBusy,
            )
        })?;
        let pending = self.pending.take(address).ok_or_else(|| {
            self.refuse(
                RejectReason::Preauth,
                Code::RateLimit,
                &Text::TooManyAttempts,
            )
        })?;
        let blockable = may_be_blocked(address, caller.address.ip(), self.hops);
        Ok(TransportHandle::new(
            (address, blockable),
            bearer(headers),
            connection.then(|| caller.connection.clone()),
            self.polling_end.clone(),
            (seat, pending),
        ))
    }

    /// Opens a polling session: the id in the engine's answer is replaced by the secret.
    async fn open(&self, headers: &HeaderMap, caller: &Caller) -> Answer {
        let handle = Arc::new(self.admit(headers, caller, false)?);
        let mut open = bare(Method::GET, engine_uri("polling", None), Body::empty());
        open.extensions_mut().insert(handle.clone());
        let (mut parts, body) = self.call(open).await?.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let Some((id, opened)) = body.ok().and_then(|body| self.sealed(&body)) else {
            return Err(plain(StatusCode::BAD_REQUEST));
        };
        handle.named(id);
        self.sessions.insert(id, Arc::downgrade(&handle));
        parts.headers.remove(header::CONTENT_LENGTH);
        Ok(Response::from_parts(parts, Body::from(opened)))
    }

    /// `0{"sid":"…",…}` with the secret in it.
    fn sealed(&self, body: &Bytes) -> Option<(SocketId, String)> {
        let text = std::str::from_utf8(body).ok()?;
        let (before, rest) = text.split_once("\"sid\":\"")?;
        let (id, after) = rest.split_once('"')?;
        let secret = self.seal.seal(id);
        Some((
            SocketId::parse(id)?,
            format!("{before}\"sid\":\"{secret}\"{after}"),
        ))
    }

    /// One polling request of a session.
    async fn poll(&self, request: Request<Body>, id: SocketId) -> Answer {
        let uri = engine_uri("polling", Some(id.as_str()));
        let (parts, body) = request.into_parts();
        if parts.method == Method::GET {
            let answer = self.call(bare(Method::GET, uri, Body::empty())).await;
            let session = self.sessions.get(&id).and_then(|handle| handle.upgrade());
            if let (Some(session), Ok(answer)) = (session, &answer) {
                session.took(answer.body().size_hint().lower());
            }
            return answer;
        }
        let whole = self.whole(body).await?;
        let mut last = plain(StatusCode::BAD_REQUEST);
        for part in packets(&whole) {
            last = self
                .call(bare(Method::POST, uri.clone(), Body::from(part)))
                .await?;
            if last.status() != StatusCode::OK {
                break;
            }
            // What these packets caused goes out before the next ones come in.
            tokio::task::yield_now().await;
        }
        Ok(last)
    }

    /// The body of a polling request, within its limits.
    async fn whole(&self, body: Body) -> Result<Bytes, Response<Body>> {
        let limited = Limited::new(body, self.body_bytes).collect();
        match tokio::time::timeout(BODY_LIMIT, limited).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(self.refuse(RejectReason::TooBig, Code::PayloadTooLarge, &Text::TooLarge))
            }
            Ok(Err(_)) => Err(plain(StatusCode::BAD_REQUEST)),
            Err(_) => {
                self.telemetry.metrics.reject(RejectReason::Timeout);
                let mut late = plain(StatusCode::REQUEST_TIMEOUT);
                late.headers_mut().insert(
                    header::CONNECTION,
                    header::HeaderValue::from_static("close"),
                );
                Err(late)
            }
        }
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        let mut engine = self.engine.clone();
        match engine.call(request).await {
            Ok(response) => Ok(response.map(Body::new)),
            Err(never) => match never {},
        }
    }

    /// Upgrades to a WebSocket, for a new session or one that polls.
    fn upgrade(
        &self,
        mut request: Request<Body>,
        caller: &Caller,
        session: Option<SocketId>,
    ) -> Answer {
        let Some(accept) = accept_key(request.headers()) else {
            self.telemetry.metrics.reject(RejectReason::Protocol);
            let mut answer = engine_answer(3, "Bad request");
            answer.headers_mut().insert(
                header::SEC_WEBSOCKET_VERSION,
                header::HeaderValue::from_static("13"),
            );
            return Err(answer);
        };
        let mut bare = Request::new(());
        *bare.uri_mut() = engine_uri("websocket", session.as_ref().map(SocketId::as_str));
        let (handle, moves) = match session {
            None => {
                let handle = Arc::new(self.admit(request.headers(), caller, true)?);
                bare.extensions_mut().insert(handle.clone());
                (handle, false)
            }
            Some(id) => {
                let known = self.sessions.get(&id).and_then(|handle| handle.upgrade());
                let known = known.ok_or_else(|| self.engine_error(1, "Session ID unknown"))?;
                (known, true)
            }
        };
        let upgrade = hyper::upgrade::on(&mut request);
        let mut engine = self.engine.clone();
        let connection = caller.connection.clone();
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let Ok(parts) = upgraded.downcast::<TokioIo<Wire>>() else {
                return;
            };
            let mut wire = parts.io.into_inner();
            wire.prepend(&parts.read_buf);
            if moves {
                handle.upgraded(connection.clone());
            }
            wire.carry(handle);
            // This lasts as long as the session does, unless that ends before it has moved here: then
            // nobody else would close the connection.
            if engine.call((wire, bare)).await.is_err() {
                cut(&connection);
            }
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, accept)
            .body(Body::empty());
        response.map_err(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
    }

    fn engine_error(&self, code: u8, message: &str) -> Response<Body> {
        self.telemetry.metrics.reject(RejectReason::Protocol);
        engine_answer(code, message)
    }

    fn refuse(&self, reason: RejectReason, code: Code, text: &Text) -> Response<Body> {
        self.telemetry.metrics.reject(reason);
        let body = json!(WireError::new(code, text, self.language));
        let mut response = Response::builder()
            .status(code.http_status())
            .header(header::CONTENT_TYPE, "application/json");
        if matches!(code, Code::Unavailable | Code::RateLimit) {
            response = response.header(header::RETRY_AFTER, "5");
        }
        response
            .body(Body::from(body.to_string()))
            .unwrap_or_default()
    }
}

/// The answer to `Sec-WebSocket-Key`, if this is an upgrade as RFC 6455, section 4.2.1, wants it.
fn accept_key(headers: &HeaderMap) -> Option<String> {
    let has = |name, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|v| v.trim().eq_ignore_ascii_case(word))
    };
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes();
    let fine = has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && version == "13"
        && key.len() == 24;
    fine.then(|| derive_accept_key(key))
}

/// A request for the engine with nothing in it that the client chose but its packets.
fn bare(method: Method, uri: http::Uri, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request
}

/// A polling body in parts of at most [`PACKETS`] packets, which U+001E separates (Engine.IO 4).
fn packets(body: &Bytes) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut count = 0;
    for (at, _) in body.iter().enumerate().filter(|(_, b)| **b == 0x1e) {
        count += 1;
        if count == PACKETS {
            parts.push(body.slice(start..at));
            start = at + 1;
            count = 0;
        }
    }
    parts.push(body.slice(start..));
    parts
}

/// The engine's address of a session.
fn engine_uri(transport: &str, id: Option<&str>) -> http::Uri {
    let sid = id.map_or(String::new(), |id| format!("&sid={id}"));
    format!("/socket.io/?EIO=4&transport={transport}{sid}")
        .parse()
        .unwrap_or_default()
}

/// An error as Engine.IO servers word it.
fn engine_answer(code: u8, message: &str) -> Response<Body> {
    let body = json!({ "code": code, "message": message });
    Response::builder()
        .status(StatusCode::BAD_REQUEST)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap_or_default()
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_handled_in_parts_and_nothing_is_lost() {
        let packet = |n: usize| format!("42[\"x\",{n}]");
        for count in [1, 2, 31, 32, 33, 64, 100] {
            let all: Vec<String> = (0..count).map(packet).collect();
            let body = Bytes::from(all.join("\u{1e}"));

            let parts = packets(&body);
            let back: Vec<String> = parts
                .iter()
                .flat_map(|p| std::str::from_utf8(p).unwrap().split('\u{1e}'))
                .map(str::to_owned)
                .collect();
            assert_eq!(back, all);
            assert!(parts.len() <= count.div_ceil(PACKETS) + 1);
        }
    }
}
