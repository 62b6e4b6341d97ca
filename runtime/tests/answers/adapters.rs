//! Adapter versions of the bundled model: added, pinned, champion, and which of them stay in memory.

use quoin::answer::types::{AnswerRequest, Mode};
use quoin::caller::Caller;
use quoin::config::Citing;
use quoin::service::Quoin;
use quoin_adapters::{AdapterId, Alias};

use crate::conformance;

/// Cites two sentences where the base cites one; made by the recipe in `adapters/train`.
const SUPPORT: &str = "../adapters/tests/fixtures/support";

fn add(quoin: &Quoin, name: &str) -> AdapterId {
    let base = quoin.base_identity().unwrap();
    let added = quoin
        .registry()
        .add(SUPPORT.as_ref(), &name.parse().unwrap(), &base)
        .unwrap();
    added.version.id()
}

/// The markers that `model` cites, and the adapter that the answer records.
async fn ask(quoin: &std::sync::Arc<Quoin>, model: &str) -> (String, String) {
    let request = AnswerRequest {
        question: "How many days of annual leave do employees have?".to_owned(),
        mode: Mode::Grounded,
        model: Some(model.to_owned()),
        trace: true,
        ..AnswerRequest::default()
    };
    let answer = quoin.answer(&Caller::local(), request, None).await.unwrap();
    (
        answer.trace.unwrap().output.unwrap(),
        answer.release.adapter,
    )
}

fn in_memory(quoin: &Quoin) -> Vec<String> {
    let cards = quoin.models().into_iter();
    cards
        .filter(|card| card.loaded && card.parent.is_some())
        .map(|card| card.id)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_answers_when_it_is_pinned_or_champion_and_leaves_the_base_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open(folder.path(), Citing::Point).await;
    let id = add(&quoin, "support");
    let (base, _) = ask(&quoin, "base").await;
    let (pinned, adapter) = ask(&quoin, &id.to_string()).await;
    assert_eq!(adapter, "support@1");
    assert_ne!(pinned, base, "the adapter changes what is cited");
    quoin
        .registry()
        .set_alias(&Alias::champion(), None, Some(&id))
        .unwrap();
    assert_eq!(ask(&quoin, "quoin").await, (pinned, adapter));
    quoin
        .registry()
        .set_alias(&Alias::champion(), Some(&id), None)
        .unwrap();
    assert_eq!(ask(&quoin, "quoin").await, (base, "base".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_adapter_that_was_not_used_for_longest_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let quoin = conformance::open(folder.path(), Citing::Point).await;
    for name in ["a", "b", "c", "d"] {
        add(&quoin, name);
    }
    for model in ["a@1", "b@1", "c@1", "a@1", "d@1"] {
        assert_eq!(ask(&quoin, model).await.1, model);
    }
    assert_eq!(in_memory(&quoin), ["a@1", "c@1", "d@1"]);
    assert_eq!(
        ask(&quoin, "b@1").await.1,
        "b@1",
        "and comes back when it is asked"
    );
    assert_eq!(in_memory(&quoin), ["a@1", "b@1", "d@1"]);
}
