//! What the engine reaches with the bundled model, and what a grammar costs to build. Run by
//! `cargo bench --workspace --bench generate`; prints one JSON document.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use quoin_engine::{
    BaseModel, Constraint, Engine, EngineSettings, GenerationRequest, Generator, Message,
    ModelSource, Part, Role, Sampling, bundled, complete,
};
use serde_json::{Value, json};

const RUNS: usize = 7;
const SENTENCE: &str =
    " The archive in the north wing keeps the maps of the second survey for thirty years.";

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let model = bundled::unpack(folder.path()).unwrap();
    let source = ModelSource {
        base: BaseModel::Folder(model),
        adapter: None,
    };
    // Without the prefix cache: every prompt is computed.
    let settings = EngineSettings {
        prefix_cache: 0,
        ..EngineSettings::new(folder.path())
    };
    let start = Instant::now();
    let model = Engine::new(settings)
        .load("pointer", &source)
        .await
        .unwrap();
    let load = start.elapsed();
    let report = json!({
        "model": format!("bundled, {} on {}", model.description().architecture, model.description().device),
        "load_ms": milliseconds(load),
        "prompt_tokens_per_s": [prompt_rate(&model, 8).await, prompt_rate(&model, 32).await, prompt_rate(&model, 80).await],
        "generated_tokens_per_s": generation_rate(&model).await,
        "grammar_ms": {
            "point_32_markers": grammar_time(&model, &pointing(32)),
            "quote_4_passages_of_150_words": grammar_time(&model, &quoting(4, 150)),
            "quote_8_passages_of_300_words": grammar_time(&model, &quoting(8, 300)),
        },
    });
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
}

fn request(sentences: usize, constraint: Constraint, max_tokens: usize) -> GenerationRequest {
    let mut parts: Vec<_> = (0..sentences)
        .flat_map(|_| [Part::Trusted("[[1]]".into()), Part::Data(SENTENCE.into())])
        .collect();
    parts.push(Part::Trusted("Question:".into()));
    parts.push(Part::Data(" How long are the maps kept?".into()));
    let messages = vec![Message {
        role: Role::User,
        parts,
    }];
    GenerationRequest {
        messages,
        constraint,
        sampling: Sampling::Greedy,
        max_tokens,
        time_limit: None,
    }
}

/// By the time to the first token, queue and tokenisation left out.
async fn prompt_rate(model: &Arc<dyn Generator>, sentences: usize) -> Value {
    let mut times = Vec::new();
    let mut tokens = 0;
    for _ in 0..RUNS {
        let outcome = complete(model.as_ref(), request(sentences, Constraint::Free, 1))
            .await
            .unwrap();
        tokens = outcome.usage.prompt_tokens;
        times.push(outcome.timings.first_token);
    }
    let middle = median(times);
    json!({"prompt_tokens": tokens, "first_token_ms": milliseconds(middle), "tokens_per_s": rate(tokens, middle)})
}

/// 256 tokens under a grammar that never ends, so that every run is as long.
async fn generation_rate(model: &Arc<dyn Generator>) -> Value {
    let mut times = Vec::new();
    let grammar = Constraint::Lark("start: /[a-z ]{4000}/".into());
    for _ in 0..RUNS {
        let outcome = complete(model.as_ref(), request(8, grammar.clone(), 256))
            .await
            .unwrap();
        times.push(
            outcome
                .timings
                .total
                .saturating_sub(outcome.timings.queued + outcome.timings.first_token),
        );
    }
    json!({"tokens": 255, "tokens_per_s": rate(255, median(times))})
}

fn grammar_time(model: &Arc<dyn Generator>, grammar: &str) -> Value {
    let constraint = Constraint::Lark(grammar.to_owned());
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        model.check(&constraint).unwrap();
        times.push(start.elapsed());
    }
    milliseconds(median(times))
}

fn pointing(markers: usize) -> String {
    let markers: Vec<_> = (0..=markers)
        .map(|number| format!("\"[[{number}]]\""))
        .collect();
    format!(
        "start: \"{{\\\"cite\\\":\\\"\" ({}) \"\\\"}}\"",
        markers.join(" | ")
    )
}

/// An object with an answer and, for each citation, a passage's number and a quote from that passage.
fn quoting(passages: usize, words: usize) -> String {
    let mut rules = vec![format!(
        "start: \"{{\\\"answer\\\":\" %json {{\"type\":\"string\",\"maxLength\":400}} \",\\\"cite\\\":[\" citation (\",\" citation){{0,2}} \"]}}\"\ncitation: {}",
        (0..passages)
            .map(|number| format!("c{number}"))
            .collect::<Vec<_>>()
            .join(" | ")
    )];
    for number in 0..passages {
        let text: Vec<_> = (0..words)
            .map(|word| format!("w{}", word * 7919 % 1009 + number))
            .collect();
        rules.push(format!(
            "c{number}: \"{{\\\"p\\\":{number},\\\"q\\\":\\\"\" Q{number} \"\\\"}}\""
        ));
        rules.push(format!("Q{number}: S{number} & /(?s:.{{20,200}})/\nS{number}: %regex {{\"substring_words\": {}}}", json!(text.join(" "))));
    }
    rules.join("\n")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> Value {
    json!((time.as_secs_f64() * 10_000.0).round() / 10.0)
}

fn rate(tokens: usize, time: Duration) -> Value {
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    json!((f64::from(tokens) / time.as_secs_f64()).round())
}
