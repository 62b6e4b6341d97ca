//! Diagnosis from outside: a planted defect of each class, whole observations of any sort, and hostile texts in the views.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quoin_eval::diagnose::{
    Cell, Class, Context, Diagnosis, GoldDocument, GoldText, Lever, Listing, Observation, Outcome,
    Settings, Side, Stage, Status, Trace, Validity,
};

const CUT: usize = 8;

fn listing(rank: Option<usize>, listed: usize) -> Listing {
    Listing { rank, listed }
}

pub fn right() -> Outcome {
    Outcome {
        cites_gold: Some(true),
        confidence: Some(0.9),
        ..Outcome::answered("30 days")
    }
}

pub fn wrong(cites_gold: bool) -> Outcome {
    Outcome {
        cites_gold: Some(cites_gold),
        ..Outcome::answered("two years")
    }
}

/// Everything found, in the prompt, and right with gold alone; what is served is handed in.
pub fn found(id: &str, served: Outcome) -> Observation {
    Observation {
        id: id.to_owned(),
        question: "How long are logs kept?".to_owned(),
        kind: Some("plain".to_owned()),
        answers: vec!["30 days".to_owned()],
        documents: vec![GoldDocument {
            id: "logs".to_owned(),
            in_corpus: true,
            visible: true,
            validity: Validity::Current,
        }],
        texts: vec![GoldText {
            document: "logs".to_owned(),
            text: "Logs are kept 30 days.".to_owned(),
            in_document: true,
            in_one_passage: true,
        }],
        trace: Some(Trace {
            cut: CUT,
            bm25: listing(Some(1), 50),
            vector: listing(Some(2), 50),
            fused: listing(Some(1), 50),
            reranked: listing(Some(1), 50),
            question_terms: Some(4),
            shared_terms: Some(3),
            in_prompt: Some(true),
        }),
        cells: BTreeMap::from([(Cell::RetrievedBase, served), (Cell::GoldBase, right())]),
        ..Observation::default()
    }
}

fn unseen(id: &str, change: impl FnOnce(&mut Observation, &mut Trace)) -> Observation {
    let mut observation = found(id, wrong(false));
    let mut trace = observation.trace.take().unwrap();
    trace.in_prompt = Some(false);
    change(&mut observation, &mut trace);
    observation.trace = Some(trace);
    observation
}

fn ranks(
    id: &str,
    [bm25, vector, fused, reranked]: [Option<usize>; 4],
    shared: usize,
) -> Observation {
    unseen(id, |_, trace| {
        trace.bm25 = listing(bm25, 50);
        trace.vector = listing(vector, 50);
        trace.fused = listing(fused, 50);
        trace.reranked = listing(reranked, 50);
        trace.shared_terms = Some(shared);
    })
}

fn retrieval_defects() -> Vec<(Observation, Class, Lever)> {
    let lost = Class::NotRetrieved;
    let far = [None; 4];
    let removed = unseen("removed", |observation, _| {
        observation.documents[0].in_corpus = false;
    });
    let reworded = unseen("reworded", |observation, _| {
        observation.texts[0].in_document = false;
    });
    let hidden = unseen("hidden", |observation, _| {
        observation.documents[0].visible = false;
    });
    let stale = unseen("stale", |observation, _| {
        observation.documents[0].validity = Validity::Expired;
    });
    let cut = unseen("cut", |observation, _| {
        observation.texts[0].in_one_passage = false;
    });
    let mut bm25_off = ranks("bm25 off", far, 3);
    bm25_off.trace.as_mut().unwrap().bm25 = Listing::default();
    let mut vector_off = ranks("vector off", far, 1);
    vector_off.trace.as_mut().unwrap().vector = Listing::default();
    vec![
        (removed, Class::NotInCorpus, Lever::AddDocuments),
        (reworded, Class::NotInCorpus, Lever::AddDocuments),
        (hidden, lost(Stage::Permission), Lever::FixPermissions),
        (stale, lost(Stage::Freshness), Lever::FixValidity),
        (cut, lost(Stage::PassageBoundary), Lever::ChangePassages),
        (bm25_off, lost(Stage::Bm25), Lever::ChangeRanking),
        (vector_off, lost(Stage::Vector), Lever::ChangeRanking),
        (
            ranks("no term", far, 0),
            lost(Stage::Analysis),
            Lever::ChangeRanking,
        ),
        (
            ranks("words, far", far, 2),
            lost(Stage::Bm25),
            Lever::ChangeRanking,
        ),
        (
            ranks("meaning, far", far, 1),
            lost(Stage::Vector),
            Lever::ChangeRanking,
        ),
        (
            ranks("fused away", [Some(2), None, Some(20), Some(20)], 3),
            lost(Stage::Fusion),
            Lever::ChangeRanking,
        ),
        (
            ranks("reranked away", [Some(2), Some(3), Some(1), Some(20)], 3),
            lost(Stage::Reranking),
            Lever::ChangeRanking,
        ),
        (
            ranks("not lifted", [Some(12), Some(13), Some(11), Some(10)], 3),
            lost(Stage::Reranking),
            Lever::ChangeRanking,
        ),
        (
            ranks("no room", [Some(2), Some(3), Some(1), Some(7)], 3),
            lost(Stage::Budget),
            Lever::ChangePrompt,
        ),
    ]
}

fn behaviour_defects() -> Vec<(Observation, Class, Lever)> {
    let mut invented = found(
        "invented",
        Outcome {
            confidence: Some(0.4),
            ..wrong(false)
        },
    );
    invented.is_impossible = true;
    let invalid = Outcome {
        written: Some("30 days".to_owned()),
        schema_valid: Some(false),
        ..Outcome::failed("not an object")
    };
    let wordy = Outcome::answered(
        "As far as I can see from all of this the logs would be kept for 30 days or so",
    );
    let shy = Outcome {
        confidence: Some(0.2),
        ..Outcome::abstained()
    };
    let mut helpless = found("helpless", Outcome::abstained());
    helpless.cells.insert(Cell::GoldBase, Outcome::abstained());
    let mut broken = found("broken adapter", right());
    broken.cells.insert(Cell::RetrievedAdapter, wrong(false));
    broken.cells.insert(Cell::GoldAdapter, wrong(true));
    vec![
        (
            found("ignored", wrong(false)),
            Class::RetrievedNotUsed,
            Lever::ChangePrompt,
        ),
        (
            found("misread", wrong(true)),
            Class::UsedWrong,
            Lever::ChangePrompt,
        ),
        (
            found("invalid", invalid),
            Class::RightWrongForm,
            Lever::ChangeFormat,
        ),
        (
            found("wordy", wordy),
            Class::RightWrongForm,
            Lever::ChangeFormat,
        ),
        (invented, Class::ShouldHaveAbstained, Lever::RaiseThreshold),
        (
            found("shy", shy),
            Class::ShouldNotHaveAbstained,
            Lever::LowerThreshold,
        ),
        (helpless, Class::RetrievedNotUsed, Lever::FineTune),
        (broken, Class::RetrievedNotUsed, Lever::DropAdapter),
    ]
}

pub fn diagnose(observations: &[Observation]) -> Diagnosis {
    Diagnosis::of(observations, &Settings::default()).unwrap()
}

#[test]
fn a_planted_defect_ends_up_in_its_class_with_its_lever() {
    for (observation, class, lever) in retrieval_defects().into_iter().chain(behaviour_defects()) {
        let diagnosis = diagnose(&[observation]);
        let finding = &diagnosis.findings[0];
        assert_eq!(finding.class, class, "{finding:#?}");
        assert!(finding.levers.contains(&lever), "{finding:#?}");
    }
}

#[test]
fn a_right_answer_and_a_right_abstention_are_no_failures() {
    let mut unanswerable = found("b", Outcome::abstained());
    unanswerable.is_impossible = true;
    let diagnosis = diagnose(&[found("a", right()), unanswerable]);
    assert_eq!(
        (
            diagnosis.right.part,
            diagnosis.failures,
            diagnosis.levers.len()
        ),
        (2, 0, 0)
    );
    assert!(
        diagnosis.next.starts_with("Nothing to pull: 2 of 2"),
        "{}",
        diagnosis.next
    );
}

#[test]
fn what_was_not_observed_is_said_and_not_guessed() {
    let mut bare = found("a", wrong(false));
    bare.trace = None;
    let mut unasked = found("b", right());
    unasked.cells.clear();
    let diagnosis = diagnose(&[bare, unasked, found("c", Outcome::failed("timed out"))]);
    assert_eq!(diagnosis.undetermined, 3);
    assert!(
        diagnosis.next.contains("3 of 3 could not be judged"),
        "{}",
        diagnosis.next
    );
}

#[test]
fn what_gold_alone_does_not_make_right_no_ranking_recovers() {
    let mut observation = ranks("a", [None; 4], 3);
    observation.cells.insert(Cell::GoldBase, wrong(true));
    let diagnosis = diagnose(&[observation]);
    assert!(diagnosis.levers.is_empty() && diagnosis.beyond_levers == 1);
}

#[test]
fn failures_lost_before_the_model_advise_against_fine_tuning() {
    let observations: Vec<_> = retrieval_defects()
        .into_iter()
        .map(|(observation, ..)| observation)
        .collect();
    let diagnosis = diagnose(&observations);
    assert_eq!(
        diagnosis.next,
        "Do not fine-tune yet: 14 of 14 failures are lost before the model sees the passage. First change ranking: it could recover at most 8 of 14."
    );
    let last = diagnosis.flow.last().unwrap();
    assert_eq!((diagnosis.flow[0].left, last.left), (14, 0));
}

#[test]
fn the_grid_pairs_the_questions_that_both_cells_were_asked() {
    let mut gained = found("a", wrong(false));
    gained.cells.insert(Cell::RetrievedAdapter, right());
    let diagnosis = diagnose(&[gained, found("b", right())]);
    let contrast = diagnosis
        .contrasts
        .iter()
        .find(|contrast| contrast.to == Cell::RetrievedAdapter)
        .unwrap();
    assert_eq!((contrast.pairs, contrast.gained, contrast.lost), (1, 1, 0));
    assert_eq!(diagnosis.served, Cell::of(Context::Retrieved, true));
}

#[test]
fn the_best_threshold_has_most_right_answers_less_wrong_ones() {
    let answered = |id: &str, confidence: f64, is_right: bool| {
        let outcome = if is_right { right() } else { wrong(false) };
        found(
            id,
            Outcome {
                confidence: Some(confidence),
                ..outcome
            },
        )
    };
    let diagnosis = diagnose(&[
        answered("a", 0.9, true),
        answered("b", 0.8, true),
        answered("c", 0.5, false),
        answered("d", 0.4, false),
        answered("e", f64::NAN, false),
    ]);
    let curve = diagnosis.abstention.unwrap();
    assert_eq!((curve.n, curve.now.right, curve.now.wrong), (4, 2, 2));
    let best = curve.best.unwrap();
    assert_eq!((best.threshold, best.right, best.wrong), (Some(0.8), 2, 0));
}

#[test]
fn an_id_that_comes_twice_and_an_impossible_f1_are_refused() {
    let twice = [found("a", right()), found("a", right())];
    let error = Diagnosis::of(&twice, &Settings::default()).unwrap_err();
    assert_eq!(error.to_string(), "observation `a`: the id comes twice");
    let mut settings = Settings::default();
    settings.right.f1_at_least = f64::NAN;
    assert!(
        Diagnosis::of(&[], &settings)
            .unwrap_err()
            .to_string()
            .contains("not `NaN`")
    );
}

#[test]
fn the_markdown_of_one_lost_question() {
    let markdown = diagnose(&[ranks("q1", [None; 4], 3)]).to_markdown();
    for part in [
        "# The lever to pull\n\n**Do not fine-tune yet: 1 of 1 failures are lost before the model sees the passage. First change ranking: it could recover at most 1 of 1.**\n\n0 of 1 questions are right (0.0 % [0.0, 79.3]).",
        "\n## Levers\n\n| lever | recovers at most | share of failures (95 %) | no other lever would | unchecked | would lose | what is counted |\n|---|---:|---:|---:|---:|---:|---:|\n| change ranking | 1 | 100.0 % [20.7, 100.0] | 1 | 0 | 0 | found too low or not; right with the gold passages alone |\n",
        "\nOf 1 failures, 1 are of knowledge: 100.0 % [20.7, 100.0]; and 0 of behaviour: 0.0 % [0.0, 79.3].\n",
        "| found by BM25 or vectors | 0 | 1 |\n",
        "\n### q1 · lost in BM25\n\nHow long are logs kept?\n\n- Decided by: the passage has half of the question's terms or more: BM25 had the words.\n",
        "- Gold passage: BM25 not among 50, vector not among 50, fused not among 50, reranked not among 50; the prompt is offered the first 8.\n- It has 3 of the question's 4 terms.\n- Other cells: gold passages alone, without adapter: right.\n- Levers: change ranking\n",
    ] {
        assert!(markdown.contains(part), "{part}\n---\n{markdown}");
    }
}

#[test]
fn hostile_texts_stay_texts_in_every_view() {
    let hostile = "<script>alert(1)</script> | a\nb \u{202e}x]]> `c` \u{1}";
    let mut observation = found(
        hostile,
        Outcome {
            cites_gold: Some(false),
            ..Outcome::answered(hostile.repeat(20_000))
        },
    );
    observation.question = hostile.to_owned() + &"x".repeat(1 << 20);
    observation.kind = Some(hostile.to_owned());
    let mut settings = Settings::default();
    settings
        .about
        .insert(hostile.to_owned(), hostile.to_owned());
    let diagnosis = Diagnosis::of(&[observation], &settings).unwrap();
    assert_eq!(diagnosis.failures, 1);
    let (html, markdown, junit) = (
        diagnosis.to_html(),
        diagnosis.to_markdown(),
        diagnosis.to_junit(),
    );
    for view in [&html, &markdown, &junit] {
        assert!(!view.contains("<script") && !view.contains('\u{202e}') && !view.contains('\u{1}'));
        assert!(view.len() < 40_000, "{}", view.len());
    }
    assert!(markdown.contains("\\|") && !markdown.contains("| a\n"));
    assert!(!junit.contains("]]>"));
    assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("src="));
}

#[test]
fn the_report_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let observations: Vec<_> = behaviour_defects()
        .into_iter()
        .map(|(observation, ..)| observation)
        .collect();
    let diagnosis = diagnose(&observations);
    diagnosis.write(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Diagnosis>(&text).unwrap(), diagnosis);
    for name in ["report.md", "report.html", "junit.xml"] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
    let line = serde_json::to_string(&observations[0]).unwrap();
    assert_eq!(
        serde_json::from_str::<Observation>(&line).unwrap(),
        observations[0]
    );
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let texts = prop_oneof![
        Just("30 days"),
        Just("two years"),
        Just("it is about 30 days as I read all of what is said here")
    ];
    let status = prop_oneof![
        Just(Status::Answered),
        Just(Status::Abstained),
        Just(Status::Failed)
    ];
    (
        status,
        texts,
        any::<[bool; 3]>(),
        proptest::option::of(0.0..1.0),
    )
        .prop_map(|(status, text, [cites, valid, withheld], confidence)| {
            let mut outcome = match status {
                Status::Answered => Outcome::answered(text),
                Status::Abstained => Outcome::abstained(),
                Status::Failed => Outcome {
                    written: Some(text.to_owned()),
                    ..Outcome::failed("schema")
                },
            };
            if withheld && status == Status::Abstained {
                outcome.written = Some(text.to_owned());
            }
            outcome.cites_gold = Some(cites);
            outcome.schema_valid = Some(valid);
            outcome.confidence = confidence;
            outcome
        })
}

fn listings() -> impl Strategy<Value = Listing> {
    prop_oneof![
        Just(Listing::default()),
        Just(listing(None, 50)),
        (1_usize..=50).prop_map(|rank| listing(Some(rank), 50))
    ]
}

/// Observations that lack nothing.
fn wholes() -> impl Strategy<Value = Observation> {
    let lists = [listings(), listings(), listings(), listings()];
    let flags = any::<[bool; 7]>();
    (
        flags,
        lists,
        0_usize..=4,
        outcomes(),
        outcomes(),
        proptest::option::of(outcomes()),
    )
        .prop_map(
            |(
                [
                    impossible,
                    in_corpus,
                    visible,
                    current,
                    in_document,
                    whole,
                    seen,
                ],
                lists,
                shared,
                served,
                gold,
                adapter,
            )| {
                let mut observation = found("q", served);
                observation.is_impossible = impossible;
                observation.documents[0].in_corpus = in_corpus;
                observation.documents[0].visible = visible;
                observation.documents[0].validity = if current {
                    Validity::Current
                } else {
                    Validity::Superseded
                };
                observation.texts[0].in_document = in_document;
                observation.texts[0].in_one_passage = whole;
                let trace = observation.trace.as_mut().unwrap();
                [trace.bm25, trace.vector, trace.fused, trace.reranked] = lists;
                trace.shared_terms = Some(shared);
                trace.in_prompt = Some(seen);
                observation.cells.insert(Cell::GoldBase, gold);
                observation
                    .cells
                    .extend(adapter.map(|outcome| (Cell::RetrievedAdapter, outcome)));
                observation
            },
        )
}

proptest! {
    #[test]
    fn a_whole_observation_has_one_class_and_levers_that_fit_it(observation in wholes()) {
        let diagnosis = diagnose(&[observation]);
        let finding = &diagnosis.findings[0];
        prop_assert_ne!(finding.class, Class::Undetermined);
        prop_assert_eq!(diagnosis.right.part + diagnosis.failures, 1);
        prop_assert_eq!(diagnosis.classes.len(), 1);
        let split = diagnosis.behaviour_split;
        let tunes = usize::from(finding.levers.contains(&Lever::FineTune));
        prop_assert_eq!(tunes, split.not_tried + split.wrong_with_gold);
        let parts: usize = split.parts().iter().map(|(_, number)| number).sum();
        prop_assert_eq!(parts, usize::from(finding.class.side() == Some(Side::Behaviour)));
        prop_assert_eq!(diagnosis.knowledge.part + diagnosis.behaviour.part, diagnosis.failures);
        prop_assert_eq!(finding.levers.contains(&Lever::AddDocuments) && finding.class != Class::NotInCorpus, false);
        let mut once = finding.levers.clone();
        once.dedup();
        prop_assert_eq!(&once, &finding.levers);
        let row = &diagnosis.table["all"];
        let sorts = row.missing + row.not_found + row.stale + row.not_permitted + row.not_used + row.used_wrong + row.wrong_form + row.abstention;
        prop_assert_eq!(sorts, diagnosis.failures);
        for pair in diagnosis.flow.windows(2) {
            prop_assert_eq!(pair[0].left, pair[1].left + pair[1].lost);
        }
    }
}

#[test]
fn an_adapter_that_helps_more_than_it_harms_is_not_taken_away() {
    let both = |id: &str, base: Outcome, adapter: Outcome| {
        let mut observation = found(id, base);
        observation.cells.extend([
            (Cell::RetrievedAdapter, adapter),
            (Cell::GoldAdapter, right()),
        ]);
        observation
    };
    let observations = [
        both("harmed", right(), wrong(true)),
        both("helped", wrong(true), right()),
        both("helped too", wrong(true), right()),
    ];
    let diagnosis = diagnose(&observations);
    let drop = diagnosis
        .levers
        .iter()
        .find(|bound| bound.lever == Lever::DropAdapter)
        .unwrap();
    assert_eq!((drop.at_most.part, drop.costs), (1, 2));
    assert_eq!(diagnosis.levers.last(), Some(drop));
    assert!(
        !diagnosis.next.contains("without the adapter"),
        "{}",
        diagnosis.next
    );
}

#[test]
fn the_advice_follows_what_failed() {
    let helpless = |id: &str| {
        let mut observation = found(id, Outcome::abstained());
        observation
            .cells
            .insert(Cell::GoldBase, Outcome::abstained());
        observation
    };
    let next = diagnose(&[helpless("a"), helpless("b")]).next;
    assert!(
        next.starts_with("Fine-tuning is worth a try: 2 of 2 failures"),
        "{next}"
    );
    let next = diagnose(&[found("a", wrong(false))]).next;
    assert!(
        next.starts_with("Before fine-tuning, change prompt"),
        "{next}"
    );
    let mut hopeless = ranks("a", [None; 4], 3);
    hopeless.cells.insert(Cell::GoldBase, wrong(true));
    let next = diagnose(&[hopeless, helpless("b")]).next;
    assert!(next.contains("mend both"), "{next}");
}
