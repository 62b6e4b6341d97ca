//! A run: what one stage retrieved for each query, in the order in which trec_eval would read it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use crate::error::EvalError;

#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    pub document: String,
    /// Finite. trec_eval holds scores in 32 bits too, and what is equal in them is a tie.
    pub score: f32,
}

/// Rankings by query id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    rankings: BTreeMap<String, Vec<Scored>>,
}

impl Run {
    /// Takes a query's documents in any order and ranks them as trec_eval does: by descending score, and among equal scores
    /// by descending document id. Whoever retrieves with another rule for ties loses or gains by it here as there.
    pub fn insert(
        &mut self,
        query: &str,
        documents: impl IntoIterator<Item = (String, f32)>,
    ) -> Result<(), EvalError> {
        let error = |reason: String| EvalError::Run {
            query: query.to_owned(),
            reason,
        };
        let mut ranking: Vec<Scored> = documents
            .into_iter()
            .map(|(document, score)| Scored { document, score })
            .collect();
        if let Some(scored) = ranking.iter().find(|scored| !scored.score.is_finite()) {
            return Err(error(format!(
                "the score of `{}` is {}, must be finite",
                scored.document, scored.score
            )));
        }
        let mut seen = HashSet::with_capacity(ranking.len());
        if let Some(scored) = ranking
            .iter()
            .find(|scored| !seen.insert(scored.document.as_str()))
        {
            return Err(error(format!(
                "document `{}` was retrieved twice",
                scored.document
            )));
        }
        ranking.sort_by(trec_order);
        if self.rankings.insert(query.to_owned(), ranking).is_some() {
            return Err(error("was ranked before".to_owned()));
        }
        Ok(())
    }

    /// The ranking of a query; empty when nothing was retrieved for it.
    #[must_use]
    pub fn ranking(&self, query: &str) -> &[Scored] {
        self.rankings.get(query).map_or(&[], Vec::as_slice)
    }

    /// By query id.
    pub fn rankings(&self) -> impl Iterator<Item = (&str, &[Scored])> {
        self.rankings
            .iter()
            .map(|(query, ranking)| (query.as_str(), ranking.as_slice()))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rankings.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rankings.is_empty()
    }
}

fn trec_order(left: &Scored, right: &Scored) -> Ordering {
    // `+ 0.0` makes one zero of the two.
    (right.score + 0.0)
        .total_cmp(&(left.score + 0.0))
        .then_with(|| right.document.as_bytes().cmp(left.document.as_bytes()))
}
