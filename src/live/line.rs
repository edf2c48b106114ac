//! A line of people: who is at which place, in O(log n), whoever leaves in between.
//!
//! Places are counted by a Fenwick tree (P. Fenwick, "A New Data Structure for Cumulative Frequency Tables",
//! 1994) over slots in the order of arrival; slots that were left are swept out when they are the most.

use std::{collections::HashMap, sync::Arc};

/// Fewer slots than that are not worth sweeping.
const FEW: usize = 64;

/// People in the order in which they came, each once.
#[derive(Debug)]
pub(super) struct Line<T> {
    slots: Vec<Option<(Arc<str>, T)>>,
    /// Of the slots before and at each: how many are taken, as a Fenwick tree.
    counts: Vec<u32>,
    by_name: HashMap<Arc<str>, usize>,
    /// Every slot before this one was left.
    front: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            counts: Vec::new(),
            by_name: HashMap::new(),
            front: 0,
        }
    }
}

impl<T> Line<T> {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Puts somebody who is not in the line at its end.
    pub(super) fn push(&mut self, name: Arc<str>, value: T) {
        self.by_name.insert(name.clone(), self.slots.len());
        self.slots.push(Some((name, value)));
        // A new node counts itself and what the nodes below it count.
        let node = self.slots.len();
        let mut count = 1;
        let mut below = node - 1;
        while below > node - lowest_bit(node) {
            count += self.count(below);
            below -= lowest_bit(below);
        }
        self.counts.push(count);
    }

    /// The place of somebody in the line, from 1.
    pub(super) fn position(&self, name: &str) -> Option<u64> {
        let slot = *self.by_name.get(name)?;
        let (mut node, mut position) = (slot + 1, 0);
        while node > 0 {
            position += u64::from(self.count(node));
            node -= lowest_bit(node);
        }
        Some(position)
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let slot = *self.by_name.get(name)?;
        let (_, value) = self.slots.get(slot)?.as_ref()?;
        Some(value)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let slot = *self.by_name.get(name)?;
        let (_, value) = self.slots.get_mut(slot)?.as_mut()?;
        Some(value)
    }

    /// Everybody in the line, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten().map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<T> {
        let slot = self.by_name.remove(name)?;
        self.leave(slot)
    }

    /// Takes out whoever came first.
    pub(super) fn pop(&mut self) -> Option<T> {
        while self.slots.get(self.front)?.is_none() {
            self.front += 1;
        }
        let (name, _) = self.slots.get(self.front)?.as_ref()?;
        self.by_name.remove(&name.clone());
        self.leave(self.front)
    }

    fn leave(&mut self, slot: usize) -> Option<T> {
        let (_, value) = self.slots.get_mut(slot)?.take()?;
        let mut node = slot + 1;
        while let Some(count) = self.counts.get_mut(node - 1) {
            *count -= 1;
            node += lowest_bit(node);
        }
        if self.slots.len() > FEW && self.slots.len() > 2 * self.len() {
            self.sweep();
        }
        Some(value)
    }

    fn sweep(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        self.counts.clear();
        self.front = 0;
        for (name, value) in slots.into_iter().flatten() {
            self.push(name, value);
        }
        self.slots.shrink_to(2 * FEW.max(self.by_name.len()));
        self.counts.shrink_to(2 * FEW.max(self.by_name.len()));
        self.by_name.shrink_to(2 * FEW.max(self.by_name.len()));
    }

    /// The count of a node; nodes are numbered from 1.
    fn count(&self, node: usize) -> u32 {
        self.counts.get(node - 1).copied().unwrap_or_default()
    }
}

/// Of a number that is not 0.
fn lowest_bit(number: usize) -> usize {
    number & number.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(u16),
        Remove(u16),
        Pop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..400_u16).prop_map(Step::Push),
            3 => (0..400_u16).prop_map(Step::Remove),
            2 => Just(Step::Pop),
        ]
    }

    proptest! {
        /// Whoever comes and goes: the same order and the same places as in a plain list.
        #[test]
        fn a_line_is_a_list(steps in prop::collection::vec(step(), 1..1500)) {
            let mut line = Line::default();
            let mut list: Vec<u16> = Vec::new();
            for step in steps {
                match step {
                    Step::Push(n) if list.contains(&n) => {}
                    Step::Push(n) => {
                        line.push(n.to_string().into(), n);
                        list.push(n);
                    }
                    Step::Remove(n) => {
                        let before = list.len();
                        list.retain(|m| *m != n);
                        prop_assert_eq!(line.remove(&n.to_string()).is_some(), list.len() < before);
                    }
                    Step::Pop => {
                        let first = (!list.is_empty()).then(|| list.remove(0));
                        prop_assert_eq!(line.pop(), first);
                    }
                }
                prop_assert_eq!(line.len(), list.len());
            }
            prop_assert!(line.iter().eq(&list));
            for (place, n) in (1_u64..).zip(&list) {
                prop_assert_eq!(line.position(&n.to_string()), Some(place));
                prop_assert_eq!(line.get(&n.to_string()), Some(n));
            }
            prop_assert_eq!(line.position("nobody"), None);
        }
    }

    #[test]
    fn slots_that_were_left_are_swept_out() {
        let mut line = Line::default();
        line.push("first".into(), 0);
        for n in 0..100_000 {
            line.push(n.to_string().into(), n);
            line.remove(&n.to_string());
        }
        assert!(line.slots.len() <= 2 * FEW);
        assert_eq!(line.position("first"), Some(1));
    }
}
