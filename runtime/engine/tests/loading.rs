//! Models and adapters, loaded in every form that is supported, give what PEFT and transformers give.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::semicolon_if_nothing_returned,
    reason = "tests"
)]

mod common;

use std::{fs, path::Path};

use common::{
    adapted, asking, assert_reference, copy_of, engine, fixture, folder, reference, request,
    settings, trusted, user,
};
use futures::StreamExt;
use quoin_engine::{
    BaseModel, Engine, EngineError, EngineSettings, Event, GenerationRequest, ModelSource,
    Quantization, complete,
};

/// Seen to fail when all models are loaded on one thread: v2 then answers with v1's weights merged in as well, and the
/// second base with both.
#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_changes_its_own_model_and_no_other() {
    let (engine, reference) = (engine(), reference());
    let base = engine.load("base", &folder(fixture("base"))).await.unwrap();
    assert_reference(&base, &reference, |case| &case.base).await;
    let v1 = engine.load("v1", &adapted(fixture("v1"))).await.unwrap();
    assert_reference(&v1, &reference, |case| &case.v1).await;
    let v2 = engine.load("v2", &adapted(fixture("v2"))).await.unwrap();
    assert_reference(&v2, &reference, |case| &case.v2).await;
    let again = engine
        .load("base again", &folder(fixture("base")))
        .await
        .unwrap();
    assert_reference(&again, &reference, |case| &case.base).await;
    assert_reference(&v1, &reference, |case| &case.v1).await;

    assert_eq!(engine.names(), ["base", "base again", "v1", "v2"]);
    assert_eq!(base.description().base_digest, v1.description().base_digest);
    assert_eq!(base.description().adapter_digest, None);
    assert_ne!(
        v1.description().adapter_digest,
        v2.description().adapter_digest
    );
}

/// The fixture is as transformers 5 writes it: without `config::normalized` it is refused with "missing field
/// `rope_theta`".
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_transformers_4_and_one_of_transformers_5_give_the_same() {
    let reference = reference();
    let written_by_5 = fs::read_to_string(fixture("base/config.json")).unwrap();
    assert!(written_by_5.contains("rope_parameters") && !written_by_5.contains("\"torch_dtype\""));
    let copy = copy_of("base");
    fs::copy(
        fixture("config.transformers-4.json"),
        copy.path().join("config.json"),
    )
    .unwrap();
    for path in [fixture("base").as_path(), copy.path()] {
        let model = engine().load("model", &folder(path)).await.unwrap();
        assert_reference(&model, &reference, |case| &case.base).await;
    }
    assert_eq!(
        fs::read_to_string(fixture("base/config.json")).unwrap(),
        written_by_5,
        "changed in place"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gguf_file_gives_what_its_safetensors_give() {
    let source = ModelSource {
        base: BaseModel::Gguf(fixture("base.gguf")),
        adapter: None,
    };
    let model = engine().load("gguf", &source).await.unwrap();
    assert_eq!(model.description().architecture, "qwen3");
    assert_reference(&model, &reference(), |case| &case.base).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sharded_folder_gives_what_a_single_file_gives() {
    let copy = copy_of("base");
    shard(copy.path());
    let model = engine()
        .load("sharded", &folder(copy.path()))
        .await
        .unwrap();
    assert_reference(&model, &reference(), |case| &case.base).await;
}

/// Seen to fail when all models are loaded on one thread: the second model is quantised too.
#[tokio::test(flavor = "multi_thread")]
async fn quantisation_is_of_one_engine_and_leaves_the_next_model_alone() {
    let reference = reference();
    let settings = EngineSettings {
        quantization: Some(Quantization::Q8_0),
        ..settings()
    };
    let quantized = Engine::new(settings)
        .load("q8", &folder(fixture("base")))
        .await
        .unwrap();
    assert_eq!(
        quantized.description().quantization.as_deref(),
        Some("Q8_0")
    );
    let outcome = complete(quantized.as_ref(), asking(&reference, &reference.cases[0]))
        .await
        .unwrap();
    assert!(outcome.usage.completion_tokens > 0);
    let plain = engine()
        .load("plain", &folder(fixture("base")))
        .await
        .unwrap();
    assert_reference(&plain, &reference, |case| &case.base).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_models_answer_at_the_same_time() {
    let (engine, reference) = (engine(), reference());
    let base = engine.load("base", &folder(fixture("base"))).await.unwrap();
    let v2 = engine.load("v2", &adapted(fixture("v2"))).await.unwrap();
    tokio::join!(
        assert_reference(&base, &reference, |case| &case.base),
        assert_reference(&v2, &reference, |case| &case.v2)
    );
}

/// Requests queue. Seen to fail with several in mistralrs's scheduler, which therefore never gets more than one.
#[tokio::test(flavor = "multi_thread")]
async fn several_requests_at_once_on_one_model_do_not_change_each_other() {
    let reference = reference();
    let model = engine()
        .load("base", &folder(fixture("base")))
        .await
        .unwrap();
    for _ in 0..3 {
        let answers = reference
            .cases
            .iter()
            .map(|case| complete(model.as_ref(), asking(&reference, case)));
        let answers = futures::future::join_all(answers).await;
        for (case, outcome) in reference.cases.iter().zip(answers) {
            assert_eq!(outcome.unwrap().text, case.base.text, "{}", case.question);
        }
    }
    let together = EngineSettings {
        max_running: 2,
        ..settings()
    };
    let error = Engine::new(together)
        .load("base", &folder(fixture("base")))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            EngineError::Setting {
                key: "max_running",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_do_not_depend_on_what_the_prefix_cache_holds() {
    let reference = reference();
    let load = async |prefix_cache| {
        let settings = EngineSettings {
            prefix_cache,
            ..settings()
        };
        Engine::new(settings)
            .load("base", &folder(fixture("base")))
            .await
            .unwrap()
    };
    let (cached, uncached) = (load(16).await, load(0).await);
    let passages = "The port of Zed is 8080. Rollo was the Norse leader. The archive is open from Monday to Friday. ".repeat(2);
    let ask = |question: &str| request(vec![user(vec![trusted(&passages), trusted(question)])], 24);
    let questions = [
        "Who led?",
        "Who led the Norse?",
        "Who",
        "Who led?",
        "When is it open?",
        "Who led the Norse into France?",
    ];
    for question in questions.iter().chain(&questions) {
        let warm = complete(cached.as_ref(), ask(question)).await.unwrap();
        let cold = complete(uncached.as_ref(), ask(question)).await.unwrap();
        assert_eq!(
            (&warm.text, warm.usage),
            (&cold.text, cold.usage),
            "{question}"
        );
    }
    assert_reference(&cached, &reference, |case| &case.base).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_unloaded_finishes_its_requests() {
    let engine = engine();
    let model = engine.load("base", &folder(fixture("base"))).await.unwrap();
    let long = GenerationRequest {
        max_tokens: 300,
        ..request(vec![user(vec![trusted("Tell.")])], 1)
    };
    let expected = complete(model.as_ref(), long.clone()).await.unwrap();
    let mut stream = model.generate(long.clone()).await.unwrap();
    let waiting = model.generate(long).await.unwrap();
    assert!(matches!(
        stream.next().await,
        Some(Ok(Event::Started { .. }))
    ));
    drop(model);
    assert!(engine.unload("base"));
    assert!(engine.get("base").is_none() && !engine.unload("base"));
    for stream in [stream, waiting] {
        let last = stream.map(Result::unwrap).collect::<Vec<_>>().await.pop();
        let Some(Event::Finished(outcome)) = last else {
            panic!("{last:?}")
        };
        assert_eq!(
            (outcome.text, outcome.usage),
            (expected.text.clone(), expected.usage)
        );
    }
    engine.drained().await;
}

/// Seen to fail when nothing holds the receiver of mistralrs's answers: its thread panics, and the next request gets "the
/// engine broke off".
#[test]
fn a_runtime_that_ends_in_the_middle_of_a_request_leaves_the_model_usable() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    let model = first
        .block_on(engine().load("base", &folder(fixture("base"))))
        .unwrap();
    let long = GenerationRequest {
        max_tokens: 400,
        ..request(vec![user(vec![trusted("Tell.")])], 1)
    };
    let mut stream = first.block_on(model.generate(long)).unwrap();
    first.block_on(async {
        assert!(matches!(
            stream.next().await,
            Some(Ok(Event::Started { .. }))
        ))
    });
    first.shutdown_background();
    let reference = reference();
    runtime().block_on(assert_reference(&model, &reference, |case| &case.base));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_is_one_model() {
    let engine = engine();
    let source = folder(fixture("base"));
    let (first, second) = tokio::join!(engine.load("base", &source), engine.load("base", &source));
    let refused = [first, second]
        .into_iter()
        .filter_map(Result::err)
        .collect::<Vec<_>>();
    assert!(
        matches!(refused.as_slice(), [EngineError::NameTaken { name }] if name == "base"),
        "{refused:?}"
    );
    assert!(engine.unload("base"));
    engine.load("base", &source).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_length_is_the_lesser_of_the_models_and_the_setting() {
    let load = async |context_length| {
        let settings = EngineSettings {
            context_length,
            ..settings()
        };
        Engine::new(settings)
            .load("base", &folder(fixture("base")))
            .await
            .unwrap()
            .description()
            .context_length
    };
    assert_eq!(
        [
            load(None).await,
            load(Some(100)).await,
            load(Some(100_000)).await
        ],
        [512, 100, 512]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_in_the_hub_cache_loads_without_a_network_and_one_that_is_not_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let repository = cache.path().join("models--quoin-rs--tiny");
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "abc123").unwrap();
    fs::create_dir_all(repository.join("snapshots")).unwrap();
    fs::rename(copy_of("base").keep(), repository.join("snapshots/abc123")).unwrap();
    let engine = Engine::new(EngineSettings {
        cache_folder: cache.path().to_owned(),
        ..settings()
    });
    let hub = |id: &str| ModelSource {
        base: BaseModel::Hub {
            id: id.into(),
            revision: None,
        },
        adapter: None,
    };
    let model = engine.load("tiny", &hub("quoin-rs/tiny")).await.unwrap();
    assert_reference(&model, &reference(), |case| &case.base).await;

    let absent = engine
        .load("absent", &hub("quoin-rs/absent"))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&absent, EngineError::NetworkOff { id } if id == "quoin-rs/absent"),
        "{absent}"
    );
    assert!(absent.to_string().contains("network is off"));
    for id in ["tiny", "../x/y", "a/b/c", "a/..", "a\\b/c", "/etc", "a/b?c"] {
        let error = engine.load("bad", &hub(id)).await.err().unwrap();
        assert!(matches!(error, EngineError::Hub { .. }), "{id}: {error}");
    }
}

/// Splits `model.safetensors` in two, with an index.
fn shard(folder: &Path) {
    use safetensors::{SafeTensors, serialize_to_file};
    let single = folder.join("model.safetensors");
    let bytes = fs::read(&single).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut all = tensors.tensors();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let second = all.split_off(all.len() / 2);
    let mut map = serde_json::Map::new();
    for (number, shard) in [all, second].into_iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", number + 1);
        map.extend(
            shard
                .iter()
                .map(|(tensor, _)| (tensor.clone(), name.clone().into())),
        );
        serialize_to_file(shard, None, &folder.join(name)).unwrap();
    }
    fs::write(
        folder.join("model.safetensors.index.json"),
        serde_json::json!({"weight_map": map}).to_string(),
    )
    .unwrap();
    fs::remove_file(single).unwrap();
}
