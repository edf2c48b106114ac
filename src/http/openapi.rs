//! The description of all this for programs: OpenAPI 3.1, generated from the handlers.

use axum::{Extension, http::header, response::IntoResponse};
use std::sync::Arc;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

/// What is not in any handler.
#[derive(OpenApi)]
#[openapi(
    info(title = "Signalbox", description = "HTTP side of Signalbox. The Socket.IO events are described in the README."),
    modifiers(&Bearer),
)]
pub(super) struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", scheme);
    }
}

/// The document, made once.
#[derive(Clone)]
pub(super) struct Rendered(pub(super) Arc<str>);

/// This description.
#[utoipa::path(get, path = "/api/openapi.json", tag = "operations",
    responses((status = 200, content_type = "application/json", body = Object), super::error::LimitErrors))]
pub(super) async fn document(Extension(document): Extension<Rendered>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        document.0.to_string(),
    )
}
