//! Wire types of the rtc family. Signals are relayed as they came and never looked into.

use crate::event::{RoomId, SocketId, Text, UserId};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, sync::Arc};

/// A room id, or what is wrong with it: the texts are part of the contract.
#[derive(Debug)]
pub(super) struct CheckedRoom(pub(super) Result<RoomId, Text>);

impl<'de> Deserialize<'de> for CheckedRoom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => RoomId::parse(&text),
            _ => Err(Text::InvalidRoomId),
        }))
    }
}

impl Default for CheckedRoom {
    fn default() -> Self {
        Self(Err(Text::InvalidRoomId))
    }
}

/// `join { roomId, userId? }`. The user is the token's, whatever is said here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Join {
    #[serde(default)]
    pub(super) room_id: CheckedRoom,
}

/// `leave { roomId }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leave {
    #[serde(default)]
    pub(super) room_id: CheckedRoom,
}

/// `create-room { roomId, name, maxUsers? }` or a bare room id, which is the name as well.
#[derive(Debug)]
pub struct CreateRoom {
    pub(super) room_id: CheckedRoom,
    pub(super) name: Result<Box<str>, Text>,
    pub(super) max_users: Option<usize>,
}

impl<'de> Deserialize<'de> for CreateRoom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Full {
            #[serde(default)]
            room_id: CheckedRoom,
            #[serde(default)]
            name: Value,
            #[serde(default)]
            max_users: Option<usize>,
        }
        let value = Value::deserialize(deserializer)?;
        if value.is_object() {
            let full = Full::deserialize(value).map_err(de::Error::custom)?;
            return Ok(Self {
                room_id: full.room_id,
                name: check_name(&full.name),
                max_users: full.max_users,
            });
        }
        let room_id = CheckedRoom::deserialize(value).map_err(de::Error::custom)?;
        let name = match &room_id.0 {
            Ok(id) => id.as_str().into(),
            Err(_) => Box::default(),
        };
        Ok(Self {
            room_id,
            name: Ok(name),
            max_users: None,
        })
    }
}

fn check_name(name: &Value) -> Result<Box<str>, Text> {
    let name = name.as_str().ok_or(Text::InvalidRoomName)?;
    let length = name.trim().chars().count();
    // As given, but for what no name has: PostgreSQL refuses NUL, and a terminal obeys the others.
    if name.chars().any(char::is_control) {
        Err(Text::InvalidRoomName)
    } else if (2..=50).contains(&length) {
        Ok(name.into())
    } else {
        Err(Text::RoomNameLength)
    }
}

/// `join-room roomId` or `join-room { roomId }`.
#[derive(Debug)]
pub struct JoinRoom {
    pub(super) room_id: CheckedRoom,
}

impl<'de> Deserialize<'de> for JoinRoom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let id = match value {
            Value::Object(mut fields) => fields.remove("roomId").unwrap_or_default(),
            bare => bare,
        };
        CheckedRoom::deserialize(id)
            .map(|room_id| Self { room_id })
            .map_err(de::Error::custom)
    }
}

fn socket_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketId, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    SocketId::parse(&text).ok_or_else(|| de::Error::custom("to must be a peer's id"))
}

/// `offer { to, offer }`.
#[derive(Debug, Deserialize)]
pub struct Offer {
    #[serde(deserialize_with = "socket_id")]
    pub(super) to: SocketId,
    pub(super) offer: Box<RawValue>,
}

/// `answer { to, answer }`.
#[derive(Debug, Deserialize)]
pub struct Answer {
    #[serde(deserialize_with = "socket_id")]
    pub(super) to: SocketId,
    pub(super) answer: Box<RawValue>,
}

/// `ice-candidate { to, candidate }`.
#[derive(Debug, Deserialize)]
pub struct IceCandidate {
    #[serde(deserialize_with = "socket_id")]
    pub(super) to: SocketId,
    pub(super) candidate: Box<RawValue>,
}

/// `message { type, from, to?, roomId, data }`: the envelope form of the five.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    #[serde(rename = "type")]
    pub(super) kind: EnvelopeKind,
    #[serde(default)]
    pub(super) to: Option<Box<str>>,
    #[serde(default)]
    pub(super) room_id: CheckedRoom,
    #[serde(default)]
    pub(super) data: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EnvelopeKind {
    Join,
    Leave,
    Offer,
    Answer,
    IceCandidate,
}

#[derive(Serialize)]
pub(super) struct OfferFrom<'a> {
    pub(super) from: SocketId,
    pub(super) offer: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct AnswerFrom<'a> {
    pub(super) from: SocketId,
    pub(super) answer: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct CandidateFrom<'a> {
    pub(super) from: SocketId,
    pub(super) candidate: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeerJoined {
    pub(super) peer_id: SocketId,
    pub(super) user_id: UserId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserJoined {
    pub(super) user_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<Arc<str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeerLeft {
    pub(super) peer_id: SocketId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InRoom<'a> {
    pub(super) success: bool,
    pub(super) room_id: &'a RoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) existing_users: Option<&'a [SocketId]>,
}

#[derive(Serialize)]
pub(super) struct Delivered {
    pub(super) delivered: bool,
}
