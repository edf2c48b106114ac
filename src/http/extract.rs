//! What handlers are given: who asks, from where, and a body or query that was understood.

use super::{ApiError, Http};
use crate::{
    event::{Code, EventId, Identity, Object, RoomId, Text},
    gateway::Caller,
    guard::{TokenFault, bearer, client_address},
    telemetry::FlowId,
};
use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;
use std::{net::IpAddr, sync::Arc};
use utoipa::IntoParams;

/// The bearer of an access token.
pub(super) struct Bearer(pub(super) Identity);

impl FromRequestParts<Arc<Http>> for Bearer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Arc<Http>) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers)
            .ok_or_else(|| ApiError::new(http, Code::AuthError, Text::NoToken))?;
        http.verifier.learn(token).await;
        match http.verifier.verify(token) {
            // A paired phone may scan and nothing else.
            Ok(identity) if identity.scope.is_some() => {
                Err(ApiError::new(http, Code::AuthError, Text::BadToken))
            }
            Ok(identity) => Ok(Self(identity)),
            Err(TokenFault::Expired) => {
                Err(ApiError::new(http, Code::TokenExpired, Text::TokenExpired))
            }
            Err(TokenFault::Bad | TokenFault::Missing) => {
                Err(ApiError::new(http, Code::AuthError, Text::BadToken))
            }
        }
    }
}

/// The bearer of an admin's access token.
pub(super) struct Admin;

impl FromRequestParts<Arc<Http>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Arc<Http>) -> Result<Self, ApiError> {
        let Bearer(who) = <Bearer as FromRequestParts<_>>::from_request_parts(parts, http).await?;
        if who.admin {
            Ok(Self)
        } else {
            Err(ApiError::new(http, Code::Forbidden, Text::NoAdmin))
        }
    }
}

/// The client's address, through the trusted proxies.
pub(super) struct Address(pub(super) IpAddr);

impl Address {
    pub(super) fn of(
        http: &Http,
        extensions: &axum::http::Extensions,
        headers: &axum::http::HeaderMap,
    ) -> IpAddr {
        let caller = extensions.get::<Caller>();
        let peer = caller.map_or(IpAddr::from([0, 0, 0, 0]), |c| c.address.ip());
        client_address(peer, headers, http.settings.server.trusted_proxy_hops)
    }
}

impl FromRequestParts<Arc<Http>> for Address {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Arc<Http>) -> Result<Self, ApiError> {
        Ok(Self(Self::of(http, &parts.extensions, &parts.headers)))
    }
}

/// A JSON object in the body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Http>> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, http: &Arc<Http>) -> Result<Self, ApiError> {
        let Object(body) = read(request, http).await?;
        Ok(Self(body))
    }
}

/// Without a content type there is no body; `null` is none either.
impl<T: DeserializeOwned> OptionalFromRequest<Arc<Http>> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, http: &Arc<Http>) -> Result<Option<Self>, ApiError> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(None);
        }
        let body: Option<Object<T>> = read(request, http).await?;
        Ok(body.map(|Object(body)| Self(body)))
    }
}

async fn read<T: DeserializeOwned>(request: Request, http: &Arc<Http>) -> Result<T, ApiError> {
    let body = <Json<T> as FromRequest<_>>::from_request(request, http).await;
    body.map(|Json(body)| body).map_err(|e| match e {
        JsonRejection::BytesRejection(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(http, Code::PayloadTooLarge, Text::TooLarge)
        }
        e => invalid(http, e.body_text()),
    })
}

/// The query string.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Http>> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Arc<Http>) -> Result<Self, ApiError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, http).await;
        query
            .map(|Query(query)| Self(query))
            .map_err(|e| invalid(http, e.body_text()))
    }
}

/// The room in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RoomOf {
    /// The room's id.
    #[param(value_type = String, example = "room-1", min_length = 3, max_length = 100, pattern = "^[A-Za-z0-9_-]{3,100}$")]
    pub(super) id: RoomId,
}

impl FromRequestParts<Arc<Http>> for RoomOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Arc<Http>) -> Result<Self, ApiError> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, http).await;
        let Path(id) = path.map_err(|e| invalid(http, e.body_text()))?;
        RoomId::parse(&id)
            .map(|id| Self { id })
            .map_err(|text| ApiError::new(http, Code::ValidationError, text))
    }
}

/// The event in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct EventOf {
    /// The event's id.
    #[param(value_type = String, example = "42", min_length = 1, max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,64}$")]
    pub(super) event: EventId,
}

impl FromRequestParts<Arc<Http>> for EventOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Arc<Http>) -> Result<Self, ApiError> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, http).await;
        let Path(event) = path.map_err(|e| invalid(http, e.body_text()))?;
        let event = EventId::parse(&event).map(|event| Self { event });
        event.ok_or_else(|| invalid(http, "the event's id must be 1 to 64 characters".to_owned()))
    }
}

/// The flow in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct FlowOf {
    /// A flow code as people write it, a trace id (32 hex digits) or an error id (16).
    #[param(value_type = String, example = "K7-QX4M", pattern = "^([0-9A-TV-Za-tv-z]{2}-?[0-9A-TV-Za-tv-z]{4}|[0-9A-Fa-f]{16}|[0-9A-Fa-f]{32})$")]
    pub(super) id: FlowId,
}

impl FromRequestParts<Arc<Http>> for FlowOf {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Arc<Http>) -> Result<Self, ApiError> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, http).await;
        let Path(id) = path.map_err(|e| invalid(http, e.body_text()))?;
        FlowId::parse(&id)
            .map(|id| Self { id })
            .ok_or_else(|| ApiError::new(http, Code::ValidationError, Text::InvalidFlow))
    }
}

pub(super) fn invalid(http: &Http, why: String) -> ApiError {
    ApiError::new(http, Code::ValidationError, Text::InvalidPayload(why))
}
