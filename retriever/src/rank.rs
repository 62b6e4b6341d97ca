//! Ranking after the first stages: fusion, reranking behind a trait, and how near single sentences are to a question.

pub(crate) mod fusion;
pub(crate) mod rerank;
pub(crate) mod sentences;

use self::rerank::Reranker;
use crate::settings::{Fusion, RankingSettings};

/// Changes whenever the same lists and settings would be put in another order.
const VERSION: &str = "rank-2";

/// How the stages of one pipeline are combined: the settings, with what they leave out filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ranking {
    pub fusion: Fusion,
    pub vector_weight: f32,
    pub depth: usize,
    pub rerank: bool,
    pub rerank_depth: usize,
    pub rerank_weight: f32,
}

impl Ranking {
    /// Whether the text index is searched: not where vectors have all the weight.
    pub(crate) fn asks_words(&self) -> bool {
        self.vector_weight < 1.0
    }

    /// Whether the vectors are searched: not where they have no weight.
    pub(crate) fn asks_vectors(&self) -> bool {
        self.vector_weight > 0.0
    }

    /// `contextual` says that the embedder's vectors are so; see [`crate::Embedder::is_contextual`].
    pub(crate) fn of(
        settings: &RankingSettings,
        contextual: bool,
        reranker: Option<&dyn Reranker>,
    ) -> Self {
        let vector_weight = if contextual { 0.45 } else { 0.25 };
        let by_default = reranker.is_some_and(Reranker::by_default);
        Self {
            fusion: settings.fusion.unwrap_or(Fusion::MinMax),
            vector_weight: settings.vector_weight.unwrap_or(vector_weight),
            depth: settings.depth,
            rerank: settings.rerank.unwrap_or(by_default),
            rerank_depth: settings
                .rerank_depth
                .unwrap_or_else(|| reranker.map_or(50, Reranker::depth)),
            rerank_weight: settings
                .rerank_weight
                .unwrap_or_else(|| reranker.map_or(0.2, Reranker::weight)),
        }
    }

    /// Fingerprint of everything that decides the order of hits, but for the reranker itself, which has a name of its own.
    pub(crate) fn fingerprint(&self, query_terms: usize) -> String {
        // By name, so that a new setting cannot be forgotten here.
        let Self {
            fusion,
            vector_weight,
            depth,
            rerank,
            rerank_depth,
            rerank_weight,
        } = self;
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
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn defaults() -> Ranking {
        Ranking::of(&RankingSettings::default(), false, None)
    }

    #[test]
    fn every_setting_shows_in_the_fingerprint() {
        type Change = fn(&mut Ranking);
        let changes: [Change; 8] = [
            |_| {},
            |ranking| ranking.fusion = Fusion::ZScore,
            |ranking| ranking.fusion = Fusion::ReciprocalRank,
            |ranking| ranking.vector_weight = 0.250_000_03,
            |ranking| ranking.depth += 1,
            |ranking| ranking.rerank = true,
            |ranking| ranking.rerank_depth += 1,
            |ranking| ranking.rerank_weight += 0.1,
        ];
        let mut seen: BTreeSet<String> = changes
            .iter()
            .map(|change| {
                let mut ranking = defaults();
                change(&mut ranking);
                ranking.fingerprint(256)
            })
            .collect();
        seen.insert(defaults().fingerprint(255));
        assert_eq!(seen.len(), changes.len() + 1, "{seen:?}");
    }

    #[test]
    fn what_the_settings_say_goes_before_what_suits_the_embedder() {
        let mut settings = RankingSettings {
            vector_weight: Some(0.9),
            rerank: Some(true),
            ..RankingSettings::default()
        };
        let ranking = Ranking::of(&settings, true, None);
        assert!(ranking.rerank && (ranking.vector_weight - 0.9).abs() < 1e-6);
        settings.fusion = Some(Fusion::ReciprocalRank);
        let ranking = Ranking::of(&settings, false, None);
        assert_eq!(ranking.fusion, Fusion::ReciprocalRank);
    }

    /// It is part of digests that are compared for years.
    #[test]
    fn the_fingerprint_of_the_defaults() {
        assert_eq!(
            defaults().fingerprint(256),
            "rank-2/terms:256/depth:200/min-max:0.25/on-demand:50:0.2"
        );
    }
}
