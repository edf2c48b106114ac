//! A socket's events in the order they arrived, one at a time.
//!
//! The library spawns a task for every event, which lets later ones overtake. Here an event is decided by
//! whoever brings it, unless an earlier one is still at it: then it waits in a bounded queue and the
//! earlier one's task goes on with it. An idle socket has no task and no allocation.

use parking_lot::Mutex;
use std::collections::VecDeque;

/// What to do with something that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer<T> {
    /// It is its turn: handle it, then ask [`Inbox::next`] until there is nothing left.
    Run(T),
    /// It waits; somebody else will come to it.
    Queued,
    /// There is no room.
    Full(T),
}

#[derive(Debug)]
struct State<T> {
    // Closed until the client has been told that it is connected: what was sent before that would
    // find no listener.
    open: bool,
    busy: bool,
    waiting: VecDeque<T>,
}

#[derive(Debug)]
pub(super) struct Inbox<T>(Mutex<State<T>>);

impl<T> Inbox<T> {
    /// Closed and empty.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            open: false,
            busy: false,
            waiting: VecDeque::new(),
        }))
    }

    /// Something arrived. `most` may wait; `force` ignores that.
    pub(super) fn offer(&self, item: T, most: usize, force: bool) -> Offer<T> {
        let mut state = self.0.lock();
        if state.open && !state.busy {
            state.busy = true;
            Offer::Run(item)
        } else if force || state.waiting.len() < most {
            state.waiting.push_back(item);
            Offer::Queued
        } else {
            Offer::Full(item)
        }
    }

    /// Lets what waits in. The caller has the first turn.
    pub(super) fn open(&self) {
        let mut state = self.0.lock();
        state.open = true;
        state.busy = true;
    }

    /// The next in line; without one the turn ends.
    pub(super) fn next(&self) -> Option<T> {
        let mut state = self.0.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.busy = false;
            state.waiting = VecDeque::new();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_runs_before_the_client_is_connected() {
        let inbox = Inbox::new();
        assert_eq!(inbox.offer(1, 8, false), Offer::Queued);
        assert_eq!(inbox.offer(2, 8, false), Offer::Queued);

        inbox.open();
        assert_eq!(inbox.next(), Some(1));
        assert_eq!(inbox.offer(3, 8, false), Offer::Queued);
        assert_eq!(inbox.next(), Some(2));
        assert_eq!(inbox.next(), Some(3));
        assert_eq!(inbox.next(), None);
        assert_eq!(inbox.offer(4, 8, false), Offer::Run(4));
    }

    #[test]
    fn a_full_inbox_takes_only_what_is_forced() {
        let inbox = Inbox::new();
        inbox.open();
        assert_eq!(inbox.offer(1, 1, false), Offer::Queued);
        assert_eq!(inbox.offer(2, 1, false), Offer::Full(2));
        assert_eq!(inbox.offer(3, 1, true), Offer::Queued);
        assert_eq!((inbox.next(), inbox.next()), (Some(1), Some(3)));
    }

    proptest! {
        /// Whatever the interleaving of arrivals and finished turns: everything runs once, in order,
        /// one at a time.
        #[test]
        fn order_and_exclusion_hold(steps in prop::collection::vec(any::<bool>(), 1..200)) {
            let inbox = Inbox::new();
            let (mut sent, mut run, mut running) = (0_u32, Vec::new(), false);
            inbox.open();
            prop_assert_eq!(inbox.next(), None);
            for arrives in steps {
                if arrives {
                    match inbox.offer(sent, 1000, false) {
                        Offer::Run(n) => {
                            prop_assert!(!running);
                            running = true;
                            run.push(n);
                        }
                        Offer::Queued => prop_assert!(running),
                        Offer::Full(_) => prop_assert!(false),
                    }
                    sent += 1;
                } else if running {
                    match inbox.next() {
                        Some(n) => run.push(n),
                        None => running = false,
                    }
                }
            }
            while running {
                match inbox.next() {
                    Some(n) => run.push(n),
                    None => running = false,
                }
            }
            prop_assert_eq!(run, (0..sent).collect::<Vec<_>>());
        }
    }
}
