//! What changes of rooms become in the tables; which nodes are alive, and what dead ones left open.

use super::{Pool, RoomRow, Store, StoreError, in_transaction, on};
use crate::event::{PeerId, RoomChange, RoomId, StoreOp, utc};
use sqlx::FromRow;
use std::{collections::HashSet, time::Duration};
use time::OffsetDateTime;

/// A node that was not seen for this long is dead.
const DEAD: Duration = Duration::from_secs(15);

// By the database's clock: those of several nodes may differ.
const ANNOUNCE: &str = "INSERT INTO nodes (id, seen_at) VALUES ($1, CURRENT_TIMESTAMP) \
                        ON CONFLICT (id) DO UPDATE SET seen_at = CURRENT_TIMESTAMP";

#[derive(FromRow)]
struct NodeRow {
    id: String,
    seen_at: OffsetDateTime,
    now: OffsetDateTime,
}

#[derive(FromRow)]
struct OpenStay {
    id: i64,
    room_id: String,
    peer: String,
    joined_at: OffsetDateTime,
}

const OPEN_STAYS: &str = "SELECT id, room_id, peer, joined_at FROM room_participants WHERE node = $1 AND left_at IS NULL";
const END_STAY: &str =
    "UPDATE room_participants SET left_at = $2, duration_seconds = $3 WHERE id = $1";
/// Never one that somebody is in.
const CLOSE_ROOM: &str = "UPDATE rooms SET status = 'closed', ended_at = $2 WHERE id = $1 AND status = 'active' AND NOT EXISTS \
                          (SELECT 1 FROM room_participants p WHERE p.room_id = rooms.id AND p.left_at IS NULL)";
/// An id may be used again once its room is closed.
const OPEN_ROOM: &str = "INSERT INTO rooms (id, name, owner_id, max_users, status, created_at) VALUES ($1, $2, $3, $4, 'active', $5) \
                         ON CONFLICT (id) DO UPDATE SET name = excluded.name, owner_id = excluded.owner_id, max_users = excluded.max_users, \
                         status = 'active', created_at = excluded.created_at, ended_at = NULL WHERE rooms.status = 'closed'";
const JOIN: &str = "INSERT INTO room_participants (room_id, user_id, joined_at, node, peer) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
const LEAVE: &str = "UPDATE room_participants SET left_at = $4, duration_seconds = $5 \
                     WHERE room_id = $1 AND node = $2 AND peer = $3 AND left_at IS NULL";

/// Writes one change on a connection `$tx`.
macro_rules! apply {
    ($tx:ident, $node:expr, $change:expr) => {
        match $change {
            RoomChange::Opened {
                room,
                name,
                owner,
                most,
                at,
            } => {
                let most = i32::try_from(*most).unwrap_or(i32::MAX);
                sqlx::query(OPEN_ROOM)
                    .bind(room.as_str())
                    .bind(&**name)
                    .bind(&**owner)
                    .bind(most)
                    .bind(utc(*at))
                    .execute(&mut *$tx)
                    .await?;
            }
            RoomChange::Closed { room, at } => {
                let query = sqlx::query(CLOSE_ROOM).bind(room.as_str()).bind(utc(*at));
                query.execute(&mut *$tx).await?;
            }
            RoomChange::Joined {
                room,
                peer,
                user,
                at,
            } => {
                sqlx::query(JOIN)
                    .bind(room.as_str())
                    .bind(&**user)
                    .bind(utc(*at))
                    .bind($node)
                    .bind(label(*peer))
                    .execute(&mut *$tx)
                    .await?;
            }
            RoomChange::Left {
                room,
                peer,
                at,
                stayed,
            } => {
                sqlx::query(LEAVE)
                    .bind(room.as_str())
                    .bind($node)
                    .bind(label(*peer))
                    .bind(utc(*at))
                    .bind(seconds(*stayed))
                    .execute(&mut *$tx)
                    .await?;
            }
        }
    };
}

impl Store {
    /// Says that this node is alive.
    pub(super) async fn announce(&self) -> Result<(), StoreError> {
        let node = &*self.node;
        let said = async {
            on!(self, pool => sqlx::query(ANNOUNCE).bind(node).execute(pool).await.map(|_| ()))
        };
        self.attempt(StoreOp::Prepare, said).await
    }

    /// Writes changes, all or none.
    pub(super) async fn record(&self, changes: &[&RoomChange]) -> Result<(), StoreError> {
        let node = &*self.node;
        let written = async {
            in_transaction!(self, tx => {
                for change in changes {
                    apply!(tx, node, change);
                }
            })
        };
        self.attempt(StoreOp::Record, written).await
    }

    /// Makes the stored rooms those that `replay` leads to.
    pub(super) async fn set_right(&self, replay: &[RoomChange]) -> Result<(), StoreError> {
        let node = &*self.node;
        let now = OffsetDateTime::now_utc();
        let mut present = HashSet::new();
        let mut open = HashSet::new();
        for change in replay {
            match change {
                RoomChange::Opened { room, .. } => {
                    open.insert(room.as_str());
                }
                RoomChange::Joined { room, peer, .. } => {
                    present.insert((room.as_str(), label(*peer)));
                }
                RoomChange::Closed { .. } | RoomChange::Left { .. } => {}
            }
        }
        let (present, open) = (&present, &open);
        let done = async {
            in_transaction!(self, tx => {
                let stays: Vec<OpenStay> = sqlx::query_as(OPEN_STAYS).bind(node).fetch_all(&mut *tx).await?;
                for stay in stays {
                    if !present.contains(&(stay.room_id.as_str(), stay.peer.clone())) {
                        sqlx::query(END_STAY).bind(stay.id).bind(now).bind(between(stay.joined_at, now))
                            .execute(&mut *tx).await?;
                    }
                }
                for change in replay {
                    apply!(tx, node, change);
                }
                let active: Vec<String> = sqlx::query_scalar("SELECT id FROM rooms WHERE status = 'active'")
                    .fetch_all(&mut *tx).await?;
                for id in active.iter().filter(|id| !open.contains(id.as_str())) {
                    sqlx::query(CLOSE_ROOM).bind(id).bind(now).execute(&mut *tx).await?;
                }
            })
        };
        self.attempt(StoreOp::Record, done).await
    }

    /// Closes what dead nodes left open, at the time when they were last seen; tells how many there were.
    pub(super) async fn reap(&self) -> Result<usize, StoreError> {
        const SQL: &str = "SELECT id, seen_at, CURRENT_TIMESTAMP AS now FROM nodes WHERE id <> $1";
        let node = &*self.node;
        let others = async {
            on!(self, pool => sqlx::query_as::<_, NodeRow>(SQL).bind(node).fetch_all(pool).await)
        };
        let others = self.attempt(StoreOp::Reap, others).await?;
        // A file has one server, so all others are dead.
        let alone = matches!(self.pool, Pool::Sqlite(_));
        let dead = others
            .iter()
            .filter(|other| alone || other.now - other.seen_at > DEAD);
        let mut count = 0;
        for other in dead {
            self.bury(&other.id, other.seen_at).await?;
            count += 1;
        }
        Ok(count)
    }

    /// Closes the open stays of a node, which was last there `at`.
    pub(super) async fn bury(&self, node: &str, at: OffsetDateTime) -> Result<(), StoreError> {
        let buried = async {
            in_transaction!(self, tx => {
                let stays: Vec<OpenStay> = sqlx::query_as(OPEN_STAYS).bind(node).fetch_all(&mut *tx).await?;
                for stay in stays {
                    let left = at.max(stay.joined_at);
                    sqlx::query(END_STAY).bind(stay.id).bind(left).bind(between(stay.joined_at, left))
                        .execute(&mut *tx).await?;
                }
                sqlx::query("DELETE FROM nodes WHERE id = $1").bind(node).execute(&mut *tx).await?;
            })
        };
        self.attempt(StoreOp::Reap, buried).await
    }

    /// The rooms that are open.
    pub(super) async fn open_rooms(&self) -> Result<Vec<RoomChange>, StoreError> {
        const SQL: &str = "SELECT id, name, owner_id, max_users, status, created_at, ended_at FROM rooms \
                           WHERE status = 'active' ORDER BY created_at DESC LIMIT 100000";
        let rows =
            async { on!(self, pool => sqlx::query_as::<_, RoomRow>(SQL).fetch_all(pool).await) };
        let rows = self.attempt(StoreOp::Rooms, rows).await?;
        let opened = rows.into_iter().filter_map(|row| {
            Some(RoomChange::Opened {
                room: RoomId::parse(&row.id).ok()?,
                name: row.name.into(),
                owner: row.owner_id.into(),
                most: usize::try_from(row.max_users).ok()?,
                at: u64::try_from(row.created_at.unix_timestamp_nanos() / 1_000_000).ok()?,
            })
        });
        Ok(opened.collect())
    }
}

/// A connection's name: the library uses one socket id in all namespaces.
fn label(peer: PeerId) -> String {
    format!("{}#{}", peer.namespace.path(), peer.socket.as_str())
}

fn seconds(stayed: Duration) -> i32 {
    i32::try_from(stayed.as_secs()).unwrap_or(i32::MAX)
}

fn between(from: OffsetDateTime, to: OffsetDateTime) -> i32 {
    i32::try_from((to - from).whole_seconds()).unwrap_or(i32::MAX)
}
