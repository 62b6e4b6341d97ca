//! The bundled model beside the extractive rule, on the questions of the sample handbook:
//! `cargo bench -p quoin --bench handbook`.
//!
//! A question counts as found when a citation overlaps a gold quote, in the same document. Each is asked under the
//! access tokens that it names.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use quoin::answer::types::{Answer, AnswerRequest, Mode, Status};
use quoin::caller::{Caller, Scope};
use quoin::config::{Config, DataFolder};
use quoin::service::Quoin;
use quoin_retriever::{Content, DocumentId, DocumentInput, Format};
use serde::Deserialize;

#[derive(Deserialize)]
struct Question {
    #[serde(rename = "question")]
    words: String,
    kind: String,
    gold: Vec<Gold>,
    tokens: Vec<String>,
}

#[derive(Deserialize)]
struct Gold {
    document: String,
    quote: String,
}

#[derive(Default)]
struct Score {
    answerable: usize,
    found: usize,
    document: usize,
    abstained: usize,
    unanswerable: usize,
    rightly_abstained: usize,
    milliseconds: Vec<f64>,
    /// Confidence of each answerable and each unanswerable question, for the threshold.
    confidences: (Vec<f64>, Vec<f64>),
}

fn root() -> std::path::PathBuf {
    std::path::PathBuf::from("samples")
}

fn documents() -> Vec<DocumentInput> {
    let handbook = root().join("handbook");
    walkdir::WalkDir::new(&handbook)
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "md")
        })
        .map(|entry| {
            let id = entry
                .path()
                .strip_prefix(&handbook)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            DocumentInput::new(
                DocumentId::new(&id).unwrap(),
                Content::Text {
                    text,
                    format: Format::Markdown,
                },
            )
        })
        .collect()
}

fn count(
    question: &Question,
    answer: &Answer,
    text_of: impl Fn(&str) -> String,
    score: &mut Score,
) {
    score.milliseconds.push(answer.timings_ms.total);
    let abstained = answer.status == Status::Abstained;
    if question.gold.is_empty() {
        score.unanswerable += 1;
        score.rightly_abstained += usize::from(abstained);
        score.confidences.1.push(answer.confidence);
        return;
    }
    score.answerable += 1;
    score.abstained += usize::from(abstained);
    score.confidences.0.push(answer.confidence);
    let same = |gold: &Gold| {
        answer
            .citations
            .iter()
            .any(|citation| citation.document == gold.document)
    };
    score.document += usize::from(question.gold.iter().any(same));
    let overlaps = |gold: &Gold| {
        let text = text_of(&gold.document);
        let byte = text.find(&gold.quote).unwrap();
        let start = text[..byte].chars().count();
        let end = start + gold.quote.chars().count();
        answer.citations.iter().any(|citation| {
            citation.document == gold.document && citation.start < end && start < citation.end
        })
    };
    score.found += usize::from(question.gold.iter().any(overlaps));
}

async fn measure(
    quoin: &Arc<Quoin>,
    questions: &[Question],
    mode: Mode,
) -> BTreeMap<String, Score> {
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    for question in questions {
        let caller = Caller::with_key(
            "bench",
            [Scope::Answer].into_iter().collect(),
            &question.tokens,
        );
        let request = AnswerRequest {
            question: question.words.clone(),
            mode,
            ..AnswerRequest::default()
        };
        let answer = quoin.answer(&caller, request, None).await.unwrap();
        let text_of = |document: &str| {
            let id = DocumentId::new(document).unwrap();
            quoin
                .retriever()
                .text(&id, &Caller::local().access)
                .unwrap()
        };
        for name in [question.kind.as_str(), "~ all"] {
            count(
                question,
                &answer,
                text_of,
                scores.entry(name.to_owned()).or_default(),
            );
        }
    }
    scores
}

/// The share of pairs in which the answerable question has the higher confidence.
fn auroc((answerable, unanswerable): &(Vec<f64>, Vec<f64>)) -> f64 {
    let pairs = answerable.len() * unanswerable.len();
    let wins: f64 = answerable
        .iter()
        .flat_map(|yes| unanswerable.iter().map(move |no| (yes, no)))
        .map(|(yes, no)| {
            if yes > no {
                1.0
            } else if yes < no {
                0.0
            } else {
                0.5
            }
        })
        .sum();
    wins / pairs.max(1) as f64
}

#[tokio::main]
async fn main() {
    let questions: Vec<Question> = std::fs::read_to_string(root().join("dataset/qa.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        data: DataFolder(folder.path().to_owned()),
        ..Config::default()
    };
    let quoin = Quoin::open(config).await.unwrap();
    for stored in quoin.retriever().put_batch(documents()).unwrap() {
        stored.unwrap();
    }
    quoin.settled().await;
    for (name, mode) in [
        ("extractive", Mode::Extractive),
        ("bundled model", Mode::Grounded),
    ] {
        println!(
            "\n{name:<14} {:>5} {:>9} {:>9} {:>9} {:>5} {:>9} {:>8} {:>8}",
            "n", "sentence", "document", "abstained", "n", "abstained", "AUROC", "p50 ms"
        );
        println!(
            "{:<14} {:>5} {:>27}    {:>5}",
            "", "with an answer", "", "without"
        );
        for (kind, score) in measure(&quoin, &questions, mode).await {
            let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
            let mut times = score.milliseconds.clone();
            times.sort_by(f64::total_cmp);
            println!(
                "{kind:<14} {:>5} {:>9.2} {:>9.2} {:>9.2} {:>5} {:>9.2} {:>8.2} {:>8.1}",
                score.answerable,
                share(score.found, score.answerable),
                share(score.document, score.answerable),
                share(score.abstained, score.answerable),
                score.unanswerable,
                share(score.rightly_abstained, score.unanswerable),
                auroc(&score.confidences),
                times[times.len() / 2]
            );
        }
    }
}
