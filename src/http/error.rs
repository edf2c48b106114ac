//! HTTP errors: the same body as on the socket, `{ success: false, error: { code, message } }`.

use super::Http;
use crate::{
    accounts::AccountError,
    event::{Code, Rejection, Text, WireError},
    settings::Language,
    telemetry::LimitLayer,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Duration};
use utoipa::{IntoResponses, ToSchema};

/// An error that a client is told.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    text: Text,
    language: Language,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    error_id: Option<String>,
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
            error_id: None,
        }
    }

    /// What a family said no with; a failure of ours is counted and logged.
    pub(super) fn rejection(http: &Http, rejection: &Rejection) -> Self {
        let (code, text) = rejection.told();
        let mut error = Self::new(http, code, text.clone());
        if let Rejection::Failed(failure) = rejection {
            error.error_id = Some(http.telemetry.failed(failure));
        }
        error
    }

    /// The same for accounts.
    pub(super) fn account(http: &Http, error: AccountError) -> Self {
        match error {
            AccountError::Rejected(rejection) => Self::rejection(http, &rejection),
            AccountError::Limited(wait) => {
                http.telemetry.metrics.rate_limited(LimitLayer::Login);
                Self::new(http, Code::RateLimit, Text::TooManyLogins).retry_after(wait)
            }
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
        let body = WireError::new(self.code, &self.text, self.language).with_id(self.error_id);
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2.
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
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

/// Every error has this body.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what WireError writes")]
pub(super) struct ErrorBody {
    /// Always false.
    success: bool,
    error: ErrorDetail,
}

/// What went wrong.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what WireError writes")]
pub(super) struct ErrorDetail {
    /// For programs.
    #[schema(example = "VALIDATION_ERROR")]
    code: String,
    /// For people, in the language of the server.
    message: String,
    /// Finds the log line and the trace of an INTERNAL error.
    #[schema(nullable = false)]
    error_id: Option<String>,
}

macro_rules! errors {
    ($(#[$doc:meta])* $name:ident: $($status:literal $variant:ident $text:literal $((Retry-After: $wait:ident))?,)*) => {
        $(#[$doc])*
        #[derive(IntoResponses)]
        #[expect(dead_code, reason = "describes what handlers answer")]
        pub(super) enum $name {
            $(#[response(status = $status, description = $text $(, headers(("Retry-After" = $wait, description = "Seconds to wait")))?)] $variant(ErrorBody),)*
        }
    };
}

errors! {
    /// Of everything under `/api`.
    LimitErrors:
    429 Limited "RATE_LIMIT: too many requests, come back after Retry-After" (Retry-After: u64),
}

errors! {
    /// Of what takes credentials.
    AccountErrors:
    400 Invalid "VALIDATION_ERROR: the body is not as described",
    413 TooLarge "PAYLOAD_TOO_LARGE: the body has more than 16 KiB",
    429 Limited "RATE_LIMIT: too many requests, come back after Retry-After" (Retry-After: u64),
    500 Internal "INTERNAL: our fault, errorId finds the log line",
    503 Unavailable "UNAVAILABLE: the database is away or too many passwords are being checked, try again later",
}

errors! {
    /// Of pairing.
    PairingErrors:
    400 Invalid "VALIDATION_ERROR: the body is not as described",
    403 Refused "INVALID_TOKEN: the token is not valid, has ended or was used; SID_MISMATCH: it is for another session; PAIRING_FAILED: no such code",
    413 TooLarge "PAYLOAD_TOO_LARGE: the body has more than 16 KiB",
    429 Limited "RATE_LIMIT: too many requests or codes, come back after Retry-After" (Retry-After: u64),
    500 Internal "INTERNAL: our fault, errorId finds the log line",
}

errors! {
    /// Of what asks for an access token.
    SignedInErrors:
    401 Unauthorized "AUTH_ERROR: no valid access token; TOKEN_EXPIRED: refresh it",
    429 Limited "RATE_LIMIT: too many requests, come back after Retry-After" (Retry-After: u64),
    500 Internal "INTERNAL: our fault, errorId finds the log line",
    503 Unavailable "UNAVAILABLE: the database is away or the server at its limit, try again later",
}

errors! {
    /// Of what only admins may do.
    AdminErrors:
    400 Invalid "VALIDATION_ERROR: a parameter or the body is not as described",
    401 Unauthorized "AUTH_ERROR: no valid access token; TOKEN_EXPIRED: refresh it",
    403 Forbidden "FORBIDDEN: the token is no admin's",
    429 Limited "RATE_LIMIT: too many requests, come back after Retry-After" (Retry-After: u64),
    500 Internal "INTERNAL: our fault, errorId finds the log line",
    503 Unavailable "UNAVAILABLE: the database is away or the server at its limit, try again later",
}

errors! {
    /// Of what takes parameters as well.
    PageErrors:
    400 Invalid "VALIDATION_ERROR: a parameter is not as described",
    401 Unauthorized "AUTH_ERROR: no valid access token; TOKEN_EXPIRED: refresh it",
    429 Limited "RATE_LIMIT: too many requests, come back after Retry-After" (Retry-After: u64),
    500 Internal "INTERNAL: our fault, errorId finds the log line",
    503 Unavailable "UNAVAILABLE: the database is away or the server at its limit, try again later",
}
