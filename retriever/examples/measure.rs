//! Ranking on collections in BEIR's layout: nDCG@10 and R@100 of every stage.
//!
//! `measure [--embedder FOLDER] [--reranker off|late-interaction|FOLDER] [--fusion rrf|min-max|z-score] [--vector-weight W]
//! [--rerank-weight W] [--rerank-depth N] [--questions N] [--keep FOLDER] COLLECTION…`. What is kept under `--keep` is not embedded again.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a program for whoever works on ranking"
)]

mod beir;

use std::path::{Path, PathBuf};
use std::time::Instant;

use quoin_retriever::{
    Access, DocumentId, EmbedderKind, Fusion, RerankerKind, Retriever, RetrieverSettings,
};

use self::beir::Judged;

struct Options {
    settings: RetrieverSettings,
    questions: usize,
    keep: Option<PathBuf>,
    collections: Vec<PathBuf>,
}

fn main() {
    let options = options(std::env::args().skip(1));
    println!(
        "| collection | questions | BM25 | vector | fused | reranked | R@100 fused | ms a question |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for collection in &options.collections {
        measure(collection, &options);
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Options {
    let mut options = Options {
        settings: RetrieverSettings::default(),
        questions: usize::MAX,
        keep: None,
        collections: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap();
        let settings = &mut options.settings;
        match argument.as_str() {
            "--embedder" => settings.embedder = EmbedderKind::Folder(value().into()),
            "--reranker" => settings.ranking.reranker = reranker(value()),
            "--fusion" => settings.ranking.fusion = Some(fusion(&value())),
            "--vector-weight" => settings.ranking.vector_weight = Some(value().parse().unwrap()),
            "--rerank-weight" => settings.ranking.rerank_weight = Some(value().parse().unwrap()),
            "--rerank-depth" => settings.ranking.rerank_depth = Some(value().parse().unwrap()),
            "--questions" => options.questions = value().parse().unwrap(),
            "--keep" => options.keep = Some(value().into()),
            _ => options.collections.push(argument.into()),
        }
    }
    options
}

fn reranker(name: String) -> RerankerKind {
    match name.as_str() {
        "off" => RerankerKind::Off,
        "late-interaction" => RerankerKind::LateInteraction,
        _ => RerankerKind::CrossEncoder(name.into()),
    }
}

fn fusion(name: &str) -> Fusion {
    match name {
        "rrf" => Fusion::ReciprocalRank,
        "min-max" => Fusion::MinMax,
        "z-score" => Fusion::ZScore,
        _ => panic!("`--fusion` is rrf, min-max or z-score"),
    }
}

fn measure(collection: &Path, options: &Options) {
    let name = collection.file_name().unwrap().to_string_lossy();
    let temporary = tempfile::tempdir().unwrap();
    let data = match &options.keep {
        Some(folder) => folder.join(name.as_ref()),
        None => temporary.path().to_owned(),
    };
    std::fs::create_dir_all(&data).unwrap();
    let retriever = Retriever::open(&data, options.settings.clone()).unwrap();
    for stored in retriever.put_batch(beir::documents(collection)).unwrap() {
        stored.unwrap();
    }
    retriever.settle();
    let judged = beir::judged(collection);
    let questions = beir::questions(collection, options.questions);
    let mut gains = [0.0; 4];
    let mut recall = 0.0;
    let mut elapsed = 0.0;
    for (id, text) in &questions {
        let start = Instant::now();
        let stages = retriever.rankings(text, 100, &Access::admin()).unwrap();
        elapsed += start.elapsed().as_secs_f64() * 1000.0;
        let lists = [
            &stages.bm25,
            &stages.vector,
            &stages.fused,
            &stages.reranked,
        ];
        for (gain, list) in gains.iter_mut().zip(lists) {
            *gain += ndcg(list, &judged[id]);
        }
        let found = |(document, _): &&(DocumentId, f32)| judged[id].contains_key(document.as_str());
        let hits = stages.fused.iter().take(100).filter(found).count();
        recall += hits as f64 / judged[id].len() as f64;
    }
    let count = questions.len() as f64;
    let [bm25, vector, fused, reranked] = gains.map(|gain| gain / count);
    println!(
        "| {name} | {count} | {bm25:.4} | {vector:.4} | {fused:.4} | {reranked:.4} | {:.4} | {:.1} |",
        recall / count,
        elapsed / count
    );
}

/// nDCG@10 with linear gains, as `trec_eval` has it.
fn ndcg(list: &[(DocumentId, f32)], judged: &Judged) -> f64 {
    let discounted = |grades: &mut dyn Iterator<Item = f64>| -> f64 {
        let grades = grades.take(10).enumerate();
        grades
            .map(|(rank, grade)| grade / (rank as f64 + 2.0).log2())
            .sum()
    };
    let grade = |document: &DocumentId| judged.get(document.as_str()).copied().unwrap_or(0.0);
    let mut ideal: Vec<f64> = judged.values().copied().collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let got = discounted(&mut list.iter().map(|(document, _)| grade(document)));
    got / discounted(&mut ideal.into_iter())
}
