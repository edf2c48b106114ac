//! Pairing over HTTP: a browser without an account becomes a phone of one session (contract, section 4).

use super::{
    ApiError, Http,
    error::PairingErrors,
    extract::{Address, Body},
};
use crate::{
    clock,
    event::{Code, Rejection},
    scan::Given,
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;

/// How a phone shows that it was invited.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `Given` reads")]
pub(super) enum Invitation {
    /// From the QR code.
    Token {
        /// `sid` of the link.
        #[serde(rename = "sessionId")]
        #[schema(
            min_length = 1,
            max_length = 100,
            pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"
        )]
        session_id: String,
        /// `t` of the link.
        #[serde(rename = "pairingToken")]
        pairing_token: String,
    },
    /// Typed by hand: five tries a minute.
    Code {
        /// Six digits.
        #[serde(rename = "pairingCode")]
        #[schema(pattern = "^[0-9]{6}$", example = "493021")]
        pairing_code: String,
    },
}

/// What a paired phone gets.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pass {
    /// Opens sockets, for this session alone: `auth.token` of the handshake.
    token: String,
    session_id: String,
    /// How long it is good for, in seconds.
    expires_in: u64,
}

/// After a wrong code, so long until the next try.
const NEXT_TRY: Duration = Duration::from_mins(1);

/// Takes an invitation up and gives a token for its session.
#[utoipa::path(post, path = "/api/pair", tag = "scan", request_body = Invitation,
    responses((status = 200, body = Pass, description = "The phone is paired"), PairingErrors))]
pub(super) async fn pair(
    State(http): State<Arc<Http>>,
    Address(from): Address,
    Body(given): Body<Given>,
) -> Result<Json<Pass>, ApiError> {
    let pass = http.families.pairing.pass(&given, from, clock::now());
    let pass = pass.map_err(|rejection| {
        let error = ApiError::rejection(&http, &rejection);
        match &rejection {
            Rejection::Refused(refusal) if refusal.code == Code::RateLimit => {
                error.retry_after(NEXT_TRY)
            }
            _ => error,
        }
    })?;
    Ok(Json(Pass {
        token: pass.token,
        session_id: pass.session_id.as_str().to_owned(),
        expires_in: pass.expires_in,
    }))
}
