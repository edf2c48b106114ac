//! One Engine.IO session as we see it from outside the engine: where it comes from, how to end it, what it
//! counts against; and the secret that its polling requests must carry.

use crate::{
    event::SocketId,
    guard::{Permit, Seat},
    telemetry::Transport,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use socket2::SockRef;
use std::{
    net::{IpAddr, Shutdown},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpStream, sync::mpsc::UnboundedSender};

/// Turns the engine's session ids into secrets and back.
///
/// The engine uses one id for two things: the public `socket.id`, which every peer of a room sees, and the
/// `sid` that polling requests carry. Whoever sees the first could forge the second. So clients get the id
/// with a MAC behind it, and requests whose MAC is wrong never reach the engine. Nothing is stored.
pub(super) struct SidSeal(Hmac<Sha256>);

impl SidSeal {
    const ID: usize = 16;
    const MAC: usize = 16;

    /// A key of this process: a session does not outlive it either.
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    pub(super) fn new() -> Self {
        let key: [u8; 32] = rand::random();
        Self(Hmac::new_from_slice(&key).expect("a key"))
    }

    fn mac(&self, id: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(id.as_bytes());
        mac
    }

    /// The secret for the session `id`.
    pub(super) fn seal(&self, id: &str) -> String {
        let mac = self.mac(id).finalize().into_bytes();
        let mac = mac.get(..Self::MAC).unwrap_or_default();
        format!("{id}{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// The session that `secret` belongs to, if we made it.
    pub(super) fn open<'s>(&self, secret: &'s str) -> Option<&'s str> {
        let (id, mac) = secret.split_at_checked(Self::ID)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        if mac.len() != Self::MAC {
            return None;
        }
        // In constant time: how far a guess was right must not show.
        self.mac(id).verify_truncated_left(&mac).ok()?;
        Some(id)
    }
}

/// One Engine.IO session. It lives as long as the engine's socket.
#[derive(Debug)]
pub(super) struct TransportHandle {
    address: IpAddr,
    blockable: bool,
    bearer: Option<Box<str>>,
    state: Mutex<State>,
    /// Bytes that the client's side has taken, over all transports.
    taken: AtomicU64,
    /// Ends polling sessions, which have no connection of their own.
    polling_end: UnboundedSender<SocketId>,
    _seat: Seat,
}

#[derive(Debug)]
struct State {
    connection: Option<Arc<TcpStream>>,
    id: Option<SocketId>,
    pending: Option<Permit<IpAddr>>,
    closing: bool,
}

impl TransportHandle {
    pub(super) fn new(
        (address, blockable): (IpAddr, bool),
        bearer: Option<&str>,
        connection: Option<Arc<TcpStream>>,
        polling_end: UnboundedSender<SocketId>,
        (seat, pending): (Seat, Permit<IpAddr>),
    ) -> Self {
        Self {
            address,
            blockable,
            bearer: bearer.map(Into::into),
            state: Mutex::new(State {
                connection,
                id: None,
                pending: Some(pending),
                closing: false,
            }),
            taken: AtomicU64::new(0),
            polling_end,
            _seat: seat,
        }
    }

    /// The client's side has taken so many bytes more.
    pub(super) fn took(&self, bytes: u64) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes the client's side has taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether that address may be blocked.
    pub(super) fn blockable(&self) -> bool {
        self.blockable
    }

    /// The token of the `Authorization` header.
    pub(super) fn bearer(&self) -> Option<&str> {
        self.bearer.as_deref()
    }

    /// How it is connected now.
    pub(super) fn kind(&self) -> Transport {
        if self.state.lock().connection.is_some() {
            Transport::Websocket
        } else {
            Transport::Polling
        }
    }

    /// Its client has shown who it is: it no longer counts as pending.
    pub(super) fn authenticated(&self) {
        self.state.lock().pending = None;
    }

    /// The engine has named it.
    pub(super) fn named(&self, id: SocketId) {
        self.state.lock().id = Some(id);
    }

    /// It has moved from polling to this connection.
    pub(super) fn upgraded(&self, connection: Arc<TcpStream>) {
        self.state.lock().connection = Some(connection);
    }

    /// Ends it after `last_words`, in which what is queued is written: the engine sees the end of what
    /// the client sends, and closes. Once is enough.
    pub(super) fn close(self: &Arc<Self>, last_words: Duration) {
        if std::mem::replace(&mut self.state.lock().closing, true) {
            return;
        }
        let handle = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(last_words).await;
            handle.end(|connection| {
                let _ = SockRef::from(connection).shutdown(Shutdown::Read);
            });
        });
    }

    /// Ends it at once, with what is queued.
    pub(super) fn abort(&self) {
        self.end(cut);
    }

    fn end(&self, how: impl FnOnce(&TcpStream)) {
        let state = self.state.lock();
        if let Some(connection) = &state.connection {
            how(connection);
        }
        // A session that began with polling may be on its way to the WebSocket: then the engine knows it
        // as polling still. The receiver lives as long as the server; without it, everything ends anyway.
        if let Some(id) = state.id {
            let _ = self.polling_end.send(id);
        }
    }
}

/// Cuts a connection and forgets what the kernel still holds for it. Failing means it is gone already.
pub(super) fn cut(connection: &TcpStream) {
    let socket = SockRef::from(connection);
    let _ = socket.set_linger(Some(Duration::ZERO));
    let _ = socket.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_here_opens() {
        let seal = SidSeal::new();
        let secret = seal.seal("AA9AAA0AAzAAAAHs");

        assert_eq!(seal.open(&secret), Some("AA9AAA0AAzAAAAHs"));
        let other_id = secret.replacen("AA9", "BB9", 1);
        for forged in [
            "AA9AAA0AAzAAAAHs",
            "",
            "AA9AAA0AAzAAAAHsAAAAAAAAAAAAAAAAAAAAAA",
            &other_id,
            &SidSeal::new().seal("AA9AAA0AAzAAAAHs"),
            secret.strip_suffix(|_: char| true).unwrap(),
            "가나다라마바사아자차카타파하가나다라마",
        ] {
            assert_eq!(seal.open(forged), None, "{forged}");
        }
    }
}
