//! `/metrics`, in the form that the scraper asks for.

use super::Http;
use crate::telemetry::Exposition;
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use std::sync::Arc;

pub(super) async fn metrics(
    State(http): State<Arc<Http>>,
    headers: HeaderMap,
) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let scrape = Exposition::scrape(&http.telemetry.metrics, accept);
    ([(header::CONTENT_TYPE, scrape.content_type)], scrape.body)
}
