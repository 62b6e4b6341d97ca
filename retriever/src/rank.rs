//! Ranking after the first stages: fusion, and reranking behind a trait.

pub(crate) mod fusion;
pub(crate) mod rerank;

use crate::settings::{Fusion, RankingSettings};

/// Changes whenever the same lists and settings would be put in another order.
const VERSION: &str = "rank-2";

/// Fingerprint of everything that decides the order of hits, but for the reranker itself, which has a name of its own.
pub(crate) fn pipeline(settings: &RankingSettings, query_terms: usize) -> String {
    // By name, so that a new setting cannot be forgotten here.
    let RankingSettings {
        fusion,
        vector_weight,
        depth,
        reranker: _,
        rerank,
        rerank_depth,
        rerank_weight,
    } = settings;
    let fusion = match fusion {
        Fusion::ReciprocalRank => "reciprocal-rank",
        Fusion::MinMax => "min-max",
        Fusion::ZScore => "z-score",
    };
    let rerank = if *rerank { "reranked" } else { "on-demand" };
    format!(
        "{VERSION}/terms:{query_terms}/depth:{depth}/{fusion}:{vector_weight}/{rerank}:{rerank_depth}:{rerank_weight}"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_setting_shows_in_the_fingerprint() {
        type Change = fn(&mut RankingSettings);
        let changes: [Change; 8] = [
            |_| {},
            |settings| settings.fusion = Fusion::ZScore,
            |settings| settings.fusion = Fusion::ReciprocalRank,
            |settings| settings.vector_weight = 0.250_000_03,
            |settings| settings.depth += 1,
            |settings| settings.rerank = true,
            |settings| settings.rerank_depth += 1,
            |settings| settings.rerank_weight += 0.1,
        ];
        let mut seen: BTreeSet<String> = changes
            .iter()
            .map(|change| {
                let mut settings = RankingSettings::default();
                change(&mut settings);
                pipeline(&settings, 256)
            })
            .collect();
        seen.insert(pipeline(&RankingSettings::default(), 255));
        assert_eq!(seen.len(), changes.len() + 1, "{seen:?}");
    }

    /// It is part of digests that are compared for years.
    #[test]
    fn the_fingerprint_of_the_defaults() {
        assert_eq!(
            pipeline(&RankingSettings::default(), 256),
            "rank-2/terms:256/depth:200/min-max:0.25/on-demand:50:0.2"
        );
    }
}
