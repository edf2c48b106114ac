//! Seats: which are sold, held, or on the map of their event.

use super::{Store, StoreError, in_transaction, on};
use crate::event::{EventId, SeatId, SeatRecord, SeatState, StoreOp, UserId, utc};
use sqlx::FromRow;
use time::OffsetDateTime;

#[derive(FromRow)]
struct SeatRow {
    event_id: String,
    seat_id: String,
    listed: bool,
    status: String,
    user_id: Option<String>,
    held_until: Option<OffsetDateTime>,
}

impl From<SeatRow> for SeatRecord {
    fn from(row: SeatRow) -> Self {
        let state = match (&*row.status, row.user_id, row.held_until) {
            ("sold", ..) => SeatState::Sold,
            ("held", Some(user), Some(until)) => SeatState::Held {
                user: UserId::stored(&user),
                until: u64::try_from(until.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
            },
            _ => SeatState::Free,
        };
        Self {
            event: EventId::stored(&row.event_id),
            seat: SeatId::stored(&row.seat_id),
            listed: row.listed,
            state: Some(state),
        }
    }
}

impl Store {
    /// Every seat that is known, but for holds that have ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn seats(&self, now: OffsetDateTime) -> Result<Vec<SeatRecord>, StoreError> {
        const SQL: &str = "SELECT event_id, seat_id, listed, status, user_id, held_until FROM seats \
                           WHERE status <> 'held' OR listed OR held_until > $1";
        let rows = async { on!(self, pool => sqlx::query_as(SQL).bind(now).fetch_all(pool).await) };
        let rows: Vec<SeatRow> = self.run(StoreOp::Rooms, rows).await?;
        Ok(rows.into_iter().map(SeatRecord::from).collect())
    }

    /// Writes seats as they are, all or none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn write_seats(&self, seats: &[SeatRecord]) -> Result<(), StoreError> {
        const FORGET: &str = "DELETE FROM seats WHERE event_id = $1 AND seat_id = $2";
        const KEEP: &str = "INSERT INTO seats (event_id, seat_id, listed, status, user_id, held_until) VALUES ($1, $2, $3, $4, $5, $6) \
                            ON CONFLICT (event_id, seat_id) DO UPDATE SET listed = excluded.listed, status = excluded.status, \
                            user_id = excluded.user_id, held_until = excluded.held_until";
        let written = async {
            in_transaction!(self, tx => {
                for seat in seats {
                    let (status, user, until) = match &seat.state {
                        None => {
                            let forget = sqlx::query(FORGET).bind(seat.event.as_str()).bind(seat.seat.as_str());
                            forget.execute(&mut *tx).await?;
                            continue;
                        }
                        Some(SeatState::Free) => ("free", None, None),
                        Some(SeatState::Sold) => ("sold", None, None),
                        Some(SeatState::Held { user, until }) => ("held", Some(user.as_str()), Some(utc(*until))),
                    };
                    sqlx::query(KEEP)
                        .bind(seat.event.as_str())
                        .bind(seat.seat.as_str())
                        .bind(seat.listed)
                        .bind(status)
                        .bind(user)
                        .bind(until)
                        .execute(&mut *tx)
                        .await?;
                }
            })
        };
        self.run(StoreOp::Record, written).await
    }
}
