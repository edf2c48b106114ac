//! What each fact becomes: counter and log line, written from the same values. Matches without a wildcard: a
//! fact that is told is always written down.

use super::{Metrics, Observation, Subject, Telemetry};
use crate::event::{DisconnectCause, Fact, PeerId, RestoreResult, milliseconds};
use prometheus::IntCounter;
use std::time::Duration;

/// Counts one fact.
fn count(fact: &Fact, metrics: &Metrics) {
    match fact {
        Fact::ScansReplayed { scans } => metrics.scans_replayed.inc_by(*scans as u64),
        Fact::ScanDisplayed {
            took,
            trace,
            painted,
        } => {
            metrics.scan_displayed.observe(*took, *trace);
            if let (Some(painted), Some(histogram)) = (painted, metrics.stages.last()) {
                histogram.observe(painted.as_secs_f64());
            }
        }
        Fact::Reconnected { whole: true } => metrics.reconnects[0].inc(),
        Fact::Reconnected { whole: false } => metrics.reconnects[1].inc(),
        Fact::Restored(result) => add(&metrics.restores, *result as usize, 1),
        Fact::QueueAdmitted { waited } => {
            metrics.queue_admitted.inc();
            metrics.queue_wait.observe(waited.as_secs_f64());
        }
        Fact::QueueLeft { why, people } => add(&metrics.queue_left, *why as usize, *people),
        Fact::SeatsSelected { result, seats } => {
            add(&metrics.seat_selections, *result as usize, *seats);
        }
        Fact::SeatsExpired { seats } => metrics.seats_expired.inc_by(*seats as u64),
        Fact::RoomCreated => metrics.rooms_created.inc(),
        Fact::ChatSaid(result) => add(&metrics.chat_messages, *result as usize, 1),
        Fact::AddressBlocked(reason) => add(&metrics.blocks, *reason as usize, 1),
        Fact::Negotiated { took } => metrics.negotiation.observe(took.as_secs_f64()),
        // Scans are counted with the flow that they are part of (see `complete_scan`), the others nowhere.
        Fact::ScanRelayed { .. }
        | Fact::ScanRepeated { .. }
        | Fact::SessionJoined
        | Fact::SessionLeft
        | Fact::TokenRenewed => {}
    }
}

fn add(counters: &[IntCounter], index: usize, more: usize) {
    if let Some(counter) = counters.get(index) {
        counter.inc_by(more as u64);
    }
}

/// Writes one fact of an observed event down.
pub(super) fn note(fact: &Fact, seen: &Observation<'_>) {
    count(fact, seen.metrics());
    match fact {
        Fact::ScansReplayed { scans } => {
            tracing::info!(
                target: "signalbox::session",
                trace_id = %seen.trace.trace,
                role = seen.subject().role.as_str(),
                scans,
                "Scans were replayed."
            );
        }
        Fact::Restored(result) if *result != RestoreResult::Unknown => {
            seen.metrics().restore_seconds.observe(seen.elapsed());
            tracing::info!(
                target: "signalbox::session",
                trace_id = %seen.trace.trace,
                role = seen.subject().role.as_str(),
                outcome = result.as_str(),
                "A user is back."
            );
        }
        Fact::SessionJoined => tracing::debug!(
            target: "signalbox::session",
            trace_id = %seen.trace.trace,
            role = seen.subject().role.as_str(),
            "A client joined a session."
        ),
        Fact::SessionLeft => tracing::debug!(
            target: "signalbox::session",
            trace_id = %seen.trace.trace,
            role = seen.subject().role.as_str(),
            "A client left a session."
        ),
        Fact::TokenRenewed => tracing::debug!(
            target: "signalbox::session",
            trace_id = %seen.trace.trace,
            "A token was renewed."
        ),
        // Scans are logged with the flow that they are part of, in one line (see `complete_scan`); of the others
        // a number says all there is to say.
        Fact::ScanRelayed { .. }
        | Fact::ScanRepeated { .. }
        | Fact::Restored(_)
        | Fact::ScanDisplayed { .. }
        | Fact::Reconnected { .. }
        | Fact::QueueAdmitted { .. }
        | Fact::QueueLeft { .. }
        | Fact::SeatsSelected { .. }
        | Fact::SeatsExpired { .. }
        | Fact::RoomCreated
        | Fact::ChatSaid(_)
        | Fact::AddressBlocked(_)
        | Fact::Negotiated { .. } => {}
    }
}

impl Telemetry {
    /// Counts what happened without an event.
    pub fn happened(&self, facts: &[Fact]) {
        if !self.off {
            for fact in facts {
                count(fact, &self.metrics);
            }
        }
    }

    /// A client has been told that it is connected.
    pub fn opened(&self, peer: PeerId, subject: Subject) {
        if self.off || subject.canary {
            return;
        }
        tracing::info!(
            target: "signalbox::connection",
            socket_id = peer.socket.as_str(),
            namespace = peer.namespace.path(),
            role = subject.role.as_str(),
            transport = subject.transport.as_str(),
            "connection opened"
        );
    }

    /// A connection that was opened has ended.
    pub fn closed(&self, peer: PeerId, subject: Subject, cause: DisconnectCause, lasted: Duration) {
        if self.off || subject.canary {
            return;
        }
        self.metrics.disconnected(cause, lasted);
        tracing::info!(
            target: "signalbox::connection",
            socket_id = peer.socket.as_str(),
            namespace = peer.namespace.path(),
            role = subject.role.as_str(),
            transport = subject.transport.as_str(),
            reason = cause.as_str(),
            duration_ms = milliseconds(lasted),
            "connection closed"
        );
    }
}
