//! Addresses that are blocked: by strikes, or at once. Everything ends by itself.

use crate::event::{BlockReason, Moment, milliseconds};
use dashmap::DashMap;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Strikes count for so long (contract, section 6).
const WINDOW: Duration = Duration::from_mins(10);
/// Addresses with strikes that are remembered; clients with many addresses must not fill the memory.
const MOST_STRUCK: usize = 100_000;

/// A blocked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Which.
    pub address: IpAddr,
    /// Why.
    pub reason: BlockReason,
    /// From when, in ms since 1970.
    pub since: u64,
    /// Until when, in ms since 1970.
    pub until: u64,
}

#[derive(Debug)]
struct Kept {
    block: Block,
    ends: Instant,
}

/// All blocked addresses, and those with strikes.
#[derive(Debug)]
pub struct Blocks {
    after: usize,
    lasts: Duration,
    struck: Mutex<HashMap<IpAddr, VecDeque<Instant>>>,
    blocked: DashMap<IpAddr, Kept>,
    begun: mpsc::UnboundedSender<Block>,
}

impl Blocks {
    /// `after` strikes block an address for as long as `lasts`. Each block that begins is received on the
    /// other end, by whoever closes what is connected from there.
    pub fn new(after: usize, lasts: Duration) -> (Arc<Self>, mpsc::UnboundedReceiver<Block>) {
        let (begun, news) = mpsc::unbounded_channel();
        let blocks = Self {
            after,
            lasts,
            struck: Mutex::default(),
            blocked: DashMap::new(),
            begun,
        };
        (Arc::new(blocks), news)
    }

    /// Counts a strike, which may be one too many.
    pub fn strike(&self, address: IpAddr, now: Moment) {
        let mut struck = self.struck.lock();
        if struck.len() >= MOST_STRUCK && !struck.contains_key(&address) {
            return;
        }
        let strikes = struck.entry(address).or_default();
        strikes.push_back(now.instant);
        forget(strikes, now.instant);
        if strikes.len() >= self.after {
            struck.remove(&address);
            drop(struck);
            self.block(address, BlockReason::Strikes, now);
        }
    }

    /// Blocks an address, unless it is.
    pub fn block(&self, address: IpAddr, reason: BlockReason, now: Moment) {
        if self.blocked(&address, now.instant) {
            return;
        }
        let block = Block {
            address,
            reason,
            since: now.unix_ms,
            until: now.unix_ms.saturating_add(milliseconds(self.lasts)),
        };
        let kept = Kept {
            block: block.clone(),
            ends: now.instant + self.lasts,
        };
        self.blocked.insert(address, kept);
        // Without a receiver the server is ending.
        let _ = self.begun.send(block);
    }

    /// Whether an address is blocked.
    pub fn blocked(&self, address: &IpAddr, now: Instant) -> bool {
        let kept = self.blocked.get(address);
        kept.is_some_and(|kept| kept.ends > now)
    }

    /// Ends a block, and forgets the strikes. False if there was none.
    pub fn lift(&self, address: &IpAddr, now: Instant) -> bool {
        self.struck.lock().remove(address);
        let kept = self.blocked.remove(address);
        kept.is_some_and(|(_, kept)| kept.ends > now)
    }

    /// All blocks, the one that ends first before the others.
    pub fn list(&self, now: Instant) -> Vec<Block> {
        let kept = self.blocked.iter().filter(|kept| kept.ends > now);
        let mut list: Vec<Block> = kept.map(|kept| kept.block.clone()).collect();
        list.sort_by_key(|block| (block.until, block.address));
        list
    }

    /// How many addresses are blocked.
    pub fn count(&self, now: Instant) -> usize {
        self.blocked.iter().filter(|kept| kept.ends > now).count()
    }

    /// Forgets what is over. Call it every few seconds.
    pub fn tidy(&self, now: Instant) {
        self.blocked.retain(|_, kept| kept.ends > now);
        self.struck.lock().retain(|_, strikes| {
            forget(strikes, now);
            !strikes.is_empty()
        });
    }
}

fn forget(strikes: &mut VecDeque<Instant>, now: Instant) {
    let over = |at: &Instant| now.saturating_duration_since(*at) >= WINDOW;
    while strikes.front().is_some_and(over) {
        strikes.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_mins(15);

    fn at(start: Instant, seconds: u64) -> Moment {
        Moment {
            instant: start + Duration::from_secs(seconds),
            unix_ms: seconds * 1000,
        }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, last])
    }

    #[test]
    fn the_fifth_strike_within_ten_minutes_blocks_for_a_while() {
        let (blocks, mut news) = Blocks::new(5, LASTS);
        let start = Instant::now();
        for second in 0..4 {
            blocks.strike(address(7), at(start, second));
        }
        assert!(!blocks.blocked(&address(7), start));
        // The first one is over by now.
        blocks.strike(address(7), at(start, 600));
        assert!(!blocks.blocked(&address(7), start));
        blocks.strike(address(7), at(start, 600));
        let block = news.try_recv().unwrap();
        assert_eq!(block.address, address(7));
        assert_eq!((block.since, block.until), (600_000, 1_500_000));
        assert!(blocks.blocked(&address(7), at(start, 1_499).instant));
        assert!(!blocks.blocked(&address(7), at(start, 1_500).instant));
        assert!(!blocks.blocked(&address(8), at(start, 700).instant));

        blocks.tidy(at(start, 1_500).instant);
        assert!(blocks.list(at(start, 601).instant).is_empty(), "forgotten");
    }

    #[test]
    fn a_block_is_begun_once_and_can_be_lifted() {
        let (blocks, mut news) = Blocks::new(5, LASTS);
        let start = Instant::now();
        blocks.block(address(7), BlockReason::Refreshes, at(start, 1));
        blocks.block(address(7), BlockReason::Strikes, at(start, 2));
        blocks.block(address(8), BlockReason::Strikes, at(start, 3));
        let now = at(start, 4).instant;
        let listed = blocks.list(now).into_iter().map(|b| (b.address, b.reason));
        let expected = [
            (address(7), BlockReason::Refreshes),
            (address(8), BlockReason::Strikes),
        ];
        assert_eq!(listed.collect::<Vec<_>>(), expected);
        assert!(news.try_recv().is_ok() && news.try_recv().is_ok());
        assert!(news.try_recv().is_err(), "once each");

        assert!(blocks.lift(&address(7), now));
        assert!(!blocks.lift(&address(7), now));
        assert_eq!(blocks.count(now), 1);
        assert!(!blocks.blocked(&address(7), now));
    }
}
