//! HTTP: probes, status, metrics; everything that is not Socket.IO. Routes in one list, layers in one list.

mod accounts;
mod admin;
mod blocks;
mod chat;
mod error;
mod extract;
mod flows;
mod health;
mod layers;
mod metrics;
mod openapi;
mod pages;
mod pairing;
mod queue;
mod rooms;
mod schema;
mod timestamp;

use crate::{
    accounts::Accounts,
    chat::ChatServices,
    event::Decision,
    gateway::Front,
    guard::{Blocks, Keyed, Origins, Verifier},
    live::SessionTotals,
    queue::{QueueServices, SeatMap},
    scan::Pairing,
    settings::Settings,
    store::Store,
    telemetry::Telemetry,
};
use axum::{
    Extension, Router,
    body::Body,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Method, Request, Response, header},
    middleware,
};
use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use error::ApiError;

/// Larger bodies are refused unread.
const MOST_BODY: usize = 16 * 1024;

/// What the pages of the HTTP side are made of, from elsewhere in the house.
pub struct Sources {
    /// How many clients are connected.
    pub peers: Box<dyn Fn() -> usize + Send + Sync>,
    /// How many signaling rooms there are.
    pub rooms: Box<dyn Fn() -> usize + Send + Sync>,
    /// How many scan sessions there are.
    pub sessions: Box<dyn Fn() -> SessionTotals + Send + Sync>,
    /// Carries out what was decided over HTTP.
    pub carry_out: Box<dyn Fn(Decision) + Send + Sync>,
    /// A page of scan sessions: those after an id, at most so many.
    pub session_page: Box<SessionPage>,
}

type SessionPage = dyn Fn(Option<&str>, usize) -> Vec<crate::live::SessionSummary> + Send + Sync;

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// What routes ask, family by family.
#[derive(Debug)]
pub struct Families {
    /// Accounts and logins.
    pub accounts: Arc<Accounts>,
    /// Invitations.
    pub pairing: Arc<Pairing>,
    /// Waiting queues.
    pub queue: QueueServices,
    /// Seats, as they are written down.
    pub seat_map: SeatMap,
    /// Chat rooms.
    pub chat: ChatServices,
}

/// What all routes share.
#[derive(Debug)]
pub struct Http {
    settings: Settings,
    telemetry: Arc<Telemetry>,
    verifier: Arc<Verifier>,
    families: Arc<Families>,
    blocks: Arc<Blocks>,
    store: Arc<Store>,
    sources: Sources,
    api: Keyed<IpAddr>,
    started: Instant,
    ready: AtomicBool,
}

/// A whole site as one service.
pub type Site = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

impl Http {
    /// Not ready yet.
    pub fn new(
        settings: &Settings,
        telemetry: Arc<Telemetry>,
        families: Arc<Families>,
        blocks: Arc<Blocks>,
        store: Arc<Store>,
        sources: Sources,
    ) -> Arc<Self> {
        let limits = &settings.limits;
        Arc::new(Self {
            api: Keyed::new(limits.http_max, limits.http_window),
            settings: settings.clone(),
            telemetry,
            verifier: families.accounts.verifier.clone(),
            families,
            blocks,
            store,
            sources,
            started: Instant::now(),
            ready: AtomicBool::new(false),
        })
    }

    /// Whether load balancers should send clients here.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Forgets limiter keys that no longer matter. Call it every few seconds.
    pub fn tidy(&self) {
        self.api.tidy();
    }

    /// The public site: Socket.IO, probes and, without a listener of their own, operations.
    pub fn site(self: &Arc<Self>, front: Arc<Front>) -> Site {
        let router = self.routes(self.settings.server.admin.is_none());
        let site = tower::service_fn(move |request: Request<Body>| {
            let (front, router) = (front.clone(), router.clone());
            async move {
                if Front::owns(request.uri().path()) {
                    Ok(front.answer(request).await)
                } else {
                    router.oneshot(request).await
                }
            }
        });
        let origins = Origins::new(&self.settings.server.origins);
        BoxCloneSyncService::new(ServiceBuilder::new().layer(cors(origins)).service(site))
    }

    /// The operations site, for `ADMIN_ADDR`.
    pub fn operations(self: &Arc<Self>) -> Site {
        BoxCloneSyncService::new(self.routes(true))
    }

    fn routes(self: &Arc<Self>, operations: bool) -> Router {
        let mut routes = OpenApiRouter::with_openapi(openapi::Document::openapi())
            .routes(routes!(health::health))
            .routes(routes!(health::livez))
            .routes(routes!(health::readyz))
            .routes(routes!(health::version))
            .routes(routes!(openapi::document))
            .routes(routes!(accounts::register))
            .routes(routes!(accounts::login))
            .routes(routes!(accounts::refresh))
            .routes(routes!(accounts::logout))
            .routes(routes!(accounts::me))
            .routes(routes!(pairing::pair))
            .routes(routes!(rooms::rooms))
            .routes(routes!(rooms::room))
            .routes(routes!(rooms::participants))
            .routes(routes!(rooms::ice))
            .routes(routes!(chat::rooms, chat::begin))
            .routes(routes!(queue::check))
            .routes(routes!(queue::status))
            .routes(routes!(queue::leave))
            .routes(routes!(queue::overview, queue::change))
            .routes(routes!(queue::clear))
            .routes(routes!(queue::seats, queue::mark))
            .layer(DefaultBodyLimit::max(MOST_BODY));
        if !self.settings.server.production() {
            let visits = OpenApiRouter::new().routes(routes!(accounts::demo));
            routes = routes.merge(visits.layer(DefaultBodyLimit::max(MOST_BODY)));
        }
        if operations {
            let guarded = OpenApiRouter::new()
                .routes(routes!(health::status))
                .routes(routes!(metrics::metrics))
                .route_layer(middleware::from_fn_with_state(
                    self.clone(),
                    layers::operators_only,
                ));
            let inside = OpenApiRouter::new()
                .routes(routes!(flows::flows))
                .routes(routes!(flows::flow))
                .routes(routes!(admin::log_level, admin::change_log_level))
                .routes(routes!(blocks::blocks))
                .routes(routes!(blocks::lift))
                .layer(DefaultBodyLimit::max(MOST_BODY))
                .route_layer(middleware::from_fn_with_state(
                    self.clone(),
                    layers::admins_only,
                ));
            let page = OpenApiRouter::from(pages::console(&self.settings));
            routes = routes.merge(guarded).merge(inside).merge(page);
        }
        routes = routes.merge(OpenApiRouter::from(pages::routes(&self.settings)));
        let (routes, document) = routes.split_for_parts();
        let document = document.to_json().unwrap_or_default().into();
        routes
            .fallback(error::unknown_path)
            .method_not_allowed_fallback(error::wrong_method)
            .layer(Extension(openapi::Rendered(document)))
            .layer(middleware::from_fn_with_state(
                self.clone(),
                layers::api_limit,
            ))
            .layer(middleware::from_fn_with_state(
                self.clone(),
                layers::blocked,
            ))
            .layer(middleware::from_fn_with_state(
                self.clone(),
                layers::observe,
            ))
            .layer(middleware::from_fn_with_state(
                self.clone(),
                layers::security_headers,
            ))
            .with_state(self.clone())
    }
}

/// Lets the pages of allowed origins read answers, for Socket.IO polling as well.
fn cors(origins: Origins) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(
            move |origin: &HeaderValue, request| {
                origins.allow_origin(origin, request.headers.get(header::HOST))
            },
        ))
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::RETRY_AFTER,
            HeaderName::from_static("ratelimit-limit"),
            HeaderName::from_static("ratelimit-remaining"),
            HeaderName::from_static("ratelimit-reset"),
        ])
        .max_age(Duration::from_mins(10))
}
