//! Chat rooms over HTTP (contract, section 6).

use super::{
    ApiError, Http,
    error::{ErrorBody, SignedInErrors},
    extract::{Bearer, Body},
    schema::UserRef,
};
use crate::{
    chat::{self, NewRoom},
    clock,
    event::UserId,
};
use axum::{Json, extract::State, http::StatusCode};
use std::sync::Arc;
use utoipa::ToSchema;

/// Somebody who takes part.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the family's room writes")]
struct NamedUser {
    #[schema(value_type = UserRef)]
    user_id: UserId,
    username: String,
}

/// A chat room.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the family's room writes")]
pub(super) struct ChatRoom {
    /// Names it in events.
    #[schema(rename = "roomID")]
    id: String,
    name: String,
    /// Who may delete it for all.
    #[schema(value_type = UserRef)]
    owner_id: UserId,
    participants: Vec<NamedUser>,
    /// In ms since 1970.
    created_at: i64,
}

/// A room that somebody wants to begin.
#[derive(ToSchema)]
#[schema(example = json!({ "name": "Picking", "participants": ["kim", 7] }))]
#[expect(dead_code, reason = "describes what the family reads")]
pub(super) struct NewChatRoom {
    /// 1 to 100 characters, no control characters. White space around it is taken away and does not count.
    #[schema(
        min_length = 1,
        pattern = "^[\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]([^\\u0000-\\u001f\\u007f-\\u009f]{0,98}[^\\u0000-\\u0020\\u007f-\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000])?[\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*$"
    )]
    name: String,
    /// Who takes part besides: names of accounts, or ids of users.
    #[schema(value_type = Vec<UserRef>, max_items = 200)]
    participants: Vec<UserId>,
}

/// Begins a room.
#[utoipa::path(post, path = "/api/chat/rooms", tag = "chat", security(("bearer" = [])), request_body = NewChatRoom,
    responses((status = 201, body = ChatRoom, description = "The room"), SignedInErrors,
        (status = 400, body = ErrorBody, description = "VALIDATION_ERROR: the body is not as described"),
        (status = 409, body = ErrorBody, description = "CONFLICT: several users have a name"),
        (status = 413, body = ErrorBody, description = "PAYLOAD_TOO_LARGE: the body has more than 16 KiB")))]
pub(super) async fn begin(
    State(http): State<Arc<Http>>,
    Bearer(who): Bearer,
    Body(new): Body<NewRoom>,
) -> Result<(StatusCode, Json<chat::ChatRoom>), ApiError> {
    let begun = http.families.chat.begin(&new, &who, clock::now()).await;
    let (room, decision) = begun.map_err(|e| ApiError::rejection(&http, &e))?;
    (http.sources.carry_out)(decision);
    Ok((StatusCode::CREATED, Json(room)))
}

/// The rooms that the caller takes part in, oldest first.
#[utoipa::path(get, path = "/api/chat/rooms", tag = "chat", security(("bearer" = [])),
    responses((status = 200, body = Vec<ChatRoom>, description = "The rooms"), SignedInErrors))]
pub(super) async fn rooms(
    State(http): State<Arc<Http>>,
    Bearer(who): Bearer,
) -> Result<Json<Vec<chat::ChatRoom>>, ApiError> {
    let rooms = http.families.chat.rooms(&who).await;
    Ok(Json(rooms.map_err(|e| ApiError::rejection(&http, &e))?))
}
