//! The flow explorer as a page. It holds no data: it asks `/api/flows` for it.

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Redirect},
    routing::get,
};

/// The page and what belongs to it.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = include_str!("../../web/console/index.html");
    let script = include_str!("../../web/console/console.js");
    let style = include_str!("../../web/console/console.css");
    Router::new()
        .route(
            "/console",
            get(|| async { file("text/html; charset=utf-8", page) }),
        )
        .route(
            "/console/",
            get(|| async { Redirect::permanent("/console") }),
        )
        .route(
            "/console/console.js",
            get(|| async { file("text/javascript; charset=utf-8", script) }),
        )
        .route(
            "/console/console.css",
            get(|| async { file("text/css; charset=utf-8", style) }),
        )
}

/// The next version of this server has other files under the same names.
fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
