//! Reading rooms and who was in them.

use super::{Store, StoreError, on};
use crate::event::StoreOp;
use sqlx::FromRow;
use time::OffsetDateTime;

/// A room, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RoomRow {
    /// Its id.
    pub id: String,
    /// Its name, as given.
    pub name: String,
    /// The user that it belongs to.
    pub owner_id: String,
    /// How many peers may be in it.
    pub max_users: i32,
    /// `active` or `closed`.
    pub status: String,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
}

/// One stay of one user in a room.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ParticipantRow {
    /// Rising: later stays have higher ones.
    pub id: i64,
    /// The user.
    pub user_id: String,
    /// From then.
    pub joined_at: OffsetDateTime,
    /// Until then; `None` while it lasts.
    pub left_at: Option<OffsetDateTime>,
    /// How long; `None` while it lasts.
    pub duration_seconds: Option<i32>,
}

impl Store {
    /// Rooms in the order of their ids, those after `after`, at most `limit`; of one status, if given.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn rooms(
        &self,
        status: Option<&str>,
        after: &str,
        limit: u16,
    ) -> Result<Vec<RoomRow>, StoreError> {
        const SQL: &str = "SELECT id, name, owner_id, max_users, status, created_at, ended_at FROM rooms \
                           WHERE id > $1 AND ($2 = '' OR status = $2) ORDER BY id LIMIT $3";
        let (status, limit) = (status.unwrap_or_default(), i64::from(limit));
        let rows = async {
            on!(self, pool => sqlx::query_as(SQL).bind(after).bind(status).bind(limit).fetch_all(pool).await)
        };
        self.run(StoreOp::Rooms, rows).await
    }

    /// One room.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn room(&self, id: &str) -> Result<Option<RoomRow>, StoreError> {
        const SQL: &str = "SELECT id, name, owner_id, max_users, status, created_at, ended_at FROM rooms WHERE id = $1";
        let row =
            async { on!(self, pool => sqlx::query_as(SQL).bind(id).fetch_optional(pool).await) };
        self.run(StoreOp::Rooms, row).await
    }

    /// The stays in a room, oldest first: those after `after`, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn participants(
        &self,
        room: &str,
        after: i64,
        limit: u16,
    ) -> Result<Vec<ParticipantRow>, StoreError> {
        const SQL: &str = "SELECT id, user_id, joined_at, left_at, duration_seconds FROM room_participants \
                           WHERE room_id = $1 AND id > $2 ORDER BY id LIMIT $3";
        let limit = i64::from(limit);
        let rows = async {
            on!(self, pool => sqlx::query_as(SQL).bind(room).bind(after).bind(limit).fetch_all(pool).await)
        };
        self.run(StoreOp::Rooms, rows).await
    }

    /// Whether a user was ever in a room.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn took_part(&self, room: &str, user: &str) -> Result<bool, StoreError> {
        const SQL: &str =
            "SELECT count(*) FROM room_participants WHERE room_id = $1 AND user_id = $2";
        let stays = async {
            on!(self, pool => sqlx::query_scalar::<_, i64>(SQL).bind(room).bind(user).fetch_one(pool).await)
        };
        self.run(StoreOp::Rooms, stays).await.map(|stays| stays > 0)
    }
}
