//! What must last: accounts, logins, rooms and who was in them. One code path for each query, SQLite and
//! PostgreSQL behind it; every operation has a time limit and is measured.
//!
//! While the database is away nothing here waits for it: operations fail at once with
//! [`StoreError::Away`], what is recorded waits in memory, and the recorder brings the store back.

mod accounts;
mod open;
mod recorder;
mod rooms;

pub use accounts::{NewAccount, Rotation, StoredUser};
pub use recorder::{Recorder, Records, RoomKeeper};
pub use rooms::{ParticipantRow, RoomRow};

use crate::event::{StoreOp, StoreResult};
use sqlx::{PgPool, SqlitePool};
use std::{
    fmt,
    fs::File,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Is told of every operation.
pub type Seen = Box<dyn Fn(StoreOp, StoreResult, Duration) + Send + Sync>;

/// Why an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The database cannot be reached, is full, locked or too slow: later it may work.
    Away,
    /// There is one already.
    Conflict,
    /// It would never work. The text names the place, never a value.
    Broken(Box<str>),
}

#[derive(Debug)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The database.
pub struct Store {
    pool: Pool,
    limit: Duration,
    seen: Seen,
    /// The tables are there and the last operation reached them.
    up: AtomicBool,
    /// Wakes the recorder when an operation found the database away.
    away: Notify,
    /// A login was ended.
    login_ended: Notify,
    /// This process, among the nodes.
    node: String,
    /// Nobody else uses the file.
    _lock: Option<File>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("up", &self.up())
            .finish_non_exhaustive()
    }
}

/// Runs a query on whichever database it is: `on!(store, pool => query.fetch_all(pool).await)`.
macro_rules! on {
    ($store:expr, $pool:ident => $query:expr) => {
        match &$store.pool {
            $crate::store::Pool::Sqlite($pool) => $query,
            $crate::store::Pool::Postgres($pool) => $query,
        }
    };
}

/// Runs statements as one transaction that writes: `write!(store, tx => { … })`, where `tx` is a
/// connection and the block a `Result`.
macro_rules! in_transaction {
    ($store:expr, $tx:ident => $body:expr) => {
        match &$store.pool {
            $crate::store::Pool::Sqlite(pool) => {
                // Taken for writing from the start: a read that becomes a write can fail as busy.
                let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                let $tx = &mut *transaction;
                let output = $body;
                transaction.commit().await?;
                Ok(output)
            }
            $crate::store::Pool::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let $tx = &mut *transaction;
                let output = $body;
                transaction.commit().await?;
                Ok(output)
            }
        }
    };
}
use {in_transaction, on};

impl Store {
    /// Whether the database answered lately.
    pub fn up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Connections in use, and idle ones.
    pub fn connections(&self) -> (usize, usize) {
        let (size, idle) = match &self.pool {
            Pool::Sqlite(pool) => (pool.size(), pool.num_idle()),
            Pool::Postgres(pool) => (pool.size(), pool.num_idle()),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        (size.saturating_sub(idle), idle)
    }

    /// Resolves when a login was ended through this store.
    pub async fn login_ended(&self) {
        self.login_ended.notified().await;
    }

    /// Closes the connections.
    pub async fn close(&self) {
        on!(self, pool => pool.close().await);
    }

    /// One operation for a caller who can do without: at once away while the database is.
    async fn run<T>(
        &self,
        op: StoreOp,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        if !self.up() {
            return Err(StoreError::Away);
        }
        self.attempt(op, work).await
    }

    /// One operation, with its time limit, measured.
    async fn attempt<T>(
        &self,
        op: StoreOp,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let (result, label) = match tokio::time::timeout(self.limit, work).await {
            Ok(Ok(done)) => (Ok(done), StoreResult::Ok),
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
                (Err(StoreError::Away), StoreResult::Timeout)
            }
            Ok(Err(error)) => {
                let error = classify(&error);
                let label = match error {
                    StoreError::Conflict => StoreResult::Ok,
                    _ => StoreResult::Error,
                };
                (Err(error), label)
            }
        };
        (self.seen)(op, label, began.elapsed());
        if matches!(result, Err(StoreError::Away)) && self.up.swap(false, Ordering::AcqRel) {
            self.away.notify_one();
        }
        result
    }
}

/// Whether it is worth trying again. What the database says is kept short and without values.
fn classify(error: &sqlx::Error) -> StoreError {
    let sqlx::Error::Database(said) = error else {
        return match error {
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::Encode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::RowNotFound => StoreError::Broken("a row of an unexpected form".into()),
            _ => StoreError::Away,
        };
    };
    if said.is_unique_violation() {
        return StoreError::Conflict;
    }
    let code = said.code().unwrap_or_default();
    let later = match code.parse::<u32>() {
        // SQLite result codes; the low byte is the primary one: busy, locked, out of memory, read-only,
        // interrupted, I/O error, full, cannot open.
        Ok(number) if code.len() < 5 => [5, 6, 7, 8, 9, 10, 13, 14].contains(&(number & 0xff)),
        // PostgreSQL SQLSTATE classes: connection, transaction rollback, resources, operator
        // intervention, system error; and lock not available, read-only, invalid catalog.
        _ => {
            ["08", "40", "53", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class))
                || ["55P03", "25006", "3D000"].contains(&&*code)
        }
    };
    if later {
        StoreError::Away
    } else {
        StoreError::Broken(format!("the database refused with code {code}").into())
    }
}
