//! The flight recorder: the last events of this node in memory, so that one can be looked at afterwards.
//!
//! Every scan is kept, and every other event but heartbeats and what the canary does around its scan, each in [`Flow`]'s fixed size; what failed,
//! was slow or is the canary's is kept apart, so that good ones in great number do not push it out. The
//! oldest goes when a ring is full: the memory is bounded whatever happens.

use super::labels::{FlowOutcome, KEPT, Stage, Transport};
use crate::event::{Code, EventName, Outcome, Role, TraceId};
use parking_lot::Mutex;
use std::time::Duration;

/// A flow that took longer is slow: the objective of the scan relay.
pub const SLOW: Duration = Duration::from_millis(250);

/// So many rings of each kind, by trace id: an event waits for a sixteenth of the others at most.
const SHARDS: usize = 16;
/// Flows of each kind: notable, scans, others. With 112 bytes each, 24 MiB in all.
const MOST: [usize; 3] = [64 << 10, 112 << 10, 40 << 10];

/// A step of an event inside the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hop {
    /// When it began, in µs after the event arrived.
    pub start_us: u32,
    /// How long it took, in µs.
    pub took_us: u32,
}

/// One event, as it is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Its trace.
    pub trace: TraceId,
    /// When it arrived, in µs since 1970.
    pub arrived_us: u64,
    /// Of a failure.
    pub error_id: Option<std::num::NonZeroU64>,
    /// The hash of the order number.
    pub order: Option<std::num::NonZeroU64>,
    /// The hash of the session.
    pub session: Option<std::num::NonZeroU64>,
    /// Its place in the session; 0 is none.
    pub seq: u64,
    /// The steps, by [`Stage`].
    pub hops: [Hop; Stage::ALL.len()],
    /// From its arrival to its answer, in µs.
    pub total_us: u32,
    /// How many monitors it was sent to.
    pub monitors: Option<u16>,
    /// What it was.
    pub event: EventName,
    /// How it ended.
    pub outcome: Outcome,
    /// How it ended, if it was a scan.
    pub result: Option<FlowOutcome>,
    /// The code of a refusal or failure.
    pub code: Option<Code>,
    /// Who sent it.
    pub role: Role,
    /// How that client was connected.
    pub transport: Transport,
    /// It was the server's own.
    pub canary: bool,
    /// Its spans were exported.
    pub sampled: bool,
}

/// Why a flow is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It failed.
    Failed,
    /// It took longer than [`SLOW`].
    Slow,
    /// It is a scan of the canary.
    Canary,
    /// It was refused.
    Refused,
    /// It is not long ago.
    Recent,
}

impl Kept {
    /// As it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Slow => "slow",
            Self::Canary => "canary",
            Self::Refused => "refused",
            Self::Recent => "recent",
        }
    }
}

impl Flow {
    /// Why it is kept.
    pub fn kept(&self) -> Kept {
        // A scan that is not in the ledger is our doing, however it was answered.
        if self.outcome == Outcome::Failed || self.result == Some(FlowOutcome::StorageFailed) {
            Kept::Failed
        } else if self.is_slow() {
            Kept::Slow
        } else if self.canary && self.event == EventName::ScanOrder {
            Kept::Canary
        } else if self.outcome == Outcome::Refused {
            Kept::Refused
        } else {
            Kept::Recent
        }
    }

    /// Whether it took longer than [`SLOW`].
    pub fn is_slow(&self) -> bool {
        u128::from(self.total_us) > SLOW.as_micros()
    }

    /// The steps that it went through, in order, and what was left to do after the last one: the answer.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, Hop)> {
        let taken = Stage::ALL.iter().zip(self.hops);
        let taken = taken.filter(|(stage, hop)| **stage == Stage::Queue || *hop != Hop::default());
        let end = |hop: Hop| hop.start_us.saturating_add(hop.took_us);
        let last = taken.clone().map(|(_, hop)| end(hop)).max();
        let start_us = last.unwrap_or_default();
        let answer = Hop {
            start_us,
            took_us: self.total_us.saturating_sub(start_us),
        };
        taken
            .map(|(stage, hop)| (stage.as_str(), hop))
            .chain([("answer", answer)])
    }

    fn ring(&self) -> usize {
        match self.kept() {
            Kept::Failed | Kept::Slow | Kept::Canary => 0,
            _ if self.event == EventName::ScanOrder => 1,
            _ => 2,
        }
    }
}

/// By what a flow is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowId {
    /// Its trace id.
    Trace(TraceId),
    /// Its flow code: the low 30 bits of the trace id.
    Code(u32),
    /// The error id of its failure.
    Error(u64),
}

impl FlowId {
    /// Reads a trace id (32 hex digits), an error id (16) or a flow code as people write it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let hex = |len| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
        if hex(32) {
            let id = u128::from_str_radix(text, 16).ok()?;
            return Some(Self::Trace(TraceId(id)));
        }
        if hex(16) {
            return Some(Self::Error(u64::from_str_radix(text, 16).ok()?));
        }
        TraceId::read_flow_code(text).map(Self::Code)
    }
}

/// Which flows to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Only those that ended so.
    pub outcome: Option<Outcome>,
    /// Only this event.
    pub event: Option<EventName>,
    /// Only those that took at least so long, in µs.
    pub least_us: u64,
    /// Only those of the order with one of these hashes.
    pub order: Option<[u64; 2]>,
    /// Only those of the session with one of these hashes.
    pub session: Option<[u64; 2]>,
    /// Only those that arrived later, in µs since 1970.
    pub since_us: u64,
    /// At most so many.
    pub limit: usize,
}

impl Wanted {
    fn takes(&self, flow: &Flow) -> bool {
        let same = |wanted: Option<[u64; 2]>, is: Option<std::num::NonZeroU64>| {
            wanted.is_none_or(|wanted| is.is_some_and(|is| wanted.contains(&is.get())))
        };
        flow.arrived_us > self.since_us
            && self.outcome.is_none_or(|outcome| outcome == flow.outcome)
            && self.event.is_none_or(|event| event == flow.event)
            && u64::from(flow.total_us) >= self.least_us
            && same(self.order, flow.order)
            && same(self.session, flow.session)
    }
}

/// What is usual for an event, in µs.
#[derive(Debug, Clone, Default)]
pub struct Usual {
    /// So many flows were looked at.
    pub flows: usize,
    /// The median of the whole.
    pub total_us: u32,
    /// The medians of the steps, by name.
    pub steps: Vec<(&'static str, u32)>,
}

/// The scans of the last minutes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recently {
    /// By [`Outcome`].
    pub outcomes: [usize; 3],
    /// The median from arrival to answer, in µs.
    pub p50_us: u32,
    /// The 99th percentile.
    pub p99_us: u32,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holding {
    /// Flows, by ring: notable, scans, others.
    pub flows: [usize; 3],
    /// When the oldest of each ring arrived, in µs since 1970.
    pub oldest_us: [Option<u64>; 3],
}

impl Holding {
    /// Of each ring the memory and the age of the oldest flow, at this time in µs since 1970.
    pub(super) fn rings(&self, now_us: u64) -> [(usize, Duration); KEPT.len()] {
        let mut rings = [(0, Duration::ZERO); KEPT.len()];
        let kinds = self.flows.into_iter().zip(self.oldest_us);
        for (ring, (flows, oldest)) in rings.iter_mut().zip(kinds) {
            let age = oldest.map_or(0, |oldest| now_us.saturating_sub(oldest));
            *ring = (Self::bytes(flows), Duration::from_micros(age));
        }
        rings
    }

    /// The memory that a number of flows takes.
    pub const fn bytes(flows: usize) -> usize {
        flows * size_of::<Flow>()
    }
}

#[derive(Debug)]
struct Ring {
    flows: Vec<Flow>,
    next: usize,
    most: usize,
}

impl Ring {
    fn new(most: usize) -> Self {
        Self {
            // Memory that is never written is never used.
            flows: Vec::with_capacity(most),
            next: 0,
            most,
        }
    }

    fn push(&mut self, flow: Flow) {
        match self.flows.get_mut(self.next) {
            Some(oldest) => *oldest = flow,
            None => self.flows.push(flow),
        }
        self.next = (self.next + 1) % self.most;
    }

    /// Newest first.
    fn iter(&self) -> impl Iterator<Item = &Flow> {
        let (newer, older) = self.flows.split_at(self.next.min(self.flows.len()));
        newer.iter().rev().chain(older.iter().rev())
    }
}

/// The recorder.
#[derive(Debug)]
pub struct Flows(Box<[Mutex<[Ring; 3]>]>);

impl Flows {
    /// The most memory that it takes.
    pub const LIMIT_BYTES: usize = Holding::bytes(MOST[0] + MOST[1] + MOST[2]);

    pub(super) fn new() -> Self {
        let shard = |_| Mutex::new(MOST.map(|most| Ring::new(most / SHARDS)));
        Self((0..SHARDS).map(shard).collect())
    }

    /// Keeps a flow.
    pub(super) fn record(&self, flow: Flow) {
        let routine = flow.event == EventName::Heartbeat || flow.canary;
        if routine && flow.kept() == Kept::Recent {
            return;
        }
        // The flow code ends in these bits: all flows of a code are in one place.
        let shard = usize::try_from(flow.trace.0 % SHARDS as u128).unwrap_or_default();
        if let Some(rings) = self.0.get(shard) {
            let mut rings = rings.lock();
            if let Some(ring) = rings.get_mut(flow.ring()) {
                ring.push(flow);
            }
        }
    }

    /// The newest flows, newest first.
    pub fn list(&self, wanted: &Wanted) -> Vec<Flow> {
        let mut found = Vec::new();
        for shard in &self.0 {
            for ring in shard.lock().iter() {
                let taken = ring.iter().filter(|f| wanted.takes(f));
                found.extend(taken.take(wanted.limit));
            }
        }
        found.sort_unstable_by_key(|f: &Flow| std::cmp::Reverse(f.arrived_us));
        found.truncate(wanted.limit);
        found
    }

    /// Every flow under this id, oldest first.
    pub fn find(&self, id: FlowId) -> Vec<Flow> {
        let is = |flow: &&Flow| match id {
            FlowId::Trace(trace) => flow.trace == trace,
            FlowId::Code(code) => flow.trace.flow_bits() == code,
            FlowId::Error(error) => flow.error_id.is_some_and(|e| e.get() == error),
        };
        let mut found = Vec::new();
        for shard in &self.0 {
            for ring in shard.lock().iter() {
                found.extend(ring.iter().filter(is).take(MOST_FOUND));
            }
        }
        found.sort_unstable_by_key(|f: &Flow| f.arrived_us);
        found.truncate(MOST_FOUND);
        found
    }

    /// What is usual for `event`: the medians of the newest that went well and were not slow.
    pub fn usual(&self, event: EventName) -> Usual {
        let mut flows = self.list(&Wanted {
            outcome: Some(Outcome::Ok),
            event: Some(event),
            limit: COMPARED,
            ..Wanted::default()
        });
        flows.retain(|flow| flow.kept() != Kept::Slow);
        let mut totals: Vec<u32> = flows.iter().map(|f| f.total_us).collect();
        let mut steps: Vec<(&'static str, Vec<u32>)> = Vec::new();
        for (name, hop) in flows.iter().flat_map(Flow::steps) {
            match steps.iter_mut().find(|(n, _)| *n == name) {
                Some((_, all)) => all.push(hop.took_us),
                None => steps.push((name, vec![hop.took_us])),
            }
        }
        let median = |(name, mut all): (_, Vec<u32>)| (name, quantile(&mut all, 50));
        Usual {
            flows: flows.len(),
            total_us: quantile(&mut totals, 50),
            steps: steps.into_iter().map(median).collect(),
        }
    }

    /// The users' scans that arrived later than `since_us`.
    pub fn recently(&self, since_us: u64) -> Recently {
        let mut recently = Recently::default();
        let mut totals = Vec::new();
        for shard in &self.0 {
            for ring in shard.lock().iter() {
                let scans = ring.iter().take_while(|f| f.arrived_us > since_us);
                for flow in scans.filter(|f| f.event == EventName::ScanOrder && !f.canary) {
                    if let Some(count) = recently.outcomes.get_mut(flow.outcome as usize) {
                        *count += 1;
                    }
                    totals.push(flow.total_us);
                }
            }
        }
        recently.p50_us = quantile(&mut totals, 50);
        recently.p99_us = quantile(&mut totals, 99);
        recently
    }

    /// How much is kept.
    pub fn holding(&self) -> Holding {
        let mut holding = Holding::default();
        for shard in &self.0 {
            let rings = shard.lock();
            let kinds = holding.flows.iter_mut().zip(&mut holding.oldest_us);
            for (ring, (flows, oldest)) in rings.iter().zip(kinds) {
                *flows += ring.flows.len();
                let last = ring.iter().last().map(|f| f.arrived_us);
                *oldest = [*oldest, last].into_iter().flatten().min();
            }
        }
        holding
    }
}

const _: () = assert!(MOST.len() == KEPT.len() && Flows::LIMIT_BYTES <= 24 << 20);

/// Flows that share an id are few, unless a client gives all of them one trace.
const MOST_FOUND: usize = 50;
/// So many flows say what is usual.
const COMPARED: usize = 1000;

/// 0 of nothing.
fn quantile(all: &mut [u32], percent: usize) -> u32 {
    if all.is_empty() {
        return 0;
    }
    let place = (all.len() - 1) * percent / 100;
    *all.select_nth_unstable(place).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(trace: u128, event: EventName, outcome: Outcome, total_us: u32) -> Flow {
        let hop = |start_us, took_us| Hop { start_us, took_us };
        Flow {
            trace: TraceId(trace),
            arrived_us: u64::try_from(trace).unwrap(),
            error_id: None,
            order: None,
            session: None,
            seq: 0,
            hops: [
                hop(0, 10),
                hop(10, 5),
                hop(15, total_us / 2),
                hop(0, 0),
                hop(15 + total_us / 2, 1),
            ],
            total_us,
            monitors: None,
            event,
            outcome,
            result: None,
            code: None,
            role: Role::Mobile,
            transport: Transport::Websocket,
            canary: false,
            sampled: false,
        }
    }

    #[test]
    fn the_memory_is_bounded_and_what_failed_outlives_what_went_well() {
        let flows = Flows::new();
        flows.record(flow(1, EventName::ScanOrder, Outcome::Failed, 100));
        for n in 2..400_000 {
            flows.record(flow(n, EventName::ScanOrder, Outcome::Ok, 100));
            flows.record(flow(n, EventName::Offer, Outcome::Refused, 100));
        }

        let kept: usize = flows.holding().flows.iter().sum();
        assert!(Holding::bytes(kept) <= Flows::LIMIT_BYTES);
        assert_eq!(flows.find(FlowId::Trace(TraceId(1))).len(), 1);
        assert!(flows.find(FlowId::Trace(TraceId(2))).is_empty());
        let newest = flows.list(&Wanted {
            limit: 3,
            event: Some(EventName::ScanOrder),
            ..Wanted::default()
        });
        let newest: Vec<u64> = newest.iter().map(|f| f.arrived_us).collect();
        assert_eq!(newest, [399_999, 399_998, 399_997]);
    }

    #[test]
    fn a_flow_is_found_by_its_code_however_people_write_it() {
        let flows = Flows::new();
        let one = flow(0x9f1c_6039_b5d0, EventName::ScanOrder, Outcome::Ok, 100);
        flows.record(one);
        let code = one.trace.flow_code();

        for written in [
            code.clone(),
            code.to_lowercase(),
            code.replace('-', ""),
            format!(" {} ", code.replace('0', "o").replace('1', "I")),
            one.trace.to_string(),
        ] {
            let id = FlowId::parse(&written).unwrap_or_else(|| panic!("{written}"));
            assert_eq!(flows.find(id).len(), 1, "{written}");
        }
        for wrong in ["", "K7", "K7-QX4MM", "K7-QX4U", "<script>", "세션"] {
            assert_eq!(FlowId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_usual_is_the_median_of_good_flows() {
        let flows = Flows::new();
        for n in 1..=99 {
            flows.record(flow(n, EventName::ScanOrder, Outcome::Ok, 1000));
        }
        flows.record(flow(100, EventName::ScanOrder, Outcome::Ok, 200_000));
        flows.record(flow(102, EventName::ScanOrder, Outcome::Ok, 300_000));
        flows.record(flow(101, EventName::ScanOrder, Outcome::Failed, 900_000));

        let usual = flows.usual(EventName::ScanOrder);
        assert_eq!((usual.flows, usual.total_us), (100, 1000));
        assert!(usual.steps.contains(&("decide", 500)));
        let recently = flows.recently(0);
        assert_eq!(recently.outcomes, [101, 0, 1]);
        assert_eq!((recently.p50_us, recently.p99_us), (1000, 200_000));
    }

    #[test]
    fn heartbeats_do_not_push_anything_out() {
        let flows = Flows::new();
        flows.record(flow(1, EventName::Heartbeat, Outcome::Ok, 100));
        flows.record(flow(2, EventName::Heartbeat, Outcome::Failed, 100));

        assert_eq!(flows.holding().flows, [1, 0, 0]);
    }
}
