//! Waiting queues for those who come by HTTP: the same steps, without a socket.

use super::{handle::QueueServices, payload::QueueStatus};
use crate::{
    event::{Decision, EventId, Fact, Identity, Moment, Rejection},
    live::Deed,
};
use std::time::Duration;

impl QueueServices {
    /// Joins the line of an event or is let in; asking again keeps the place.
    ///
    /// # Errors
    ///
    /// `UNAVAILABLE`: as many wait as may.
    pub async fn check(
        &self,
        event: &EventId,
        who: &Identity,
        now: Moment,
    ) -> Result<(QueueStatus, Decision), Rejection> {
        let user = who.user_id();
        let arrived = self.queues.join(event, &user, false, now).await?;
        self.restores
            .did(who, Deed::EnteredQueue(event.clone()), now)
            .await;
        let mut decision = Decision::default();
        if arrived.admitted {
            let waited = Duration::ZERO;
            decision = decision.noting(Fact::QueueAdmitted { waited });
        }
        if arrived.tell {
            decision = decision.then(self.entry_allowed(event, &user));
        }
        Ok((QueueStatus::new(event, &arrived.standing), decision))
    }

    /// Where a user stands.
    pub async fn status(&self, event: &EventId, who: &Identity, now: Moment) -> QueueStatus {
        let standing = self.queues.standing(event, &who.user_id(), now).await;
        QueueStatus::new(event, &standing)
    }

    /// Gives up place or slot.
    pub async fn go(&self, event: &EventId, who: &Identity, now: Moment) -> Decision {
        let left = self.leave(event, &who.user_id()).await;
        self.restores
            .did(who, Deed::LeftQueue(event.clone()), now)
            .await;
        Decision {
            facts: left.into_iter().collect(),
            ..Decision::default()
        }
    }
}
