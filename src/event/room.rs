//! What changes about signaling rooms, as it is written down.

use super::{PeerId, RoomId};
use std::{sync::Arc, time::Duration};

/// One change of one room. Times are milliseconds since 1970. Applying a change twice is the same as
/// applying it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomChange {
    /// A room began.
    Opened {
        /// Its id.
        room: RoomId,
        /// Its name, as given.
        name: Arc<str>,
        /// The user that it belongs to.
        owner: Arc<str>,
        /// How many peers may be in it.
        most: usize,
        /// When.
        at: u64,
    },
    /// A room ended.
    Closed {
        /// Its id.
        room: RoomId,
        /// When.
        at: u64,
    },
    /// A peer came in.
    Joined {
        /// The room.
        room: RoomId,
        /// The peer.
        peer: PeerId,
        /// Its user.
        user: Arc<str>,
        /// When.
        at: u64,
    },
    /// A peer went.
    Left {
        /// The room.
        room: RoomId,
        /// The peer.
        peer: PeerId,
        /// When.
        at: u64,
        /// How long it was there.
        stayed: Duration,
    },
}
