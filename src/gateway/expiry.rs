//! Tokens that end while their bearer is connected: a warning 60 s before, then the end of the connection,
//! unless the token was renewed (contract, section 2). One ordered list, no timer per socket.

use super::outbox::Outbox;
use crate::{
    event::{Code, DisconnectCause, Payload, PeerId, PushName, Text},
    settings::Language,
};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;

/// How long before the end a client is warned, in seconds.
const NOTICE: u64 = 60;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Expiring {
    expires_in: u64,
}

#[derive(Debug, Default)]
pub(super) struct Expiry(Mutex<BTreeMap<u64, Vec<PeerId>>>);

impl Expiry {
    /// Looks at `peer` in time for a token that ends at `expires_at`.
    pub(super) fn watch(&self, peer: PeerId, expires_at: u64) {
        let due = expires_at.saturating_sub(NOTICE);
        self.0.lock().entry(due).or_default().push(peer);
    }

    /// Does what is due at `now`, in seconds since 1970.
    pub(super) fn run(&self, now: u64, outbox: &Outbox, language: Language) {
        let due = {
            let mut list = self.0.lock();
            let later = list.split_off(&(now + 1));
            std::mem::replace(&mut *list, later)
        };
        for peer in due.into_values().flatten() {
            let Some(link) = outbox.get(peer) else {
                continue;
            };
            let Some(expires_at) = link.peer.identity().expires_at else {
                continue;
            };
            let left = expires_at.saturating_sub(now);
            if left == 0 {
                let error = super::dispatch::WireError::new(
                    Code::TokenExpired,
                    &Text::TokenExpired,
                    language,
                );
                outbox.send(&link, PushName::Error, &Payload::of(&error.event()));
                link.peer.blame(DisconnectCause::TokenExpired);
                // Told to go, the client does not come back by itself: it needs another token.
                if link.socket.clone().disconnect().is_err() {
                    link.peer.close(DisconnectCause::TokenExpired);
                }
            } else if left > NOTICE {
                // It was renewed.
                self.watch(peer, expires_at);
            } else {
                if link.peer.warn_once(expires_at) {
                    let expiring = Payload::of(&Expiring { expires_in: left });
                    outbox.send(&link, PushName::TokenExpiring, &expiring);
                }
                self.0.lock().entry(expires_at).or_default().push(peer);
            }
        }
    }
}
