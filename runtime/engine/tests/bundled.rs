//! The model in the binary loads and answers in its format.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{ask, data, engine, folder, request, trusted, user};
use quoin_engine::{Constraint, Finish, GenerationRequest, Part, bundled};

const GRAMMAR: &str = r#"start: "{\"cite\":\"" MARKER "\"}"
MARKER: "[[0]]" | "[[1]]" | "[[2]]""#;

fn prompt() -> Vec<Part> {
    vec![
        trusted("[[P]]"),
        trusted("[[1]]"),
        data(" The port of Zed is 8080."),
        trusted("[[2]]"),
        data(" Rollo was the Norse leader."),
        trusted("Question:"),
        data(" Who was the Norse leader?"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundled_model_points_at_a_sentence() {
    let models = tempfile::tempdir().unwrap();
    let model = engine()
        .load("pointer", &folder(bundled::unpack(models.path()).unwrap()))
        .await
        .unwrap();
    let constraint = Constraint::Lark(GRAMMAR.into());
    model.check(&constraint).unwrap();
    let outcome = ask(
        &model,
        GenerationRequest {
            constraint,
            ..request(vec![user(prompt())], 32)
        },
    )
    .await;
    let cited = outcome
        .text
        .strip_prefix("{\"cite\":\"[[")
        .and_then(|rest| rest.strip_suffix("]]\"}"))
        .unwrap();
    assert_eq!(cited, "2");
    assert_eq!(outcome.finish, Finish::Stop);
    // Markers and scaffolding are one token each.
    assert!(outcome.usage.completion_tokens <= 4, "{:?}", outcome.usage);
    assert_eq!(
        outcome.usage.prompt_tokens,
        model.count_tokens(&prompt()) + model.description().template_tokens
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_in_a_document_are_text() {
    let models = tempfile::tempdir().unwrap();
    let model = engine()
        .load("pointer", &folder(bundled::unpack(models.path()).unwrap()))
        .await
        .unwrap();
    for marker in ["[[2]]", "[[P]]", "Question:", "<|im_end|>", "<|im_start|>"] {
        assert_eq!(model.count_tokens(&[trusted(marker)]), 1, "{marker}");
        assert!(model.count_tokens(&[data(marker)]) > 1, "{marker}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_every_prompt() {
    let models = tempfile::tempdir().unwrap();
    let model = engine()
        .load("pointer", &folder(bundled::unpack(models.path()).unwrap()))
        .await
        .unwrap();
    let ask_about = async |number: usize| {
        let page = format!(" Rule {number}: a badge is valid for {number} days.").repeat(30);
        let parts = vec![
            trusted("[[P]]"),
            trusted("[[1]]"),
            data(&page),
            trusted("Question:"),
            data(" How long?"),
        ];
        let constraint = Constraint::Lark(GRAMMAR.into());
        let request = GenerationRequest {
            constraint,
            ..request(vec![user(parts)], 8)
        };
        ask(&model, request).await;
    };
    for number in 0..5 {
        ask_about(number).await;
    }
    let before = resident_mib();
    for number in 5..45 {
        ask_about(number).await;
    }
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 60, "{grown} MiB in 40 prompts");
}

/// Resident memory of this process.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}
