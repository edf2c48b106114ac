//! What a scan session is. Plain state and functions: no lock, no clock, no I/O.

use crate::event::{Device, Moment, PeerId, TraceId};
use serde::Serialize;
use smallvec::SmallVec;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

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

/// A scan that monitors may still say they have shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its place in the session.
    pub seq: u64,
    /// Who is told.
    pub phone: PeerId,
    /// By which the phone knows it.
    pub nonce: Option<Box<str>>,
    /// When it arrived.
    pub arrived: Instant,
    /// Its trace, if that is recorded.
    pub trace: Option<TraceId>,
}

/// So many scans of a session can be said to be shown.
const SHOWN: usize = 64;

/// One scan session: any number of phones and monitors.
#[derive(Debug)]
pub(super) struct Session {
    // Most sessions have two members: a scan of this list is cheaper than a hash.
    members: SmallVec<[(PeerId, Device); 2]>,
    /// The newest scans, and which monitors have shown them.
    shown: VecDeque<(Shown, SmallVec<[PeerId; 1]>)>,
    /// A monitor that is being sent what no monitor was there for.
    claimed_by: Option<PeerId>,
    /// The last place that the members were told.
    told: Option<u64>,
    scanned: bool,
    created_ms: u64,
    last_activity: Instant,
}

impl Session {
    /// Nobody in it, nothing scanned.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            members: SmallVec::new(),
            shown: VecDeque::new(),
            claimed_by: None,
            told: None,
            scanned: false,
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
        self.settle(peer);
    }

    /// Whether this peer is the one that is sent what no monitor was there for: the first that asks, until
    /// it has it all or is gone.
    pub(super) fn claim(&mut self, peer: PeerId) -> bool {
        *self.claimed_by.get_or_insert(peer) == peer
    }

    /// It has it all, or is gone.
    pub(super) fn settle(&mut self, peer: PeerId) {
        self.claimed_by = self.claimed_by.filter(|by| *by != peer);
    }

    /// Whether what is scanned now is seen: by a monitor, and not before what nobody has seen yet.
    pub(super) fn seen(&self) -> bool {
        self.claimed_by.is_none() && self.monitors() > 0
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

    /// Something was scanned here.
    pub(super) fn scanned(&mut self) {
        self.scanned = true;
    }

    /// Who is here knows this place, where nothing is known yet.
    pub(super) fn know(&mut self, seq: u64) {
        self.told.get_or_insert(seq);
    }

    /// The members are told this place next; the one that they were told before.
    pub(super) fn tell(&mut self, seq: u64) -> Option<u64> {
        self.told.replace(seq.max(self.told.unwrap_or_default()))
    }

    /// This scan is about to be shown; the oldest such one is forgotten.
    pub(super) fn show(&mut self, scan: Shown) {
        if self.shown.len() == SHOWN {
            self.shown.pop_front();
        }
        self.shown.push_back((scan, SmallVec::new()));
    }

    /// A monitor shows the scan at this place: which one that is, the first time that this monitor says so.
    pub(super) fn displayed(&mut self, monitor: PeerId, seq: u64) -> Option<Shown> {
        let mut shown = self.shown.iter_mut();
        let (scan, by) = shown.find(|(scan, _)| scan.seq == seq)?;
        if by.contains(&monitor) {
            return None;
        }
        by.push(monitor);
        Some(scan.clone())
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
        self.members.is_empty() && !self.scanned
    }
}
