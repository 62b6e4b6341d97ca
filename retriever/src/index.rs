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
    /// Twice as many at most: then the better half is kept.
    kept: Vec<Scored>,
    /// The worst of the better half, as of then.
    worst: Option<Scored>,
}

impl Best {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Vec::with_capacity(limit.min(4096) * 2),
            worst: None,
        }
    }

    pub(crate) fn push(&mut self, scored: Scored) {
        let is_worse = |worst: &Scored| best_first(&scored, worst).is_gt();
        if self.limit == 0 || self.worst.as_ref().is_some_and(is_worse) {
            return;
        }
        self.kept.push(scored);
        if self.kept.len() >= self.limit.saturating_mul(2) {
            let (_, worst, _) = self.kept.select_nth_unstable_by(self.limit - 1, best_first);
            self.worst = Some(*worst);
            self.kept.truncate(self.limit);
        }
    }

    /// What scores less is not kept. It rises now and then, and never falls.
    pub(crate) fn floor(&self) -> Option<f32> {
        self.worst.map(|worst| worst.1)
    }

    pub(crate) fn into_sorted(mut self) -> Vec<Scored> {
        self.kept.sort_unstable_by(best_first);
        self.kept.truncate(self.limit);
        self.kept
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
