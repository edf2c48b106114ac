//! A circuit breaker: after too many failures in a row nothing is tried for a while, then one try decides.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// So many failures in a row.
const FAILURES: u32 = 5;

/// What a try is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// One of many.
    Normal,
    /// The one that decides.
    Trial,
}

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// Closed; it opens for as long as `pause`.
    pub fn new(pause: Duration) -> Self {
        Self {
            pause,
            state: Mutex::default(),
        }
    }

    /// Whether one may try now. After a pause that is one, whose end decides; the others wait for another pause,
    /// in case it has none.
    pub fn admits(&self, now: Instant) -> Option<Try> {
        let mut state = self.state.lock();
        match state.open_until {
            None => Some(Try::Normal),
            Some(until) if now < until => None,
            Some(_) => {
                state.open_until = Some(now + self.pause);
                Some(Try::Trial)
            }
        }
    }

    /// A try went well.
    pub fn succeeded(&self) {
        *self.state.lock() = State::default();
    }

    /// A try failed.
    pub fn failed(&self, now: Instant) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.open_until = Some(now + self.pause);
        }
    }

    /// Whether it is open.
    pub fn is_open(&self, now: Instant) -> bool {
        self.state
            .lock()
            .open_until
            .is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_open_it_and_one_success_closes_it() {
        let pause = Duration::from_secs(30);
        let breaker = Breaker::new(pause);
        let start = Instant::now();
        for _ in 0..4 {
            breaker.failed(start);
        }
        breaker.succeeded();
        for _ in 0..4 {
            breaker.failed(start);
        }
        assert_eq!(breaker.admits(start), Some(Try::Normal), "not in a row");
        breaker.failed(start);
        assert!(breaker.is_open(start));
        assert_eq!(breaker.admits(start + pause / 2), None);

        let later = start + pause;
        assert_eq!(breaker.admits(later), Some(Try::Trial), "one tries");
        assert_eq!(breaker.admits(later), None, "the others wait");
        breaker.failed(later);
        assert_eq!(breaker.admits(later + pause / 2), None, "open again");
        assert_eq!(breaker.admits(later + pause), Some(Try::Trial));
        breaker.succeeded();
        assert_eq!(breaker.admits(later + pause), Some(Try::Normal));
        assert!(!breaker.is_open(later + pause));
    }
}
