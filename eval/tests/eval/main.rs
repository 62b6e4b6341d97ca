//! The crate from outside: on files, and against other people's implementations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compare;
mod dataset;
mod diagnosis;
mod gates;
mod generated;
mod handbook;
mod levers;
mod pages;
mod records;
mod reference;
mod runs;
mod statistics;
#[allow(dead_code)]
#[path = "../../examples/statistics/study.rs"]
mod study;

use std::path::Path;

/// Reads a run file as trec_eval does: six columns, and the order is that of the scores.
fn read_run(path: &Path) -> quoin_eval::Run {
    let text = std::fs::read_to_string(path).unwrap();
    let mut rankings = std::collections::BTreeMap::<&str, Vec<(String, f32)>>::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [query, "Q0", document, _, score, _] = columns[..] else {
            panic!("`{line}` is no line of a run file");
        };
        let ranking = rankings.entry(query).or_default();
        ranking.push((document.to_owned(), score.parse().unwrap()));
    }
    let mut run = quoin_eval::Run::default();
    for (query, ranking) in rankings {
        run.insert(query, ranking).unwrap();
    }
    run
}
