//! How much anybody may ask for: rates by governor, counts by permits that give themselves back.

use crate::settings::Rate;
use dashmap::DashMap;
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// What a limiter says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within the limit.
    Pass,
    /// Over the limit: refuse.
    Refuse,
    /// Far over the limit: close the socket.
    Close,
}

/// The clock of all limiters. A new one asks the processor what it can do, which takes longer in a
/// virtual machine than the rest of a connection's admission.
static CLOCK: LazyLock<DefaultClock> = LazyLock::new(DefaultClock::default);

/// At this many times the limit a socket is closed (contract, section 9).
const CLOSE_FACTOR: u32 = 20;

/// The event limiter of one socket. What is refused counts on against the second limiter, which is
/// `CLOSE_FACTOR` times as wide.
#[derive(Debug)]
pub struct SocketQuota {
    refuse: DefaultDirectRateLimiter,
    close: DefaultDirectRateLimiter,
}

impl SocketQuota {
    /// A full budget.
    pub fn new(rate: Rate) -> Self {
        let quota = |factor: u32| {
            let wide = |n: NonZeroU32| n.saturating_mul(NonZeroU32::MIN.saturating_add(factor - 1));
            Quota::per_second(wide(rate.rate)).allow_burst(wide(rate.burst))
        };
        Self {
            refuse: RateLimiter::direct_with_clock(quota(1), CLOCK.clone()),
            close: RateLimiter::direct_with_clock(quota(CLOSE_FACTOR), CLOCK.clone()),
        }
    }

    /// Counts one event.
    pub fn check(&self) -> Verdict {
        let flood = self.close.check().is_err();
        if flood {
            Verdict::Close
        } else if self.refuse.check().is_err() {
            Verdict::Refuse
        } else {
            Verdict::Pass
        }
    }
}

/// What is left of a budget, for `RateLimit-*` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests that a full budget has.
    pub limit: u32,
    /// Requests left.
    pub remaining: u32,
    /// Until the budget is full again or, when refused, until the next request passes.
    pub reset: Duration,
    /// This request is within it.
    pub pass: bool,
}

/// The most keys a limiter remembers; beyond that it lets pass rather than grow (the keys are chosen
/// by clients).
const MOST_KEYS: usize = 100_000;

/// A limiter with a budget per key, an address or a user.
#[derive(Debug)]
pub struct Keyed<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>,
    limit: u32,
    period: Duration,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    /// `most` at once, and `most` per `window` on end.
    pub fn new(most: NonZeroU32, window: Duration) -> Self {
        let period = (window / most.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(period)
            .unwrap_or_else(|| Quota::per_second(most))
            .allow_burst(most);
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota, CLOCK.clone())
                .with_middleware::<StateInformationMiddleware>(),
            limit: most.get(),
            period,
        }
    }

    /// Counts one request of `key`. Beyond the most keys that are remembered, it lets pass.
    pub fn check(&self, key: &K) -> Budget {
        if self.limiter.len() >= MOST_KEYS {
            return Budget {
                limit: self.limit,
                remaining: self.limit,
                reset: Duration::ZERO,
                pass: true,
            };
        }
        match self.limiter.check_key(key) {
            Ok(left) => {
                let remaining = left.remaining_burst_capacity();
                Budget {
                    limit: self.limit,
                    remaining,
                    reset: self.period * (self.limit.saturating_sub(remaining)),
                    pass: true,
                }
            }
            Err(not_until) => Budget {
                limit: self.limit,
                remaining: 0,
                reset: not_until.wait_time_from(CLOCK.now()),
                pass: false,
            },
        }
    }

    /// Forgets keys whose budget is full again. Call it every few seconds.
    pub fn tidy(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// A limit on how many there are at once, per key.
#[derive(Debug)]
pub struct CountLimit<K: Hash + Eq + Clone> {
    counts: DashMap<K, usize>,
    most: usize,
}

/// One of those that there may be at once; dropping it gives it back.
#[derive(Debug)]
pub struct Permit<K: Hash + Eq + Clone> {
    limit: Arc<CountLimit<K>>,
    key: K,
}

impl<K: Hash + Eq + Clone> CountLimit<K> {
    /// At most `most` per key.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            counts: DashMap::new(),
            most,
        })
    }

    /// One more for `key`, unless there are as many as may be.
    pub fn take(self: &Arc<Self>, key: K) -> Option<Permit<K>> {
        {
            let mut count = self.counts.entry(key.clone()).or_insert(0);
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Permit {
            limit: self.clone(),
            key,
        })
    }
}

impl<K: Hash + Eq + Clone> Drop for Permit<K> {
    fn drop(&mut self) {
        if let Some(mut count) = self.limit.counts.get_mut(&self.key) {
            *count -= 1;
        }
        self.limit
            .counts
            .remove_if(&self.key, |_, count| *count == 0);
    }
}

/// A plain counter with a ceiling.
#[derive(Debug)]
pub struct Ceiling {
    count: AtomicUsize,
    most: usize,
}

impl Ceiling {
    /// At most `most`.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicUsize::new(0),
            most,
        })
    }

    /// One more, unless there are as many as may be.
    pub fn take(self: &Arc<Self>) -> Option<Seat> {
        self.count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < self.most).then_some(n + 1)
            })
            .ok()
            .map(|_| Seat(self.clone()))
    }
}

/// One of a [`Ceiling`]; dropping it gives it back.
#[derive(Debug)]
pub struct Seat(Arc<Ceiling>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn a_socket_is_refused_over_the_burst_and_closed_at_twenty_times_it() {
        let quota = SocketQuota::new(Rate {
            rate: n(1),
            burst: n(5),
        });
        let verdicts: Vec<Verdict> = (0..110).map(|_| quota.check()).collect();

        assert!(verdicts[..5].iter().all(|v| *v == Verdict::Pass));
        assert!(verdicts[6..99].iter().all(|v| *v == Verdict::Refuse));
        assert_eq!(verdicts[109], Verdict::Close);
    }

    #[test]
    fn a_keyed_budget_counts_down_and_says_when_to_come_back() {
        let limit = Keyed::new(n(3), Duration::from_mins(15));

        assert_eq!(limit.check(&"a").remaining, 2);
        assert!(limit.check(&"b").pass);
        assert!(limit.check(&"a").pass);
        assert!(limit.check(&"a").pass);
        let refused = limit.check(&"a");
        assert!(!refused.pass);
        assert!(
            refused.reset > Duration::from_secs(290) && refused.reset <= Duration::from_mins(5)
        );
    }

    #[test]
    fn permits_and_seats_give_themselves_back() {
        let limit = CountLimit::new(2);
        let first = limit.take("u").unwrap();
        let _second = limit.take("u").unwrap();
        assert!(limit.take("u").is_none());
        assert!(limit.take("v").is_some());
        drop(first);
        assert!(limit.take("u").is_some());

        let ceiling = Ceiling::new(1);
        let seat = ceiling.take().unwrap();
        assert!(ceiling.take().is_none());
        drop(seat);
        assert!(ceiling.take().is_some());
    }
}
