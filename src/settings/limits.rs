//! How much anybody may ask for.

use super::{Env, SettingError};
use std::{num::NonZeroU32, time::Duration};

/// A rate with a burst, per second unless its field says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Sustained rate.
    pub rate: NonZeroU32,
    /// How many may come at once.
    pub burst: NonZeroU32,
}

/// How much anybody may ask for. Defaults are those of the wire contract.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Events of one socket, per second.
    pub events: Rate,
    /// Offers, answers and candidates of one socket, per second.
    pub signals: Rate,
    /// Rooms that one user may create, per minute.
    pub create_room: NonZeroU32,
    /// Signaling rooms that one socket may be in.
    pub rooms_per_socket: usize,
    /// Signaling rooms of this node.
    pub rooms_max: usize,
    /// Peers of one signaling room.
    pub peers_per_room: usize,
    /// Attempts to log in to one account, per quarter of an hour.
    pub logins_per_account: NonZeroU32,
    /// Attempts to log in or register of one address, per quarter of an hour.
    pub logins_per_address: NonZeroU32,
    /// Failed handshakes of one address, per minute.
    pub handshake_failures: NonZeroU32,
    /// Good handshakes of one user, per minute.
    pub handshakes_per_user: NonZeroU32,
    /// `/api` requests of one address per window.
    pub http_max: NonZeroU32,
    /// The window of `http_max`.
    pub http_window: Duration,
    /// Sockets of one user on this node.
    pub sockets_per_user: usize,
    /// Sockets of one address that are not authenticated yet.
    pub pending_per_address: usize,
    /// Sockets of this node.
    pub sockets_max: usize,
    /// Scan sessions that one socket may be in.
    pub sessions_per_socket: usize,
    /// Scan sessions of this node.
    pub sessions_max: usize,
    /// Largest WebSocket message, frame and polling body, in bytes.
    pub message_bytes: usize,
    /// Events of one socket that wait for their turn.
    pub inbox: usize,
    /// Packets of one socket that wait to be written.
    pub send_queue: usize,
}

impl Limits {
    pub(super) fn read(env: &Env) -> Result<Self, SettingError> {
        let most = NonZeroU32::MAX;
        let at_least_one = NonZeroU32::MIN;
        let nonzero = |name, default: u32, example| {
            env.number(
                name,
                NonZeroU32::new(default).unwrap_or(NonZeroU32::MIN),
                at_least_one..=most,
                example,
            )
        };
        let count = |name, default: usize, most: usize, example| {
            env.number(name, default, 1..=most, example)
        };
        Ok(Self {
            events: Rate {
                rate: nonzero("EVENT_RATE", 20, "20")?,
                burst: nonzero("EVENT_BURST", 60, "60")?,
            },
            signals: Rate {
                rate: nonzero("SIGNAL_RATE", 100, "100")?,
                burst: nonzero("SIGNAL_BURST", 500, "500")?,
            },
            create_room: nonzero("CREATE_ROOM_PER_MIN", 5, "5")?,
            rooms_per_socket: count("ROOMS_PER_SOCKET", 32, 10_000, "32")?,
            rooms_max: count("ROOMS_MAX", 10_000, 100_000_000, "10000")?,
            peers_per_room: count("MAX_PEERS_PER_ROOM", 10, 10_000, "10")?,
            logins_per_account: nonzero("LOGINS_PER_ACCOUNT", 10, "10")?,
            logins_per_address: nonzero("LOGINS_PER_ADDRESS", 30, "30")?,
            handshake_failures: nonzero("HANDSHAKE_FAILURES_PER_MIN", 10, "10")?,
            handshakes_per_user: nonzero("HANDSHAKES_PER_USER_PER_MIN", 60, "60")?,
            http_max: nonzero("HTTP_RATE_MAX", 100, "100")?,
            http_window: env.duration("HTTP_RATE_WINDOW", Duration::from_mins(15), "15m")?,
            sockets_per_user: count("SOCKETS_PER_USER", 50, 1_000_000, "50")?,
            pending_per_address: count("SOCKETS_PENDING_PER_ADDRESS", 50, 1_000_000, "50")?,
            sockets_max: count("SOCKETS_MAX", 20_000, 10_000_000, "20000")?,
            sessions_per_socket: count("SESSIONS_PER_SOCKET", 10, 10_000, "10")?,
            sessions_max: count("SESSIONS_MAX", 100_000, 100_000_000, "100000")?,
            message_bytes: env.number(
                "MAX_MESSAGE_BYTES",
                1_000_000,
                4_096..=100_000_000,
                "1000000",
            )?,
            inbox: count("INBOX_MAX", 256, 1_000_000, "256")?,
            // A part of a replay must fit.
            send_queue: env.number("SEND_QUEUE_MAX", 4096, 64..=1_000_000, "4096")?,
        })
    }
}
