//! From ranked passages to hits: fetched, checked by the one function that decides, near-duplicates behind the rest.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::duplicates::{Seen, Sketch, words_asked};
use super::{Asked, Hit, Ranked, Stage, Stages};
use crate::catalogue::PassageRow;
use crate::index::roster::Roster;
use crate::index::{Scored, best_first};
use crate::retriever::Inner;
use crate::{Access, PassageId, RetrieverError, Timestamp};

/// Passages that are looked at beyond `top_k` to fill the places of near-duplicates.
const LOOKED_AT_BEYOND: usize = 200;

/// Near-duplicates that a hit names.
const NAMED_DUPLICATES: usize = 16;

/// The metadata field by which a document says that it is the one to show among those that say the same.
const CANONICAL: &str = "canonical";

/// The hits, and what became of the passages that were looked at.
pub(super) struct Chosen {
    pub hits: Vec<Hit>,
    /// Keys of near-duplicates that are no hits, with the hit that says the same.
    pub set_aside: HashMap<u32, PassageId>,
    /// Passages that were gone, or closed to the caller, when they were fetched.
    pub vanished: usize,
}

/// What each stage made of the passages, by key.
pub(super) struct Places {
    text: HashMap<u32, Stage>,
    vector: HashMap<u32, Stage>,
    fused: HashMap<u32, Stage>,
    reranked: Option<HashMap<u32, Stage>>,
}

impl Places {
    pub(super) fn of(ranked: &Ranked) -> Self {
        Self {
            text: places(&ranked.text),
            vector: places(&ranked.vector),
            fused: places(&ranked.fused),
            reranked: ranked.reranked.as_ref().map(|list| {
                let mut list = list.clone();
                list.sort_by(best_first);
                places(&list)
            }),
        }
    }

    pub(super) fn stages(&self, key: u32) -> Stages {
        let reranked = self.reranked.as_ref();
        Stages {
            bm25: self.text.get(&key).copied(),
            vector: self.vector.get(&key).copied(),
            fused: self.fused.get(&key).copied(),
            rerank: reranked.and_then(|places| places.get(&key).copied()),
        }
    }
}

fn places(list: &[Scored]) -> HashMap<u32, Stage> {
    let place = |(position, (key, score)): (usize, &Scored)| {
        let rank = position + 1;
        (
            *key,
            Stage {
                rank,
                score: *score,
            },
        )
    };
    list.iter().enumerate().map(place).collect()
}

/// A passage and those that say the same, best first.
struct Group {
    score: f32,
    members: Vec<(u32, Hit)>,
}

impl Inner {
    /// Fetches passages, best first, until `top_k` of them say different things; near-duplicates fill what is left.
    pub(super) fn choose(
        &self,
        ranked: &Ranked,
        asked: &Asked<'_>,
        top_k: usize,
        access: &Access,
    ) -> Result<Chosen, RetrieverError> {
        let places = Places::of(ranked);
        let words = words_asked(asked.query);
        let mut seen = Seen::default();
        let mut groups: Vec<Group> = Vec::with_capacity(top_k);
        let mut vanished = 0;
        let mut rest = &ranked.last[..ranked.last.len().min(top_k + LOOKED_AT_BEYOND)];
        while groups.len() < top_k && !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(top_k - groups.len()));
            rest = later;
            let keys: Vec<u32> = now.iter().map(|scored| scored.0).collect();
            for (scored, row) in now.iter().zip(self.catalogue.passage_rows(&keys)?) {
                let Some(row) = row.filter(|row| access.may_read(&row.acl)) else {
                    vanished += 1;
                    continue;
                };
                let hit = hit(row, scored.1, places.stages(scored.0));
                let around = hit.title.iter().chain(&hit.heading).map(String::as_str);
                match seen.or_add(Sketch::new(&hit.text, around, &words)) {
                    Some(group) => groups[group].members.push((scored.0, hit)),
                    None => groups.push(Group {
                        score: scored.1,
                        members: vec![(scored.0, hit)],
                    }),
                }
            }
        }
        let (hits, set_aside) = lay_out(groups, &asked.published.roster, top_k);
        Ok(Chosen {
            hits,
            set_aside,
            vanished,
        })
    }
}

/// One hit a group, and after them, where places are left, the others.
fn lay_out(
    groups: Vec<Group>,
    roster: &Roster,
    top_k: usize,
) -> (Vec<Hit>, HashMap<u32, PassageId>) {
    let mut hits = Vec::with_capacity(top_k);
    let mut others = Vec::new();
    for group in groups {
        let mut members = group.members;
        // Stable: among equals the best ranked one.
        members.sort_by_key(|(key, _)| Reverse(standing(roster, *key)));
        let mut members = members.into_iter();
        let Some((_, mut first)) = members.next() else {
            continue;
        };
        first.score = group.score;
        for (key, mut other) in members {
            if first.duplicates.len() < NAMED_DUPLICATES {
                first.duplicates.push(other.passage.clone());
            }
            other.duplicate_of = Some(first.passage.clone());
            others.push((key, other));
        }
        hits.push(first);
    }
    others.sort_by(|(left, a), (right, b)| best_first(&(*left, a.score), &(*right, b.score)));
    let mut set_aside = HashMap::new();
    for (key, mut other) in others {
        if hits.len() < top_k {
            // Scores never rise down the list.
            other.score = hits
                .last()
                .map_or(other.score, |last: &Hit| last.score.min(other.score));
            hits.push(other);
        } else if let Some(of) = other.duplicate_of {
            set_aside.insert(key, of);
        }
    }
    (hits, set_aside)
}

/// Which of several documents that say the same is shown: one that says it is canonical, then the one in effect from later on.
fn standing(roster: &Roster, key: u32) -> (bool, i64) {
    let Some(entry) = roster.of_passage(key) else {
        return (false, i64::MIN);
    };
    let document = &entry.document;
    let canonical = document.metadata.get(CANONICAL) == Some(&true.into());
    let from = document
        .effective_from
        .map_or(i64::MIN, Timestamp::as_milliseconds);
    (canonical, from)
}

pub(super) fn hit(row: PassageRow, score: f32, stages: Stages) -> Hit {
    Hit {
        passage: PassageId::new(&row.document, row.position),
        document: row.document,
        version: row.version,
        title: row.title,
        uri: row.uri,
        heading: row.heading,
        text: row.text,
        start: row.start_char,
        end: row.end_char,
        page: row.page,
        position: row.position,
        score,
        stages,
        duplicates: Vec::new(),
        duplicate_of: None,
    }
}
