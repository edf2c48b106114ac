//! Decisions about tokens.

use super::Accounts;
use crate::{
    event::{
        ClientEvent, Code, Context, Decision, Effect, EventName, Fact, Namespace, PushName,
        Refusal, Rejection, Reply, Text,
    },
    guard::{Renewals, Renewed, Verifier},
};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use std::sync::Arc;

/// `token:renew { token }`.
#[derive(Deserialize)]
pub struct TokenRenew {
    token: Box<str>,
}

/// `refreshToken`, with nothing.
#[derive(Debug)]
pub struct RefreshToken;

impl<'de> Deserialize<'de> for RefreshToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenRenewed {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

impl ClientEvent<Arc<Accounts>> for TokenRenew {
    const NAME: EventName = EventName::TokenRenew;
    const NAMESPACES: &'static [Namespace] = &Namespace::ALL;
    const MAX_BYTES: usize = Verifier::MAX_TOKEN_BYTES + 256;
    const REPLY: Reply = Reply::Ack;

    async fn handle(self, cx: &Context, accounts: &Arc<Accounts>) -> Result<Decision, Rejection> {
        let now = cx.now.unix_ms / 1000;
        accounts.verifier.learn(&self.token).await;
        let mut identity = accounts
            .verifier
            .verify(&self.token)
            .map_err(|_| Refusal::new(Code::AuthError, Text::BadToken))?;
        // As what it came is not the token's to say.
        identity.chat.clone_from(&cx.identity.chat);
        if identity.user != cx.identity.user {
            return Err(Refusal::new(Code::Forbidden, Text::OtherUser).into());
        }
        let renewed = TokenRenewed {
            success: true,
            expires_in: identity.expires_at.map(|at| at.saturating_sub(now)),
        };
        Ok(Decision::reply(&renewed)
            .then(Effect::Identify(Arc::new(identity)))
            .noting(Fact::TokenRenewed))
    }
}

impl ClientEvent<Arc<Accounts>> for RefreshToken {
    const NAME: EventName = EventName::RefreshToken;
    const LISTS: bool = true;
    const NAMESPACES: &'static [Namespace] = &[Namespace::Root, Namespace::Chat];
    const MAX_BYTES: usize = 1024;
    const REPLY: Reply = Reply::Event(PushName::TokenRefresh);

    async fn handle(self, cx: &Context, accounts: &Arc<Accounts>) -> Result<Decision, Rejection> {
        if !accounts.may_renew(cx) {
            return Err(Refusal::new(Code::RateLimit, Text::TooManyRequests).into());
        }
        let none = || Refusal::new(Code::AuthError, Text::BadRefreshToken);
        let token = cx.identity.chat.as_ref().ok_or_else(none)?;
        match accounts.renew(&token.0, cx.now).await? {
            // A login of somebody else is none of this connection.
            Renewed::Done(renewal) if *renewal.user == *cx.identity.user => {
                Ok(Decision::reply(&renewal).noting(Fact::TokenRenewed))
            }
            Renewed::Done(_) | Renewed::Over | Renewed::Unknown => Err(none().into()),
        }
    }
}
