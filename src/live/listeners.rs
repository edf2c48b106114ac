//! Which sockets of this node hear which chat rooms.

use crate::event::{ChatRoomId, PeerId, UserId};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::HashMap;

/// All sockets that hear any chat room.
#[derive(Debug, Default)]
pub struct Listeners {
    sockets: Mutex<HashMap<PeerId, Listener>>,
    /// Rooms that one socket may hear.
    most: usize,
}

#[derive(Debug)]
struct Listener {
    user: UserId,
    rooms: SmallVec<[ChatRoomId; 2]>,
}

impl Listeners {
    /// Nobody hears anything; a socket may hear `most` rooms.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// A socket hears a room from now on. False if it hears too many already.
    pub fn enter(&self, peer: PeerId, user: &UserId, room: &ChatRoomId) -> bool {
        let mut sockets = self.sockets.lock();
        let listener = listener(&mut sockets, peer, user);
        let known = listener.rooms.contains(room);
        let may = known || listener.rooms.len() < self.most;
        if may && !known {
            listener.rooms.push(room.clone());
        }
        may
    }

    /// A socket no longer hears a room.
    pub fn leave(&self, peer: PeerId, room: &ChatRoomId) {
        if let Some(listener) = self.sockets.lock().get_mut(&peer) {
            listener.rooms.retain(|other| other != room);
        }
    }

    /// No socket of a user hears a room any more, or of anybody.
    pub fn silence(&self, room: &ChatRoomId, user: Option<&UserId>) {
        let mut sockets = self.sockets.lock();
        let meant = |listener: &&mut Listener| user.is_none_or(|user| listener.user == *user);
        let listeners = sockets.values_mut().filter(meant);
        listeners.for_each(|listener| listener.rooms.retain(|other| other != room));
    }

    /// Forgets a socket; tells whose it was and which rooms it heard.
    pub fn forget(&self, peer: PeerId) -> Option<(UserId, SmallVec<[ChatRoomId; 2]>)> {
        let listener = self.sockets.lock().remove(&peer)?;
        Some((listener.user, listener.rooms))
    }

    /// A socket of somebody who chats, whatever it hears.
    pub fn present(&self, peer: PeerId, user: &UserId) {
        listener(&mut self.sockets.lock(), peer, user);
    }
}

fn listener<'s>(
    sockets: &'s mut HashMap<PeerId, Listener>,
    peer: PeerId,
    user: &UserId,
) -> &'s mut Listener {
    sockets.entry(peer).or_insert_with(|| Listener {
        user: user.clone(),
        rooms: SmallVec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Namespace, SocketId};

    fn peer(n: u8) -> PeerId {
        PeerId {
            namespace: Namespace::Chat,
            socket: SocketId::parse(&format!("{n:016}")).unwrap(),
        }
    }

    #[test]
    fn a_socket_hears_what_it_entered_until_it_or_its_user_leaves() {
        let (kim, lee) = (UserId::stored("kim"), UserId::stored("7"));
        let room = |id| ChatRoomId::parse(id).unwrap();
        let listeners = Listeners::new(2);
        assert!(listeners.enter(peer(1), &kim, &room("a")));
        assert!(listeners.enter(peer(1), &kim, &room("a")), "again");
        assert!(listeners.enter(peer(1), &kim, &room("b")));
        assert!(!listeners.enter(peer(1), &kim, &room("c")), "too many");
        assert!(listeners.enter(peer(2), &kim, &room("a")));
        assert!(listeners.enter(peer(3), &lee, &room("a")));

        listeners.silence(&room("a"), Some(&kim));
        assert_eq!(listeners.forget(peer(1)).unwrap().1.as_slice(), [room("b")]);
        assert!(listeners.forget(peer(2)).unwrap().1.is_empty());
        assert!(listeners.enter(peer(3), &lee, &room("b")));
        listeners.silence(&room("a"), None);
        listeners.leave(peer(3), &room("b"));
        assert_eq!(listeners.forget(peer(3)), Some((lee, SmallVec::new())));
        assert_eq!(listeners.forget(peer(3)), None);
    }
}
