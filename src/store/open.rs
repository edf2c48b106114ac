//! Opening the database: the file or the server, its tables, and every way in which it may be unusable.

use super::{Pool, Seen, Store, StoreError, file_ledger::FileLedger};
use crate::settings::{self, Database};
use parking_lot::Mutex;
use sqlx::{
    ConnectOptions, SqlitePool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// Connections to a file: one writes, the others read beside it.
const SQLITE_CONNECTIONS: u32 = 4;
/// A file up to this size is checked from end to end at start.
const CHECKED_BYTES: u64 = 64 << 20;
/// A file that takes longer to open is not usable.
const OPENING: Duration = Duration::from_secs(10);
/// Migrations may take longer than operations.
const MIGRATION_LIMIT: Duration = Duration::from_mins(5);

/// Why the store cannot be prepared.
#[derive(Debug)]
pub(super) enum Unusable {
    /// Later it may work.
    Away,
    /// It will not: one line for the operator.
    Never(String),
}

impl Store {
    /// Opens the database and brings its tables up to date. A PostgreSQL server that cannot be reached
    /// is no reason not to start: the recorder goes on trying.
    ///
    /// # Errors
    ///
    /// One line that names the setting: a file that cannot be opened or written, is damaged, in use by
    /// another process or written by a newer version; a server that refuses.
    pub async fn open(settings: &settings::Store, seen: Seen) -> Result<Self, String> {
        let (pool, lock) = match &settings.database {
            Database::Sqlite(url) => sqlite(settings, url.as_deref()).await?,
            Database::PostgresUrl(url) => (postgres(settings, url.parse().ok())?, None),
            Database::Postgres {
                host,
                port,
                name,
                user,
                password,
            } => {
                let mut options = PgConnectOptions::new_without_pgpass()
                    .host(host)
                    .port(*port)
                    .database(name)
                    .username(user);
                if let Some(password) = password {
                    options = options.password(password);
                }
                (postgres(settings, Some(options))?, None)
            }
        };
        let file = match &pool {
            Pool::Sqlite(pool) => Some(FileLedger::new(pool).into()),
            Pool::Postgres(_) => None,
        };
        let store = Self {
            file,
            pool,
            limit: settings.timeout,
            seen,
            up: AtomicBool::new(false),
            away: Notify::new(),
            login_ended: Notify::new(),
            fault: Mutex::default(),
            node: format!("{:032x}", rand::random::<u128>()),
            _lock: lock,
        };
        match store.prepare().await {
            Ok(()) => store.up.store(true, Ordering::Release),
            Err(Unusable::Never(fault)) => return Err(wrong(&fault)),
            Err(Unusable::Away) if matches!(store.pool, Pool::Sqlite(_)) => {
                return Err(wrong("the database file cannot be written"));
            }
            Err(Unusable::Away) => tracing::error!(
                target: "signalbox::store",
                component = "store",
                "The database cannot be reached. The server starts without it and goes on trying."
            ),
        }
        Ok(store)
    }

    /// Brings the tables up to date and says that this node is there.
    pub(super) async fn prepare(&self) -> Result<(), Unusable> {
        let migrated = async {
            match &self.pool {
                Pool::Sqlite(pool) => SQLITE.run(pool).await,
                Pool::Postgres(pool) => POSTGRES.run(pool).await,
            }
        };
        match tokio::time::timeout(MIGRATION_LIMIT, migrated).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(unusable(error)),
            Err(_) => return Err(Unusable::Away),
        }
        self.announce().await.map_err(|error| match error {
            StoreError::Broken(why) => Unusable::Never(why.into()),
            StoreError::Away | StoreError::Conflict => Unusable::Away,
        })
    }
}

fn wrong(fault: &str) -> String {
    format!(
        "DATABASE_URL: {fault}; for example DATABASE_URL=sqlite://data/signalbox.db or DATABASE_URL=postgres://user:password@localhost:5432/signalbox"
    )
}

async fn sqlite(
    settings: &settings::Store,
    url: Option<&str>,
) -> Result<(Pool, Option<File>), String> {
    let options = match url {
        Some(url) => url
            .parse::<SqliteConnectOptions>()
            .map_err(|_| wrong("is not an address of a file"))?,
        None => SqliteConnectOptions::new().filename(settings.data_dir.join("signalbox.db")),
    };
    let file = options.get_filename().to_owned();
    if url.is_some_and(|url| url.contains(":memory:") || url.contains("mode=memory")) {
        return Err(wrong("a database in memory keeps nothing"));
    }
    let shown = file.display();
    if let Some(dir) = file.parent().filter(|d| !d.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|e| {
            format!(
                "DATA_DIR: {} cannot be created ({e}); for example DATA_DIR=/var/lib/signalbox",
                dir.display()
            )
        })?;
    }
    let lock = lock(&file)?;
    let options = options
        .create_if_missing(!url.is_some_and(|url| url.contains("mode=")))
        .journal_mode(SqliteJournalMode::Wal)
        // What was acknowledged survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(settings.timeout)
        .disable_statement_logging();
    let unusable = |error: &sqlx::Error| {
        let said = match error {
            sqlx::Error::Database(said) => said.message().to_owned(),
            sqlx::Error::PoolTimedOut => "it does not open in time".to_owned(),
            _ => "it cannot be opened".to_owned(),
        };
        wrong(&format!("{shown} is not usable ({said})"))
    };
    let pool = SqlitePoolOptions::new()
        .max_connections(SQLITE_CONNECTIONS)
        .acquire_timeout(settings.pool_wait)
        // A connection to a file does not end by itself; asking each time is a way to its thread and back.
        .test_before_acquire(false)
        .connect_lazy_with(options);
    opened(&pool).await.map_err(|e| unusable(&e))?;
    if std::fs::metadata(&file).is_ok_and(|m| m.len() <= CHECKED_BYTES) {
        let check = sqlx::query_scalar::<_, String>("PRAGMA quick_check(1)");
        match check.fetch_one(&pool).await {
            Ok(answer) if answer == "ok" => {}
            Ok(_) => {
                return Err(wrong(&format!(
                    "{shown} is damaged, restore it from a backup"
                )));
            }
            Err(e) => return Err(unusable(&e)),
        }
    }
    Ok((Pool::Sqlite(pool), Some(lock)))
}

/// Two servers on one file would take each other for dead.
fn lock(file: &Path) -> Result<File, String> {
    let mut path = file.as_os_str().to_owned();
    path.push(".lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| {
            wrong(&format!(
                "{} cannot be written ({e})",
                Path::new(&path).display()
            ))
        })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(wrong(&format!(
            "{} is in use by another server, several need one PostgreSQL",
            file.display()
        ))),
        Err(TryLockError::Error(e)) => {
            Err(wrong(&format!("{} cannot be locked ({e})", file.display())))
        }
    }
}

fn postgres(settings: &settings::Store, options: Option<PgConnectOptions>) -> Result<Pool, String> {
    let options = options.ok_or_else(|| wrong("is not an address of a PostgreSQL database"))?;
    // The server gives up when we do, so that what is stuck there does not pile up.
    let limit = settings.timeout.as_millis().to_string();
    let options = options
        .application_name("signalbox")
        .options([("statement_timeout", &limit), ("lock_timeout", &limit)])
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(settings.pool_max)
        .acquire_timeout(settings.pool_wait)
        .connect_lazy_with(options);
    Ok(Pool::Postgres(pool))
}

/// Opens the file. At the start a busy machine may take longer than anybody is to wait for later.
async fn opened(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let end = Instant::now() + OPENING;
    loop {
        match pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) if Instant::now() < end => {}
            opened => return opened.map(drop),
        }
    }
}

fn unusable(error: MigrateError) -> Unusable {
    let error = match error {
        MigrateError::VersionMissing(version) => {
            return Unusable::Never(format!(
                "the database was written by a newer version of Signalbox (migration {version}), use that version"
            ));
        }
        MigrateError::VersionMismatch(version) => {
            return Unusable::Never(format!(
                "migration {version} of the database is not the one of this version, restore a backup or use the version that wrote it"
            ));
        }
        MigrateError::Dirty(version) => {
            return Unusable::Never(format!(
                "migration {version} of the database was interrupted, restore a backup"
            ));
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
        other => return Unusable::Never(format!("the migrations do not run ({other})")),
    };
    let sqlx::Error::Database(said) = &error else {
        return Unusable::Away;
    };
    // SQLite: read-only, damaged, not a database. PostgreSQL: wrong password, no such database, no
    // permission, read-only, and tables of somebody else. Waiting would not help.
    let code = said.code().unwrap_or_default();
    let primary = code
        .parse::<u32>()
        .ok()
        .filter(|_| code.len() < 5)
        .map(|n| n & 0xff);
    let never = primary.is_some_and(|n| [1, 8, 11, 26].contains(&n))
        || ["28P01", "28000", "3D000", "42501", "25006", "42P07"].contains(&&*code);
    if never {
        Unusable::Never(format!("the database is not usable ({})", said.message()))
    } else {
        Unusable::Away
    }
}
