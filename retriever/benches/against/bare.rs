//! The floor: tantivy alone and usearch alone, as a program would use them that needs nothing else.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions, Value,
};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{Index, Searcher, TantivyDocument, Term};
use usearch::{IndexOptions, MetricKind, ScalarKind};

use crate::collection::{Collection, DEPTH, DIMENSIONS, HITS, NARROWINGS, Narrowing, Passage};
use crate::measure::Report;

const FIELDS: [&str; 3] = ["half", "hundredth", "rare"];
const TEXT_MEMORY_BYTES: usize = 200 << 20;
const CONNECTIVITY: usize = 16;
const EXPANSION_ADD: usize = 128;
const THREADS: usize = 16;

fn schema() -> Schema {
    let mut schema = Schema::builder();
    let words = TextFieldIndexing::default()
        .set_tokenizer("en_stem")
        .set_index_option(IndexRecordOption::WithFreqs);
    let text = TextOptions::default()
        .set_indexing_options(words)
        .set_stored();
    schema.add_text_field("text", text);
    schema.add_u64_field("id", STORED);
    for field in FIELDS {
        schema.add_u64_field(field, INDEXED | FAST);
    }
    schema.build()
}

pub fn text_ingest(collection: &Collection, folder: &Path, report: &mut Report) {
    let started = Instant::now();
    let schema = schema();
    let index = Index::create_in_dir(folder, schema.clone()).unwrap();
    let mut writer = index.writer_with_num_threads(2, TEXT_MEMORY_BYTES).unwrap();
    let field = |name| schema.get_field(name).unwrap();
    for (passages, _) in collection.batches(1024) {
        for Passage {
            id,
            text,
            half,
            hundredth,
            rare,
        } in passages
        {
            let mut document = TantivyDocument::default();
            document.add_text(field("text"), text);
            document.add_u64(field("id"), id.into());
            for (name, value) in FIELDS.iter().zip([half, hundredth, rare]) {
                document.add_u64(field(name), value.into());
            }
            writer.add_document(document).unwrap();
        }
    }
    writer.commit().unwrap();
    let segments = index.searchable_segment_ids().unwrap();
    if segments.len() > 1 {
        writer.merge(&segments).wait().unwrap();
    }
    writer.wait_merging_threads().unwrap();
    report.ingested(started.elapsed(), folder);
}

pub fn text_serve(collection: &Collection, folder: &Path, report: &mut Report) {
    let started = Instant::now();
    let index = Index::open_in_dir(folder).unwrap();
    let searcher = index.reader().unwrap().searcher();
    let search = |number: usize, narrowing| {
        let found = text_search(
            &index,
            &searcher,
            &collection.queries[number].text,
            narrowing,
        );
        assert!(narrowing.is_some() || !found.is_empty());
    };
    search(0, None);
    report.say("start_ms", started.elapsed().as_secs_f64() * 1000.0);
    for (name, narrowing) in NARROWINGS {
        let search = |number| search(number, narrowing);
        report.searches(&format!("hybrid_{name}"), collection.queries.len(), &search);
    }
    report.memory("serve");
}

/// The best passages' texts.
fn text_search(
    index: &Index,
    searcher: &Searcher,
    query: &str,
    narrowing: Narrowing,
) -> Vec<String> {
    let schema = index.schema();
    let text = schema.get_field("text").unwrap();
    let mut analyser = index.tokenizers().get("en_stem").unwrap();
    let mut clauses = words(&mut analyser, text, query);
    if let Some((field, value)) = narrowing {
        let field = schema.get_field(field).unwrap();
        let words = BooleanQuery::new(std::mem::take(&mut clauses));
        let filter = TermQuery::new(
            Term::from_field_u64(field, value.into()),
            IndexRecordOption::Basic,
        );
        clauses = vec![
            (Occur::Must, Box::new(words) as Box<dyn Query>),
            (Occur::Must, Box::new(filter)),
        ];
    }
    let collector = TopDocs::with_limit(DEPTH).order_by_score();
    let found = searcher
        .search(&BooleanQuery::new(clauses), &collector)
        .unwrap();
    let texts = found.iter().take(HITS).map(|(_, address)| {
        let document: TantivyDocument = searcher.doc(*address).unwrap();
        document
            .get_first(text)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    });
    texts.collect()
}

fn words(analyser: &mut TextAnalyzer, field: Field, query: &str) -> Vec<(Occur, Box<dyn Query>)> {
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    analyser.token_stream(query).process(&mut |token| {
        if seen.insert(token.text.clone()) {
            let term = Term::from_field_text(field, &token.text);
            let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
            clauses.push((Occur::Should, Box::new(query)));
        }
    });
    clauses
}

fn vector_index() -> usearch::Index {
    let options = IndexOptions {
        dimensions: DIMENSIONS,
        metric: MetricKind::Cos,
        quantization: ScalarKind::I8,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION_ADD,
        expansion_search: DEPTH,
        multi: false,
    };
    usearch::Index::new(&options).unwrap()
}

pub fn vector_ingest(collection: &Collection, folder: &Path, report: &mut Report) {
    let started = Instant::now();
    let index = vector_index();
    index
        .reserve_capacity_and_threads(collection.passages(), THREADS)
        .unwrap();
    for (passages, vectors) in collection.batches(16 << 10) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        let Some(passage) = passages.get(place) else {
                            break;
                        };
                        index.add(passage.id.into(), &vectors[place]).unwrap();
                    }
                });
            }
        });
    }
    index.save(&folder.join("index").to_string_lossy()).unwrap();
    report.ingested(started.elapsed(), folder);
}

pub fn vector_serve(collection: &Collection, folder: &Path, report: &mut Report) {
    let started = Instant::now();
    let index = vector_index();
    index.load(&folder.join("index").to_string_lossy()).unwrap();
    index
        .reserve_capacity_and_threads(collection.passages(), THREADS)
        .unwrap();
    let search = |number: usize, count| {
        let found = index
            .search(&collection.query_vectors[number], count)
            .unwrap();
        found
            .keys
            .into_iter()
            .map(|key| key as u32)
            .collect::<Vec<_>>()
    };
    assert!(!search(0, DEPTH).is_empty());
    report.say("start_ms", started.elapsed().as_secs_f64() * 1000.0);
    report.searches("hybrid_all", collection.queries.len(), &|number| {
        assert!(!search(number, DEPTH).is_empty());
    });
    let mut fields: Vec<[u32; 3]> = vec![[0; 3]; collection.passages()];
    for (passages, _) in collection.batches(16 << 10) {
        for one in passages {
            fields[one.id as usize] = [one.half, one.hundredth, one.rare];
        }
    }
    for (name, narrowing) in NARROWINGS {
        let Some((field, value)) = narrowing else {
            continue;
        };
        let column = FIELDS.iter().position(|name| *name == field).unwrap();
        report.searches(
            &format!("hybrid_{name}"),
            collection.queries.len(),
            &|number| {
                let passes = |key: u64| fields[key as usize][column] == value;
                let query = &collection.query_vectors[number];
                index.filtered_search(query, DEPTH, passes).unwrap();
            },
        );
    }
    report.memory("serve");
    report.recall(collection, |number| search(number, DEPTH));
}
