//! Side by side: makes passages and vectors once, and measures Quoin, bare tantivy and bare usearch on them. `README.md` beside
//! this file says how; `run.py` runs these and the systems in Python, each in a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program that measures: what goes wrong ends it"
)]

mod bare;
mod collection;
mod make;
mod measure;
mod quoin;

use std::path::PathBuf;

use self::collection::Collection;
use self::measure::Report;

fn main() {
    // cargo hands `--bench` to every benchmark.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["make", passages, text, folder] => make::make(
            passages.parse().unwrap(),
            &PathBuf::from(text),
            &PathBuf::from(folder),
        ),
        [system, phase, collection, folder, results] => {
            let collection = Collection::open(&PathBuf::from(collection));
            let mut report = Report::new(system, collection.passages(), &PathBuf::from(results));
            let folder = PathBuf::from(folder);
            match (system, phase) {
                ("quoin", "ingest") => quoin::ingest(&collection, &folder, &mut report),
                ("quoin", "serve") => quoin::serve(&collection, &folder, &mut report),
                ("tantivy", "ingest") => bare::text_ingest(&collection, &folder, &mut report),
                ("tantivy", "serve") => bare::text_serve(&collection, &folder, &mut report),
                ("usearch", "ingest") => bare::vector_ingest(&collection, &folder, &mut report),
                ("usearch", "serve") => bare::vector_serve(&collection, &folder, &mut report),
                _ => usage(),
            }
        }
        // Under `cargo bench` without words there is nothing to compare.
        _ => usage(),
    }
}

#[expect(clippy::print_stderr, reason = "a program that is run by hand")]
fn usage() {
    eprintln!(
        "against make PASSAGES TEXT_FOLDER FOLDER\nagainst quoin|tantivy|usearch ingest|serve COLLECTION FOLDER RESULTS\n\
         see retriever/benches/against/README.md"
    );
}
