//! Wire types of the chat family. A value that exists is valid: they are parsed, not validated.

use super::time::moment;
use crate::{
    event::{ChatRoomId, Object, UserId, is_label},
    store::{self, Message, Participant},
};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::BTreeMap;

/// `syncRooms { platformId?, rooms: [{ roomId, timestamp? }] }`.
#[derive(Debug, Deserialize)]
pub struct SyncRooms {
    #[serde(deserialize_with = "few_rooms")]
    pub(super) rooms: Vec<Since>,
}

/// A room, and the time of what is known of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Since {
    pub(super) room_id: ChatRoomId,
    #[serde(default, deserialize_with = "moment")]
    pub(super) timestamp: Option<i64>,
}

/// Rooms that one may ask for at once.
const MOST_ROOMS: usize = 1000;

fn few_rooms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Since>, D::Error> {
    let rooms = Vec::<Object<Since>>::deserialize(deserializer)?;
    if rooms.len() > MOST_ROOMS {
        let why = format!("at most {MOST_ROOMS} rooms at once");
        return Err(de::Error::custom(why));
    }
    Ok(rooms.into_iter().map(|Object(since)| since).collect())
}

/// `join { roomID, lastmessage?, createdAt? }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinChat {
    #[serde(rename = "roomID")]
    pub(super) room: ChatRoomId,
    #[serde(default, deserialize_with = "moment")]
    pub(super) created_at: Option<i64>,
}

/// `leave { username?, roomID }`.
#[derive(Debug, Deserialize)]
pub struct LeaveChat {
    #[serde(rename = "roomID")]
    pub(super) room: ChatRoomId,
}

/// `deleteroom { roomID }`.
#[derive(Debug, Deserialize)]
pub struct DeleteRoom {
    #[serde(rename = "roomID")]
    pub(super) room: ChatRoomId,
}

/// `message { roomID, content, clientId?, gpt? }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    #[serde(rename = "roomID")]
    pub(super) room: ChatRoomId,
    pub(super) content: Content,
    #[serde(default, deserialize_with = "client_id")]
    pub(super) client_id: Option<String>,
    #[serde(default)]
    pub(super) gpt: Option<bool>,
}

impl SendMessage {
    /// It is for the assistant as well.
    pub(super) fn asks(&self) -> bool {
        self.gpt == Some(true) || addressed(&self.content.0)
    }
}

/// `editMessage { roomID, id, content }`.
#[derive(Debug, Deserialize)]
pub struct EditMessage {
    #[serde(rename = "roomID")]
    pub(super) room: ChatRoomId,
    pub(super) id: i64,
    pub(super) content: Content,
}

/// `loadMoreMessages_for_room { roomId, timestamp?, oldmessage?, type? }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadMoreMessages {
    pub(super) room_id: ChatRoomId,
    #[serde(default, deserialize_with = "moment")]
    pub(super) timestamp: Option<i64>,
    #[serde(default, rename = "type")]
    pub(super) direction: Option<Box<str>>,
}

impl LoadMoreMessages {
    /// It is about what came after the time.
    pub(super) fn forward(&self) -> bool {
        self.direction.as_deref() == Some("new")
    }
}

/// What somebody says: not empty, and nothing that PostgreSQL does not keep. Its length is the handler's to check,
/// as that has a code of its own.
#[derive(Debug)]
pub(super) struct Content(pub(super) String);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.contains('\0') {
            let why = "content must be a text that is not empty and has no NUL in it";
            return Err(de::Error::custom(why));
        }
        Ok(Self(text))
    }
}

fn client_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let id = Option::<String>::deserialize(deserializer)?;
    if id.as_ref().is_some_and(|id| !is_label(id, 64)) {
        let why = "clientId must be 1 to 64 characters without control characters";
        return Err(de::Error::custom(why));
    }
    Ok(id)
}

/// `message`, wherever messages are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Said<'a> {
    id: i64,
    #[serde(rename = "roomID")]
    room: &'a str,
    user_id: UserId,
    username: &'a str,
    content: &'a str,
    created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gpt: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

impl<'a> From<&'a Message> for Said<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            id: message.id,
            room: &message.room_id,
            user_id: UserId::stored(&message.user_id),
            username: &message.username,
            content: &message.content,
            created_at: message.created_at,
            edited_at: message.edited_at,
            gpt: message.gpt,
            client_id: message.client_id.as_deref(),
        }
    }
}

/// Messages as they are sent.
pub(super) fn said(messages: &[Message]) -> Vec<Said<'_>> {
    messages.iter().map(Said::from).collect()
}

/// A room, over HTTP and as `roomUpdate`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatRoom {
    #[serde(rename = "roomID")]
    pub(super) id: ChatRoomId,
    pub(super) name: String,
    pub(super) owner_id: UserId,
    pub(super) participants: Vec<NamedUser>,
    pub(super) created_at: i64,
}

impl ChatRoom {
    /// Rooms with those who take part in them.
    pub(super) fn all(rooms: Vec<store::ChatRoom>, participants: Vec<Participant>) -> Vec<Self> {
        let mut by_room: BTreeMap<String, Vec<NamedUser>> = BTreeMap::new();
        for participant in participants {
            let user = (participant.user_id, participant.username);
            let room = by_room.entry(participant.room_id).or_default();
            room.push(user.into());
        }
        let rooms = rooms.into_iter().filter_map(|room| {
            Some(Self {
                id: ChatRoomId::parse(&room.id)?,
                name: room.name,
                owner_id: UserId::stored(&room.owner_id),
                participants: by_room.remove(&room.id).unwrap_or_default(),
                created_at: room.created_at,
            })
        });
        rooms.collect()
    }

    /// Everybody who takes part.
    pub(super) fn users(&self) -> impl Iterator<Item = &UserId> {
        self.participants.iter().map(|user| &user.user_id)
    }

    /// Takes somebody out.
    pub(super) fn without(&mut self, user: &UserId) {
        self.participants.retain(|other| other.user_id != *user);
    }
}

/// Somebody who takes part.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedUser {
    pub(super) user_id: UserId,
    pub(super) username: String,
}

impl From<(String, String)> for NamedUser {
    /// Of an id and a name.
    fn from((id, username): (String, String)) -> Self {
        Self {
            user_id: UserId::stored(&id),
            username,
        }
    }
}

#[derive(Serialize)]
pub(super) struct InRoom<'a> {
    pub(super) success: bool,
    #[serde(rename = "roomID")]
    pub(super) room: &'a ChatRoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct RoomDeleted<'a> {
    #[serde(rename = "roomID")]
    pub(super) room: &'a ChatRoomId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    pub(super) success: bool,
    pub(super) id: i64,
    pub(super) created_at: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    pub(super) success: bool,
    pub(super) id: i64,
    pub(super) edited_at: Option<i64>,
}

/// One room of `syncRoomsResponse`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Synced<'a> {
    pub(super) room_id: &'a ChatRoomId,
    pub(super) messages: Vec<Said<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) more: bool,
}

/// Whether a message is for the assistant: it begins with `@gpt`.
fn addressed(content: &str) -> bool {
    const NAME: &str = "@gpt";
    let (name, rest) = content.split_at_checked(NAME.len()).unwrap_or_default();
    let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    name.eq_ignore_ascii_case(NAME) && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_for_the_assistant_if_it_begins_with_its_name() {
        for yes in [
            "@gpt",
            "@GPT what is 1 + 1?",
            "@gpt: hello",
            "@gpt\n안녕",
            "@Gpt?",
        ] {
            assert!(addressed(yes), "{yes}");
        }
        for no in [
            "",
            "@gp",
            "@gpts hello",
            "@gpt4",
            "hello @gpt",
            "@gpt안녕",
            "@안녕",
        ] {
            assert!(!addressed(no), "{no}");
        }
    }
}
