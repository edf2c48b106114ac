//! Accounts and logins. A login is a family of refresh tokens: each is good once and gives the next one.

use super::{Store, StoreError, in_transaction, on};
use crate::event::StoreOp;
use sqlx::FromRow;
use std::time::Duration;
use time::OffsetDateTime;

/// An account. Its `Debug` form has no hash in it.
#[derive(Clone, FromRow)]
pub struct StoredUser {
    /// Its id.
    pub id: i64,
    /// The name that others see.
    pub username: String,
    /// Normalised.
    pub email: String,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// The latest login, as of when this was read.
    pub last_login: Option<OffsetDateTime>,
}

impl std::fmt::Debug for StoredUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredUser")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What an account is created from.
#[derive(Debug, Clone, Copy)]
pub struct NewAccount<'a> {
    /// The name that others see.
    pub username: &'a str,
    /// Normalised.
    pub email: &'a str,
    /// Argon2id, as a PHC string.
    pub password_hash: &'a str,
}

/// What came of showing a refresh token.
#[derive(Debug)]
pub enum Rotation {
    /// It was good, and is used up now.
    Rotated {
        /// The login.
        login: String,
        /// Whose.
        user: StoredUser,
    },
    /// It had been used before: somebody else has it too. The login is ended.
    Reused,
    /// It is unknown, ended or revoked.
    Refused,
}

/// What a refresh token is good for.
#[derive(Debug)]
pub enum Shown {
    /// For an access token.
    Good {
        /// The login that it belongs to.
        login: String,
        /// Whose it is.
        user: StoredUser,
    },
    /// For nothing any more.
    Over,
    /// It was never one.
    Unknown,
}

const USER: &str =
    "SELECT id, username, email, password_hash, created_at, last_login FROM users WHERE id = $1";

impl Store {
    /// Creates an account.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] for an e-mail that has one, [`StoreError::Away`].
    pub async fn create_user(
        &self,
        new: NewAccount<'_>,
        now: OffsetDateTime,
    ) -> Result<StoredUser, StoreError> {
        const SQL: &str = "INSERT INTO users (username, email, password_hash, created_at) VALUES ($1, $2, $3, $4) \
                           RETURNING id, username, email, password_hash, created_at, last_login";
        let created = async {
            on!(self, pool => sqlx::query_as(SQL)
                .bind(new.username).bind(new.email).bind(new.password_hash).bind(now)
                .fetch_one(pool).await)
        };
        self.run(StoreOp::Register, created).await
    }

    /// The account of an e-mail.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn user_by_email(&self, email: &str) -> Result<Option<StoredUser>, StoreError> {
        const SQL: &str = "SELECT id, username, email, password_hash, created_at, last_login FROM users WHERE email = $1";
        let found =
            async { on!(self, pool => sqlx::query_as(SQL).bind(email).fetch_optional(pool).await) };
        self.run(StoreOp::Account, found).await
    }

    /// The account of an id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn user(&self, id: i64) -> Result<Option<StoredUser>, StoreError> {
        let found =
            async { on!(self, pool => sqlx::query_as(USER).bind(id).fetch_optional(pool).await) };
        self.run(StoreOp::Account, found).await
    }

    /// Begins a login with its first refresh token, good for `ttl`. Logins of the user whose tokens have
    /// all ended go; access tokens are good for `access_ttl`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn begin_login(
        &self,
        user: i64,
        (login, token_hash): (&str, &str),
        now: OffsetDateTime,
        (ttl, access_ttl): (Duration, Duration),
    ) -> Result<(), StoreError> {
        const TIDY: &str = "DELETE FROM logins WHERE user_id = $1 AND NOT EXISTS \
                            (SELECT 1 FROM refresh_tokens t WHERE t.login_id = logins.id AND t.expires_at > $2)";
        let begun = async {
            in_transaction!(self, tx => {
                sqlx::query(TIDY).bind(user).bind(now - access_ttl).execute(&mut *tx).await?;
                sqlx::query("INSERT INTO logins (id, user_id, created_at) VALUES ($1, $2, $3)")
                    .bind(login).bind(user).bind(now).execute(&mut *tx).await?;
                sqlx::query("INSERT INTO refresh_tokens (token_hash, login_id, created_at, expires_at) VALUES ($1, $2, $3, $4)")
                    .bind(token_hash).bind(login).bind(now).bind(now + ttl).execute(&mut *tx).await?;
                sqlx::query("UPDATE users SET last_login = $2 WHERE id = $1")
                    .bind(user).bind(now).execute(&mut *tx).await?;
            })
        };
        self.run(StoreOp::Login, begun).await
    }

    /// Uses a refresh token up and puts the next one in its place. One that was used before ends the
    /// whole login: either the thief or the owner shows it the second time.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn rotate(
        &self,
        old_hash: &str,
        new_hash: &str,
        now: OffsetDateTime,
        ttl: Duration,
    ) -> Result<Rotation, StoreError> {
        const USE: &str = "UPDATE refresh_tokens SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2 \
                           AND login_id IN (SELECT id FROM logins WHERE revoked_at IS NULL) RETURNING login_id";
        const USED: &str =
            "SELECT login_id FROM refresh_tokens WHERE token_hash = $1 AND used_at IS NOT NULL";
        let rotated = async {
            in_transaction!(self, tx => {
                let login: Option<String> = sqlx::query_scalar(USE)
                    .bind(old_hash).bind(now).fetch_optional(&mut *tx).await?;
                if let Some(login) = login {
                    sqlx::query("INSERT INTO refresh_tokens (token_hash, login_id, created_at, expires_at) VALUES ($1, $2, $3, $4)")
                        .bind(new_hash).bind(&login).bind(now).bind(now + ttl).execute(&mut *tx).await?;
                    let id: i64 = sqlx::query_scalar("SELECT user_id FROM logins WHERE id = $1")
                        .bind(&login).fetch_one(&mut *tx).await?;
                    let user = sqlx::query_as(USER).bind(id).fetch_one(&mut *tx).await?;
                    Rotation::Rotated { login, user }
                } else {
                    let used: Option<String> = sqlx::query_scalar(USED)
                        .bind(old_hash).fetch_optional(&mut *tx).await?;
                    match used {
                        Some(login) => {
                            sqlx::query(REVOKE).bind(&login).bind(now).execute(&mut *tx).await?;
                            Rotation::Reused
                        }
                        None => Rotation::Refused,
                    }
                }
            })
        };
        let rotation = self.run(StoreOp::Refresh, rotated).await;
        if matches!(rotation, Ok(Rotation::Reused)) {
            self.login_ended.notify_one();
        }
        rotation
    }

    /// What a refresh token is good for. It is not used up, as whoever shows it here knows no other. One that was
    /// used up elsewhere is good for nothing; it is no sign of a thief, as a connection keeps the one that it began with.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn show(&self, hash: &str, now: OffsetDateTime) -> Result<Shown, StoreError> {
        const SQL: &str = "SELECT t.login_id, l.user_id, t.used_at IS NOT NULL OR t.expires_at <= $2 OR l.revoked_at IS NOT NULL \
                           FROM refresh_tokens t JOIN logins l ON l.id = t.login_id WHERE t.token_hash = $1";
        let shown = async {
            in_transaction!(self, tx => {
                let found: Option<(String, i64, bool)> =
                    sqlx::query_as(SQL).bind(hash).bind(now).fetch_optional(&mut *tx).await?;
                match found {
                    None => Shown::Unknown,
                    Some((.., true)) => Shown::Over,
                    Some((login, user, false)) => {
                        let user = sqlx::query_as(USER).bind(user).fetch_one(&mut *tx).await?;
                        Shown::Good { login, user }
                    }
                }
            })
        };
        self.run(StoreOp::Refresh, shown).await
    }

    /// The accounts of a name: none, one, or the first two of several.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn users_by_name(&self, name: &str) -> Result<Vec<StoredUser>, StoreError> {
        const SQL: &str = "SELECT id, username, email, password_hash, created_at, last_login FROM users WHERE username = $1 ORDER BY id LIMIT 2";
        let found =
            async { on!(self, pool => sqlx::query_as(SQL).bind(name).fetch_all(pool).await) };
        self.run(StoreOp::Account, found).await
    }

    /// Ends a login.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn revoke(&self, login: &str, now: OffsetDateTime) -> Result<(), StoreError> {
        let ended = async {
            on!(self, pool => sqlx::query(REVOKE).bind(login).bind(now).execute(pool).await.map(|_| ()))
        };
        self.run(StoreOp::Revoke, ended).await?;
        self.login_ended.notify_one();
        Ok(())
    }

    /// Ends the pass of a phone that has no account. Once is enough.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn end_pass(&self, login: &str, now: OffsetDateTime) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO ended_passes (login, at) VALUES ($1, $2) ON CONFLICT (login) DO NOTHING";
        let ended = async {
            on!(self, pool => sqlx::query(SQL).bind(login).bind(now).execute(pool).await.map(|_| ()))
        };
        self.run(StoreOp::Revoke, ended).await?;
        self.login_ended.notify_one();
        Ok(())
    }

    /// The login that a refresh token belongs to.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn login_of(&self, token_hash: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT login_id FROM refresh_tokens WHERE token_hash = $1";
        let found = async {
            on!(self, pool => sqlx::query_scalar(SQL).bind(token_hash).fetch_optional(pool).await)
        };
        self.run(StoreOp::Account, found).await
    }

    /// The logins that were ended since.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn revoked_since(&self, since: OffsetDateTime) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT id FROM logins WHERE revoked_at > $1 \
                           UNION ALL SELECT login FROM ended_passes WHERE at > $1";
        let ended =
            async { on!(self, pool => sqlx::query_scalar(SQL).bind(since).fetch_all(pool).await) };
        self.run(StoreOp::Revoke, ended).await
    }
}

const REVOKE: &str = "UPDATE logins SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
