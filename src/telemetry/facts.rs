//! What each fact becomes. One match without a wildcard: a fact that is told is always written down.

use super::Observation;
use crate::event::Fact;

/// Writes one fact of an observed event down.
pub(super) fn note(fact: &Fact, seen: &Observation<'_>) {
    match fact {
        // Counted and logged with the flow that it is part of, in one line: see `complete_flow`.
        Fact::ScanRelayed { .. } => {}
        Fact::SessionJoined => tracing::debug!(
            target: "signalbox::session",
            trace_id = %seen.trace.trace,
            role = seen.subject().role(),
            "A client joined a session."
        ),
        Fact::SessionLeft => tracing::debug!(
            target: "signalbox::session",
            trace_id = %seen.trace.trace,
            role = seen.subject().role(),
            "A client left a session."
        ),
        Fact::TokenRenewed => tracing::debug!(
            target: "signalbox::session",
            trace_id = %seen.trace.trace,
            "A token was renewed."
        ),
    }
}
