//! The seat map: what an admin says of it, and keeping it beyond this process.

use super::seats::released;
use crate::{
    event::{Decision, EventId, Moment, Rejection, SeatId, utc},
    live::MemorySeats,
    store::{Store, StoreError},
};
use std::sync::Arc;

/// So many seats are written at once.
const AT_ONCE: usize = 500;

/// Seats in memory, and the store behind them.
#[derive(Debug, Clone)]
pub struct SeatMap {
    /// The seats.
    pub seats: Arc<MemorySeats>,
    /// Where they are written down.
    pub store: Arc<Store>,
}

impl SeatMap {
    /// Puts seats on the map of an event, to be had or sold. When it has returned that survives a restart.
    ///
    /// # Errors
    ///
    /// `UNAVAILABLE`: nothing is changed.
    pub async fn mark(
        &self,
        event: &EventId,
        free: &[SeatId],
        sold: &[SeatId],
    ) -> Result<Decision, Rejection> {
        let records = self.seats.plan(event, free, sold)?;
        self.store.write_seats(&records).await?;
        let again = self.seats.mark(event, free, sold);
        let decision = Decision::default();
        if again.is_empty() {
            return Ok(decision);
        }
        Ok(decision.then(released(event, &again)))
    }

    /// Takes over what was written down before the start, or writes down what has changed. Call it each second,
    /// and once more at the end.
    pub async fn keep(&self, now: Moment) {
        if !self.seats.is_loaded() {
            if let Ok(seats) = self.store.seats(utc(now.unix_ms)).await {
                self.seats.load(seats, now);
            }
            return;
        }
        loop {
            let changes = self.seats.take_changes(AT_ONCE, now);
            if changes.is_empty() {
                return;
            }
            match self.store.write_seats(&changes).await {
                Ok(()) => {}
                Err(StoreError::Away) => {
                    self.seats.give_back(changes);
                    return;
                }
                Err(error) => tracing::error!(
                    target: "signalbox::store",
                    component = "store",
                    detail = ?error,
                    "Seats cannot be written."
                ),
            }
        }
    }
}
