//! The ledger: every scan in its session's order, once. It is the one authority on a session's sequence, on
//! what was scanned before, and on what is replayed.

use super::{Pool, Store, StoreError, file_ledger::chain, on, transaction};
use crate::event::StoreOp;
use sqlx::{FromRow, PgPool};
use std::{collections::HashMap, time::Duration};
use time::OffsetDateTime;

/// So many scans of a session are replayed at most (contract, section 4).
pub const REPLAYED: usize = 500;
/// And none that is older; a nonce is good for as long.
pub const KEPT: Duration = Duration::from_hours(24);
/// What is remembered of a session that had no scan for so long is read again when it has one.
const UNUSED: Duration = Duration::from_mins(30);
/// Old scans go in steps of this size, so that nobody waits for it.
const PRUNED: i64 = 500;

/// A scan that wants its place.
#[derive(Debug, Clone)]
pub struct NewScan {
    /// The session.
    pub session: Box<str>,
    /// Who scanned.
    pub user: Box<str>,
    /// By which the user would scan it again.
    pub nonce: Option<Box<str>>,
    /// The order number.
    pub order: Box<str>,
    /// What monitors are sent, but for its place.
    pub navigate: Box<str>,
    /// A monitor is there.
    pub seen: bool,
    /// When it arrived.
    pub at: OffsetDateTime,
}

/// What became of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It has this place, from 1, without gaps.
    New(u64),
    /// The user scanned it before with this nonce: it has that place.
    Again(u64),
    /// The user scanned another order with this nonce.
    Conflict,
}

impl Entry {
    /// Of a nonce that was used before.
    pub(super) fn before(seq: u64, same_order: bool) -> Self {
        if same_order {
            Self::Again(seq)
        } else {
            Self::Conflict
        }
    }

    /// The scan's place, now or before.
    pub fn seq(self) -> Option<u64> {
        match self {
            Self::New(seq) | Self::Again(seq) => Some(seq),
            Self::Conflict => None,
        }
    }
}

/// A scan that is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptScan {
    /// Its place.
    pub seq: u64,
    /// What monitors are sent, but for its place.
    pub navigate: String,
}

/// Where a session's sequence is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The last scan; 0 before the first.
    pub seq: u64,
    /// The last one that a monitor was there for.
    pub seen: u64,
}

#[derive(FromRow)]
struct SequenceRow {
    session: String,
    seq: i64,
    seen: i64,
}

#[derive(FromRow)]
struct NonceRow {
    session: String,
    user_id: String,
    nonce: String,
    seq: i64,
    order_no: String,
}

/// A nonce of a user in a session.
type Key = (Box<str>, Box<str>, Box<str>);

/// Gives each scan of a batch its place, in the order of the batch.
struct Places {
    sequences: HashMap<Box<str>, Sequence>,
    before: HashMap<Key, (u64, Box<str>)>,
}

impl Places {
    fn new(sequences: Vec<SequenceRow>, before: Vec<NonceRow>) -> Self {
        let sequences = sequences.into_iter().map(|row| {
            let (seq, seen) = (unsigned(row.seq), unsigned(row.seen));
            (row.session.into(), Sequence { seq, seen })
        });
        let before = before.into_iter().map(|row| {
            let key = (row.session.into(), row.user_id.into(), row.nonce.into());
            (key, (unsigned(row.seq), row.order_no.into()))
        });
        Self {
            sequences: sequences.collect(),
            before: before.collect(),
        }
    }

    fn give(&mut self, scan: &NewScan) -> Entry {
        let key = scan.key();
        if let Some((seq, order)) = key.as_ref().and_then(|key| self.before.get(key)) {
            return Entry::before(*seq, *order == scan.order);
        }
        let sequence = self.sequences.entry(scan.session.clone()).or_default();
        sequence.seq += 1;
        if scan.seen {
            sequence.seen = sequence.seq;
        }
        if let Some(key) = key {
            self.before.insert(key, (sequence.seq, scan.order.clone()));
        }
        Entry::New(sequence.seq)
    }
}

impl NewScan {
    fn key(&self) -> Option<Key> {
        let nonce = self.nonce.clone()?;
        Some((self.session.clone(), self.user.clone(), nonce))
    }
}

/// Every session of `$scans` as `(session, $seq, $seen)`, always in the same order: nodes that lock several
/// must not wait for each other in a circle.
macro_rules! push_sessions {
    ($query:ident, $sessions:expr) => {
        $query.push_values($sessions, |mut row, (session, sequence): &(_, Sequence)| {
            row.push_bind::<&str>(session)
                .push_bind(signed(sequence.seq))
                .push_bind(signed(sequence.seen));
        })
    };
}

impl Store {
    /// Writes scans as one transaction and gives each its place, in this order. When it has returned they
    /// survive a crash and, with the settings of this store, a power cut.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`]: none of them is written, or all of them are and nobody was told; a nonce tells
    /// when it is tried again.
    pub async fn enter(&self, scans: &[NewScan]) -> Result<Vec<Entry>, StoreError> {
        match (&self.pool, &self.file) {
            (Pool::Postgres(pool), _) => self.run(StoreOp::Enter, settle(pool, scans)).await,
            (Pool::Sqlite(_), Some(file)) => {
                let mut file = file.lock().await;
                self.run(StoreOp::Enter, file.enter(scans)).await
            }
            (Pool::Sqlite(_), None) => Err(StoreError::Broken("a file without a writer".into())),
        }
    }

    /// The name of this ledger.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn epoch(&self) -> Result<String, StoreError> {
        const SQL: &str = "SELECT epoch FROM ledger";
        let read = async { on!(self, pool => sqlx::query_scalar(SQL).fetch_one(pool).await) };
        self.run(StoreOp::Replay, read).await
    }

    /// Where a session's sequence is; of one that never had a scan, at 0.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn sequence(&self, session: &str) -> Result<Sequence, StoreError> {
        const SQL: &str = "SELECT session, seq, seen FROM scan_sessions WHERE session = $1";
        let read = async {
            on!(self, pool => sqlx::query_as::<_, SequenceRow>(SQL).bind(session).fetch_optional(pool).await)
        };
        let row = self.run(StoreOp::Replay, read).await?;
        Ok(row.map_or_else(Sequence::default, |row| Sequence {
            seq: unsigned(row.seq),
            seen: unsigned(row.seen),
        }))
    }

    /// The scans of a session after this place that are kept, in their order: the newest [`REPLAYED`] of the
    /// last [`KEPT`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn scans_after(
        &self,
        session: &str,
        seq: u64,
        now: OffsetDateTime,
    ) -> Result<Vec<KeptScan>, StoreError> {
        const SERVER: &str = "SELECT seq, navigate FROM scans WHERE session = $1 AND seq > $2 AND at > $3 ORDER BY seq DESC LIMIT $4";
        const FILE: &str = chain!(
            "WHERE chain.seq > $2 + 1",
            "SELECT seq, navigate FROM chain WHERE seq > $2 AND at > $3 LIMIT $4"
        );
        let sql = if self.file.is_some() { FILE } else { SERVER };
        let most = i64::try_from(REPLAYED).unwrap_or(i64::MAX);
        let read = async {
            on!(self, pool => sqlx::query_as::<_, (i64, String)>(sql)
                .bind(session).bind(signed(seq)).bind(now - KEPT).bind(most)
                .fetch_all(pool).await)
        };
        let mut rows = self.run(StoreOp::Replay, read).await?;
        rows.reverse();
        let kept = rows.into_iter().map(|(seq, navigate)| KeptScan {
            seq: unsigned(seq),
            navigate,
        });
        Ok(kept.collect())
    }

    /// A monitor has been sent everything up to this place.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn mark_seen(&self, session: &str, seq: u64) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE scan_sessions SET seen = $2 WHERE session = $1 AND seen < $2";
        let marked = async {
            on!(self, pool => sqlx::query(SQL).bind(session).bind(signed(seq)).execute(pool).await.map(|_| ()))
        };
        self.run(StoreOp::Replay, marked).await
    }

    /// Deletes some scans that are no longer kept; tells whether there may be more. Sequences stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn prune_scans(&self, now: OffsetDateTime) -> Result<bool, StoreError> {
        const SERVER: &str = "DELETE FROM scans WHERE (session, seq) IN \
                              (SELECT session, seq FROM scans WHERE at <= $1 ORDER BY at LIMIT $2)";
        const FILE: &str = "DELETE FROM scans WHERE at <= $1 AND id IN (SELECT id FROM scans ORDER BY id LIMIT $2)";
        let sql = if self.file.is_some() { FILE } else { SERVER };
        let pruned = async {
            on!(self, pool => sqlx::query(sql).bind(now - KEPT).bind(PRUNED)
                .execute(pool).await.map(|done| done.rows_affected()))
        };
        let pruned = self.run(StoreOp::Prune, pruned).await?;
        if let Some(file) = &self.file {
            file.lock().await.forget_before(now - KEPT, now - UNUSED);
        }
        Ok(pruned == PRUNED.unsigned_abs())
    }
}

/// The ledger on a server that other nodes write to as well: sequences and nonces are settled in the transaction.
async fn settle(pool: &PgPool, scans: &[NewScan]) -> Result<Vec<Entry>, sqlx::Error> {
    let mut sessions: Vec<(&str, Sequence)> = scans
        .iter()
        .map(|scan| (&*scan.session, Sequence::default()))
        .collect();
    sessions.sort_unstable_by_key(|(session, _)| *session);
    sessions.dedup_by_key(|(session, _)| *session);
    let keys: Vec<Key> = scans.iter().filter_map(NewScan::key).collect();
    transaction!(pool, begin(), tx => {
        let mut lock = sqlx::QueryBuilder::new("INSERT INTO scan_sessions (session, seq, seen) ");
        push_sessions!(lock, &sessions);
        lock.push(" ON CONFLICT (session) DO UPDATE SET seq = scan_sessions.seq RETURNING session, seq, seen");
        let sequences = lock.build_query_as().fetch_all(&mut *tx).await?;
        let mut before = Vec::new();
        if !keys.is_empty() {
            let mut find = sqlx::QueryBuilder::new(
                "SELECT session, user_id, nonce, seq, order_no FROM scans WHERE (session, user_id, nonce) IN (",
            );
            find.push_values(&keys, |mut row, (session, user, nonce)| {
                row.push_bind::<&str>(session).push_bind::<&str>(user).push_bind::<&str>(nonce);
            });
            find.push(")");
            before = find.build_query_as().fetch_all(&mut *tx).await?;
        }
        let mut places = Places::new(sequences, before);
        let entries: Vec<Entry> = scans.iter().map(|scan| places.give(scan)).collect();
        let new: Vec<(&NewScan, u64)> = scans
            .iter()
            .zip(&entries)
            .filter_map(|(scan, entry)| match entry {
                Entry::New(seq) => Some((scan, *seq)),
                _ => None,
            })
            .collect();
        if !new.is_empty() {
            let mut insert = sqlx::QueryBuilder::new(
                "INSERT INTO scans (session, seq, user_id, nonce, order_no, navigate, at) ",
            );
            insert.push_values(&new, |mut row, (scan, seq)| {
                row.push_bind::<&str>(&scan.session)
                    .push_bind(signed(*seq))
                    .push_bind::<&str>(&scan.user)
                    .push_bind(scan.nonce.as_deref())
                    .push_bind::<&str>(&scan.order)
                    .push_bind::<&str>(&scan.navigate)
                    .push_bind(scan.at);
            });
            insert.build().execute(&mut *tx).await?;
            let now: Vec<(&str, Sequence)> = sessions
                .iter()
                .map(|(session, _)| {
                    (*session, places.sequences.get(*session).copied().unwrap_or_default())
                })
                .collect();
            let mut update = sqlx::QueryBuilder::new("INSERT INTO scan_sessions (session, seq, seen) ");
            push_sessions!(update, &now);
            update.push(" ON CONFLICT (session) DO UPDATE SET seq = excluded.seq, seen = excluded.seen");
            update.build().execute(&mut *tx).await?;
        }
        entries
    })
}

/// Places are far below 2^63.
pub(super) fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// And never negative.
pub(super) fn unsigned(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or_default()
}
