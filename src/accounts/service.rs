//! Accounts and logins: register, login, refresh, logout, who am I.

use super::credentials;
use crate::{
    event::{
        BlockReason, Code, Component, Context, Failure, Identity, Moment, Refusal, Rejection, Text,
        utc,
    },
    guard::{
        Blocks, Claims, Keyed, PasswordFault, Passwords, Renewal, Renewals, Renewed, Revoked,
        Verifier,
    },
    settings::Settings,
    store::{NewAccount, Rotation, Shown, Store, StoreError, StoredUser},
};
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use sha2::{Digest, Sha256};
use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

/// An address may ask for so many access tokens in a minute on its sockets (contract, section 6).
const RENEWALS: NonZeroU32 = NonZeroU32::new(120).unwrap();
/// Attempts to log in are counted over this.
const LOGIN_WINDOW: Duration = Duration::from_mins(15);
/// Nodes see each other's ended logins by asking for those of this last while.
const LOOK_BACK: Duration = Duration::from_mins(1);

/// What accounts need to decide.
#[derive(Debug)]
pub struct Accounts {
    /// Checks and signs tokens.
    pub verifier: Arc<Verifier>,
    store: Arc<Store>,
    revoked: Arc<Revoked>,
    passwords: Passwords,
    blocks: Arc<Blocks>,
    renewals: Keyed<IpAddr>,
    by_account: Keyed<Box<str>>,
    by_address: Keyed<IpAddr>,
    access_ttl: Duration,
    refresh_ttl: Duration,
}

/// A login, or what became of one.
#[derive(Debug)]
pub struct LoggedIn {
    /// Opens sockets and `/api`.
    pub access_token: String,
    /// Good once, for the next pair.
    pub refresh_token: String,
    /// How long the access token is good for.
    pub expires_in: Duration,
    /// Who.
    pub user: StoredUser,
}

/// What a visitor without an account gets.
#[derive(Debug)]
pub struct Visit {
    /// Opens sockets and `/api`.
    pub token: String,
    /// How long it is good for.
    pub expires_in: Duration,
    /// Who: nobody who has an account.
    pub user: String,
}

/// Why not.
#[derive(Debug)]
pub enum AccountError {
    /// Like any other refusal or failure.
    Rejected(Rejection),
    /// Too many attempts; come back after this.
    Limited(Duration),
}

impl From<Rejection> for AccountError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<Refusal> for AccountError {
    fn from(refusal: Refusal) -> Self {
        Self::Rejected(refusal.into())
    }
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        let detail = match error {
            StoreError::Away => return Refusal::new(Code::Unavailable, Text::StoreAway).into(),
            StoreError::Conflict => "two of one kind".into(),
            StoreError::Broken(why) => why,
        };
        Failure::dependency(Component::Store, detail).into()
    }
}

impl From<PasswordFault> for AccountError {
    fn from(fault: PasswordFault) -> Self {
        Self::Rejected(match fault {
            PasswordFault::Busy => Refusal::new(Code::Unavailable, Text::ServerBusy).into(),
            PasswordFault::Broken => broken("a password was not hashed"),
        })
    }
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self::Rejected(error.into())
    }
}

impl Accounts {
    /// With the limits and times of the settings.
    pub fn new(
        settings: &Settings,
        verifier: Arc<Verifier>,
        store: Arc<Store>,
        revoked: Arc<Revoked>,
        blocks: Arc<Blocks>,
    ) -> Arc<Self> {
        let limits = &settings.limits;
        Arc::new(Self {
            verifier,
            store,
            revoked,
            passwords: Passwords::new(settings.server.worker_threads),
            blocks,
            renewals: Keyed::new(RENEWALS, Duration::from_mins(1)),
            by_account: Keyed::new(limits.logins_per_account, LOGIN_WINDOW),
            by_address: Keyed::new(limits.logins_per_address, LOGIN_WINDOW),
            access_ttl: settings.auth.access_ttl,
            refresh_ttl: settings.auth.refresh_ttl,
        })
    }

    /// Creates an account and logs it in.
    ///
    /// # Errors
    ///
    /// `VALIDATION_ERROR`, `CONFLICT` for an e-mail that has one, `UNAVAILABLE`, too many attempts.
    pub async fn register(
        &self,
        (username, email, password): (&str, &str, String),
        from: IpAddr,
        now: Moment,
    ) -> Result<LoggedIn, AccountError> {
        let email = credentials::email(email)?;
        let username = credentials::username(username)?;
        credentials::password(&password)?;
        limit(&self.by_address, &from)?;
        let hash = self.passwords.hash(password).await?;
        let new = NewAccount {
            username,
            email: &email,
            password_hash: &hash,
        };
        let user = match self.store.create_user(new, utc(now.unix_ms)).await {
            Ok(user) => user,
            Err(StoreError::Conflict) => {
                return Err(Refusal::new(Code::Conflict, Text::CannotRegister).into());
            }
            Err(error) => return Err(error.into()),
        };
        self.begin(user, now).await
    }

    /// Logs in. Whether it is the e-mail or the password that is wrong is not told, nor to be seen by the
    /// time that it takes.
    ///
    /// # Errors
    ///
    /// `AUTH_ERROR`, `UNAVAILABLE`, too many attempts.
    pub async fn login(
        &self,
        (email, password): (&str, String),
        from: IpAddr,
        now: Moment,
    ) -> Result<LoggedIn, AccountError> {
        let wrong = || Refusal::new(Code::AuthError, Text::BadCredentials);
        limit(&self.by_address, &from)?;
        let email = credentials::email(email).map_err(|_| wrong())?;
        limit(&self.by_account, &email.as_str().into())?;
        credentials::password(&password).map_err(|_| wrong())?;
        let user = self.store.user_by_email(&email).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let same = self.passwords.check(password, hash).await?;
        match user.filter(|_| same) {
            Some(user) => self.begin(user, now).await,
            None => Err(wrong().into()),
        }
    }

    /// Gives a new pair of tokens for a refresh token, which is used up. One that was used before ends
    /// its login.
    ///
    /// # Errors
    ///
    /// `AUTH_ERROR`, `UNAVAILABLE`.
    pub async fn refresh(&self, token: &str, now: Moment) -> Result<LoggedIn, AccountError> {
        let next = secret();
        let (old, new) = (hashed(token), hashed(&next));
        let rotation = self
            .store
            .rotate(&old, &new, utc(now.unix_ms), self.refresh_ttl);
        match rotation.await? {
            Rotation::Rotated { login, user } => self.pair(user, &login, next, now),
            Rotation::Reused | Rotation::Refused => {
                Err(Refusal::new(Code::AuthError, Text::BadRefreshToken).into())
            }
        }
    }

    /// Ends the login of an access or refresh token. That nothing was left to end is no error.
    ///
    /// # Errors
    ///
    /// `AUTH_ERROR` without a token of ours, `UNAVAILABLE`.
    pub async fn logout(
        &self,
        who: Option<&Identity>,
        refresh_token: Option<&str>,
        now: Moment,
    ) -> Result<(), AccountError> {
        let shown = match refresh_token {
            Some(token) => self.store.login_of(&hashed(token)).await?,
            None => None,
        };
        let login = shown.or_else(|| who.and_then(|who| who.login.as_deref()).map(str::to_owned));
        match login {
            Some(login) => Ok(self.store.revoke(&login, utc(now.unix_ms)).await?),
            None if who.is_some() => Ok(()),
            None => Err(Refusal::new(Code::AuthError, Text::BadRefreshToken).into()),
        }
    }

    /// The account of a token.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` for a token of somebody who has none here, `UNAVAILABLE`.
    pub async fn me(&self, who: &Identity) -> Result<StoredUser, AccountError> {
        let nobody = || Refusal::new(Code::NotFound, Text::NoSuchUser);
        let id = who.user.parse().map_err(|_| nobody())?;
        let found = self.store.user(id).await?;
        Ok(found.ok_or_else(nobody)?)
    }

    /// Learns which logins were ended, here or on another node, and returns those that are news; `None`
    /// while the store is away. Call it every two seconds and after [`Store::login_ended`]. The first time
    /// it looks back as far as an access token may still be good.
    pub async fn learn_revoked(&self, first: bool, now: Moment) -> Option<Vec<String>> {
        let back = if first { self.access_ttl } else { LOOK_BACK };
        let ended = self
            .store
            .revoked_since(utc(now.unix_ms) - back)
            .await
            .ok()?;
        let until =
            (now.unix_ms / 1000).saturating_add(self.access_ttl.as_secs() + LOOK_BACK.as_secs());
        let news = ended
            .into_iter()
            .filter(|login| self.revoked.add(login, until));
        Some(news.collect())
    }

    /// Counts a wish for an access token. One too many blocks the address.
    pub(super) fn may_renew(&self, cx: &Context) -> bool {
        let pass = self.renewals.check(&cx.address).pass;
        if !pass && cx.blockable {
            let reason = BlockReason::Refreshes;
            self.blocks.block(cx.address, reason, cx.now);
        }
        pass
    }

    /// Forgets what no longer matters. Call it every few seconds.
    pub fn tidy(&self, now: Moment) {
        self.by_account.tidy();
        self.by_address.tidy();
        self.renewals.tidy();
        self.revoked.tidy(now.unix_ms / 1000);
    }

    async fn begin(&self, user: StoredUser, now: Moment) -> Result<LoggedIn, AccountError> {
        let login = secret();
        let refresh_token = secret();
        let hash = hashed(&refresh_token);
        let begun = self.store.begin_login(
            user.id,
            (&login, &hash),
            utc(now.unix_ms),
            (self.refresh_ttl, self.access_ttl),
        );
        begun.await?;
        self.pair(user, &login, refresh_token, now)
    }

    fn pair(
        &self,
        user: StoredUser,
        login: &str,
        refresh_token: String,
        now: Moment,
    ) -> Result<LoggedIn, AccountError> {
        Ok(LoggedIn {
            access_token: self.access_token(&user, login, now)?,
            refresh_token,
            expires_in: self.access_ttl,
            user,
        })
    }

    fn access_token(
        &self,
        user: &StoredUser,
        login: &str,
        now: Moment,
    ) -> Result<String, Rejection> {
        self.signed(&Claims {
            sub: &user.id.to_string(),
            user_id: Some(user.id),
            username: Some(&user.username),
            email: Some(&user.email),
            login: Some(login),
            ..Claims::lasting(now.unix_ms / 1000, self.access_ttl)
        })
    }
}

#[async_trait]
impl Renewals for Accounts {
    async fn renew(&self, refresh_token: &str, now: Moment) -> Result<Renewed, Rejection> {
        let hash = hashed(refresh_token);
        let shown = self.store.show(&hash, utc(now.unix_ms));
        match shown.await? {
            Shown::Good { login, user } => {
                let user_id = user.id.to_string();
                let access_token = self.access_token(&user, &login, now)?;
                Ok(Renewed::Done(Renewal {
                    access_token,
                    expires_in: self.access_ttl.as_secs(),
                    user: user_id,
                }))
            }
            Shown::Over => Ok(Renewed::Over),
            Shown::Unknown => Ok(Renewed::Unknown),
        }
    }
}

impl Accounts {
    /// Lets somebody in without an account, who keeps `name`.
    ///
    /// # Errors
    ///
    /// `VALIDATION_ERROR` for a name that is none.
    pub fn demo(&self, name: &str, now: Moment) -> Result<Visit, AccountError> {
        let user = format!("demo-{}", credentials::visitor(name)?);
        let claims = Claims {
            sub: &user,
            username: Some(&user),
            ..Claims::lasting(now.unix_ms / 1000, self.access_ttl)
        };
        Ok(Visit {
            token: self.signed(&claims)?,
            expires_in: self.access_ttl,
            user,
        })
    }

    fn signed(&self, claims: &Claims<'_>) -> Result<String, Rejection> {
        let signed = self.verifier.sign(claims);
        signed.map_err(|_| broken("a token was not signed"))
    }
}

fn limit<K: std::hash::Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K) -> Result<(), AccountError> {
    let budget = limiter.check(key);
    if budget.pass {
        Ok(())
    } else {
        Err(AccountError::Limited(budget.reset))
    }
}

fn broken(detail: &str) -> Rejection {
    Failure::dependency(Component::Handler, detail).into()
}

/// 256 bits that nobody can guess.
fn secret() -> String {
    format!(
        "{:032x}{:032x}",
        rand::random::<u128>(),
        rand::random::<u128>()
    )
}

/// What is stored of a secret: it has nothing to guess, so a plain hash will do.
fn hashed(secret: &str) -> String {
    STANDARD_NO_PAD.encode(Sha256::digest(secret))
}
