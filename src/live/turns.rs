//! Turns: what must happen one after the other in a scan session or chat room, from taking a place in its order
//! to having told everybody. Without it a monitor could see the second scan before the first.

use crate::event::Turn;
use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};
use tokio::sync::Mutex;

/// In so many sessions or rooms it can be somebody's turn at once. They share them by their hash, so that there
/// is nothing to begin or to forget; whoever shares one waits a little longer.
const TURNS: usize = 1024;

/// The turns of all sessions, or of all rooms.
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
    /// Waits until it is nobody else's turn there. First come, first served. Never wait for a second
    /// one while holding one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        reason = "the place is taken modulo the number of turns, which is not 0"
    )]
    pub async fn of(&self, place: &impl Hash) -> Turn {
        let place = self.hasher.hash_one(place) as usize % TURNS;
        Turn::new(self.turns[place].clone().lock_owned().await)
    }
}
