//! What a scan session is. Plain state and functions: no lock, no clock, no I/O.

use crate::event::{Device, Moment, PeerId};
use serde::Serialize;
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// Who is in a session, as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// At least one member is connected.
    pub is_active: bool,
    /// A phone is.
    pub has_mobile: bool,
    /// A monitor is.
    pub has_monitor: bool,
}

/// One scan session: any number of phones and monitors, and a sequence of scans.
#[derive(Debug)]
pub(super) struct Session {
    // Most sessions have two members: a scan of this list is cheaper than a hash.
    members: SmallVec<[(PeerId, Device); 2]>,
    epoch: u64,
    seq: u64,
    created_ms: u64,
    last_activity: Instant,
}

impl Session {
    /// Nobody in it, nothing scanned.
    pub(super) fn new(epoch: u64, now: Moment) -> Self {
        Self {
            members: SmallVec::new(),
            epoch,
            seq: 0,
            created_ms: now.unix_ms,
            last_activity: now.instant,
        }
    }

    /// Adds a member or changes its device.
    pub(super) fn enter(&mut self, peer: PeerId, device: Device) {
        match self.members.iter_mut().find(|(p, _)| *p == peer) {
            Some((_, known)) => *known = device,
            None => self.members.push((peer, device)),
        }
    }

    /// Removes a member, if it is one.
    pub(super) fn leave(&mut self, peer: PeerId) {
        self.members.retain(|(p, _)| *p != peer);
    }

    /// What a member is here.
    pub(super) fn device(&self, peer: PeerId) -> Option<Device> {
        let mut members = self.members.iter();
        members.find(|(p, _)| *p == peer).map(|(_, d)| *d)
    }

    /// How many monitors are here.
    pub(super) fn monitors(&self) -> usize {
        let members = self.members.iter();
        members.filter(|(_, d)| *d == Device::Monitor).count()
    }

    /// Everybody here.
    pub(super) fn members(&self) -> impl Iterator<Item = PeerId> {
        self.members.iter().map(|(peer, _)| *peer)
    }

    /// Who is here, for the wire.
    pub(super) fn status(&self) -> Status {
        let has = |device| self.members.iter().any(|(_, d)| *d == device);
        Status {
            is_active: !self.members.is_empty(),
            has_mobile: has(Device::Mobile),
            has_monitor: has(Device::Monitor),
        }
    }

    /// The next place in the sequence.
    pub(super) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// The last place given.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Names the sequence.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When it began, in milliseconds since 1970.
    pub(super) fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// Something happened here.
    pub(super) fn touch(&mut self, now: Moment) {
        self.last_activity = now.instant;
    }

    /// Nothing happened here for `idle`.
    pub(super) fn is_idle(&self, idle: Duration, now: Moment) -> bool {
        now.instant.saturating_duration_since(self.last_activity) >= idle
    }

    /// Nobody is here and nothing was ever scanned.
    pub(super) fn is_blank(&self) -> bool {
        self.members.is_empty() && self.seq == 0
    }
}
