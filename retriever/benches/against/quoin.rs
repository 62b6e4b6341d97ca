//! Quoin, with an embedder that looks the given vectors up.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use quoin_retriever::{
    Access, Content, DocumentId, DocumentInput, Embedder, Filters, Metadata, OneOrMany, Retriever,
    RetrieverError, RetrieverSettings, SearchRequest, Token,
};

use crate::collection::{Collection, DEPTH, DIMENSIONS, HITS, NARROWINGS, Narrowing, Passage};
use crate::measure::Report;

/// Documents of a call.
const BATCH: usize = 1024;

/// Vectors by text. A passage is one token, its place in the present batch, and so it is never cut.
#[derive(Default)]
struct Given {
    passages: Mutex<Batch>,
    queries: HashMap<String, Vec<f32>>,
}

#[derive(Default)]
struct Batch {
    places: HashMap<String, u32>,
    vectors: Vec<Vec<f32>>,
}

impl Embedder for Given {
    fn fingerprint(&self) -> &'static str {
        "given"
    }

    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    fn tokenize(&self, text: &str) -> Vec<Token> {
        let place = self.passages.lock().unwrap().places.get(text).copied();
        place.map(|id| Token { id, start: 0 }).into_iter().collect()
    }

    fn embed_passages(&self, passages: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, RetrieverError> {
        let batch = self.passages.lock().unwrap();
        Ok(passages
            .iter()
            .map(|tokens| batch.vectors[tokens[0] as usize].clone())
            .collect())
    }

    fn embed_query(&self, query: &str) -> Result<Vec<f32>, RetrieverError> {
        Ok(self.queries[query].clone())
    }
}

fn settings() -> RetrieverSettings {
    let mut settings = RetrieverSettings::default();
    settings.ranking.depth = DEPTH;
    settings
}

/// Access lists name the same shares of the passages as the fields do.
fn document(passage: &Passage) -> DocumentInput {
    let id = DocumentId::new(format!("passage-{}", passage.id)).unwrap();
    let mut metadata = Metadata::new();
    let mut acl = vec!["group:all".to_owned()];
    for (field, value) in [
        ("half", passage.half),
        ("hundredth", passage.hundredth),
        ("rare", passage.rare),
    ] {
        metadata.insert(field.to_owned(), value.into());
        acl.push(format!("{field}:{value}"));
    }
    DocumentInput {
        acl: Some(acl),
        metadata,
        ..DocumentInput::new(id, Content::text(passage.text.clone()))
    }
}

pub fn ingest(collection: &Collection, folder: &Path, report: &mut Report) {
    let embedder = Arc::new(Given::default());
    let started = Instant::now();
    let retriever =
        Retriever::open_with_embedder(folder, settings(), Arc::clone(&embedder) as _).unwrap();
    for (passages, vectors) in collection.batches(BATCH) {
        let places = (0..)
            .zip(&passages)
            .map(|(place, one)| (one.text.clone(), place));
        *embedder.passages.lock().unwrap() = Batch {
            places: places.collect(),
            vectors,
        };
        let stored = retriever.put_batch(passages.iter().map(document).collect());
        stored
            .unwrap()
            .into_iter()
            .for_each(|one| drop(one.unwrap()));
    }
    report.say("stored_s", started.elapsed().as_secs_f64());
    retriever.settle();
    if retriever.statistics().delta_passages > 0 {
        retriever.rebuild().unwrap();
    }
    assert_eq!(
        retriever.statistics().passages,
        collection.passages() as u64
    );
    drop(retriever);
    report.ingested(started.elapsed(), folder);
}

pub fn serve(collection: &Collection, folder: &Path, report: &mut Report) {
    let queries = collection.queries.iter().map(|query| query.text.clone());
    let embedder = Given {
        queries: queries
            .zip(collection.query_vectors.iter().cloned())
            .collect(),
        ..Given::default()
    };
    let started = Instant::now();
    let retriever = Retriever::open_with_embedder(folder, settings(), Arc::new(embedder)).unwrap();
    let opened = started.elapsed();
    let all = Access::of(["group:all"]);
    let hybrid = |number: usize, access: &Access, narrowing: Narrowing| {
        let request = request(&collection.queries[number].text, narrowing);
        let found = retriever.search(&request, access).unwrap();
        assert!(!found.hits.is_empty());
    };
    hybrid(0, &all, None);
    report.say("start_ms", started.elapsed().as_secs_f64() * 1000.0);
    report.say("open_ms", opened.as_secs_f64() * 1000.0);
    report.memory("start");
    for (name, narrowing) in NARROWINGS {
        let search = |number| hybrid(number, &all, narrowing);
        report.searches(&format!("hybrid_{name}"), collection.queries.len(), &search);
        if let Some((field, value)) = narrowing {
            let access = Access::of([format!("{field}:{value}")]);
            let search = |number| hybrid(number, &access, None);
            report.searches(&format!("access_{name}"), collection.queries.len(), &search);
        }
    }
    for (name, narrowing) in NARROWINGS {
        stages(collection, &retriever, &all, (name, narrowing), report);
    }
    report.memory("serve");
    report.recall(collection, |number| {
        // A document is one passage here, and a fourth of `DEPTH` documents takes `DEPTH` passages: as many as a search.
        let text = &collection.queries[number].text;
        let found = retriever.rankings(text, DEPTH / 4, &all).unwrap().vector;
        found.iter().map(|(id, _)| number_of(id)).collect()
    });
}

/// Where the time of a search goes: the mean of each stage.
fn stages(
    collection: &Collection,
    retriever: &Retriever,
    access: &Access,
    (narrowed, narrowing): (&str, Narrowing),
    report: &mut Report,
) {
    let mut sums = [0.0; 5];
    for query in &collection.queries {
        let timings = retriever
            .search(&request(&query.text, narrowing), access)
            .unwrap()
            .timings;
        let parts = [
            timings.access_ms,
            timings.bm25_ms,
            timings.vector_ms,
            timings.rank_ms,
            timings.fetch_ms,
        ];
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += part;
        }
    }
    for (name, sum) in ["access", "bm25", "vector", "rank", "fetch"]
        .iter()
        .zip(sums)
    {
        report.say(
            &format!("stage_{narrowed}_{name}_ms"),
            sum / collection.queries.len() as f64,
        );
    }
}

fn request(query: &str, narrowing: Narrowing) -> SearchRequest {
    let mut filters = Filters::default();
    if let Some((field, value)) = narrowing {
        let value = OneOrMany::One(value.into());
        filters.metadata.insert(field.to_owned(), value);
    }
    SearchRequest {
        filters,
        ..SearchRequest::new(query, HITS)
    }
}

fn number_of(id: &DocumentId) -> u32 {
    id.as_str().trim_start_matches("passage-").parse().unwrap()
}
