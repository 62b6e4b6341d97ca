//! Fusion: two ranked lists become one.
//!
//! Min-max is the default. The weight of vectors is .25 for the static embedder, where more gains on two collections of five and
//! loses on two, and .45 for transformers. Equal-weight reciprocal rank loses to BM25 alone with the first; z-scores are as good
//! with both, but say nothing about a passage that alone has the words: it is its own mean.

use std::collections::HashMap;

use crate::index::{Scored, best_first};
use crate::settings::Fusion;

/// Of reciprocal-rank fusion (Cormack, Clarke and Büttcher, 2009).
const RECIPROCAL_RANK_CONSTANT: f32 = 60.0;

/// Combines two lists, each best first. `weight` is the share of `vector`, 0 to 1. What only one list has gets the other's floor.
pub(crate) fn fuse(kind: Fusion, weight: f32, text: &[Scored], vector: &[Scored]) -> Vec<Scored> {
    let (text_scaled, text_floor) = scaled(kind, text);
    let (vector_scaled, vector_floor) = scaled(kind, vector);
    let mut both: HashMap<u32, (f32, f32)> = HashMap::with_capacity(text.len() + vector.len());
    for ((key, _), score) in text.iter().zip(text_scaled) {
        both.insert(*key, (score, vector_floor));
    }
    for ((key, _), score) in vector.iter().zip(vector_scaled) {
        both.entry(*key).or_insert((text_floor, score)).1 = score;
    }
    let mut fused: Vec<Scored> = both
        .into_iter()
        .map(|(key, (text, vector))| (key, (1.0 - weight) * text + weight * vector))
        .collect();
    fused.sort_unstable_by(best_first);
    fused
}

/// Scores brought to a common scale, and what a passage gets that the list does not have.
fn scaled(kind: Fusion, list: &[Scored]) -> (Vec<f32>, f32) {
    let scores: Vec<f32> = list.iter().map(|scored| scored.1).collect();
    match kind {
        Fusion::ReciprocalRank => {
            #[expect(clippy::cast_precision_loss, reason = "a rank")]
            let by_rank = |rank: usize| 1.0 / (RECIPROCAL_RANK_CONSTANT + rank as f32);
            ((1..=scores.len()).map(by_rank).collect(), 0.0)
        }
        Fusion::MinMax => (min_max(&scores), 0.0),
        Fusion::ZScore => {
            let scaled = z_score(&scores);
            let floor = scaled.iter().copied().fold(0.0, f32::min);
            (scaled, floor)
        }
    }
}

/// `(s - min) / (max - min)`; where all are equal, 1.
pub(crate) fn min_max(scores: &[f32]) -> Vec<f32> {
    let most = scores.iter().copied().fold(f32::MIN, f32::max);
    let least = scores.iter().copied().fold(f32::MAX, f32::min);
    let span = most - least;
    let scale = |score: &f32| {
        if span > 1e-9 {
            (score - least) / span
        } else {
            1.0
        }
    };
    scores.iter().map(scale).collect()
}

/// `(s - mean) / standard deviation`; where all are equal, 0.
fn z_score(scores: &[f32]) -> Vec<f32> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "the length of a list of candidates"
    )]
    let count = scores.len().max(1) as f32;
    let mean = scores.iter().sum::<f32>() / count;
    let variance = scores.iter().map(|s| (s - mean) * (s - mean)).sum::<f32>() / count;
    let deviation = variance.sqrt();
    let scale = |score: &f32| {
        if deviation > 1e-9 {
            (score - mean) / deviation
        } else {
            0.0
        }
    };
    scores.iter().map(scale).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [Fusion; 3] = [Fusion::ReciprocalRank, Fusion::MinMax, Fusion::ZScore];

    fn list() -> impl Strategy<Value = Vec<Scored>> {
        proptest::collection::btree_map(0_u32..30, -5.0_f32..30.0, 0..25).prop_map(|map| {
            let mut list: Vec<Scored> = map.into_iter().collect();
            list.sort_unstable_by(best_first);
            list
        })
    }

    proptest! {
        #[test]
        fn every_candidate_comes_out_once_best_first(text in list(), vector in list(), weight in 0.0_f32..=1.0) {
            for kind in KINDS {
                let fused = fuse(kind, weight, &text, &vector);
                let mut keys: Vec<u32> = fused.iter().map(|s| s.0).collect();
                prop_assert!(fused.is_sorted_by(|a, b| best_first(a, b).is_le()));
                prop_assert!(fused.iter().all(|s| s.1.is_finite()));
                keys.sort_unstable();
                let mut want: Vec<u32> = text.iter().chain(&vector).map(|s| s.0).collect();
                want.sort_unstable();
                want.dedup();
                prop_assert_eq!(keys, want);
            }
        }

        #[test]
        fn better_in_both_lists_is_never_worse_in_the_fused_one(text in list(), vector in list(), weight in 0.0_f32..=1.0) {
            let rank = |list: &[Scored], key| list.iter().position(|s| s.0 == key).unwrap_or(usize::MAX);
            for kind in KINDS {
                let fused = fuse(kind, weight, &text, &vector);
                for (at, worse) in fused.iter().enumerate() {
                    for better in &fused[..at] {
                        // `worse` stands below: so it must not be strictly better in both.
                        let strictly = rank(&text, worse.0) < rank(&text, better.0)
                            && rank(&vector, worse.0) < rank(&vector, better.0);
                        prop_assert!(!strictly || (worse.1 - better.1).abs() < 1e-5);
                    }
                }
            }
        }

        #[test]
        fn scale_and_shift_of_a_list_do_not_matter(text in list(), vector in list(), shift in -3.0_f32..3.0) {
            let moved: Vec<Scored> = vector.iter().map(|s| (s.0, s.1 * 2.0 + shift)).collect();
            for kind in KINDS {
                let (a, b) = (fuse(kind, 0.3, &text, &vector), fuse(kind, 0.3, &text, &moved));
                for (x, y) in a.iter().zip(&b) {
                    prop_assert!((x.1 - y.1).abs() < 1e-3, "{:?} {:?} {:?}", kind, x, y);
                }
            }
        }
    }

    #[test]
    fn one_empty_list_leaves_the_order_of_the_other() {
        let text = [(3, 9.0), (1, 5.0), (2, 1.0)];
        for kind in KINDS {
            let keys: Vec<u32> = fuse(kind, 0.2, &text, &[]).iter().map(|s| s.0).collect();
            assert_eq!(keys, [3, 1, 2]);
            assert!(fuse(kind, 0.2, &[], &[]).is_empty());
        }
    }
}
