//! Retrieval quality on BEIR folders: nDCG@10 and recall at 100 of each stage. `measure FOLDER…`
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

fn settings() -> RetrieverSettings {
    let mut settings = RetrieverSettings::default();
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<f32>().unwrap())
    };
    if let Some(weight) = number("WEIGHT") {
        settings.ranking.vector_weight = weight;
    }
    if let Some(weight) = number("RERANK_WEIGHT") {
        settings.ranking.rerank_weight = weight;
    }
    match std::env::var("FUSION").as_deref() {
        Ok("z") => settings.ranking.fusion = Fusion::ZScore,
        Ok("rrf") => settings.ranking.fusion = Fusion::ReciprocalRank,
        _ => {}
    }
    settings
}

fn main() {
    for folder in std::env::args().skip(1) {
        measure(Path::new(&folder));
    }
}

fn measure(folder: &Path) {
    let data = std::env::temp_dir().join(format!("quoin-measure-{}", std::process::id()));
    let retriever = Retriever::open(&data, settings()).unwrap();
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
    retriever
        .put_batch(inputs)
        .unwrap()
        .into_iter()
        .for_each(|stored| drop(stored.unwrap()));
    retriever.rebuild().unwrap();
    let mut judged: HashMap<String, HashMap<String, f64>> = HashMap::new();
    for line in std::fs::read_to_string(folder.join("qrels/test.tsv"))
        .unwrap()
        .lines()
        .skip(1)
    {
        let fields: Vec<&str> = line.split('\t').collect();
        let grade: f64 = fields[2].parse().unwrap();
        judged
            .entry(fields[0].into())
            .or_default()
            .insert(fields[1].into(), grade);
    }
    let mut totals = [[0.0; 2]; 4];
    let mut queries = 0.0;
    for line in lines(&folder.join("queries.jsonl")) {
        let Some(grades) = judged.get(line["_id"].as_str().unwrap()) else {
            continue;
        };
        if grades.values().all(|grade| *grade <= 0.0) {
            continue;
        }
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
    let statistics = retriever.statistics();
    println!(
        "{} documents {} passages {} queries {queries}",
        folder.display(),
        statistics.documents,
        statistics.passages
    );
    for (name, total) in ["bm25", "vector", "fused", "reranked"].iter().zip(totals) {
        println!(
            "  {name:9} nDCG@10 {:.3}  R@100 {:.3}",
            total[0] / queries,
            total[1] / queries
        );
    }
    drop(retriever);
    std::fs::remove_dir_all(data).unwrap();
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
