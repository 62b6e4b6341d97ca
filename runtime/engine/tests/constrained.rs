//! Decoding under a grammar, on a model that knows nothing: whatever comes out is the grammar's work.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::sync::Arc;

use common::{ask, data, engine, fixture, folder, request, trusted, user};
use quoin_engine::{Constraint, Finish, GenerationRequest, Generator, Outcome, Sampling};
use serde_json::{Value, json};

async fn model() -> Arc<dyn Generator> {
    engine()
        .load("base", &folder(fixture("base")))
        .await
        .unwrap()
}

async fn under(model: &Arc<dyn Generator>, grammar: &str, sampling: Sampling) -> Outcome {
    let constraint = Constraint::Lark(grammar.to_owned());
    model.check(&constraint).unwrap();
    let question = request(
        vec![user(vec![trusted("Question:"), data(" Who led?")])],
        300,
    );
    ask(
        model,
        GenerationRequest {
            constraint,
            sampling,
            ..question
        },
    )
    .await
}

fn random(seed: u64) -> Sampling {
    Sampling::Random {
        temperature: 1.5,
        top_p: 1.0,
        seed,
    }
}

/// mistralrs's own text trims the first space and turns `▁` into a space.
#[tokio::test(flavor = "multi_thread")]
async fn every_character_comes_out_as_the_grammar_has_it() {
    let model = model().await;
    for text in [
        "  two spaces",
        "\u{2581}block \u{2581}",
        "\n\tx",
        "שלום 日本語 👩‍🚀",
        "\u{fffd} end\u{fffd}",
        "[[1]]",
        // Text that a grammar forces, and no control token.
        "<|im_end|>",
        "x <|im_start|>user\n",
        "a\\\\b",
    ] {
        let grammar = format!("start: {}", json!(text));
        for sampling in [Sampling::Greedy, random(1)] {
            let outcome = under(&model, &grammar, sampling).await;
            assert_eq!(
                (outcome.text.as_str(), outcome.finish),
                (text, Finish::Stop)
            );
            assert!(outcome.mean_logprob.unwrap() <= 0.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sampled_under_a_schema_satisfies_it() {
    let model = model().await;
    let grammar = r#"start: %json {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12},
        "kind": {"enum": ["a", "b\"c", null]}, "numbers": {"type": "array", "items": {"type": "integer", "minimum": -5, "maximum": 70}, "maxItems": 3}},
        "required": ["name", "kind", "numbers"], "additionalProperties": false, "x-guidance": {"whitespace_flexible": false}}"#;
    let mut names = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let outcome = under(&model, grammar, random(seed)).await;
        assert_eq!(outcome.finish, Finish::Stop, "{}", outcome.text);
        let value: Value = serde_json::from_str(&outcome.text).unwrap();
        let name = value["name"].as_str().unwrap();
        assert!(name.chars().count() <= 12);
        assert!([json!("a"), json!("b\"c"), json!(null)].contains(&value["kind"]));
        let numbers = value["numbers"].as_array().unwrap();
        assert!(
            numbers.len() <= 3
                && numbers
                    .iter()
                    .all(|number| (-5..=70).contains(&number.as_i64().unwrap()))
        );
        names.insert(name.to_owned());
    }
    assert!(names.len() > 8, "the seeds should differ: {names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_is_a_part_of_its_passage() {
    let model = model().await;
    let passages = [
        "He said \"no\" \\ twice,\nthen left.",
        "السلام عليكم 日本語 👩‍🚀 and a tab\tand \u{1}",
        "<|im_end|> is not the end",
    ];
    for passage in passages {
        let grammar = format!(
            "start: \"<\" quote \">\"\nquote: QUOTE\nQUOTE: SUB & /(?s:.{{3,40}})/\nSUB: %regex {{\"substring_chars\": {}}}",
            json!(passage)
        );
        for seed in 0..10 {
            let outcome = under(&model, &grammar, random(seed)).await;
            let quote = outcome
                .text
                .strip_prefix('<')
                .unwrap()
                .strip_suffix('>')
                .unwrap();
            assert!(
                passage.contains(quote) && quote.chars().count() >= 3,
                "{quote}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_decides_the_output_whatever_ran_before() {
    let model = model().await;
    let grammar = "start: /[a-z ]{30}/";
    let first = under(&model, grammar, random(3)).await.text;
    let other = under(&model, grammar, random(4)).await.text;
    assert_ne!(first, other);
    assert_eq!(under(&model, grammar, random(3)).await.text, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn greedy_output_under_a_grammar_that_allows_everything_is_the_free_one() {
    let model = model().await;
    let free = ask(&model, request(vec![user(vec![data("Who led?")])], 12)).await;
    let constraint = Constraint::Lark("start: /(?s:.*)/".into());
    let bound = ask(
        &model,
        GenerationRequest {
            constraint,
            ..request(vec![user(vec![data("Who led?")])], 12)
        },
    )
    .await;
    // The grammar is over text: it forbids bytes that are none.
    let same = free
        .text
        .chars()
        .zip(bound.text.chars())
        .take_while(|(a, b)| a == b)
        .count();
    assert!(
        same > 0 && (same == free.text.chars().count() || free.text.contains('\u{fffd}')),
        "{free:?} {bound:?}"
    );
    assert!(!bound.text.trim_end_matches('\u{fffd}').contains('\u{fffd}'));
}
