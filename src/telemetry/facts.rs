//! What each fact becomes: counter, log line, attribute, written from the same values. One match without a
//! wildcard: a fact that is told is always written down.

use super::{Observation, Subject, Telemetry};
use crate::event::{DisconnectCause, Fact, PeerId};
use std::time::Duration;

/// Writes one fact of an observed event down.
pub(super) fn note(fact: &Fact, seen: &Observation<'_>) {
    match fact {
        // Counted and logged with the flow that it is part of, in one line: see `complete_scan`.
        Fact::ScanRelayed { .. } | Fact::ScanRepeated { .. } => {}
        Fact::ScansReplayed { scans } => {
            seen.metrics().scans_replayed.inc_by(*scans as u64);
            tracing::info!(
                target: "signalbox::session",
                trace_id = %seen.trace.trace,
                role = seen.subject().role.as_str(),
                scans,
                "Scans were replayed."
            );
        }
        Fact::ScanDisplayed { took, trace } => seen.metrics().scan_displayed.observe(*took, *trace),
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
        Fact::RoomCreated => seen.metrics().rooms_created.inc(),
        Fact::Negotiated { took } => seen.metrics().negotiation.observe(took.as_secs_f64()),
    }
}

impl Telemetry {
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
            duration_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
            "connection closed"
        );
    }
}
