//! Turns: what must happen one after the other in a scan session, from taking a place in its sequence to
//! having told everybody. Without it a monitor could see the second scan before the first.

use crate::event::{SessionId, Turn};
use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};
use tokio::sync::Mutex;

/// So many sessions can have somebody's turn at once. Sessions share them by their hash, so that there is
/// nothing to begin or to forget; whoever shares one waits a little longer.
const TURNS: usize = 1024;

/// The turns of all sessions.
#[derive(Debug)]
pub struct Turns {
    hasher: RandomState,
    turns: Box<[Arc<Mutex<()>>]>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            turns: (0..TURNS).map(|_| Arc::default()).collect(),
        }
    }
}

impl Turns {
    /// Waits until nobody else has the session's turn. First come, first served. Never wait for a second
    /// one while holding one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        reason = "the place is taken modulo the number of turns, which is not 0"
    )]
    pub async fn of(&self, session: &SessionId) -> Turn {
        let place = self.hasher.hash_one(session) as usize % TURNS;
        Turn::new(self.turns[place].clone().lock_owned().await)
    }
}
