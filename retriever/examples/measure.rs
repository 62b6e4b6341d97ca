//! Retrieval quality on BEIR folders: nDCG@10 and recall at 100 of each stage. `measure FOLDER…`
//!
//! `VARIANTS=mm:0.2:0.3,z:0.5:0.3` compares settings on one index.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a program for whoever works on ranking"
)]

use std::collections::HashMap;
use std::path::Path;

use quoin_retriever::{
    Access, Content, DocumentId, DocumentInput, Fusion, Retriever, RetrieverSettings,
};
use serde_json::Value;

fn lines(path: &Path) -> impl Iterator<Item = Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines.into_iter()
}

/// `fusion:vector weight:rerank weight`, comma-separated in `VARIANTS`; the default settings when there are none.
fn variants() -> Vec<(String, RetrieverSettings)> {
    let Ok(list) = std::env::var("VARIANTS") else {
        return vec![("default".to_owned(), RetrieverSettings::default())];
    };
    let variant = |text: &str| {
        let mut settings = RetrieverSettings::default();
        let parts: Vec<&str> = text.split(':').collect();
        settings.ranking.fusion = match parts[0] {
            "z" => Fusion::ZScore,
            "rrf" => Fusion::ReciprocalRank,
            _ => Fusion::MinMax,
        };
        settings.ranking.vector_weight = parts[1].parse().unwrap();
        settings.ranking.rerank_weight = parts[2].parse().unwrap();
        (text.to_owned(), settings)
    };
    list.split(',').map(variant).collect()
}

fn main() {
    for folder in std::env::args().skip(1) {
        let folder = Path::new(&folder);
        let data = std::env::temp_dir().join(format!("quoin-measure-{}", std::process::id()));
        ingest(folder, &data);
        let judged = judged(folder);
        for (name, settings) in variants() {
            let retriever = Retriever::open(&data, settings).unwrap();
            measure(&name, folder, &retriever, &judged);
        }
        std::fs::remove_dir_all(data).unwrap();
    }
}

fn ingest(folder: &Path, data: &Path) {
    let retriever = Retriever::open(data, RetrieverSettings::default()).unwrap();
    let inputs = lines(&folder.join("corpus.jsonl"))
        .map(|line| {
            let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let id = DocumentId::new(field("_id")).unwrap();
            DocumentInput {
                title: Some(field("title")).filter(|title| !title.is_empty()),
                acl: Some(vec!["public".into()]),
                ..DocumentInput::new(id, Content::text(field("text")))
            }
        })
        .collect();
    for stored in retriever.put_batch(inputs).unwrap() {
        stored.unwrap();
    }
    retriever.rebuild().unwrap();
    let statistics = retriever.statistics();
    println!(
        "{} documents {} passages {}",
        folder.display(),
        statistics.documents,
        statistics.passages
    );
}

type Grades = HashMap<String, f64>;

fn judged(folder: &Path) -> HashMap<String, Grades> {
    let mut judged: HashMap<String, Grades> = HashMap::new();
    let judgements = std::fs::read_to_string(folder.join("qrels/test.tsv")).unwrap();
    for line in judgements.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let grade: f64 = fields[2].parse().unwrap();
        judged
            .entry(fields[0].into())
            .or_default()
            .insert(fields[1].into(), grade);
    }
    judged.retain(|_, grades| grades.values().any(|grade| *grade > 0.0));
    judged
}

fn measure(name: &str, folder: &Path, retriever: &Retriever, judged: &HashMap<String, Grades>) {
    let mut totals = [[0.0; 2]; 4];
    let mut queries = 0.0;
    for line in lines(&folder.join("queries.jsonl")) {
        let Some(grades) = judged.get(line["_id"].as_str().unwrap()) else {
            continue;
        };
        queries += 1.0;
        let text = line["text"].as_str().unwrap();
        let rankings = retriever
            .rankings(text, 100, &Access::of(Vec::<String>::new()))
            .unwrap();
        let stages = [
            rankings.bm25,
            rankings.vector,
            rankings.fused,
            rankings.reranked,
        ];
        for (total, list) in totals.iter_mut().zip(stages) {
            total[0] += ndcg(&list, grades);
            total[1] += recall(&list, grades);
        }
    }
    let stages = ["bm25", "vector", "fused", "reranked"];
    let cell = |(stage, total): (&str, [f64; 2])| {
        format!(
            "{stage} {:.3} {:.3}",
            total[0] / queries,
            total[1] / queries
        )
    };
    let cells: Vec<String> = stages.into_iter().zip(totals).map(cell).collect();
    println!("  {name:12} {}", cells.join("  "));
}

fn ndcg(list: &[(DocumentId, f32)], grades: &HashMap<String, f64>) -> f64 {
    let discount = |rank: usize| ((rank + 2) as f64).log2();
    let gain = |(rank, (id, _)): (usize, &(DocumentId, f32))| {
        grades.get(id.as_str()).copied().unwrap_or(0.0).max(0.0) / discount(rank)
    };
    let got: f64 = list.iter().take(10).enumerate().map(gain).sum();
    let mut best: Vec<f64> = grades
        .values()
        .copied()
        .filter(|grade| *grade > 0.0)
        .collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let ideal: f64 = best
        .iter()
        .take(10)
        .enumerate()
        .map(|(rank, grade)| grade / discount(rank))
        .sum();
    got / ideal
}

fn recall(list: &[(DocumentId, f32)], grades: &HashMap<String, f64>) -> f64 {
    let relevant = grades.values().filter(|grade| **grade > 0.0).count() as f64;
    let found = list
        .iter()
        .take(100)
        .filter(|(id, _)| grades.get(id.as_str()).is_some_and(|grade| *grade > 0.0))
        .count() as f64;
    found / relevant
}
