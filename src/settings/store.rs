//! Where what must last is kept.

use super::{Env, SettingError};
use std::{fmt, path::PathBuf, time::Duration};

/// Which database.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file; `None` is `signalbox.db` in the data directory.
    Sqlite(Option<String>),
    /// A server, by URL.
    PostgresUrl(String),
    /// A server, by its parts.
    Postgres {
        /// `DB_HOST`.
        host: String,
        /// `DB_PORT`.
        port: u16,
        /// `DB_NAME`.
        name: String,
        /// `DB_USER`.
        user: String,
        /// `DB_PASSWORD`.
        password: Option<String>,
    },
}

/// Without passwords, for logs.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "sqlite",
            Self::PostgresUrl(_) | Self::Postgres { .. } => "postgres (address not shown)",
        })
    }
}

/// Where what must last is kept.
#[derive(Debug, Clone)]
pub struct Store {
    /// Which database.
    pub database: Database,
    /// The directory of everything that this server keeps itself.
    pub data_dir: PathBuf,
    /// An operation that takes longer has failed.
    pub timeout: Duration,
    /// How long an operation may wait for a connection.
    pub pool_wait: Duration,
    /// Connections to a database server.
    pub pool_max: u32,
}

impl Store {
    pub(super) fn read(env: &Env) -> Result<Self, SettingError> {
        const EXAMPLE: &str = "postgres://user:password@localhost:5432/signalbox";
        let host = env.text("DB_HOST");
        let port = env.number("DB_PORT", 5432, 1..=65_535, "5432")?;
        let name = env.text("DB_NAME").unwrap_or("signalbox");
        let user = env.text("DB_USER").unwrap_or("postgres");
        let password = env.text("DB_PASSWORD");
        let database = match (env.text("DATABASE_URL"), host) {
            (Some(url), _) if url.starts_with("sqlite:") => Database::Sqlite(Some(url.to_owned())),
            (Some(url), _)
                if url.starts_with("postgres://") || url.starts_with("postgresql://") =>
            {
                Database::PostgresUrl(url.to_owned())
            }
            (Some(_), _) => {
                return Err(SettingError::new(
                    "DATABASE_URL",
                    "is not a sqlite: or postgres: address",
                    EXAMPLE,
                ));
            }
            (None, Some(host)) => Database::Postgres {
                host: host.to_owned(),
                port,
                name: name.to_owned(),
                user: user.to_owned(),
                password: password.map(str::to_owned),
            },
            (None, None) => Database::Sqlite(None),
        };
        Ok(Self {
            database,
            data_dir: env.text("DATA_DIR").unwrap_or("data").into(),
            timeout: env.duration("STORE_TIMEOUT", Duration::from_secs(2), "2s")?,
            pool_wait: env.duration("STORE_POOL_WAIT", Duration::from_millis(500), "500ms")?,
            pool_max: env.number("STORE_POOL_MAX", 10, 1..=1000, "10")?,
        })
    }
}
