//! What every generated answer holds to, in both ways of citing.

use quoin::answer::error::AnswerError;
use quoin::answer::types::{AnswerRequest, Mode, Progress, Status};
use quoin::caller::Caller;
use quoin::config::Citing;
use serde_json::json;

use crate::conformance;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pointed_answers_parse_satisfy_their_schema_and_quote_verbatim() {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open(folder.path(), Citing::Point).await;
    let tally = conformance::ask(&quoin, 66).await;
    assert_eq!(tally.defects, Vec::<String>::new());
    assert!(tally.answered >= 50, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quoted_answers_parse_satisfy_their_schema_and_quote_verbatim() {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open_unabstaining(folder.path(), Citing::Quote).await;
    let tally = conformance::ask(&quoin, 66).await;
    assert_eq!(tally.defects, Vec::<String>::new());
    assert_eq!(tally.answered, 66, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_answers_is_streamed_and_repeats_itself() {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open(folder.path(), Citing::Point).await;
    let request = AnswerRequest {
        question: "How many days of annual leave do employees have?".to_owned(),
        mode: Mode::Grounded,
        trace: true,
        ..AnswerRequest::default()
    };
    let first = quoin
        .answer(&Caller::local(), request.clone(), None)
        .await
        .unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
    let second = quoin
        .answer(&Caller::local(), request, Some(sender))
        .await
        .unwrap();
    assert_eq!(first.answer, second.answer);
    assert_eq!(first.citations, second.citations);
    assert_eq!(first.release, second.release);
    assert!(first.usage.prompt_tokens > 10 && first.usage.completion_tokens > 0);
    let retrieval = receiver.recv().await.unwrap();
    assert!(matches!(retrieval, Progress::Retrieval { ref hits, .. } if !hits.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_cannot_be_enforced_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open(folder.path(), Citing::Point).await;
    for (schema, reason) in [
        (
            json!({"type": "string", "minLength": 9, "maxLength": 3}),
            "minLength (9) is greater than maxLength (3)",
        ),
        (json!({"type": "array", "uniqueItems": true}), "uniqueItems"),
        (
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}),
            "missing",
        ),
    ] {
        let request = AnswerRequest {
            question: "anything?".to_owned(),
            schema: Some(schema),
            ..AnswerRequest::default()
        };
        let error = quoin
            .answer(&Caller::local(), request, None)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                AnswerError::UnenforceableSchema { .. } | AnswerError::Schema(_)
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extractive_quotes_the_sentence_that_answers_and_abstains_on_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open(folder.path(), Citing::Point).await;
    let ask = |question: &str| AnswerRequest {
        question: question.to_owned(),
        mode: Mode::Extractive,
        ..AnswerRequest::default()
    };
    let found = quoin
        .answer(
            &Caller::local(),
            ask("How much may a hotel night cost in London?"),
            None,
        )
        .await
        .unwrap();
    assert_eq!(found.status, Status::Answered);
    assert_eq!(
        found.citations[0].quote,
        "A hotel night may cost up to 205 pounds in London and 150 euros elsewhere."
    );
    assert_eq!(found.usage.completion_tokens, 0);
    let missing = quoin
        .answer(
            &Caller::local(),
            ask("Who painted the ceiling of the chapel?"),
            None,
        )
        .await
        .unwrap();
    assert_eq!(missing.status, Status::Abstained, "{missing:?}");
}
