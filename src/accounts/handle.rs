//! Decisions about tokens.

use super::Accounts;
use crate::{
    event::{
        ClientEvent, Code, Context, Decision, Effect, EventName, Fact, Namespace, Refusal,
        Rejection, Reply, Text,
    },
    guard::Verifier,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `token:renew { token }`.
#[derive(Deserialize)]
pub struct TokenRenew {
    token: Box<str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
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
        let identity = accounts
            .verifier
            .verify(&self.token)
            .map_err(|_| Refusal::new(Code::AuthError, Text::BadToken))?;
        if identity.user != cx.identity.user {
            return Err(Refusal::new(Code::Forbidden, Text::OtherUser).into());
        }
        let renewed = Renewed {
            success: true,
            expires_in: identity.expires_at.map(|at| at.saturating_sub(now)),
        };
        Ok(Decision::reply(&renewed)
            .then(Effect::Identify(Arc::new(identity)))
            .noting(Fact::TokenRenewed))
    }
}
