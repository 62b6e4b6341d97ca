//! One search, top to bottom.

mod types;

use std::collections::HashMap;
use std::time::Instant;

use roaring::RoaringBitmap;

use crate::catalogue::PassageRow;
use crate::index::publish::{Published, Readable};
use crate::index::{Scored, analysis, best_first};
use crate::rank::fusion::{fuse, min_max};
use crate::rank::rerank::Candidate;
use crate::retriever::Inner;
use crate::{Access, DocumentId, PassageId, RetrieverError, Timestamp};

pub use self::types::{
    Explanation, Hit, SearchRequest, SearchResult, SearchTimings, Stage, StageRankings, Stages,
};

/// A hit whose passage vanishes while it is fetched was just replaced: the search is made again on what is there now.
const ATTEMPTS: usize = 4;

/// What the stages are asked.
struct Asked<'a> {
    published: &'a Published,
    query: &'a str,
    readable: &'a Readable,
    allowed: &'a RoaringBitmap,
    /// How many passages each first stage hands on.
    depth: usize,
    rerank: bool,
}

/// The stages' lists, before hits are fetched.
struct Ranked {
    timings: SearchTimings,
    terms: Vec<String>,
    text: Vec<Scored>,
    vector: Vec<Scored>,
    fused: Vec<Scored>,
    reranked: Option<Vec<Scored>>,
    last: Vec<Scored>,
}

impl Inner {
    pub(crate) fn search(
        &self,
        request: &SearchRequest,
        access: &Access,
    ) -> Result<SearchResult, RetrieverError> {
        self.check_request(request)?;
        let mut attempt = 1;
        loop {
            let (result, vanished) = self.search_once(request, access)?;
            if vanished == 0 || attempt == ATTEMPTS {
                return Ok(result);
            }
            attempt += 1;
            // The write that took them is on disk and about to be published.
            drop(self.lock_writing());
        }
    }

    fn check_request(&self, request: &SearchRequest) -> Result<(), RetrieverError> {
        let limits = &self.settings.limits;
        if request.query.len() > limits.query_bytes {
            return Err(RetrieverError::TooLarge {
                what: "a query",
                limit: limits.query_bytes as u64,
                got: request.query.len() as u64,
                unit: "bytes",
            });
        }
        if request.top_k == 0 || request.top_k > limits.top_k {
            return Err(RetrieverError::invalid(
                "top_k",
                format!("is 1 to {}, got {}", limits.top_k, request.top_k),
            ));
        }
        Ok(())
    }

    fn search_once(
        &self,
        request: &SearchRequest,
        access: &Access,
    ) -> Result<(SearchResult, usize), RetrieverError> {
        let mut clock = Clock::start();
        let published = self.current.load();
        let at = request.at.unwrap_or_else(Timestamp::now);
        let readable = published.readable(access, at)?;
        let allowed = published.allowed(&readable, &request.filters);
        let access_ms = clock.lap();
        let asked = Asked {
            published: &published,
            query: &request.query,
            readable: &readable,
            allowed: &allowed,
            depth: self.settings.ranking.depth.max(request.top_k),
            rerank: request.rerank.unwrap_or(self.settings.ranking.rerank),
        };
        let ranked = self.rank(&asked)?;
        clock.lap();
        let (hits, vanished) = self.fetch(&ranked, request.top_k, access)?;
        let timings = SearchTimings {
            access_ms,
            fetch_ms: clock.lap(),
            total_ms: clock.total(),
            ..ranked.timings
        };
        let explanation = request
            .explain
            .then(|| self.explain(&published, &ranked, &allowed));
        let result = SearchResult {
            generation: published.generation,
            hits,
            timings,
            explanation,
        };
        Ok((result, vanished))
    }

    /// Text and vector index, fusion, reranker.
    fn rank(&self, asked: &Asked<'_>) -> Result<Ranked, RetrieverError> {
        let mut clock = Clock::start();
        let mut timings = SearchTimings::default();
        let ranking = &self.settings.ranking;
        let Asked {
            published,
            query,
            readable,
            allowed,
            depth,
            ..
        } = *asked;
        let terms = analysis::query_terms(query, self.settings.limits.query_terms);
        let text = published.search_text(&terms, readable, allowed, depth)?;
        timings.bm25_ms = clock.lap();
        let vector =
            published.search_vectors(&published.pipeline.embedder.embed(query), allowed, depth)?;
        timings.vector_ms = clock.lap();
        let fused = fuse(ranking.fusion, ranking.vector_weight, &text, &vector);
        let reranked = if asked.rerank {
            self.rerank_fused(asked, &fused)?
        } else {
            None
        };
        let last = match &reranked {
            Some(reranked) => self.mix(&fused, reranked),
            None => fused.clone(),
        };
        timings.rank_ms = clock.lap();
        Ok(Ranked {
            timings,
            terms,
            text,
            vector,
            fused,
            reranked,
            last,
        })
    }

    /// The reranker's own scores of the best fused passages, in fused order.
    fn rerank_fused(
        &self,
        asked: &Asked<'_>,
        fused: &[Scored],
    ) -> Result<Option<Vec<Scored>>, RetrieverError> {
        let Some(reranker) = &asked.published.pipeline.reranker else {
            return Ok(None);
        };
        let best = &fused[..fused.len().min(self.settings.ranking.rerank_depth)];
        let keys: Vec<u32> = best.iter().map(|scored| scored.0).collect();
        let candidates: Vec<Candidate> = self
            .catalogue
            .passage_tokens(&keys)?
            .into_iter()
            .map(|tokens| Candidate { tokens })
            .collect();
        let query = asked.published.weigh(asked.query, asked.readable);
        let scores = reranker.score(&query, &candidates);
        Ok(Some(keys.into_iter().zip(scores).collect()))
    }

    /// `(1 - weight) · fused + weight · reranked`, both scaled to 0..1; what was not reranked has 0 there, and so stays below.
    fn mix(&self, fused: &[Scored], reranked: &[Scored]) -> Vec<Scored> {
        let weight = self.settings.ranking.rerank_weight;
        let scale = |list: &[Scored]| min_max(&list.iter().map(|s| s.1).collect::<Vec<_>>());
        let second = scale(reranked).into_iter().chain(std::iter::repeat(0.0));
        let mut mixed: Vec<Scored> = fused
            .iter()
            .zip(scale(fused))
            .zip(second)
            .map(|(((key, _), first), second)| (*key, (1.0 - weight) * first + weight * second))
            .collect();
        mixed.sort_by(best_first);
        mixed
    }

    /// Fetches the best passages, puts each to the one function that decides, and counts those that have vanished since.
    fn fetch(
        &self,
        ranked: &Ranked,
        top_k: usize,
        access: &Access,
    ) -> Result<(Vec<Hit>, usize), RetrieverError> {
        let best = &ranked.last[..ranked.last.len().min(top_k)];
        let keys: Vec<u32> = best.iter().map(|scored| scored.0).collect();
        let rows = self.catalogue.passage_rows(&keys)?;
        let text = ranks(&ranked.text);
        let vector = ranks(&ranked.vector);
        let fused = ranks(&ranked.fused);
        let reranked = ranked.reranked.as_ref().map(|list| {
            let mut list = list.clone();
            list.sort_by(best_first);
            ranks(&list)
        });
        let mut hits = Vec::with_capacity(rows.len());
        let mut vanished = 0;
        for ((key, score), row) in best.iter().zip(rows) {
            let Some(row) = row else {
                vanished += 1;
                continue;
            };
            if !access.may_read(&row.acl) {
                vanished += 1;
                continue;
            }
            let stages = Stages {
                bm25: text.get(key).copied(),
                vector: vector.get(key).copied(),
                fused: fused.get(key).copied(),
                rerank: reranked.as_ref().and_then(|ranks| ranks.get(key).copied()),
            };
            hits.push(hit(row, *score, stages));
        }
        Ok((hits, vanished))
    }

    fn explain(
        &self,
        published: &Published,
        ranked: &Ranked,
        allowed: &RoaringBitmap,
    ) -> Explanation {
        let ranking = &self.settings.ranking;
        let reranker = published
            .pipeline
            .reranker
            .as_ref()
            .filter(|_| ranked.reranked.is_some());
        Explanation {
            terms: ranked.terms.clone(),
            searchable_passages: allowed.len(),
            bm25_candidates: ranked.text.len(),
            vector_candidates: ranked.vector.len(),
            fusion: format!(
                "{:?}, vector weight {}",
                ranking.fusion, ranking.vector_weight
            ),
            reranker: reranker.map(|reranker| reranker.name()),
        }
    }

    /// What every stage makes of a query, by document.
    pub(crate) fn rankings(
        &self,
        query: &str,
        depth: usize,
        access: &Access,
    ) -> Result<StageRankings, RetrieverError> {
        let published = self.current.load();
        let readable = published.readable(access, Timestamp::now())?;
        let allowed = &readable.keys;
        let terms = analysis::query_terms(query, self.settings.limits.query_terms);
        // A document's passages share its place: more of them are needed for so many documents.
        let text = published.search_text(&terms, &readable, allowed, depth * 4)?;
        let vector = published.search_vectors(
            &published.pipeline.embedder.embed(query),
            allowed,
            depth * 4,
        )?;
        let served = self.rank(&Asked {
            published: &published,
            query,
            readable: &readable,
            allowed,
            depth: self.settings.ranking.depth,
            rerank: true,
        })?;
        let documents = |list: &[Scored]| by_document(&published, list, depth);
        Ok(StageRankings {
            bm25: documents(&text),
            vector: documents(&vector),
            fused: documents(&served.fused),
            reranked: documents(&served.last),
        })
    }
}

fn ranks(list: &[Scored]) -> HashMap<u32, Stage> {
    list.iter()
        .enumerate()
        .map(|(position, (key, score))| {
            let stage = Stage {
                rank: position + 1,
                score: *score,
            };
            (*key, stage)
        })
        .collect()
}

fn hit(row: PassageRow, score: f32, stages: Stages) -> Hit {
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
    }
}

fn by_document(published: &Published, list: &[Scored], depth: usize) -> Vec<(DocumentId, f32)> {
    let mut seen = std::collections::HashSet::new();
    let mut documents = Vec::new();
    for (key, score) in list {
        if let Some(entry) = published.roster.of_passage(*key)
            && documents.len() < depth
            && seen.insert(&entry.document.id)
        {
            documents.push((entry.document.id.clone(), *score));
        }
    }
    documents
}

struct Clock {
    start: Instant,
    last: Instant,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self {
            start: now,
            last: now,
        }
    }

    fn lap(&mut self) -> f64 {
        let before = std::mem::replace(&mut self.last, Instant::now());
        self.last.duration_since(before).as_secs_f64() * 1000.0
    }

    fn total(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1000.0
    }
}
