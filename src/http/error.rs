//! HTTP errors: the same body as on the socket, `{ success: false, error: { code, message } }`.

use super::Http;
use crate::{
    event::{Code, Text, WireError},
    settings::Language,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Duration};

/// An error that a client is told.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    text: Text,
    language: Language,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// An error in the language of the settings.
    pub(super) fn new(http: &Http, code: Code, text: Text) -> Self {
        Self {
            code,
            text,
            language: http.settings.server.language,
            status: None,
            retry_after: None,
        }
    }

    /// With a status other than the code's own.
    #[must_use]
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Says when to come back.
    #[must_use]
    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status.unwrap_or_else(|| {
            StatusCode::from_u16(self.code.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        });
        let body = WireError::new(self.code, &self.text, self.language);
        let mut response = (status, Json(body)).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

pub(super) async fn unknown_path(State(http): State<Arc<Http>>) -> ApiError {
    ApiError::new(&http, Code::NotFound, Text::UnknownPath)
}

pub(super) async fn wrong_method(State(http): State<Arc<Http>>) -> ApiError {
    ApiError::new(&http, Code::ValidationError, Text::MethodNotAllowed)
        .status(StatusCode::METHOD_NOT_ALLOWED)
}
