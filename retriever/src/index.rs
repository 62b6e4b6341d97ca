//! The two indexes and how they are published together.
//!
//! A snapshot is an immutable pair of text and vector index on disk; a delta in memory holds what was written since. A
//! [`publish::Published`] joins both with the roster of live documents, and one search sees one of it.

pub(crate) mod analysis;
pub(crate) mod delta;
pub(crate) mod publish;
pub(crate) mod roster;
pub(crate) mod snapshot;
pub(crate) mod text;
pub(crate) mod vector;

/// A passage as the indexes need it.
#[derive(Clone, Debug)]
pub(crate) struct IndexedPassage {
    /// Never given to another passage, also after this one is gone.
    pub key: u32,
    /// What the text index reads: title, headings, context and the passage.
    pub words: String,
    pub vector: crate::index::vector::Vector,
}

/// A passage's key with its score in one stage, best first where there are several.
pub(crate) type Scored = (u32, f32);

/// Best first; equal scores by key, so that the same index always gives the same order.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "handed to sort, which passes references"
)]
pub(crate) fn best_first(a: &Scored, b: &Scored) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// How many of the ascending `keys` are below `key`; cheap when it is few.
pub(crate) fn gallop(keys: &[u32], key: u32) -> usize {
    let mut step = 1;
    let mut low = 0;
    while low + step < keys.len() && keys[low + step] < key {
        low += step;
        step *= 2;
    }
    let high = (low + step + 1).min(keys.len());
    low + keys[low..high].partition_point(|other| *other < key)
}

/// Keeps the best `limit` of what it is given.
pub(crate) struct Best {
    limit: usize,
    heap: std::collections::BinaryHeap<Worst>,
}

struct Worst(Scored);

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Worst {}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        best_first(&self.0, &other.0)
    }
}

impl Best {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            heap: std::collections::BinaryHeap::with_capacity(limit.min(4096) + 1),
        }
    }

    pub(crate) fn push(&mut self, scored: Scored) {
        if self.heap.len() < self.limit {
            self.heap.push(Worst(scored));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && best_first(&scored, &worst.0).is_lt()
        {
            *worst = Worst(scored);
        }
    }

    /// The score that the next one must reach to be kept.
    pub(crate) fn floor(&self) -> Option<f32> {
        (self.heap.len() >= self.limit)
            .then(|| self.heap.peek().map(|worst| worst.0.1))
            .flatten()
    }

    pub(crate) fn into_sorted(self) -> Vec<Scored> {
        let mut all: Vec<Scored> = self.heap.into_iter().map(|worst| worst.0).collect();
        all.sort_unstable_by(best_first);
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_those_that_sorting_puts_first(
            scores in proptest::collection::vec(0_u8..8, 0..60), limit in 0_usize..20
        ) {
            let all: Vec<Scored> = (0_u32..).zip(scores.iter().map(|s| f32::from(*s))).collect();
            let mut best = Best::new(limit);
            for scored in &all {
                best.push(*scored);
            }
            let mut want = all.clone();
            want.sort_by(best_first);
            want.truncate(limit);
            prop_assert_eq!(best.into_sorted(), want);
        }
    }
}
