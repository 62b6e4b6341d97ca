//! What every [`Generator`] keeps, run on the scripted one and on a real model.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::semicolon_if_nothing_returned,
    reason = "tests"
)]

mod common;

use std::{future::Future, sync::Arc, time::Duration};

use common::{data, folder, request, settings, trusted, user};
use futures::StreamExt;
use quoin_engine::{
    Constraint, Engine, EngineError, EngineSettings, Event, EventStream, Finish, GenerationRequest,
    Generator, Part, Sampling, complete, scripted::ScriptedGenerator,
};

/// A generator with one running request and one waiting, a context of 512 tokens and much to say.
type Subject = Arc<dyn Generator>;

fn scripted() -> Subject {
    let script = |request: &GenerationRequest| match request.constraint {
        Constraint::Free => "word ".repeat(2000),
        Constraint::Lark(_) => "no".to_owned(),
    };
    let generator = ScriptedGenerator::new(script)
        .with_queue(1, 1)
        .with_context_length(512);
    Arc::new(generator.with_token_time(Duration::from_millis(1)))
}

async fn real() -> Subject {
    let settings = EngineSettings {
        max_running: 1,
        queue_length: 1,
        ..settings()
    };
    Engine::new(settings)
        .load("fixture", &folder(common::fixture("base")))
        .await
        .unwrap()
}

async fn on_both<F: Future<Output = ()>>(test: impl Fn(Subject) -> F) {
    test(scripted()).await;
    test(real().await).await;
}

fn question() -> GenerationRequest {
    request(
        vec![user(vec![
            trusted("Question:"),
            data(" Who was the Norse leader?"),
        ])],
        20,
    )
}

fn long() -> GenerationRequest {
    GenerationRequest {
        max_tokens: 400,
        ..question()
    }
}

async fn started(stream: &mut EventStream) {
    assert!(matches!(
        stream.next().await,
        Some(Ok(Event::Started { .. }))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_are_a_start_then_the_text_then_the_outcome() {
    on_both(async |subject: Subject| {
        let events: Vec<_> = subject
            .generate(question())
            .await
            .unwrap()
            .map(Result::unwrap)
            .collect()
            .await;
        let Some(Event::Started { prompt_tokens, .. }) = events.first() else {
            panic!("{events:?}")
        };
        let Some(Event::Finished(outcome)) = events.last() else {
            panic!("{events:?}")
        };
        let deltas = events[1..events.len() - 1].iter().map(|event| match event {
            Event::Delta(text) if !text.is_empty() => text.as_str(),
            other => panic!("{other:?}"),
        });
        assert_eq!(deltas.collect::<String>(), outcome.text);
        assert_eq!(outcome.usage.prompt_tokens, *prompt_tokens);
        assert!(*prompt_tokens > 0 && outcome.timings.total >= outcome.timings.queued);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_ends_at_its_token_limit() {
    on_both(async |subject: Subject| {
        for max_tokens in [1, 7] {
            let outcome = complete(
                subject.as_ref(),
                GenerationRequest {
                    max_tokens,
                    ..question()
                },
            )
            .await
            .unwrap();
            assert_eq!(
                (outcome.finish, outcome.usage.completion_tokens),
                (Finish::Length, max_tokens)
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_ends_where_the_context_ends() {
    on_both(async |subject: Subject| {
        let outcome = complete(
            subject.as_ref(),
            GenerationRequest {
                max_tokens: 100_000,
                ..question()
            },
        )
        .await
        .unwrap();
        if outcome.finish == Finish::Length {
            assert_eq!(
                outcome.usage.prompt_tokens + outcome.usage.completion_tokens,
                subject.description().context_length
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_is_a_sentence_of_the_grammar() {
    on_both(async |subject: Subject| {
        let constraint = Constraint::Lark(r#"start: "yes" | "no""#.into());
        subject.check(&constraint).unwrap();
        let outcome = complete(
            subject.as_ref(),
            GenerationRequest {
                constraint,
                ..question()
            },
        )
        .await
        .unwrap();
        assert!(
            matches!(outcome.text.as_str(), "yes" | "no"),
            "{}",
            outcome.text
        );
        assert_eq!(outcome.finish, Finish::Stop);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grammar_that_cannot_be_used_is_refused_before_anything_is_queued() {
    on_both(async |subject: Subject| {
        for grammar in [
            "start: unknown",
            "start: \"a",
            r#"start: %json {"type": "string", "minLength": 3, "maxLength": 1}"#,
        ] {
            let constraint = Constraint::Lark(grammar.into());
            assert!(
                matches!(
                    subject.check(&constraint),
                    Err(EngineError::UnsupportedConstraint { .. })
                ),
                "{grammar}"
            );
            let refused = subject
                .generate(GenerationRequest {
                    constraint,
                    ..question()
                })
                .await;
            assert!(
                matches!(refused, Err(EngineError::UnsupportedConstraint { .. })),
                "{grammar}"
            );
        }
        assert_eq!(subject.occupancy().running, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_does_not_fit_is_refused_with_both_numbers() {
    on_both(async |subject: Subject| {
        let context = subject.description().context_length;
        let long = request(vec![user(vec![data(&"word ".repeat(600))])], 5);
        match subject.generate(long).await {
            Err(EngineError::PromptTooLong { tokens, limit }) => {
                assert!(tokens > limit && limit == context - 1)
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_the_queue_is_full_is_refused_at_once() {
    on_both(async |subject: Subject| {
        let mut first = subject.generate(long()).await.unwrap();
        started(&mut first).await;
        let second = subject.generate(question()).await.unwrap();
        match subject.generate(question()).await {
            Err(EngineError::QueueFull {
                waiting: 1,
                limit: 1,
                retry_after,
            }) => assert!(retry_after > Duration::ZERO),
            other => panic!("{:?}", other.map(|_| ())),
        }
        drop(first);
        let events: Vec<_> = second.map(Result::unwrap).collect().await;
        assert!(matches!(events.last(), Some(Event::Finished(_))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_stream_stops_the_generation_and_frees_its_place() {
    on_both(async |subject: Subject| {
        let mut stream = subject.generate(long()).await.unwrap();
        started(&mut stream).await;
        stream.next().await.unwrap().unwrap();
        drop(stream);
        // Admitted only when the first has ended; it would have made 400 tokens.
        let before = subject.occupancy().generated_tokens;
        complete(
            subject.as_ref(),
            GenerationRequest {
                max_tokens: 1,
                ..question()
            },
        )
        .await
        .unwrap();
        let made = subject.occupancy().generated_tokens;
        assert!(before < 400 && made < 400, "{before} then {made} tokens");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_request_that_is_dropped_gives_its_place_back() {
    on_both(async |subject: Subject| {
        let mut first = subject.generate(long()).await.unwrap();
        started(&mut first).await;
        for _ in 0..3 {
            drop(subject.generate(question()).await.unwrap());
            while subject.occupancy().waiting > 0 {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_ends_a_request_with_an_error_that_names_it() {
    on_both(async |subject: Subject| {
        let limit = Duration::from_millis(5);
        let request = GenerationRequest {
            time_limit: Some(limit),
            ..long()
        };
        let events: Vec<_> = subject.generate(request).await.unwrap().collect().await;
        match events.last() {
            Some(Err(EngineError::TimeLimit { limit: named })) => assert_eq!(*named, limit),
            other => panic!("{other:?}"),
        }
        complete(subject.as_ref(), question()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_gives_the_same_output() {
    on_both(async |subject: Subject| {
        let random = Sampling::Random {
            temperature: 1.0,
            top_p: 0.9,
            seed: 7,
        };
        for sampling in [Sampling::Greedy, random] {
            let request = GenerationRequest {
                sampling,
                ..question()
            };
            let first = complete(subject.as_ref(), request.clone()).await.unwrap();
            let second = complete(subject.as_ref(), request).await.unwrap();
            assert_eq!(first.text, second.text, "{sampling:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_makes_no_sense_is_refused() {
    on_both(async |subject: Subject| {
        let nothing = subject
            .generate(GenerationRequest {
                max_tokens: 0,
                ..question()
            })
            .await;
        assert!(matches!(nothing, Err(EngineError::InvalidRequest { .. })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_counts_add_up_to_the_prompt() {
    on_both(async |subject: Subject| {
        let parts = vec![
            trusted("[[1]]"),
            data(" The port of Zed is 8080."),
            trusted("Question:"),
            data(" What is it?"),
        ];
        let apart: usize = parts
            .iter()
            .map(|part: &Part| subject.count_tokens(std::slice::from_ref(part)))
            .sum();
        assert_eq!(subject.count_tokens(&parts), apart);
        let outcome = complete(subject.as_ref(), request(vec![user(parts)], 1))
            .await
            .unwrap();
        assert_eq!(
            outcome.usage.prompt_tokens,
            apart + subject.description().template_tokens
        );
    })
    .await;
}
