//! What an operator can change at run time.

use super::{
    ApiError, Http,
    error::{ErrorBody, LimitErrors},
    extract::Body,
};
use crate::{
    event::{Code, Text},
    settings::parse_duration,
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use utoipa::ToSchema;

/// A change of the log level is forgotten by people; not by the server.
const LONGEST: Duration = Duration::from_hours(24);
const LONGEST_TARGET: usize = 100;

/// Levels from the most to the least that is logged.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl From<Level> for tracing::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::TRACE,
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warn => Self::WARN,
            Level::Error => Self::ERROR,
        }
    }
}

/// A log level for a while.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LevelChange {
    #[schema(inline)]
    level: Level,
    /// A part of this server; all of it if missing. What libraries log of payloads stays off.
    #[schema(
        example = "signalbox::flow",
        max_length = 100,
        pattern = "^signalbox(::[a-z_]+)*$"
    )]
    target: Option<String>,
    /// For how long: a number with s, m or h, at most 24h.
    #[serde(rename = "for")]
    #[schema(
        example = "10m",
        pattern = "^([1-9][0-9]{0,3}s|([1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)m|([1-9]|1[0-9]|2[0-4])h)$"
    )]
    period: String,
}

/// What is logged now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LevelNow {
    /// As in `LOG_LEVEL`.
    directives: String,
    /// When a change reverts, in ms since 1970; null if nothing is changed.
    reverts_at: Option<u64>,
}

impl LevelNow {
    fn new(directives: String, until: Option<SystemTime>) -> Self {
        let since = until.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        Self {
            directives,
            reverts_at: since.and_then(|since| u64::try_from(since.as_millis()).ok()),
        }
    }
}

/// What is logged now, and until when if that was changed.
#[utoipa::path(get, path = "/api/admin/log-level", tag = "operations", security((), ("operator" = []), ("bearer" = [])),
    responses((status = 200, body = LevelNow, description = "What is in force"),
        (status = 401, body = ErrorBody, description = "AUTH_ERROR: an admin token is needed"), LimitErrors))]
pub(super) async fn log_level(State(http): State<Arc<Http>>) -> Json<LevelNow> {
    let (directives, until) = http.telemetry.level.now();
    Json(LevelNow::new(directives, until))
}

/// Changes the log level for a while; it reverts by itself.
#[utoipa::path(put, path = "/api/admin/log-level", tag = "operations", request_body = LevelChange, security((), ("operator" = []), ("bearer" = [])),
    responses((status = 200, body = LevelNow, description = "What is in force now, and until when"),
        (status = 400, body = ErrorBody, description = "VALIDATION_ERROR: the body is not as described"),
        (status = 401, body = ErrorBody, description = "AUTH_ERROR: an admin token is needed"),
        (status = 413, body = ErrorBody, description = "PAYLOAD_TOO_LARGE: the body has more than 16 KiB"), LimitErrors))]
pub(super) async fn change_log_level(
    State(http): State<Arc<Http>>,
    Body(change): Body<LevelChange>,
) -> Result<Json<LevelNow>, ApiError> {
    let invalid = |why: &str| {
        let text = Text::InvalidPayload(why.to_owned());
        ApiError::new(&http, Code::ValidationError, text)
    };
    let period = time(&change.period)
        .ok_or_else(|| invalid("`for` is not a time of up to 24h, such as 10m"))?;
    let target = change.target.as_deref();
    if target.is_some_and(|target| !is_ours(target)) {
        return Err(invalid(
            "`target` is not a part of this server, such as signalbox::flow",
        ));
    }
    let level = tracing::Level::from(change.level);
    let raised = http.telemetry.level.raise(level, target, period);
    tracing::warn!(
        target: "signalbox::level",
        directives = raised.directives.as_str(),
        seconds = period.as_secs(),
        "The log level was changed for a while."
    );
    Ok(Json(LevelNow::new(raised.directives, Some(raised.until))))
}

/// A number without a leading 0, of at most four digits, and a unit.
fn time(text: &str) -> Option<Duration> {
    let number = text.strip_suffix(['s', 'm', 'h'])?;
    let digits = number.len() <= 4 && number.bytes().all(|b| b.is_ascii_digit());
    let period = parse_duration(text).filter(|_| digits && !number.starts_with('0'))?;
    (period <= LONGEST).then_some(period)
}

fn is_ours(target: &str) -> bool {
    let mut parts = target.split("::");
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    target.len() <= LONGEST_TARGET && parts.next() == Some("signalbox") && parts.all(word)
}
