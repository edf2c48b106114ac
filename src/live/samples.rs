//! Peers, names and times for the tests.

use crate::event::{Moment, Namespace, PeerId, SessionId, SocketId};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

pub(super) fn peer(n: usize) -> PeerId {
    PeerId {
        namespace: Namespace::Root,
        socket: SocketId::parse(&format!("{n:016}")).unwrap(),
    }
}

pub(super) fn session(name: &str) -> SessionId {
    SessionId::parse(name).unwrap()
}

/// `secs` seconds after `base`, and after 1970.
pub(super) fn at(base: Instant, secs: u64) -> Moment {
    Moment {
        instant: base + Duration::from_secs(secs),
        unix_ms: secs * 1000,
    }
}

/// What a step in memory comes to: it never waits.
pub(super) fn wait<T>(step: impl Future<Output = T>) -> T {
    match pin!(step).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a step in memory waits"),
    }
}
