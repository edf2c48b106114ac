//! The short way into the ledger of a file, which no other process writes: this one remembers where the
//! sequences are and needs no look before it writes. One connection of its own, one round trip for a batch.

use super::{Entry, NewScan, Pool, Store, ledger::signed};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{collections::HashMap, sync::Arc};

/// So many sequences are remembered; then it begins anew.
const MOST_SEQUENCES: usize = 100_000;

#[derive(Debug)]
pub(super) struct Appender {
    options: Arc<SqliteConnectOptions>,
    connection: Option<SqliteConnection>,
    /// The last place of each session that was written lately.
    last: HashMap<Box<str>, u64>,
}

impl Appender {
    /// For a file; other nodes write to a server.
    pub(super) fn new(store: &Store) -> Option<Self> {
        match &store.pool {
            Pool::Sqlite(pool) => Some(Self {
                options: pool.connect_options(),
                connection: None,
                last: HashMap::new(),
            }),
            Pool::Postgres(_) => None,
        }
    }

    /// Writes scans as one transaction; nothing where it does not know where all their sequences are.
    ///
    /// # Errors
    ///
    /// A unique violation: one of them was scanned before. Others: see [`Store::enter`]. Call
    /// [`Appender::forget`] then.
    pub(super) async fn append(
        &mut self,
        scans: &[NewScan],
    ) -> Result<Option<Vec<Entry>>, sqlx::Error> {
        let mut touched: HashMap<&str, (u64, u64)> = HashMap::new();
        let mut places = Vec::with_capacity(scans.len());
        for scan in scans {
            let Some(last) = self.last.get(&scan.session) else {
                return Ok(None);
            };
            let (seq, seen) = touched.entry(&scan.session).or_insert((*last, 0));
            *seq += 1;
            if scan.seen {
                *seen = *seq;
            }
            places.push(*seq);
        }
        let mut sessions: Vec<(&str, (u64, u64))> = touched.into_iter().collect();
        sessions.sort_unstable();
        let mut write = sqlx::QueryBuilder::<sqlx::Sqlite>::new(
            "BEGIN IMMEDIATE; INSERT INTO scans (session, seq, user_id, nonce, order_no, navigate, at) ",
        );
        write.push_values(scans.iter().zip(&places), |mut row, (scan, seq)| {
            scan.bind(&mut row, *seq);
        });
        write.push("; INSERT INTO scan_sessions (session, seq, seen) ");
        write.push_values(&sessions, |mut row, (session, (seq, seen))| {
            row.push_bind(*session)
                .push_bind(signed(*seq))
                .push_bind(signed(*seen));
        });
        write.push(
            " ON CONFLICT (session) DO UPDATE SET seq = excluded.seq, seen = max(seen, excluded.seen); COMMIT",
        );
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        // If this is given up half-way, the connection goes with it, and what it had begun.
        let written = write.build().execute(&mut connection).await;
        if let Err(error) = written {
            if sqlx::query("ROLLBACK")
                .execute(&mut connection)
                .await
                .is_ok()
            {
                self.connection = Some(connection);
            }
            return Err(error);
        }
        self.connection = Some(connection);
        for (session, (seq, _)) in sessions {
            if let Some(last) = self.last.get_mut(session) {
                *last = seq;
            }
        }
        Ok(Some(places.into_iter().map(Entry::New).collect()))
    }

    /// These were written the long way.
    pub(super) fn learn(&mut self, scans: &[NewScan], entries: &[Entry]) {
        if self.last.len() > MOST_SEQUENCES {
            self.last.clear();
        }
        for (scan, entry) in scans.iter().zip(entries) {
            if let Entry::New(seq) = entry {
                self.last.insert(scan.session.clone(), *seq);
            }
        }
    }

    /// Something went wrong: what is in the file is not known any more.
    pub(super) fn forget(&mut self) {
        self.last.clear();
    }
}
