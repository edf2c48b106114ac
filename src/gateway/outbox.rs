//! Who is connected, who is in which room, and sending: a payload is serialised once, a socket whose queue
//! is full is disconnected. A packet is never dropped in silence.

use super::peer::{Link, Peer};
use crate::{
    event::{DisconnectCause, Payload, PeerId, PushName, Role, Room, Target, UserId},
    telemetry::{ConnectionGauge, Telemetry},
};
use dashmap::DashMap;
use smallvec::SmallVec;
use socketioxide::{SendError, SocketError};
use std::sync::Arc;

/// Members of a room; most have two.
type Members = SmallVec<[Arc<Link>; 2]>;

pub(super) struct Outbox {
    peers: DashMap<PeerId, Arc<Link>>,
    rooms: DashMap<Room, Members>,
    telemetry: Arc<Telemetry>,
}

impl Outbox {
    pub(super) fn new(telemetry: Arc<Telemetry>) -> Self {
        Self {
            peers: DashMap::new(),
            rooms: DashMap::new(),
            telemetry,
        }
    }

    pub(super) fn add(&self, link: Arc<Link>) {
        self.peers.insert(link.peer.id, link);
    }

    pub(super) fn remove(&self, peer: PeerId) {
        self.peers.remove(&peer);
    }

    pub(super) fn get(&self, peer: PeerId) -> Option<Arc<Link>> {
        self.peers.get(&peer).map(|link| link.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// How many of them are users'.
    pub(super) fn users(&self) -> usize {
        self.peers.iter().filter(|l| !l.peer.canary).count()
    }

    /// For the scrape.
    pub(super) fn connections(&self) -> Vec<ConnectionGauge> {
        let users = self.peers.iter().filter(|l| !l.peer.canary);
        users.map(|l| super::gauge(&l.peer)).collect()
    }

    /// Everybody.
    pub(super) fn all(&self) -> Vec<Arc<Link>> {
        self.peers.iter().map(|l| l.clone()).collect()
    }

    pub(super) fn phones_first(&self) -> Vec<Arc<Link>> {
        let mut links = self.all();
        links.sort_by_key(|l| l.peer.role() != Role::Mobile);
        links
    }

    pub(super) fn enter(&self, room: Room, peer: PeerId) {
        let Some(link) = self.get(peer) else { return };
        let mut members = self.rooms.entry(room).or_default();
        if !members.iter().any(|l| l.peer.id == peer) {
            members.push(link);
        }
    }

    pub(super) fn exit(&self, room: &Room, peer: PeerId) {
        if let Some(mut members) = self.rooms.get_mut(room) {
            members.retain(|l| l.peer.id != peer);
        }
        self.rooms.remove_if(room, |_, members| members.is_empty());
    }

    /// No socket of a user is in the room any more.
    pub(super) fn expel(&self, room: &Room, user: &UserId) {
        if let Some(mut members) = self.rooms.get_mut(room) {
            members.retain(|l| l.peer.identity().user_id() != *user);
        }
        self.rooms.remove_if(room, |_, members| members.is_empty());
    }

    pub(super) fn close(&self, room: &Room) {
        self.rooms.remove(room);
    }

    /// Hands the links of everybody in `to` to `each`. `peer` is the one that asked, if one did, `caller` its link.
    pub(super) fn reach(
        &self,
        to: &Target,
        peer: Option<PeerId>,
        caller: Option<&Arc<Link>>,
        each: impl Fn(&Arc<Link>),
    ) {
        let all = |room: &Room, except: Option<PeerId>| {
            if let Some(members) = self.rooms.get(room) {
                let wanted = members.iter().filter(|l| Some(l.peer.id) != except);
                wanted.for_each(&each);
            }
        };
        match to {
            Target::Caller => caller.into_iter().for_each(each),
            Target::Peer(other) => self.get(*other).iter().for_each(each),
            Target::Peers(others) => {
                for link in others.iter().filter_map(|other| self.get(*other)) {
                    each(&link);
                }
            }
            Target::Room(room) => all(room, None),
            Target::Others(room) => all(room, peer),
        }
    }

    /// Sends to one.
    pub(super) fn send(&self, link: &Link, event: PushName, payload: &Payload) {
        let sent = link.socket.emit(event.as_str(), payload.raw());
        self.account(&link.peer, event, payload.len(), &sent);
    }

    /// Counts what was sent; what did not fit ends the connection.
    pub(super) fn account(
        &self,
        peer: &Peer,
        event: PushName,
        bytes: usize,
        sent: &Result<(), SendError>,
    ) {
        let metrics = &self.telemetry.metrics;
        match sent {
            Ok(()) if peer.canary => {}
            Ok(()) => metrics.sent(event, bytes),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                metrics.send_queue_full.inc();
                peer.close(DisconnectCause::SendQueueFull);
            }
            // It is gone, and its disconnect is on the way; raw JSON is always serialisable.
            Err(SendError::Socket(SocketError::Closed) | SendError::Serialize(_)) => {}
        }
    }
}
