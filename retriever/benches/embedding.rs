//! How fast a model from a folder embeds, and its vectors, for `embedding.py`, which holds both against sentence-transformers.
//!
//! `embedding MODEL TEXTS VECTORS`: texts as a JSON object of `passages` and `queries`; vectors of the passages are written as
//! f32, one after the other. Prints a JSON object of seconds and milliseconds.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a program for whoever works on speed"
)]

use std::collections::HashMap;
use std::time::Instant;

use quoin_retriever::{EmbedderKind, Retriever, RetrieverSettings};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` adds a flag of its own.
    let [model, texts, vectors, ..] = &arguments[..] else {
        println!("embedding MODEL TEXTS VECTORS");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = RetrieverSettings {
        embedder: EmbedderKind::Folder(model.into()),
        ..RetrieverSettings::default()
    };
    let start = Instant::now();
    let retriever = Retriever::open(folder.path(), settings).unwrap();
    let open_ms = milliseconds(start);
    let texts: HashMap<String, Vec<String>> =
        serde_json::from_slice(&std::fs::read(texts).unwrap()).unwrap();
    let (passages, queries) = (&texts["passages"], &texts["queries"]);
    retriever.embed(&passages[..passages.len().min(8)]).unwrap();

    let start = Instant::now();
    let embedded = retriever.embed(passages).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let bytes: Vec<u8> = embedded
        .iter()
        .flatten()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    std::fs::write(vectors, bytes).unwrap();

    let mut query_ms: Vec<f64> = queries
        .iter()
        .map(|query| {
            let start = Instant::now();
            retriever.embed(std::slice::from_ref(query)).unwrap();
            milliseconds(start)
        })
        .collect();
    query_ms.sort_by(f64::total_cmp);
    let result = serde_json::json!({
        "open_ms": open_ms,
        "passages_per_second": passages.len() as f64 / seconds,
        "query_p50_ms": query_ms[query_ms.len() / 2],
        "query_p99_ms": query_ms[query_ms.len() * 99 / 100],
    });
    println!("{result}");
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
