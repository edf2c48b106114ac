//! Chat: rooms, who takes part in them, what was said, and its edits.
//!
//! Messages of a room have one order: `created_at` rises strictly within a room, whoever writes from whichever
//! node, so a time says exactly what came after it.

use super::{Pool, Store, StoreError, in_transaction, on};
use crate::event::StoreOp;
use serde_json::json;
use sqlx::FromRow;

/// A chat room.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ChatRoom {
    /// Its id.
    pub id: String,
    /// Its name, as given.
    pub name: String,
    /// The user that may delete it for all.
    pub owner_id: String,
    /// When it began, in ms since 1970.
    pub created_at: i64,
}

/// Somebody who takes part in a room.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Participant {
    /// The room.
    pub room_id: String,
    /// The user.
    pub user_id: String,
    /// Its name when it was added.
    pub username: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Message {
    /// Rising; unique in all rooms.
    pub id: i64,
    /// The room.
    pub room_id: String,
    /// Who said it.
    pub user_id: String,
    /// Its name then.
    pub username: String,
    /// What was said, as it was given.
    pub content: String,
    /// By which its author knows it, if it said so.
    pub client_id: Option<String>,
    /// It was for the assistant as well.
    pub gpt: bool,
    /// When, in ms since 1970; no two messages of a room have the same.
    pub created_at: i64,
    /// When it was changed last.
    pub edited_at: Option<i64>,
}

/// What somebody says.
#[derive(Debug, Clone, Copy)]
pub struct NewMessage<'a> {
    /// Where.
    pub room: &'a str,
    /// Who.
    pub user: &'a str,
    /// Its name.
    pub username: &'a str,
    /// Whether it has to take part in the room; the assistant does not.
    pub outsider: bool,
    /// What.
    pub content: &'a str,
    /// By which a retry is known.
    pub client_id: Option<&'a str>,
    /// It is for the assistant as well.
    pub gpt: bool,
    /// When, in ms since 1970.
    pub at: i64,
}

/// What became of something said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is kept.
    New(Message),
    /// It was kept before: the first one.
    Again(Message),
    /// The user does not take part, or there is no such room.
    Outside,
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// The message as it is now.
    Done(Message),
    /// Somebody else said it.
    NotYours,
    /// There is no such message there, or the user does not take part.
    Missing,
}

/// What became of a room that somebody wanted to be rid of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Its owner deleted it, with everything in it.
    Deleted,
    /// The user left it for good.
    Left,
    /// The user does not take part, or there is no such room.
    Outside,
}

/// The columns of a [`Message`].
macro_rules! message {
    () => {
        "id, room_id, user_id, username, content, client_id, gpt, created_at, edited_at"
    };
}

/// A message by its client's id.
const KNOWN: &str = concat!(
    "SELECT ",
    message!(),
    " FROM chat_messages WHERE room_id = $1 AND user_id = $2 AND client_id = $3"
);

/// Whether the user `$2` takes part in the room `$1`.
macro_rules! member {
    () => {
        "EXISTS (SELECT 1 FROM chat_participants p WHERE p.room_id = $1 AND p.user_id = $2)"
    };
}

/// What was said in rooms: the messages that `$after` and `$last` find for each row of `$rows`, a room and a time
/// or none. They are found by index and limit: however long a room is, no more is read than is asked for.
macro_rules! since {
    ($rows:literal, $after:literal, $last:literal) => {
        concat!(
            "SELECT ",
            message!(),
            " FROM (SELECT said.*, sum(length(content)) OVER (ORDER BY room_id, created_at ",
            "ROWS UNBOUNDED PRECEDING) AS upto FROM (SELECT m.* FROM (",
            $rows,
            ") w ",
            "JOIN chat_participants p ON p.room_id = w.room AND p.user_id = $1 ",
            $after,
            " WHERE w.since IS NOT NULL ",
            "UNION ALL SELECT m.* FROM (",
            $rows,
            ") w ",
            "JOIN chat_participants p ON p.room_id = w.room AND p.user_id = $1 ",
            $last,
            " WHERE w.since IS NULL",
            ") said) measured WHERE upto - length(content) < $4 ORDER BY room_id, created_at"
        )
    };
}

impl Store {
    /// Begins a room with these participants, its owner among them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] for an id that is taken, [`StoreError::Away`].
    pub async fn create_chat_room(
        &self,
        room: &ChatRoom,
        participants: &[(&str, &str)],
    ) -> Result<(), StoreError> {
        const ROOM: &str =
            "INSERT INTO chat_rooms (id, name, owner_id, created_at) VALUES ($1, $2, $3, $4)";
        const PARTICIPANT: &str = "INSERT INTO chat_participants (room_id, user_id, username, joined_at) VALUES ($1, $2, $3, $4) \
                                   ON CONFLICT DO NOTHING";
        let created = async {
            in_transaction!(self, tx => {
                sqlx::query(ROOM).bind(&room.id).bind(&room.name).bind(&room.owner_id).bind(room.created_at)
                    .execute(&mut *tx).await?;
                for (user, username) in participants {
                    sqlx::query(PARTICIPANT).bind(&room.id).bind(*user).bind(*username).bind(room.created_at)
                        .execute(&mut *tx).await?;
                }
            })
        };
        self.run(StoreOp::Say, created).await
    }

    /// The rooms that a user takes part in, oldest first, or this one if it is among them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn chat_rooms(
        &self,
        user: &str,
        room: Option<&str>,
    ) -> Result<Vec<ChatRoom>, StoreError> {
        const SQL: &str = "SELECT r.id, r.name, r.owner_id, r.created_at FROM chat_rooms r \
                           JOIN chat_participants p ON p.room_id = r.id AND p.user_id = $1 \
                           WHERE $2 = '' OR r.id = $2 ORDER BY r.created_at, r.id";
        let room = room.unwrap_or_default();
        let rows = async {
            on!(self, pool => sqlx::query_as(SQL).bind(user).bind(room).fetch_all(pool).await)
        };
        self.run(StoreOp::Chat, rows).await
    }

    /// Everybody who takes part in any of the rooms that a user takes part in, or in one of them, in the order in
    /// which they came.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn chat_participants(
        &self,
        user: &str,
        room: Option<&str>,
    ) -> Result<Vec<Participant>, StoreError> {
        const SQL: &str = "SELECT p.room_id, p.user_id, p.username FROM chat_participants p \
                           JOIN chat_participants own ON own.room_id = p.room_id AND own.user_id = $1 \
                           WHERE $2 = '' OR p.room_id = $2 ORDER BY p.room_id, p.joined_at, p.user_id";
        let room = room.unwrap_or_default();
        let rows = async {
            on!(self, pool => sqlx::query_as(SQL).bind(user).bind(room).fetch_all(pool).await)
        };
        self.run(StoreOp::Chat, rows).await
    }

    /// Keeps what somebody says, after everything that was said in the room before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`]: then it may or may not be kept; `client_id` makes it safe to say it again.
    pub async fn say(&self, new: NewMessage<'_>) -> Result<Said, StoreError> {
        // A file has one writer at a time; on a server, changing the room's row lets one in.
        let sql = match &self.pool {
            Pool::Sqlite(_) => concat!(
                "INSERT INTO chat_messages (room_id, user_id, username, content, client_id, gpt, created_at) ",
                "SELECT r.id, $2, $3, $4, $5, $6, ",
                "max($7, (SELECT coalesce(max(created_at), 0) + 1 FROM chat_messages WHERE room_id = r.id)) ",
                "FROM chat_rooms r WHERE r.id = $1 AND ($8 OR ",
                member!(),
                ") ON CONFLICT DO NOTHING RETURNING ",
                message!()
            ),
            Pool::Postgres(_) => concat!(
                "WITH turn AS (UPDATE chat_rooms SET last_at = greatest($7, last_at + 1) WHERE id = $1 AND ($8 OR ",
                member!(),
                ") RETURNING last_at) ",
                "INSERT INTO chat_messages (room_id, user_id, username, content, client_id, gpt, created_at) ",
                "SELECT $1, $2, $3, $4, $5, $6, last_at FROM turn ON CONFLICT DO NOTHING RETURNING ",
                message!()
            ),
        };
        let said = async {
            // All rows, of which there is one: a file commits when the last one was read.
            let mut kept: Vec<Message> = on!(self, pool => sqlx::query_as(sql)
                .bind(new.room).bind(new.user).bind(new.username).bind(new.content).bind(new.client_id)
                .bind(new.gpt).bind(new.at).bind(new.outsider)
                .fetch_all(pool).await)?;
            Ok(kept.pop())
        };
        if let Some(message) = self.run(StoreOp::Say, said).await? {
            return Ok(Said::New(message));
        }
        let known = (new.room, new.user, new.client_id);
        let first = self.said_before(known).await?;
        Ok(first.map_or(Said::Outside, Said::Again))
    }

    /// What a user said under a client's id, if that is known.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn said_before(
        &self,
        (room, user, client_id): (&str, &str, Option<&str>),
    ) -> Result<Option<Message>, StoreError> {
        let Some(id) = client_id else {
            return Ok(None);
        };
        let known = async {
            on!(self, pool => sqlx::query_as(KNOWN).bind(room).bind(user).bind(id).fetch_optional(pool).await)
        };
        self.run(StoreOp::Chat, known).await
    }

    /// Changes what a user said.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn edit(
        &self,
        (room, id): (&str, i64),
        user: &str,
        content: &str,
        at: i64,
    ) -> Result<Edited, StoreError> {
        const CHANGE: &str = concat!(
            "UPDATE chat_messages SET content = $4, edited_at = $5 WHERE room_id = $1 AND user_id = $2 AND id = $3 AND ",
            member!(),
            " RETURNING ",
            message!()
        );
        const OTHER: &str = concat!(
            "SELECT count(*) FROM chat_messages WHERE room_id = $1 AND id = $3 AND ",
            member!()
        );
        let edited = async {
            let mut edited: Vec<Message> = on!(self, pool => sqlx::query_as(CHANGE)
                .bind(room).bind(user).bind(id).bind(content).bind(at).fetch_all(pool).await)?;
            if let Some(message) = edited.pop() {
                return Ok(Edited::Done(message));
            }
            let others: i64 = on!(self, pool => sqlx::query_scalar(OTHER)
                .bind(room).bind(user).bind(id).fetch_one(pool).await)?;
            Ok(if others > 0 {
                Edited::NotYours
            } else {
                Edited::Missing
            })
        };
        self.run(StoreOp::Say, edited).await
    }

    /// Messages of a room in their order: the last `most` before a time. Nothing for a user who does not take part;
    /// without one they are for nobody to read.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn chat_before(
        &self,
        (room, user): (&str, Option<&str>),
        before: i64,
        most: u16,
    ) -> Result<Vec<Message>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            message!(),
            " FROM chat_messages WHERE room_id = $1 AND created_at < $3 AND ($2 = '' OR ",
            member!(),
            ") ORDER BY created_at DESC LIMIT $4"
        );
        let (user, most) = (user.unwrap_or_default(), i64::from(most));
        let rows = async {
            on!(self, pool => sqlx::query_as(SQL).bind(room).bind(user).bind(before).bind(most).fetch_all(pool).await)
        };
        let mut messages: Vec<Message> = self.run(StoreOp::Chat, rows).await?;
        messages.reverse();
        Ok(messages)
    }

    /// What was said in rooms, by room and in order, in one query however many there are: after a time the first
    /// `most`, so that asking again from the last one misses nothing; without one the last `most`. Nothing of
    /// rooms that the user does not take part in. It ends with the message that is one too many for `chars`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn chat_since(
        &self,
        user: &str,
        rooms: &[(&str, Option<i64>)],
        (most, chars): (u16, i64),
    ) -> Result<Vec<Message>, StoreError> {
        let wanted: Vec<_> = rooms
            .iter()
            .map(|(room, since)| json!({ "room": room, "since": since }))
            .collect();
        let wanted = json!(wanted).to_string();
        let sql = match &self.pool {
            Pool::Sqlite(_) => since!(
                "SELECT value ->> 'room' AS room, value ->> 'since' AS since FROM json_each($2)",
                "JOIN chat_messages m ON m.id IN (SELECT l.id FROM chat_messages l \
                 WHERE l.room_id = w.room AND l.created_at > w.since ORDER BY l.created_at LIMIT $3)",
                "JOIN chat_messages m ON m.id IN (SELECT l.id FROM chat_messages l \
                 WHERE l.room_id = w.room ORDER BY l.created_at DESC LIMIT $3)"
            ),
            Pool::Postgres(_) => since!(
                "SELECT room, since FROM jsonb_to_recordset(CAST($2 AS jsonb)) AS given (room text, since bigint)",
                "JOIN LATERAL (SELECT * FROM chat_messages l \
                 WHERE l.room_id = w.room AND l.created_at > w.since ORDER BY l.created_at LIMIT $3) m ON true",
                "JOIN LATERAL (SELECT * FROM chat_messages l \
                 WHERE l.room_id = w.room ORDER BY l.created_at DESC LIMIT $3) m ON true"
            ),
        };
        let most = i64::from(most);
        let rows = async {
            on!(self, pool => sqlx::query_as(sql).bind(user).bind(&wanted).bind(most).bind(chars).fetch_all(pool).await)
        };
        self.run(StoreOp::Chat, rows).await
    }

    /// Takes a user out of a room for good; the owner takes the room away from everybody.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn leave_chat_room(&self, room: &str, user: &str) -> Result<Removed, StoreError> {
        const DELETE: &str = "DELETE FROM chat_rooms WHERE id = $1 AND owner_id = $2";
        const LEAVE: &str = "DELETE FROM chat_participants WHERE room_id = $1 AND user_id = $2";
        let removed = async {
            in_transaction!(self, tx => {
                let deleted = sqlx::query(DELETE).bind(room).bind(user).execute(&mut *tx).await?.rows_affected();
                let left = match deleted {
                    0 => sqlx::query(LEAVE).bind(room).bind(user).execute(&mut *tx).await?.rows_affected(),
                    _ => 0,
                };
                match (deleted, left) {
                    (0, 0) => Removed::Outside,
                    (0, _) => Removed::Left,
                    _ => Removed::Deleted,
                }
            })
        };
        self.run(StoreOp::Say, removed).await
    }

    /// Forgets at most `most` messages from before a time; how many those were.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn prune_chat(&self, before: i64, most: u32) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM chat_messages WHERE id IN \
                           (SELECT id FROM chat_messages WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
        let most = i64::from(most);
        let pruned = async {
            on!(self, pool => sqlx::query(SQL).bind(before).bind(most).execute(pool).await.map(|done| done.rows_affected()))
        };
        self.run(StoreOp::Prune, pruned).await
    }
}
