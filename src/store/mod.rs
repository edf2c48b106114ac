//! What must last: accounts, logins, rooms and who was in them, scans. One code path for each query, SQLite and
//! PostgreSQL behind it; every operation has a time limit and is measured.
//!
//! While the database is away nothing here waits for it: operations fail at once with
//! [`StoreError::Away`], what is recorded waits in memory, and the recorder brings the store back.

mod accounts;
mod batcher;
mod changes;
mod chat;
mod dishonest;
mod file_ledger;
mod ledger;
mod open;
mod recorder;
mod rooms;
mod seats;

pub use accounts::{NewAccount, Rotation, Shown, StoredUser};
pub use batcher::{Batcher, Ledger, SeenBatch, Written};
pub use chat::{ChatRoom, Edited, Message, NewMessage, Participant, Removed, Said};
pub use ledger::{Entry, KEPT, KeptScan, NewScan, REPLAYED, Sequence};
pub use recorder::{Recorder, Records, RoomKeeper};
pub use rooms::{ParticipantRow, RoomRow};

use crate::event::{StoreOp, StoreResult};
use file_ledger::FileLedger;
use parking_lot::Mutex;
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
    /// Why it was away the last time.
    fault: Mutex<Box<str>>,
    /// A login was ended.
    login_ended: Notify,
    /// This process, among the nodes.
    node: String,
    /// Writes scans, where the database is a file.
    file: Option<tokio::sync::Mutex<FileLedger>>,
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

/// Runs statements as one transaction that writes: `in_transaction!(store, tx => { … })`, where `tx` is a
/// connection.
macro_rules! in_transaction {
    ($store:expr, $tx:ident => $body:expr) => {
        match &$store.pool {
            $crate::store::Pool::Sqlite(pool) => {
                // Taken for writing from the start: a read that becomes a write can fail as busy.
                $crate::store::transaction!(pool, begin_with("BEGIN IMMEDIATE"), $tx => $body)
            }
            $crate::store::Pool::Postgres(pool) => {
                $crate::store::transaction!(pool, begin(), $tx => $body)
            }
        }
    };
}

macro_rules! transaction {
    ($pool:ident, $begin:ident($($how:literal)?), $tx:ident => $body:expr) => {{
        let mut connection = $pool.acquire().await?;
        let done: Result<_, sqlx::Error> = async {
            let mut transaction = sqlx::Connection::$begin(&mut *connection, $($how)?).await?;
            let $tx = &mut *transaction;
            let output = $body;
            transaction.commit().await?;
            Ok(output)
        }
        .await;
        if done.is_err() {
            // After a full disk SQLite has rolled back by itself, which the library does not notice: the
            // connection would refuse every transaction after this one.
            connection.close_on_drop();
        }
        done
    }};
}
use {in_transaction, on, transaction};

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

    /// Connections that are opened at most.
    pub fn most_connections(&self) -> usize {
        let most = match &self.pool {
            Pool::Sqlite(pool) => pool.options().get_max_connections(),
            Pool::Postgres(pool) => pool.options().get_max_connections(),
        };
        usize::try_from(most).unwrap_or(usize::MAX)
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

    fn note(&self, fault: &str) {
        tracing::debug!(target: "signalbox::store", detail = fault, "A database operation failed.");
        *self.fault.lock() = fault.into();
    }

    /// Why the database was away the last time. Nothing of a client's is in it.
    fn fault(&self) -> Box<str> {
        self.fault.lock().clone()
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
            Ok(Err(sqlx::Error::PoolTimedOut)) => {
                self.note("no connection to be had in time");
                (Err(StoreError::Away), StoreResult::Timeout)
            }
            Err(_) => {
                self.note("an operation took too long");
                (Err(StoreError::Away), StoreResult::Timeout)
            }
            Ok(Err(error)) => {
                let said = error;
                let error = classify(&said);
                if error == StoreError::Away {
                    self.note(&reason(&said));
                }
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

/// What an operator should read. Of errors that are [`StoreError::Away`], none quotes a row.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(said) => said.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::PoolClosed => "the connections are closed".to_owned(),
        _ => "the connection broke".to_owned(),
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
