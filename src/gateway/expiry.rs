//! Tokens that end while their bearer is connected: a warning 60 s before, then the end of the connection,
//! unless the token was renewed (contract, section 2). One ordered list, no timer per socket.

use super::{
    outbox::Outbox,
    peer::{Link, Peer},
};
use crate::{
    event::{Code, DisconnectCause, Payload, PeerId, PushName, Text, WireError},
    settings::Language,
};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeSet;

/// How long before the end a client is warned, in seconds.
const NOTICE: u64 = 60;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Expiring {
    expires_in: u64,
}

/// Tells a client why, and to go. It does not come back by itself: it needs another token.
pub(super) fn dismiss(link: &Link, outbox: &Outbox, error: &WireError, cause: DisconnectCause) {
    outbox.send(link, PushName::Error, &Payload::of(&error.event()));
    link.peer.blame(cause);
    if link.socket.clone().disconnect().is_err() {
        link.peer.close(cause);
    }
}

/// Who is looked at when. Everybody connected whose token ends is in it once.
#[derive(Debug, Default)]
pub(super) struct Expiry(Mutex<BTreeSet<(u64, PeerId)>>);

impl Expiry {
    /// Looks at `peer` in time for the end of its present token.
    pub(super) fn watch(&self, peer: &Peer) {
        let end = peer.identity().expires_at;
        self.schedule(peer, end.map(|at| at.saturating_sub(NOTICE)));
    }

    /// Looks at `peer` no more.
    pub(super) fn forget(&self, peer: &Peer) {
        self.schedule(peer, None);
    }

    fn schedule(&self, peer: &Peer, due: Option<u64>) {
        let mut list = self.0.lock();
        if let Some(was) = peer.set_due(due) {
            list.remove(&(was, peer.id));
        }
        if let Some(due) = due {
            list.insert((due, peer.id));
        }
    }

    /// Does what is due at `now`, in seconds since 1970.
    pub(super) fn run(&self, now: u64, outbox: &Outbox, language: Language) {
        let due: Vec<(u64, PeerId)> = {
            let list = self.0.lock();
            let until_now = list.iter().take_while(|(due, _)| *due <= now);
            until_now.copied().collect()
        };
        for entry in due {
            let Some(link) = outbox.get(entry.1) else {
                self.0.lock().remove(&entry);
                continue;
            };
            let peer = &link.peer;
            let Some(expires_at) = peer.identity().expires_at else {
                self.forget(peer);
                continue;
            };
            let left = expires_at.saturating_sub(now);
            if left == 0 {
                self.forget(peer);
                let error = WireError::new(Code::TokenExpired, &Text::TokenExpired, language);
                dismiss(&link, outbox, &error, DisconnectCause::TokenExpired);
            } else if left > NOTICE {
                // It was renewed.
                self.watch(peer);
            } else {
                if peer.warn_once(expires_at) {
                    let expiring = Payload::of(&Expiring { expires_in: left });
                    outbox.send(&link, PushName::TokenExpiring, &expiring);
                }
                self.schedule(peer, Some(expires_at));
            }
        }
    }
}
