//! What a search finds, and what it says about it.

use quoin_retriever::{
    Content, Filters, Fusion, OneOrMany, RankingSettings, Retriever, RetrieverSettings,
    SearchRequest,
};

use crate::{everyone, found, open, public};

fn handbook(retriever: &Retriever) {
    let pages = [
        (
            "leave",
            "# Annual leave\n\nEmployees have twenty-five days of paid holiday a year.\n\n## Sick leave\n\nTell your manager before 10:00.",
        ),
        (
            "pumps",
            "# Pumps\n\n| Model | Flow |\n|---|---|\n| P-100 | 30 l/min |\n| P-200 | 55 l/min |\n\nReset with `max_num_seqs` after ERR-4012.",
        ),
        (
            "kobe",
            "# 神戸工場\n\n休暇の申請は二週間前までに提出してください。",
        ),
        (
            "travel",
            "# Travel\n\nBook trains rather than flights. Hotels cost at most 120 euro a night.",
        ),
    ];
    for (name, text) in pages {
        let mut input = public(name, "");
        input.content = Content::markdown(text);
        input.metadata.insert(
            "team".into(),
            if name == "pumps" { "plant" } else { "people" }.into(),
        );
        input
            .metadata
            .insert("tags".into(), serde_json::json!(["all", name]));
        input.source = Some("handbook".into());
        retriever.put(input).unwrap();
    }
}

#[test]
fn words_identifiers_and_japanese_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    handbook(&retriever);
    for (query, want) in [
        ("how many days of holiday?", "leave"),
        ("ERR-4012", "pumps"),
        ("max_num_seqs", "pumps"),
        ("num seqs", "pumps"),
        ("flow of the P-200", "pumps"),
        ("申請", "kobe"),
        ("vacation days", "leave"),
    ] {
        assert_eq!(found(&retriever, query, &everyone())[0], want, "{query}");
    }
}

#[test]
fn a_query_has_no_syntax_and_may_be_anything() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    handbook(&retriever);
    let long = "holiday ".repeat(4000);
    for query in [
        "",
        " ",
        "???",
        "AND OR NOT (",
        "words:[a TO b] \"unclosed",
        "\u{0}\u{202e}",
        "*",
        &long,
    ] {
        retriever
            .search(&SearchRequest::new(query, 5), &everyone())
            .unwrap();
    }
}

#[test]
fn base_and_delta_give_what_one_index_gives() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    handbook(&retriever);
    let queries = [
        "holiday",
        "pump flow",
        "manager",
        "hotel euro",
        "ERR-4012 reset",
    ];
    let all: Vec<_> = queries
        .iter()
        .map(|query| hits(&retriever, query))
        .collect();
    retriever.rebuild().unwrap();
    let mut input = public("leave", "");
    input.content = Content::markdown("# Annual leave\n\nSomething new entirely.");
    retriever.put(input).unwrap();
    handbook(&retriever);
    assert!(retriever.statistics().delta_passages > 0);
    retriever.rebuild().unwrap();
    assert_eq!(retriever.statistics().delta_passages, 0);
    for (query, want) in queries.iter().zip(all) {
        assert_eq!(hits(&retriever, query), want, "{query}");
    }
}

fn hits(retriever: &Retriever, query: &str) -> Vec<(String, i64)> {
    let result = retriever
        .search(&SearchRequest::new(query, 5), &everyone())
        .unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "a score of at most 1")]
    let rounded = |score: f32| (score * 10_000.0).round() as i64;
    result
        .hits
        .iter()
        .map(|hit| (hit.passage.to_string(), rounded(hit.score)))
        .collect()
}

#[test]
fn filters_narrow_what_is_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    handbook(&retriever);
    let with = |json: &str| {
        let mut request = SearchRequest::new("reset holiday pump leave hotel", 20);
        request.filters = serde_json::from_str::<Filters>(json).unwrap();
        let hits = retriever.search(&request, &everyone()).unwrap().hits;
        let names: std::collections::BTreeSet<_> =
            hits.iter().map(|hit| hit.document.to_string()).collect();
        names.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(with(r#"{"metadata": {"team": "plant"}}"#), ["pumps"]);
    assert_eq!(
        with(r#"{"metadata": {"tags": ["travel", "pumps"]}}"#),
        ["pumps", "travel"]
    );
    assert_eq!(
        with(r#"{"metadata": {"team": "people", "tags": "travel"}}"#),
        ["travel"]
    );
    assert_eq!(with(r#"{"id_prefix": "tra"}"#), ["travel"]);
    assert_eq!(with(r#"{"source": ["handbook"]}"#).len(), 4);
    assert!(with(r#"{"source": "other"}"#).is_empty());
    assert!(matches!(
        serde_json::from_str::<Filters>(r#"{"source": "x"}"#)
            .unwrap()
            .source,
        Some(OneOrMany::One(_))
    ));
}

#[test]
fn an_explanation_names_the_terms_and_every_stage_has_its_rank() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    handbook(&retriever);
    let mut request = SearchRequest::new("What is the paid holiday?", 3);
    request.explain = true;
    request.rerank = Some(true);
    let result = retriever.search(&request, &everyone()).unwrap();
    let explanation = result.explanation.unwrap();
    assert_eq!(explanation.terms, ["paid", "holiday"]);
    assert_eq!(
        explanation.reranker.as_deref(),
        Some("static-late-interaction")
    );
    let first = &result.hits[0];
    assert_eq!(first.heading, ["Annual leave"]);
    assert_eq!(first.stages.bm25.unwrap().rank, 1);
    assert_eq!(first.stages.fused.unwrap().rank, 1);
    assert!(first.stages.rerank.is_some());
}

#[test]
fn every_fusion_can_be_set_and_shows_in_the_pipeline() {
    let mut pipelines = std::collections::BTreeSet::new();
    for fusion in [Fusion::ReciprocalRank, Fusion::MinMax, Fusion::ZScore] {
        let folder = tempfile::tempdir().unwrap();
        let settings = RetrieverSettings {
            ranking: RankingSettings {
                fusion: Some(fusion),
                ..RankingSettings::default()
            },
            ..RetrieverSettings::default()
        };
        let retriever = Retriever::open(folder.path(), settings).unwrap();
        handbook(&retriever);
        assert_eq!(found(&retriever, "paid holiday", &everyone())[0], "leave");
        pipelines.insert(retriever.pipeline().ranking);
    }
    assert_eq!(pipelines.len(), 3);
}

#[test]
fn a_first_stage_without_weight_is_not_searched() {
    for (weight, words, vectors) in [(0.0, true, false), (0.3, true, true), (1.0, false, true)] {
        let folder = tempfile::tempdir().unwrap();
        let settings = RetrieverSettings {
            ranking: RankingSettings {
                vector_weight: Some(weight),
                ..RankingSettings::default()
            },
            ..RetrieverSettings::default()
        };
        let retriever = Retriever::open(folder.path(), settings).unwrap();
        handbook(&retriever);
        let request = SearchRequest::new("paid holiday", 5);
        let found = retriever.search(&request, &everyone()).unwrap();
        assert_eq!(found.hits[0].document.as_str(), "leave", "{weight}");
        assert!(found.confidence > 0.0, "{weight}");
        let stages = found.hits[0].stages;
        assert_eq!(
            (stages.bm25.is_some(), stages.vector.is_some()),
            (words, vectors),
            "{weight}"
        );
        let rankings = retriever.rankings("paid holiday", 5, &everyone()).unwrap();
        assert!(
            !rankings.bm25.is_empty() && !rankings.vector.is_empty(),
            "evaluated all the same"
        );
    }
}

#[test]
fn a_score_under_a_filter_is_the_score_without() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    handbook(&retriever);
    let mut request = SearchRequest::new("pump flow", 20);
    let free = retriever.search(&request, &everyone()).unwrap().hits;
    request.filters = serde_json::from_str(r#"{"id_prefix": "pumps"}"#).unwrap();
    let narrowed = retriever.search(&request, &everyone()).unwrap().hits;
    let score = |hits: &[quoin_retriever::Hit]| hits[0].stages.bm25.unwrap().score;
    assert!((score(&free) - score(&narrowed)).abs() < 1e-6);
}

#[test]
fn rankings_are_by_document() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    handbook(&retriever);
    let rankings = retriever
        .rankings("leave manager holiday", 10, &everyone())
        .unwrap();
    for list in [
        &rankings.bm25,
        &rankings.vector,
        &rankings.fused,
        &rankings.reranked,
    ] {
        assert_eq!(list[0].0.as_str(), "leave");
        let different: std::collections::HashSet<_> = list.iter().map(|(id, _)| id).collect();
        assert_eq!(different.len(), list.len());
    }
}

#[test]
fn texts_are_embedded_and_reranked_on_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let vectors = retriever
        .embed(&["a pump".to_owned(), String::new()])
        .unwrap();
    assert!((vectors[0].iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-4);
    assert!(vectors[1].iter().all(|x| *x == 0.0));
    let scores = retriever.rerank(
        "reset pump",
        &["holiday pay".into(), "reset the pump".into()],
        &everyone(),
    );
    let scores = scores.unwrap();
    assert!(scores[1] > scores[0]);
}
