//! The handshake of chat clients: two tokens, an application, a name (contract, section 6).

use super::{TokenFault, Verifier};
use crate::event::{Code, Identity, Moment, RefreshToken, Refusal, Rejection, Text};
use async_trait::async_trait;
use serde::Serialize;
use std::fmt;

/// What a chat client brings along. What is empty is missing.
#[derive(Debug, Clone, Copy)]
pub struct Profile<'a> {
    /// Opens the socket.
    pub access_token: Option<&'a str>,
    /// Opens it as well where the access token has expired.
    pub refresh_token: Option<&'a str>,
    /// Which application it is.
    pub user_agent: Option<&'a str>,
    /// Whose tokens it believes to have.
    pub username: Option<&'a str>,
}

/// A new access token, as clients are told it.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// The token.
    pub access_token: String,
    /// It is good for so many seconds.
    pub expires_in: u64,
    /// Whose.
    #[serde(skip)]
    pub user: String,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal(not shown)")
    }
}

/// What became of a wish for a new access token.
#[derive(Debug)]
pub enum Renewed {
    /// Here it is.
    Done(Renewal),
    /// The refresh token was one, and is no more.
    Over,
    /// It was never one.
    Unknown,
}

/// Whoever gives access tokens for refresh tokens.
#[async_trait]
pub trait Renewals: fmt::Debug + Send + Sync {
    /// A new access token. The refresh token stays what it is: who came with it knows no other.
    ///
    /// # Errors
    ///
    /// `UNAVAILABLE`.
    async fn renew(&self, refresh_token: &str, now: Moment) -> Result<Renewed, Rejection>;
}

/// Why a chat client is turned away.
#[derive(Debug)]
pub struct ProfileFault {
    /// What it is told.
    pub told: Rejection,
    /// What is wrong with its tokens, or what stands for it.
    pub fault: TokenFault,
    /// It counts against its address.
    pub strike: bool,
}

impl ProfileFault {
    fn new(code: Code, text: Text, fault: TokenFault, strike: bool) -> Self {
        Self {
            told: Refusal::new(code, text).into(),
            fault,
            strike,
        }
    }

    fn bad_token(strike: bool) -> Self {
        Self::new(Code::AuthError, Text::BadToken, TokenFault::Bad, strike)
    }
}

impl Profile<'_> {
    /// Who it is; with a new access token where the one that it brought has expired.
    ///
    /// # Errors
    ///
    /// [`ProfileFault`].
    pub async fn check(
        self,
        verifier: &Verifier,
        renewals: &dyn Renewals,
        application: Option<&str>,
        now: Moment,
    ) -> Result<(Identity, Option<Renewal>), ProfileFault> {
        let missing = |text| ProfileFault::new(Code::AuthError, text, TokenFault::Missing, false);
        let (Some(access), Some(refresh)) = (self.access_token, self.refresh_token) else {
            return Err(missing(Text::NoToken));
        };
        let (Some(user_agent), Some(username)) = (self.user_agent, self.username) else {
            return Err(missing(Text::ProfileIncomplete));
        };
        if application.is_some_and(|wanted| !user_agent.contains(wanted)) {
            let text = Text::OtherApplication;
            return Err(ProfileFault::new(
                Code::Forbidden,
                text,
                TokenFault::Bad,
                true,
            ));
        }
        let (mut who, renewal) = match verifier.verify(access) {
            Ok(who) => (who, None),
            Err(TokenFault::Expired) => renew(verifier, renewals, (access, refresh), now).await?,
            Err(_) => return Err(ProfileFault::bad_token(true)),
        };
        let name = who.username.as_deref().unwrap_or(&who.user);
        if name.to_lowercase() != username.to_lowercase() {
            let text = Text::OtherUser;
            return Err(ProfileFault::new(
                Code::Forbidden,
                text,
                TokenFault::Bad,
                true,
            ));
        }
        who.chat = Some(RefreshToken(refresh.into()));
        Ok((who, renewal))
    }
}

async fn renew(
    verifier: &Verifier,
    renewals: &dyn Renewals,
    (access, refresh): (&str, &str),
    now: Moment,
) -> Result<(Identity, Option<Renewal>), ProfileFault> {
    let away = |told| ProfileFault {
        told,
        fault: TokenFault::Expired,
        strike: false,
    };
    match renewals.renew(refresh, now).await.map_err(away)? {
        Renewed::Done(renewal) => {
            // Somebody's old token with the refresh token of somebody else is no login.
            if verifier.expired(access).as_deref() != Some(&renewal.user) {
                return Err(ProfileFault::bad_token(true));
            }
            match verifier.verify(&renewal.access_token) {
                Ok(who) => Ok((who, Some(renewal))),
                Err(_) => Err(ProfileFault::bad_token(false)),
            }
        }
        Renewed::Over => Err(ProfileFault::bad_token(false)),
        Renewed::Unknown => Err(ProfileFault::bad_token(true)),
    }
}
