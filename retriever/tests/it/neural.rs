//! Models from a folder: they embed, rerank, take the place of others and are gone back from, and leave nothing behind.
//!
//! The models are the tiny random ones of `fixtures/neural`: they find nothing by meaning.

use std::path::{Path, PathBuf};

use quoin_retriever::{
    Access, EmbedderKind, HeadedSentence, RerankerKind, Retriever, RetrieverError,
    RetrieverSettings, SearchRequest,
};

use crate::{everyone, found, id, open, public};

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/neural");
    fixtures.join(name)
}

/// Words decide: the vectors are of random weights.
fn neural() -> RetrieverSettings {
    let mut settings = RetrieverSettings {
        embedder: EmbedderKind::Folder(fixture("embedder")),
        ..RetrieverSettings::default()
    };
    settings.ranking.vector_weight = Some(0.1);
    settings.ranking.rerank = Some(false);
    settings
}

fn open_with(folder: &Path, settings: RetrieverSettings) -> Retriever {
    Retriever::open(folder, settings).unwrap()
}

fn fill(retriever: &Retriever) {
    for (name, text) in [
        ("pump", "the pump resets itself after a fault"),
        ("leave", "every employee has paid holidays"),
        ("valve", "unbelievably long valves"),
    ] {
        retriever.put(public(name, text)).unwrap();
    }
}

/// Rows of a table of the catalogue, which must be closed.
fn rows(folder: &Path, table: &str) -> i64 {
    let catalogue = rusqlite::Connection::open(folder.join("quoin.db")).unwrap();
    let sql = format!("SELECT count(*) FROM {table}");
    catalogue.query_row(&sql, [], |row| row.get(0)).unwrap()
}

fn reranker_of(retriever: &Retriever) -> Option<String> {
    let mut request = SearchRequest::new("reset the pump", 3);
    request.explain = true;
    request.rerank = Some(true);
    let result = retriever.search(&request, &everyone()).unwrap();
    assert!(!result.hits.is_empty());
    let explanation = result.explanation.unwrap();
    if explanation.reranker.is_some() {
        let best = result.hits.iter().filter_map(|hit| hit.stages.rerank);
        assert!(best.count() > 0);
    }
    explanation.reranker
}

#[test]
fn a_model_from_a_folder_embeds_and_the_vectors_of_its_tokens_rerank() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open_with(folder.path(), neural());
    fill(&retriever);
    assert!(retriever.embedder().starts_with("neural:"));
    assert_eq!(found(&retriever, "paid holidays", &everyone())[0], "leave");
    assert_eq!(
        reranker_of(&retriever).as_deref(),
        Some("token-late-interaction")
    );
    let texts = ["the pump resets itself after a fault", "holidays"].map(str::to_owned);
    let scores = retriever
        .rerank("pump resets", &texts, &everyone())
        .unwrap();
    assert!(scores.len() == 2 && scores.iter().all(|score| *score != 0.0));
    retriever.rebuild().unwrap();
    assert!(retriever.verify().unwrap().problems.is_empty());
    drop(retriever);
    assert_eq!(rows(folder.path(), "token_vectors"), 3);
    let catalogue = rusqlite::Connection::open(folder.path().join("quoin.db")).unwrap();
    catalogue
        .execute("DELETE FROM token_vectors WHERE passage = 1", [])
        .unwrap();
    drop(catalogue);
    let retriever = open_with(folder.path(), neural());
    let problems = retriever.verify().unwrap().problems;
    assert!(
        problems.len() == 1 && problems[0].contains("vectors of their tokens"),
        "{problems:?}"
    );
}

#[test]
fn token_vectors_can_be_left_out_and_are_a_pipeline_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RetrieverSettings {
        token_vectors: Some(false),
        ..neural()
    };
    let retriever = open_with(folder.path(), settings);
    fill(&retriever);
    let without = retriever.statistics().pipeline;
    assert_eq!(reranker_of(&retriever), None);
    drop(retriever);
    assert_eq!(rows(folder.path(), "token_vectors"), 0);
    let retriever = open_with(folder.path(), neural());
    retriever.settle();
    assert_ne!(retriever.statistics().pipeline, without);
    assert!(reranker_of(&retriever).is_some());
    drop(retriever);
    assert_eq!(rows(folder.path(), "token_vectors"), 3);
}

#[test]
fn one_embedder_takes_the_place_of_another_and_going_back_is_possible_both_ways() {
    let bundled = || RetrieverSettings {
        embedder: EmbedderKind::Bundled,
        ..neural()
    };
    for (first, second) in [(bundled(), neural()), (neural(), bundled())] {
        let folder = tempfile::tempdir().unwrap();
        let retriever = open_with(folder.path(), first);
        fill(&retriever);
        retriever.rebuild().unwrap();
        let before = retriever.embedder();
        drop(retriever);
        let retriever = open_with(folder.path(), second.clone());
        retriever.settle();
        assert_ne!(retriever.embedder(), before);
        retriever
            .put(public("late", "a late addition about otters"))
            .unwrap();
        retriever.delete(&id("valve"), &Access::admin()).unwrap();
        retriever.settle();
        retriever.rollback().unwrap();
        let check = |retriever: &Retriever| {
            assert_eq!(retriever.embedder(), before);
            assert_eq!(found(retriever, "otters", &everyone())[0], "late");
            assert_eq!(found(retriever, "paid holidays", &everyone())[0], "leave");
            assert!(!found(retriever, "valves", &everyone()).contains(&"valve".to_owned()));
            assert!(retriever.verify().unwrap().problems.is_empty());
        };
        check(&retriever);
        drop(retriever);
        let retriever = open_with(folder.path(), second);
        retriever.settle();
        check(&retriever);
        retriever.rebuild().unwrap();
        assert_ne!(retriever.embedder(), before);
        assert_eq!(found(&retriever, "otters", &everyone())[0], "late");
    }
}

#[test]
fn what_is_deleted_or_forgotten_takes_its_token_vectors_along() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open_with(folder.path(), neural());
    fill(&retriever);
    retriever.put(public("pump", "another pump")).unwrap();
    retriever.delete(&id("leave"), &Access::admin()).unwrap();
    retriever.settle();
    let report = retriever.verify_erased(&id("leave"), &[]).unwrap();
    assert!(
        report
            .problems
            .iter()
            .all(|problem| !problem.contains("rows"))
    );
    drop(retriever);
    assert_eq!(rows(folder.path(), "token_vectors"), 2);
    assert_eq!(rows(folder.path(), "passages"), 2);
    // The one that serves and the one before it are kept: after two changes, none of the neural ones.
    for target in [100, 200] {
        let mut settings = RetrieverSettings::default();
        settings.passages.target_tokens = target;
        let retriever = open_with(folder.path(), settings);
        retriever.settle();
        retriever.rebuild().unwrap();
    }
    assert_eq!(rows(folder.path(), "token_vectors"), 0);
}

#[test]
fn a_model_that_is_gone_is_named_and_does_not_keep_others_from_serving() {
    let folder = tempfile::tempdir().unwrap();
    let model = tempfile::tempdir().unwrap();
    let model = model.path().join("model");
    std::fs::create_dir(&model).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(fixture("embedder").join(file), model.join(file)).unwrap();
    }
    let settings = RetrieverSettings {
        embedder: EmbedderKind::Folder(model.clone()),
        ..RetrieverSettings::default()
    };
    let retriever = open_with(folder.path(), settings.clone());
    fill(&retriever);
    retriever.rebuild().unwrap();
    drop(retriever);
    let retriever = open(folder.path());
    retriever.settle();
    std::fs::remove_dir_all(&model).unwrap();
    let name = model.display().to_string();
    let error = retriever.rollback().unwrap_err().to_string();
    assert!(error.contains(&name), "{error}");
    assert_eq!(found(&retriever, "paid holidays", &everyone())[0], "leave");
    drop(retriever);
    let error = Retriever::open(folder.path(), settings).err().unwrap();
    assert!(matches!(error, RetrieverError::Embedder { .. }));
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn what_served_is_cut_again_when_its_model_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let model = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(fixture("embedder").join(file), model.path().join(file)).unwrap();
    }
    let settings = RetrieverSettings {
        embedder: EmbedderKind::Folder(model.path().to_owned()),
        ..RetrieverSettings::default()
    };
    let retriever = open_with(folder.path(), settings);
    fill(&retriever);
    drop(retriever);
    drop(model);
    let retriever = open(folder.path());
    assert!(retriever.embedder().starts_with("static:"));
    assert_eq!(found(&retriever, "paid holidays", &everyone())[0], "leave");
    assert!(retriever.verify().unwrap().problems.is_empty());
}

#[test]
fn a_cross_encoder_reranks_whatever_embeds() {
    for name in ["cross-encoder", "xlm-cross-encoder"] {
        for mut settings in [RetrieverSettings::default(), neural()] {
            let folder = tempfile::tempdir().unwrap();
            settings.ranking.reranker = RerankerKind::CrossEncoder(fixture(name));
            let retriever = open_with(folder.path(), settings);
            fill(&retriever);
            let name = reranker_of(&retriever).unwrap();
            assert!(name.starts_with("cross-encoder:"), "{name}");
            assert_eq!(retriever.pipeline().reranker, Some(name));
        }
    }
}

#[test]
fn sentences_are_compared_by_the_table_in_the_binary_whatever_embeds() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let bundled = open(folders[0].path());
    let neural = open_with(folders[1].path(), neural());
    let texts = ["the pump resets itself".to_owned(), String::new()];
    let quick = neural.embed_quickly(&texts).unwrap();
    assert_eq!(quick, bundled.embed(&texts).unwrap());
    assert_ne!(quick[0].len(), neural.embed(&texts).unwrap()[0].len());
}

#[test]
fn the_encoder_in_the_binary_embeds_reranks_and_is_gone_back_from() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    fill(&retriever);
    retriever.rebuild().unwrap();
    drop(retriever);
    let settings = RetrieverSettings {
        embedder: EmbedderKind::BundledEncoder,
        ..RetrieverSettings::default()
    };
    let retriever = open_with(folder.path(), settings);
    retriever.settle();
    assert!(retriever.embedder().starts_with("neural:"));
    assert_eq!(
        reranker_of(&retriever).as_deref(),
        Some("token-late-interaction")
    );
    let reworded = "vacation of workers";
    assert_eq!(found(&retriever, reworded, &everyone())[0], "leave");
    assert!(retriever.verify().unwrap().problems.is_empty());
    retriever.rollback().unwrap();
    assert!(retriever.embedder().starts_with("static:"));
}

#[test]
fn sentences_are_compared_whatever_embeds() {
    for settings in [RetrieverSettings::default(), neural()] {
        let folder = tempfile::tempdir().unwrap();
        let retriever = open_with(folder.path(), settings);
        fill(&retriever);
        let headed = |text| HeadedSentence {
            headings: "Staff handbook",
            text,
        };
        let sentences = [
            headed("The pump takes oil of grade 10."),
            headed("Every employee has paid holidays."),
        ];
        let near = retriever
            .nearness("vacation of workers", &sentences, &everyone())
            .unwrap();
        assert_eq!(near.len(), 2);
        assert!(near[1].cosine > near[0].cosine, "{near:?}");
    }
}
