//! What no hit of a search should be: a document that the caller may not read, one that another has taken the place of or that is
//! out of date, and one that says the same as a better hit. And whether the version in effect is found, above what it replaced.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use quoin_eval::metrics::Judgements;
use quoin_retriever::{
    Access, Document, DocumentId, PUBLIC, Retriever, SearchRequest, SearchResult, Timestamp,
};

use super::corpus;
use crate::cli::failure::Failure;

const TOP_K: usize = 10;
/// Tokens that one random caller holds at most.
const TOKENS_MAX: u64 = 3;

/// Counts hits, and among them those that should not be there. Access is judged from the documents' lists as they were written,
/// and not by the function that decides it.
#[derive(Default)]
pub(super) struct Checks {
    lists: HashMap<DocumentId, BTreeSet<String>>,
    tokens: Vec<String>,
    stale: BTreeSet<DocumentId>,
    /// What a document in effect has taken the place of.
    replaced: HashMap<String, DocumentId>,
    random: u64,
    hits: u64,
    duplicates: u64,
    stale_hits: u64,
    /// Questions that a document answers which has taken another's place.
    versioned: u64,
    /// Those of them where it stands among the hits, and above what it replaced.
    current_wins: u64,
    hits_of_somebody: u64,
    leaks: u64,
}

impl Checks {
    pub(super) fn of(retriever: &Retriever) -> Result<Self, Failure> {
        let mut checks = Self {
            random: 0x9e37_79b9_7f4a_7c15,
            ..Self::default()
        };
        let now = Timestamp::now();
        let mut tokens = BTreeSet::new();
        for document in corpus::stored(retriever)? {
            checks.note(&document, now);
            tokens.extend(checks.lists[&document.id].iter().cloned());
        }
        tokens.remove(PUBLIC);
        checks.tokens = tokens.into_iter().collect();
        Ok(checks)
    }

    fn note(&mut self, document: &Document, now: Timestamp) {
        let list = document.acl.tokens().map(str::to_owned).collect();
        self.lists.insert(document.id.clone(), list);
        if document.effective_until.is_some_and(|until| until <= now) {
            self.stale.insert(document.id.clone());
        }
        if document.effective_from.is_none_or(|from| from <= now)
            && let Some(replaced) = &document.supersedes
        {
            self.stale.insert(replaced.clone());
            self.replaced
                .insert(document.id.to_string(), replaced.clone());
        }
    }

    /// Looks at the hits of whoever may read everything. `relevant` are the documents that answer, with their grades.
    pub(super) fn look(&mut self, found: &SearchResult, relevant: &Judgements) {
        let answering = relevant.iter().filter(|(_, grade)| **grade > 0);
        let rank = |id: &str| {
            let mut hits = found.hits.iter();
            hits.position(|hit| hit.document.as_str() == id)
        };
        for (current, _) in answering {
            let Some(replaced) = self.replaced.get(current) else {
                continue;
            };
            self.versioned += 1;
            let wins = rank(current)
                .is_some_and(|place| rank(replaced.as_str()).is_none_or(|old| place < old));
            self.current_wins += u64::from(wins);
        }
        for hit in &found.hits {
            self.hits += 1;
            self.duplicates += u64::from(hit.duplicate_of.is_some());
            self.stale_hits += u64::from(self.stale.contains(&hit.document));
        }
    }

    /// Searches as somebody with a few of the tokens that the documents name.
    pub(super) fn ask_as_somebody(
        &mut self,
        retriever: &Retriever,
        query: &str,
    ) -> Result<(), Failure> {
        let mut held = BTreeSet::from([PUBLIC.to_owned()]);
        for _ in 0..self.next() % (TOKENS_MAX + 1) {
            if let Some(token) = self.pick() {
                held.insert(token);
            }
        }
        let request = SearchRequest::new(query, TOP_K);
        let found = retriever.search(&request, &Access::of(held.clone()))?;
        for hit in &found.hits {
            self.hits_of_somebody += 1;
            let may = self
                .lists
                .get(&hit.document)
                .is_some_and(|list| !list.is_disjoint(&held));
            self.leaks += u64::from(!may);
        }
        Ok(())
    }

    fn pick(&mut self) -> Option<String> {
        let number = self.next();
        let count = u64::try_from(self.tokens.len())
            .ok()
            .filter(|count| *count > 0)?;
        let index = usize::try_from(number % count).ok()?;
        self.tokens.get(index).cloned()
    }

    /// xorshift: the same callers in every run.
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// The shares; without hits there are none.
    pub(super) fn shares(&self) -> BTreeMap<String, f64> {
        let shares = [
            ("acl_leak_rate", self.leaks, self.hits_of_somebody),
            ("current_version_wins", self.current_wins, self.versioned),
            ("duplicate_hit_rate", self.duplicates, self.hits),
            ("stale_hit_rate", self.stale_hits, self.hits),
        ];
        shares
            .into_iter()
            .filter(|(_, _, whole)| *whole > 0)
            .map(|(name, part, whole)| (name.to_owned(), share(part, whole)))
            .collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of hits are far below 2^53"
)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
