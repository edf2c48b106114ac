//! The ledger in a file, which no other process writes. This one remembers where the sequences are and which
//! nonces were used, so it needs no index and no look before it writes: rows go to the end, in one round trip.
//! What it remembers of a session it reads when the session is first used; after any error it forgets it all.

use super::{
    Entry, NewScan,
    ledger::{signed, unsigned},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, SqlitePool,
    sqlite::SqliteConnectOptions,
};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};
use time::OffsetDateTime;

/// So many scans go into one statement. There are as many statements, which the connection keeps prepared.
const AT_ONCE: usize = 64;

/// The scans of a session from its last one back, as far as they are kept; `$1` is the session.
macro_rules! chain {
    ($more:literal, $select:literal) => {
        concat!(
            "WITH RECURSIVE chain AS (\
             SELECT scans.* FROM scan_sessions JOIN scans ON scans.id = scan_sessions.last \
             WHERE scan_sessions.session = $1 \
             UNION ALL \
             SELECT scans.* FROM chain JOIN scans ON scans.id = chain.previous ",
            $more,
            ") ",
            $select
        )
    };
}
pub(super) use chain;

/// A nonce that was used, by the hash of user and nonce.
#[derive(Debug, Clone, Copy)]
struct Used {
    seq: u64,
    /// The hash of the order number.
    order: u64,
    at: i64,
}

#[derive(Debug, Clone, Default)]
struct Known {
    seq: u64,
    /// `scans.id` of the last scan.
    last: i64,
    nonces: HashMap<u64, Used>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The next `scans.id`; 0 while it is not known. None is ever used twice.
    next: i64,
    sessions: HashMap<Box<str>, Known>,
}

/// Writes the ledger of a file.
#[derive(Debug)]
pub(super) struct FileLedger {
    options: Arc<SqliteConnectOptions>,
    connection: Option<SqliteConnection>,
    memory: Memory,
    hasher: RandomState,
}

/// A row to write.
struct Row<'a> {
    scan: &'a NewScan,
    id: i64,
    seq: u64,
    previous: i64,
}

impl FileLedger {
    pub(super) fn new(pool: &SqlitePool) -> Self {
        Self {
            options: pool.connect_options(),
            connection: None,
            memory: Memory::default(),
            hasher: RandomState::new(),
        }
    }

    /// See [`super::Store::enter`].
    pub(super) async fn enter(&mut self, scans: &[NewScan]) -> Result<Vec<Entry>, sqlx::Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        // If this fails or is given up half-way, connection and memory are gone, and what was begun.
        let mut memory = std::mem::take(&mut self.memory);
        for scan in scans {
            if !memory.sessions.contains_key(&scan.session) {
                let known = self.read(&mut connection, &scan.session).await?;
                memory.sessions.insert(scan.session.clone(), known);
            }
        }
        if memory.next == 0 {
            const SQL: &str = "SELECT coalesce(max(last), 0) + 1 FROM scan_sessions";
            memory.next = sqlx::query_scalar(SQL).fetch_one(&mut connection).await?;
        }
        let mut entries = Vec::with_capacity(scans.len());
        let mut rows = Vec::with_capacity(scans.len());
        for scan in scans {
            let (entry, row) = self.place(&mut memory, scan);
            entries.push(entry);
            rows.extend(row);
        }
        write(&mut connection, &rows).await?;
        self.connection = Some(connection);
        self.memory = memory;
        Ok(entries)
    }

    /// Forgets nonces up to this time, and sessions that were not used since.
    pub(super) fn forget_before(&mut self, at: OffsetDateTime, unused: OffsetDateTime) {
        let (at, unused) = (at.unix_timestamp(), unused.unix_timestamp());
        self.memory.sessions.retain(|_, known| {
            known.nonces.retain(|_, used| used.at > at);
            known.nonces.values().any(|used| used.at > unused)
        });
    }

    fn hash(&self, parts: (&str, &str)) -> u64 {
        self.hasher.hash_one(parts)
    }

    async fn read(
        &self,
        connection: &mut SqliteConnection,
        session: &str,
    ) -> Result<Known, sqlx::Error> {
        const SEQUENCE: &str = "SELECT seq, last FROM scan_sessions WHERE session = $1";
        const NONCES: &str = chain!(
            "",
            "SELECT seq, user_id, nonce, order_no, at FROM chain WHERE nonce IS NOT NULL"
        );
        let sequence: Option<(i64, i64)> = sqlx::query_as(SEQUENCE)
            .bind(session)
            .fetch_optional(&mut *connection)
            .await?;
        let Some((seq, last)) = sequence else {
            return Ok(Known::default());
        };
        let rows: Vec<(i64, String, String, String, OffsetDateTime)> = sqlx::query_as(NONCES)
            .bind(session)
            .fetch_all(&mut *connection)
            .await?;
        let used = rows.into_iter().map(|(seq, user, nonce, order, at)| {
            let used = Used {
                seq: unsigned(seq),
                order: self.hash((&order, "")),
                at: at.unix_timestamp(),
            };
            (self.hash((&user, &nonce)), used)
        });
        Ok(Known {
            seq: unsigned(seq),
            last,
            nonces: used.collect(),
        })
    }

    fn place<'a>(&self, memory: &mut Memory, scan: &'a NewScan) -> (Entry, Option<Row<'a>>) {
        let order = self.hash((&scan.order, ""));
        let key = scan.nonce.as_ref();
        let key = key.map(|nonce| self.hash((&scan.user, nonce)));
        let known = memory.sessions.entry(scan.session.clone()).or_default();
        if let Some(used) = key.and_then(|key| known.nonces.get(&key)) {
            return (Entry::before(used.seq, used.order == order), None);
        }
        known.seq += 1;
        if let Some(key) = key {
            let used = Used {
                seq: known.seq,
                order,
                at: scan.at.unix_timestamp(),
            };
            known.nonces.insert(key, used);
        }
        let row = Row {
            scan,
            id: memory.next,
            seq: known.seq,
            previous: std::mem::replace(&mut known.last, memory.next),
        };
        memory.next += 1;
        (Entry::New(row.seq), Some(row))
    }
}

/// All rows as one transaction; few ones in one round trip.
async fn write(connection: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<(), sqlx::Error> {
    match rows.len() {
        0 => Ok(()),
        1..=AT_ONCE => insert(connection, rows, ("BEGIN IMMEDIATE; ", "; COMMIT")).await,
        _ => {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for rows in rows.chunks(AT_ONCE) {
                insert(&mut transaction, rows, ("", "")).await?;
            }
            transaction.commit().await
        }
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    rows: &[Row<'_>],
    (begin, end): (&str, &str),
) -> Result<(), sqlx::Error> {
    // As many rows for the sessions as for the scans, so that there are few statements to prepare.
    let values = |one: &str| vec![one; rows.len()].join(",");
    let sql = format!(
        "{begin}INSERT INTO scans (id, session, seq, previous, user_id, nonce, order_no, navigate, at) VALUES {}; \
         INSERT INTO scan_sessions (session, seq, seen, last) VALUES {} ON CONFLICT (session) DO UPDATE \
         SET seq = excluded.seq, seen = max(seen, excluded.seen), last = excluded.last{end}",
        values("(?,?,?,?,?,?,?,?,?)"),
        values("(?,?,?,?)"),
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for Row {
        scan,
        id,
        seq,
        previous,
    } in rows
    {
        query = query
            .bind(*id)
            .bind(&*scan.session)
            .bind(signed(*seq))
            .bind(*previous)
            .bind(&*scan.user)
            .bind(scan.nonce.as_deref())
            .bind(&*scan.order)
            .bind(&*scan.navigate)
            .bind(scan.at);
    }
    for Row { scan, id, seq, .. } in rows {
        let seen = if scan.seen { signed(*seq) } else { 0 };
        query = query
            .bind(&*scan.session)
            .bind(signed(*seq))
            .bind(seen)
            .bind(*id);
    }
    query.execute(connection).await.map(|_| ())
}
