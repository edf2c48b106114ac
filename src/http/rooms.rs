//! Signaling over HTTP: rooms, who was in them and for how long, servers for NAT (contract, sections 5
//! and 8).

use super::{
    ApiError, Http,
    error::{ErrorBody, PageErrors, SignedInErrors},
    extract::{Asked, Bearer, RoomOf},
    timestamp::{from_ms, timestamp},
};
use crate::{
    clock,
    event::{Code, Text, milliseconds},
    rtc::ice_servers,
    store::{ParticipantRow, RoomRow},
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Entries of a page, unless asked for otherwise.
const PAGE: u16 = 50;
/// Most entries of a page.
const PAGE_MOST: u16 = 200;
/// Longest place in the order of rooms, in characters.
const AFTER_MOST: usize = 100;

/// Somebody may still join an active room; a closed one is history.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoomStatus {
    Active,
    Closed,
}

impl RoomStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Closed => "closed",
        }
    }
}

/// A page of rooms.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RoomPage {
    /// Only these.
    status: Option<RoomStatus>,
    /// `next` of the page before.
    #[param(max_length = 100, pattern = "^[^\\u0000]*$")]
    after: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
}

/// A page of stays.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StayPage {
    /// `next` of the page before.
    after: Option<i64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
}

/// A signaling room.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Room {
    id: String,
    /// As given: escape it before it becomes HTML.
    name: String,
    owner_id: String,
    max_users: i32,
    #[schema(value_type = RoomStatus)]
    status: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    ended_at: Option<String>,
}

impl From<RoomRow> for Room {
    fn from(row: RoomRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            owner_id: row.owner_id,
            max_users: row.max_users,
            status: row.status,
            created_at: timestamp(row.created_at),
            ended_at: row.ended_at.map(timestamp),
        }
    }
}

/// Rooms, in the order of their ids.
#[derive(Serialize, ToSchema)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    /// For `after`, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// One stay of one user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stay {
    id: i64,
    user_id: String,
    #[schema(format = DateTime)]
    joined_at: String,
    /// Missing while it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    left_at: Option<String>,
    /// Missing while it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    duration_seconds: Option<i32>,
}

impl From<ParticipantRow> for Stay {
    fn from(row: ParticipantRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            joined_at: timestamp(row.joined_at),
            left_at: row.left_at.map(timestamp),
            duration_seconds: row.duration_seconds,
        }
    }
}

/// Stays, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Stays {
    participants: Vec<Stay>,
    /// For `after`, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<i64>,
}

/// An entry of an `RTCConfiguration`'s `iceServers`.
#[derive(Serialize, ToSchema)]
pub(super) struct IceServer {
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credential: Option<String>,
}

/// For an `RTCConfiguration`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct IceServers {
    ice_servers: Vec<IceServer>,
    /// Ask again before then.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Rooms by id.
#[utoipa::path(get, path = "/api/rooms", tag = "rooms", params(RoomPage), security(("bearer" = [])),
    responses((status = 200, body = Rooms, description = "A page of rooms"), PageErrors))]
pub(super) async fn rooms(
    State(http): State<Arc<Http>>,
    Bearer(_): Bearer,
    Asked(page): Asked<RoomPage>,
) -> Result<Json<Rooms>, ApiError> {
    let limit = limit(&http, page.limit)?;
    let status = page.status.map(RoomStatus::as_str);
    let after = page.after.unwrap_or_default();
    // Any place in the order of ids will do, whether a room has it or not; none is longer than an id.
    if after.contains('\0') || after.chars().count() > AFTER_MOST {
        let why = "after must be the next of a page".to_owned();
        return Err(ApiError::new(
            &http,
            Code::ValidationError,
            Text::InvalidPayload(why),
        ));
    }
    let rows = http.store.rooms(status, &after, limit + 1).await;
    let mut rows = rows.map_err(|e| ApiError::rejection(&http, &e.into()))?;
    let more = rows.len() > usize::from(limit);
    rows.truncate(limit.into());
    let next = rows.last().filter(|_| more).map(|row| row.id.clone());
    let rooms = rows.into_iter().map(Room::from).collect();
    Ok(Json(Rooms { rooms, next }))
}

/// One room.
#[utoipa::path(get, path = "/api/rooms/{id}", tag = "rooms", security(("bearer" = [])),
    params(RoomOf),
    responses((status = 200, body = Room, description = "The room"), PageErrors, (status = 404, body = ErrorBody, description = "NOT_FOUND: no such room")))]
pub(super) async fn room(
    State(http): State<Arc<Http>>,
    Bearer(_): Bearer,
    RoomOf { id }: RoomOf,
) -> Result<Json<Room>, ApiError> {
    find(&http, id.as_str()).await.map(|row| Json(row.into()))
}

/// Who was in a room, when and for how long. For its owner, those who were in it, and admins.
#[utoipa::path(get, path = "/api/rooms/{id}/participants", tag = "rooms", security(("bearer" = [])),
    params(RoomOf, StayPage),
    responses((status = 200, body = Stays, description = "A page of stays"), PageErrors,
        (status = 403, body = ErrorBody, description = "FORBIDDEN: only its owner, those who were in it and admins"),
        (status = 404, body = ErrorBody, description = "NOT_FOUND: no such room")))]
pub(super) async fn participants(
    State(http): State<Arc<Http>>,
    Bearer(who): Bearer,
    RoomOf { id }: RoomOf,
    Asked(page): Asked<StayPage>,
) -> Result<Json<Stays>, ApiError> {
    let limit = limit(&http, page.limit)?;
    let failed = |e: crate::store::StoreError| ApiError::rejection(&http, &e.into());
    let room = find(&http, id.as_str()).await?;
    let may = who.admin
        || *room.owner_id == *who.user
        || http
            .store
            .took_part(&room.id, &who.user)
            .await
            .map_err(failed)?;
    if !may {
        return Err(ApiError::new(&http, Code::Forbidden, Text::NotYourRoom));
    }
    let after = page.after.unwrap_or_default();
    let rows = http.store.participants(&room.id, after, limit + 1).await;
    let mut rows = rows.map_err(failed)?;
    let more = rows.len() > usize::from(limit);
    rows.truncate(limit.into());
    let next = rows.last().filter(|_| more).map(|row| row.id);
    let participants = rows.into_iter().map(Stay::from).collect();
    Ok(Json(Stays { participants, next }))
}

/// STUN and TURN servers, with credentials for a while.
#[utoipa::path(get, path = "/api/ice-servers", tag = "rooms", security(("bearer" = [])),
    responses((status = 200, body = IceServers, description = "The servers"), SignedInErrors))]
pub(super) async fn ice(
    State(http): State<Arc<Http>>,
    who: Result<Bearer, ApiError>,
) -> Result<Json<IceServers>, ApiError> {
    let user = match who {
        Ok(Bearer(who)) => who.user,
        // Peers without a token need them as well.
        Err(_) if http.settings.rtc.guests => "guest".into(),
        Err(error) => return Err(error),
    };
    let rtc = &http.settings.rtc;
    let now = clock::now();
    let servers = ice_servers(rtc, &user, now.unix_ms / 1000).into_iter();
    let lasts = milliseconds(rtc.turn_ttl);
    Ok(Json(IceServers {
        ice_servers: servers
            .map(|server| {
                let (username, credential) = server.credentials.unzip();
                IceServer {
                    urls: server.urls,
                    username,
                    credential,
                }
            })
            .collect(),
        expires_at: from_ms(now.unix_ms.saturating_add(lasts)),
    }))
}

async fn find(http: &Http, id: &str) -> Result<RoomRow, ApiError> {
    let row = http.store.room(id).await;
    let row = row.map_err(|e| ApiError::rejection(http, &e.into()))?;
    row.ok_or_else(|| ApiError::new(http, Code::NotFound, Text::NoSuchRoom))
}

fn limit(http: &Http, asked: Option<u16>) -> Result<u16, ApiError> {
    let limit = asked.unwrap_or(PAGE);
    if (1..=PAGE_MOST).contains(&limit) {
        return Ok(limit);
    }
    let why = format!("limit must be 1 to {PAGE_MOST}");
    Err(ApiError::new(
        http,
        Code::ValidationError,
        Text::InvalidPayload(why),
    ))
}
