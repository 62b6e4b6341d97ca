//! What Quoin adds to a generation, and whether 500 generated answers hold: `cargo bench -p quoin --bench answers`.
//!
//! Prints one table: prompt fitting, grammar building and verification apart, beside the model's own time; then 250 answers
//! in each way of citing, checked for JSON, schema and verbatim quotes.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints"
)]

#[path = "../tests/answers/conformance.rs"]
mod conformance;

use std::sync::Arc;
use std::time::Instant;

use quoin::answer::types::{AnswerRequest, Mode, TimingsMs};
use quoin::caller::Caller;
use quoin::config::Citing;
use quoin::service::Quoin;
use quoin_retriever::{Content, DocumentId, DocumentInput, Format};
use serde_json::json;

/// A stage, its times in milliseconds, and where they stand in an answer.
type Stage = (&'static str, Vec<f64>, fn(&TimingsMs) -> f64);

/// Times of one stage over all rounds, milliseconds.
fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Forty documents of one passage of 150 words.
fn passages() -> Vec<DocumentInput> {
    (0..40)
        .map(|number| {
            let sentences: Vec<String> = (0..15)
                .map(|line| {
                    format!(
                        "Rule {number}-{line} says that item {} waits {} days.",
                        number * line,
                        line + number
                    )
                })
                .collect();
            DocumentInput::new(
                DocumentId::new(format!("rule-{number}")).unwrap(),
                Content::Text {
                    text: sentences.join(" "),
                    format: Format::Text,
                },
            )
        })
        .collect()
}

async fn overhead(quoin: &Arc<Quoin>, rounds: usize) {
    let schema = json!({"type": "object", "properties": {"days": {"type": "integer"}, "item": {"type": "string", "maxLength": 16}}, "required": ["days", "item"]});
    let mut stages: Vec<Stage> = vec![
        ("retrieval", vec![], |timings| timings.retrieval),
        ("prompt fitting", vec![], |timings| timings.prompt),
        ("grammar text", vec![], |timings| timings.grammar),
        ("verification", vec![], |timings| timings.verification),
        ("all of ours", vec![], |timings| {
            timings.total - timings.generation
        }),
        ("engine: to first token", vec![], |timings| {
            timings.first_token
        }),
        ("engine: whole", vec![], |timings| timings.generation),
    ];
    let (mut prompt_tokens, mut completion_tokens) = (0, 0);
    for round in 0..rounds {
        let request = AnswerRequest {
            question: format!(
                "How many days does item {} of rule {} wait?",
                round % 15,
                round % 40
            ),
            schema: Some(schema.clone()),
            mode: Mode::Grounded,
            top_k: Some(4),
            ..AnswerRequest::default()
        };
        let answer = quoin.answer(&Caller::local(), request, None).await.unwrap();
        prompt_tokens += answer.usage.prompt_tokens;
        completion_tokens += answer.usage.completion_tokens;
        for (_, times, of) in &mut stages {
            times.push(of(&answer.timings_ms));
        }
    }
    println!(
        "{:<26} {:>10} {:>10}",
        "stage, 4 passages", "p50 ms", "p99 ms"
    );
    for (name, times, _) in stages {
        let (median, slow) = percentiles(times);
        println!("{name:<26} {median:>10.2} {slow:>10.2}");
    }
    println!(
        "tokens an answer: {} prompt, {} generated\n",
        prompt_tokens / rounds,
        completion_tokens / rounds
    );
}

/// Asks 250 questions and says what became of them.
async fn conform(name: &str, quoin: &Arc<Quoin>) {
    let begun = Instant::now();
    let tally = conformance::ask(quoin, 250).await;
    println!(
        "{name}: {} answered, {} abstained, {} citations, {} defects in {:.1} s",
        tally.answered,
        tally.abstained,
        tally.citations,
        tally.defects.len(),
        begun.elapsed().as_secs_f64()
    );
    for defect in tally.defects.iter().take(10) {
        println!("  {defect}");
    }
}

#[tokio::main]
async fn main() {
    for (name, citing) in [("by marker", Citing::Point), ("by quote", Citing::Quote)] {
        let folder = tempfile::tempdir().unwrap();
        let quoin = conformance::open(folder.path(), citing).await;
        conform(name, &quoin).await;
        for stored in quoin.retriever().put_batch(passages()).unwrap() {
            stored.unwrap();
        }
        overhead(&quoin, 100).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open_unabstaining(folder.path(), Citing::Quote).await;
    conform("by quote, abstaining struck from the grammar", &quoin).await;
}
