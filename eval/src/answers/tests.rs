#![expect(clippy::float_cmp, reason = "halves and wholes are exact")]

use super::*;

fn cited(document: &str, place: Range<usize>, quote: &str) -> Cited {
    Cited {
        document: document.to_owned(),
        place,
        quote: quote.to_owned(),
        verbatim: true,
    }
}

fn outcome(gold: &[&str], answer: Option<&str>) -> AnswerOutcome {
    AnswerOutcome {
        gold: gold.iter().map(ToString::to_string).collect(),
        is_impossible: gold.is_empty(),
        answer: answer.map(str::to_owned),
        schema_valid: true,
        citations: answer
            .map(|answer| cited("a", 0..answer.len(), answer))
            .into_iter()
            .collect(),
        ..AnswerOutcome::default()
    }
}

#[test]
fn the_best_of_the_gold_answers_counts() {
    assert_eq!(
        outcome(&["Paris, France", "Paris"], Some("paris")).exact_and_f1(),
        (1.0, 1.0)
    );
    let (exact, f1) = outcome(&["in the north of France"], Some("north France")).exact_and_f1();
    assert!(
        exact == 0.0 && (f1 - 2.0 * 2.0 / 6.0).abs() < 1e-12,
        "{exact} {f1}"
    );
}

#[test]
fn abstaining_is_right_when_there_is_no_answer_and_only_then() {
    assert_eq!(outcome(&[], None).exact_and_f1(), (1.0, 1.0));
    assert_eq!(outcome(&[], Some("Paris")).exact_and_f1(), (0.0, 0.0));
    assert_eq!(outcome(&["Paris"], None).exact_and_f1(), (0.0, 0.0));
}

#[test]
fn the_summary_of_four_questions() {
    let mut broken = outcome(&[], Some("Rome"));
    broken.schema_valid = false;
    broken.citations[0].verbatim = false;
    let outcomes = [
        outcome(&["Paris"], Some("Paris")),
        outcome(&["Oslo"], None),
        outcome(&[], None),
        broken,
    ];
    let expected = [
        ("HasAns_exact", 0.5),
        ("HasAns_f1", 0.5),
        ("NoAns_exact", 0.5),
        ("NoAns_f1", 0.5),
        ("abstain_precision", 0.5),
        ("abstain_recall", 0.5),
        ("answered", 0.5),
        ("citation_coverage", 1.0),
        ("contains", 0.5),
        ("exact", 0.5),
        ("f1", 0.5),
        ("quote_verbatim", 0.5),
        ("schema_valid", 0.5),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let metrics = outcomes.map(|outcome| outcome.metrics());
    assert_eq!(summarise(&metrics), expected);
}

#[test]
fn a_share_of_nothing_is_left_out() {
    assert!(summarise(&[]).is_empty());
    let metrics = outcome(&["Paris"], Some("Paris")).metrics();
    for name in [
        "abstain_precision",
        "NoAns_f1",
        "citation_recall",
        "field_f1",
    ] {
        assert!(!metrics.contains_key(name), "{name}");
    }
}

#[test]
fn citations_are_held_against_the_places_that_hold_the_answer() {
    let source = |document: &str, place| Source {
        document: document.to_owned(),
        place,
    };
    let mut outcome = outcome(&["Paris"], Some("Paris"));
    outcome.sources = vec![source("a", Some(10..20)), source("b", None)];
    outcome.citations = vec![cited("a", 19..30, "x"), cited("a", 20..30, "y")];
    let metrics = outcome.metrics();
    assert_eq!(
        metrics["citation_precision"], 0.5,
        "the second one begins where the place ends"
    );
    assert_eq!(metrics["citation_recall"], 0.5, "`b` is not cited");
    assert_eq!(metrics["gold_citation_f1"], 0.5);
    outcome.answer = None;
    outcome.citations.clear();
    let metrics = outcome.metrics();
    assert_eq!(metrics["gold_citation_f1"], 0.0);
    assert!(!metrics.contains_key("citation_precision"));
}

#[test]
fn an_answer_in_a_sentence_contains_whole_words_only() {
    let within = |answer| outcome(&["27 days"], Some(answer)).contains().unwrap();
    assert_eq!(within("Employees have 27 days, a year."), 1.0);
    assert_eq!(within("Employees have 127 days."), 0.0);
}

#[test]
fn fields_are_compared_leaf_by_leaf() {
    let want = serde_json::json!({"amount": 20, "tags": ["a", "b"], "who": {"name": "The Ann"}});
    let same = serde_json::json!({"tags": ["b", "a"], "who": {"name": "ann"}, "amount": 20.0});
    assert_eq!(field_f1(&want, &same), 1.0);
    let half = serde_json::json!({"amount": 20, "tags": ["a", "c"], "who": {"name": "Bob"}});
    assert_eq!(field_f1(&want, &half), 0.5);
    assert_eq!(field_f1(&want, &Value::Null), 0.0);
}

#[test]
fn a_higher_threshold_abstains_more() {
    let outcomes = [
        (outcome(&["Paris"], Some("Paris")), 0.9),
        (outcome(&[], Some("Rome")), 0.3),
    ];
    let curve = threshold_curve(&outcomes);
    assert_eq!(curve.len(), 21);
    assert_eq!((curve[0].answered, curve[0].f1), (1.0, 0.5));
    assert_eq!((curve[8].answered, curve[8].f1), (0.5, 1.0));
    assert_eq!(curve[8].abstain_precision, Some(1.0));
    assert_eq!(
        (curve[20].answered, curve[20].abstain_recall),
        (0.0, Some(1.0))
    );
}
