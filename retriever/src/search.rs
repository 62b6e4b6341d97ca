//! One search, top to bottom.

mod beside;
mod confidence;
mod duplicates;
mod explain;
mod hits;
mod neighbours;
mod types;
mod whereabouts;

use std::time::Instant;

use roaring::RoaringBitmap;

use crate::embed::{QueryToken, QueryVectors};
use crate::index::publish::{Published, Readable};
use crate::index::{Scored, analysis, best_first};
use crate::rank::fusion::{fuse, min_max};
use crate::rank::rerank::{Candidate, Reads, Reranker};
use crate::retriever::Inner;
use crate::{Access, DocumentId, RetrieverError, Timestamp};

use self::beside::beside;
pub use self::types::{
    Dropped, Explanation, Hit, Reason, SearchRequest, SearchResult, SearchTimings, Signals, Stage,
    StageRankings, Stages,
};
pub use self::whereabouts::{Listed, Whereabouts};

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

impl<'a> Asked<'a> {
    fn of(
        request: &'a SearchRequest,
        published: &'a Published,
        readable: &'a Readable,
        allowed: &'a RoaringBitmap,
    ) -> Self {
        let ranking = &published.pipeline.ranking;
        Self {
            published,
            query: &request.query,
            readable,
            allowed,
            depth: ranking.depth.max(request.top_k),
            rerank: request.rerank.unwrap_or(ranking.rerank),
        }
    }
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
        let asked = Asked::of(request, &published, &readable, &allowed);
        let ranked = self.rank(&asked)?;
        clock.lap();
        let chosen = self.choose(&ranked, &asked, request.top_k, access)?;
        let signals = confidence::signals(&asked, &ranked, &chosen.hits)?;
        let timings = SearchTimings {
            access_ms,
            fetch_ms: clock.lap(),
            total_ms: clock.total(),
            ..ranked.timings
        };
        let explanation = if request.explain {
            Some(Explanation {
                signals,
                ..self.explain(&asked, &ranked, &chosen, access)?
            })
        } else {
            None
        };
        let result = SearchResult {
            generation: published.generation,
            hits: chosen.hits,
            confidence: signals.map_or(0.0, |signals| confidence::of(&asked, signals)),
            timings,
            explanation,
        };
        Ok((result, chosen.vanished))
    }

    /// Text and vector index, fusion, reranker.
    fn rank(&self, asked: &Asked<'_>) -> Result<Ranked, RetrieverError> {
        let mut clock = Clock::start();
        let mut timings = SearchTimings::default();
        let Asked {
            published,
            query,
            readable,
            allowed,
            depth,
            ..
        } = *asked;
        let terms = analysis::query_terms(query, self.settings.limits.query_terms);
        let reranker = published.pipeline.reranker.as_deref();
        let reranker = reranker.filter(|_| asked.rerank);
        let ranking = &published.pipeline.ranking;
        let by_text = || {
            let mut clock = Clock::start();
            let list = if ranking.asks_words() {
                published.search_text(&terms, readable, allowed, depth)?
            } else {
                Vec::new()
            };
            Ok::<_, RetrieverError>((list, clock.lap()))
        };
        let by_vector = || {
            let mut clock = Clock::start();
            if !ranking.asks_vectors() && !compares_vectors(reranker) {
                return Ok((Vec::new(), QueryVectors::default(), clock.lap()));
            }
            let embedded = embed(published, query, reranker)?;
            let list = if ranking.asks_vectors() {
                published.search_vectors(&embedded.vector, allowed, depth)
            } else {
                Vec::new()
            };
            Ok::<_, RetrieverError>((list, embedded, clock.lap()))
        };
        let (text, vector) = beside(allowed.len(), by_text, by_vector);
        let (text, bm25_ms) = text?;
        let (vector, embedded, vector_ms) = vector?;
        (timings.bm25_ms, timings.vector_ms) = (bm25_ms, vector_ms);
        clock.lap();
        let fused = fuse(ranking.fusion, ranking.vector_weight, &text, &vector);
        let judged = match reranker {
            Some(reranker) => Some(self.rerank_fused(asked, &fused, reranker, embedded.tokens)?),
            None => None,
        };
        let last = match &judged {
            Some(judged) => mix(&fused, judged, ranking.rerank_weight),
            None => fused.clone(),
        };
        timings.rank_ms = clock.lap();
        Ok(Ranked {
            timings,
            terms,
            text,
            vector,
            fused,
            reranked: judged,
            last,
        })
    }

    /// The reranker's own scores of the best fused passages, in fused order.
    fn rerank_fused(
        &self,
        asked: &Asked<'_>,
        fused: &[Scored],
        reranker: &dyn Reranker,
        tokens: Vec<QueryToken>,
    ) -> Result<Vec<Scored>, RetrieverError> {
        let depth = asked.published.pipeline.ranking.rerank_depth;
        let best = &fused[..fused.len().min(depth)];
        let keys: Vec<u32> = best.iter().map(|scored| scored.0).collect();
        let candidates: Vec<Candidate> = match reranker.reads() {
            Reads::Tokens => {
                let tokens = self.catalogue.passage_tokens(&keys)?;
                tokens.into_iter().map(Candidate::Tokens).collect()
            }
            Reads::TokenVectors => {
                let vectors = self.catalogue.token_vectors(&keys)?;
                vectors.into_iter().map(Candidate::TokenVectors).collect()
            }
            Reads::Text => {
                let words = self.catalogue.passage_words(&keys)?;
                words.into_iter().map(Candidate::Text).collect()
            }
        };
        let mut query = asked.published.weigh(asked.query, asked.readable);
        query.tokens = tokens;
        let scores = reranker.score(&query, &candidates);
        Ok(keys.into_iter().zip(scores).collect())
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
        let embedded = published.pipeline.embedder.embed_query(query)?;
        let vector = published.search_vectors(&embedded, allowed, depth * 4);
        let served = self.rank(&Asked {
            published: &published,
            query,
            readable: &readable,
            allowed,
            depth: published.pipeline.ranking.depth,
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

/// A query's vector, with those of its tokens where the reranker compares them.
fn embed(
    published: &Published,
    query: &str,
    reranker: Option<&dyn Reranker>,
) -> Result<QueryVectors, RetrieverError> {
    let embedder = &published.pipeline.embedder;
    if compares_vectors(reranker) {
        return embedder.embed_query_and_tokens(query);
    }
    Ok(QueryVectors {
        vector: embedder.embed_query(query)?,
        tokens: Vec::new(),
    })
}

fn compares_vectors(reranker: Option<&dyn Reranker>) -> bool {
    reranker.is_some_and(|reranker| reranker.reads() == Reads::TokenVectors)
}

/// `(1 - weight) · fused + weight · reranked`, both scaled to 0..1; what was not reranked has 0 there, and so stays below.
fn mix(fused: &[Scored], reranked: &[Scored], weight: f32) -> Vec<Scored> {
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
