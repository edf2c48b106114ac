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
    modifiers(&Tokens),
)]
pub(super) struct Document;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, what) in [
            ("bearer", "The access token of a login."),
            (
                "operator",
                "The `METRICS_TOKEN` of the server, if it has one.",
            ),
        ] {
            let mut scheme = Http::new(HttpAuthScheme::Bearer);
            scheme.description = Some(what.into());
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
    }
}

/// The document, made once.
#[derive(Clone)]
pub(super) struct Rendered(pub(super) Arc<str>);

/// This description.
#[utoipa::path(get, path = "/api/openapi.json", tag = "operations",
    responses((status = 200, content_type = "application/json", body = Object, description = "The document"), super::error::LimitErrors))]
pub(super) async fn document(Extension(document): Extension<Rendered>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        document.0.to_string(),
    )
}
