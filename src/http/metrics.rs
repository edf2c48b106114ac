//! `/metrics`, in the form that the scraper asks for.

use super::Http;
use crate::telemetry::Exposition;
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use std::sync::Arc;

/// For Prometheus: text 0.0.4, or OpenMetrics 1.0 if that is asked for.
#[utoipa::path(get, path = "/metrics", tag = "operations", security((), ("operator" = [])),
    responses((status = 200, content((String = "text/plain"), (String = "application/openmetrics-text")), description = "All metrics"),
        (status = 401, body = super::error::ErrorBody, description = "AUTH_ERROR: METRICS_TOKEN is set and was not given")))]
pub(super) async fn metrics(
    State(http): State<Arc<Http>>,
    headers: HeaderMap,
) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let scrape = Exposition::scrape(&http.telemetry.metrics, accept);
    ([(header::CONTENT_TYPE, scrape.content_type)], scrape.body)
}
