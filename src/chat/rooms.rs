//! Chat rooms over HTTP: beginning one, and which there are (contract, section 6).

use super::{ChatRoom, ChatServices, handle::ms};
use crate::{
    event::{
        ChatRoomId, Code, Decision, Effect, Identity, MOST_INTEGER, Moment, PushName, Refusal,
        Rejection, Room, Target, Text, is_label, whole,
    },
    store::{self, StoredUser},
};
use serde::{Deserialize, Deserializer, de};
use serde_json::Number;

/// A room that somebody wants to begin.
#[derive(Debug, Deserialize)]
pub struct NewRoom {
    /// Its name: 1 to 100 characters.
    pub name: String,
    /// Who takes part besides.
    pub participants: Vec<Who>,
}

/// A user, by id or name.
#[derive(Debug, Clone)]
pub enum Who {
    /// The id of an account.
    Id(i64),
    /// The name of an account, or an id: 1 to 200 characters.
    Name(String),
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(Number),
            Name(String),
        }
        let who = match Form::deserialize(deserializer)? {
            Form::Number(number) => whole(&number, MOST_INTEGER)
                .and_then(|id| i64::try_from(id).ok())
                .map(Self::Id),
            Form::Name(name) => is_label(&name, USER_CHARS).then_some(Self::Name(name)),
        };
        let wrong = "a participant must be a user's name or id, of 1 to 200 characters";
        who.ok_or_else(|| de::Error::custom(wrong))
    }
}

/// Longest name of a room, and of a user; most users of a room besides the one who begins it.
const NAME_CHARS: usize = 100;
const USER_CHARS: usize = 200;
const MOST_USERS: usize = 200;

fn invalid(why: &str) -> Rejection {
    Refusal::new(Code::ValidationError, Text::InvalidPayload(why.to_owned())).into()
}

impl ChatServices {
    /// Begins a room; everybody in it who is connected is told.
    ///
    /// # Errors
    ///
    /// `VALIDATION_ERROR`, `CONFLICT` for a name that several have, `UNAVAILABLE`.
    pub async fn begin(
        &self,
        new: &NewRoom,
        who: &Identity,
        now: Moment,
    ) -> Result<(ChatRoom, Decision), Rejection> {
        let name = new.name.trim();
        if !is_label(name, NAME_CHARS) {
            return Err(invalid("name must have 1 to 100 characters"));
        }
        if new.participants.len() > MOST_USERS {
            return Err(invalid("at most 200 participants"));
        }
        let own = who.username.as_deref().unwrap_or(&who.user);
        let mut users = vec![(who.user.to_string(), own.to_owned())];
        for other in &new.participants {
            let user = self.find(other).await?;
            if !users.iter().any(|(id, _)| *id == user.0) {
                users.push(user);
            }
        }
        let id = ChatRoomId::random();
        let room = store::ChatRoom {
            id: id.as_str().to_owned(),
            name: name.to_owned(),
            owner_id: who.user.to_string(),
            created_at: ms(now.unix_ms),
        };
        let named: Vec<_> = users.iter().map(|(id, name)| (&**id, &**name)).collect();
        self.store.create_chat_room(&room, &named).await?;
        let room = self.room(&id, &who.user).await?;
        let told = room.users().map(|user| {
            let to = Target::Room(Room::Chatter(user.clone()));
            Effect::emit(to, PushName::RoomUpdate, &room)
        });
        let decision = Decision {
            effects: told.collect(),
            ..Decision::default()
        };
        Ok((room, decision))
    }

    /// The rooms that somebody takes part in, oldest first.
    ///
    /// # Errors
    ///
    /// `UNAVAILABLE`.
    pub async fn rooms(&self, who: &Identity) -> Result<Vec<ChatRoom>, Rejection> {
        let rooms = self.store.chat_rooms(&who.user, None).await?;
        let participants = self.store.chat_participants(&who.user, None).await?;
        Ok(ChatRoom::all(rooms, participants))
    }

    /// Id and name of a user. Whoever has no account here is taken by the id that was given.
    async fn find(&self, who: &Who) -> Result<(String, String), Rejection> {
        let account = |user: StoredUser| (user.id.to_string(), user.username);
        let (text, id) = match who {
            Who::Id(id) => (id.to_string(), Some(*id)),
            Who::Name(name) => {
                let mut found = self.store.users_by_name(name).await?;
                if found.len() > 1 {
                    return Err(Refusal::new(Code::Conflict, Text::SeveralUsers).into());
                }
                if let Some(user) = found.pop() {
                    return Ok(account(user));
                }
                // As ids of accounts are written: 07 is somebody else.
                let id = name.parse::<i64>().ok();
                (name.clone(), id.filter(|id| id.to_string() == *name))
            }
        };
        let user = match id {
            Some(id) => self.store.user(id).await?,
            None => None,
        };
        Ok(user.map_or_else(|| (text.clone(), text.clone()), account))
    }
}
