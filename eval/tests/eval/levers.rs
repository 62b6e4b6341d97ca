//! What the levers promise: their order, what they cost, what fine-tuning is bounded by, and the sentence that follows.

use quoin_eval::diagnose::{
    BehaviourSplit, Cell, Diagnosis, Lever, LeverBound, Observation, Outcome,
};

use crate::diagnosis::{diagnose, found, right, wrong};

/// Answered wrong with the adapter; the base is right or not, and so is the adapter with the gold passages alone.
fn adapted(id: &str, base_is_right: bool, gold_is_right: bool) -> Observation {
    let outcome = |is_right| if is_right { right() } else { wrong(true) };
    let mut observation = found(id, outcome(base_is_right));
    observation.cells.extend([
        (Cell::RetrievedAdapter, wrong(false)),
        (Cell::GoldAdapter, outcome(gold_is_right)),
    ]);
    observation
}

fn bound(diagnosis: &Diagnosis, lever: Lever) -> Option<&LeverBound> {
    diagnosis.levers.iter().find(|bound| bound.lever == lever)
}

fn with_confidence(mut observation: Observation, confidence: f64) -> Observation {
    for outcome in observation.cells.values_mut() {
        outcome.confidence = Some(confidence);
    }
    observation
}

#[test]
fn an_adapter_that_breaks_what_the_base_has_right_is_to_be_taken_away() {
    let mut observations: Vec<Observation> = (0..20)
        .map(|index| adapted(&format!("broken {index}"), index < 18, true))
        .collect();
    for (id, base) in [("both", right()), ("gained", wrong(true))] {
        let mut observation = found(id, base);
        observation.cells.insert(Cell::RetrievedAdapter, right());
        observations.push(observation);
    }
    let diagnosis = diagnose(&observations);
    assert_eq!(
        diagnosis.next,
        "Serve without the adapter, or go back to the version before it: the base is right on 18 of the 20 failures, and wrong on 1 of the 2 that are right with it (p < 0.0001)."
    );
    let counted: Vec<(Lever, usize, usize)> = diagnosis
        .levers
        .iter()
        .map(|bound| (bound.lever, bound.at_most.part, bound.costs))
        .collect();
    // The two that the base has wrong are right with gold alone: for the prompt, and not for training.
    assert_eq!(
        counted,
        [(Lever::DropAdapter, 18, 1), (Lever::ChangePrompt, 2, 0)]
    );
}

#[test]
fn three_questions_that_the_base_has_right_are_no_proof_against_an_adapter() {
    let observations: Vec<Observation> = (0..3)
        .map(|index| adapted(&index.to_string(), true, true))
        .collect();
    let diagnosis = diagnose(&observations);
    for finding in &diagnosis.findings {
        assert_eq!(finding.levers, [Lever::DropAdapter, Lever::ChangePrompt]);
    }
    assert!(
        diagnosis.next.ends_with("(p 0.2500)."),
        "{}",
        diagnosis.next
    );
}

#[test]
fn fine_tuning_is_bounded_by_what_nothing_cheaper_was_shown_to_recover() {
    let mut observations = vec![
        adapted("base", true, true),
        adapted("crowded 1", false, true),
        adapted("crowded 2", false, true),
    ];
    observations.extend((0..5).map(|index| adapted(&format!("helpless {index}"), false, false)));
    let mut wordy = adapted("wordy", false, false);
    wordy.cells.insert(
        Cell::RetrievedAdapter,
        Outcome::answered("As far as I can see from this they are kept for 30 days or so, I think"),
    );
    let mut untried = adapted("untried", false, false);
    untried.cells.remove(&Cell::GoldAdapter);
    observations.extend([wordy, untried]);
    let diagnosis = diagnose(&observations);
    assert_eq!(
        diagnosis.behaviour_split,
        BehaviourSplit {
            base_is_right: 1,
            only_form: 1,
            right_with_gold_alone: 2,
            not_tried: 1,
            wrong_with_gold: 5,
            ..BehaviourSplit::default()
        }
    );
    let training = bound(&diagnosis, Lever::FineTune).unwrap();
    assert_eq!((training.at_most.part, training.unchecked), (6, 1));
    // Newcombe (1998): Wilson's interval of 6 of 10 is 0.3127 to 0.8318.
    assert!((training.at_most.low - 0.3127).abs() < 5e-5, "{training:?}");
    assert!((training.at_most.high - 0.8318).abs() < 5e-5);
    assert_eq!(
        (diagnosis.behaviour.part, diagnosis.behaviour.whole),
        (10, 10)
    );
    assert!((diagnosis.knowledge.high - 0.2775).abs() < 5e-5);
    // The prompt reaches four, more than half of what training could.
    assert_eq!(diagnosis.levers[0].lever, Lever::ChangePrompt);
    assert!(
        diagnosis.next.starts_with(
            "Before fine-tuning, change prompt or budget: it could recover at most 4 of 10"
        ),
        "{}",
        diagnosis.next
    );
    let more = (0..4).map(|index| adapted(&format!("more {index}"), false, false));
    let diagnosis = diagnose(&observations.into_iter().chain(more).collect::<Vec<_>>());
    assert_eq!(
        diagnosis.next,
        "Fine-tuning is worth a try: 10 of 14 failures are behaviour that no cheaper lever recovers; 9 of them are wrong with the gold passages alone too, or answered where there is no answer; for 1 that was not tried."
    );
}

/// Answered although there is no answer, and questions that are right, at these confidences.
fn invented_and_right(invented: &[f64], answered: &[f64]) -> Vec<Observation> {
    let invented = invented.iter().enumerate().map(|(index, confidence)| {
        let mut observation = found(&format!("invented {index}"), wrong(false));
        observation.is_impossible = true;
        with_confidence(observation, *confidence)
    });
    let answered = answered.iter().enumerate().map(|(index, confidence)| {
        with_confidence(found(&format!("right {index}"), right()), *confidence)
    });
    invented.chain(answered).collect()
}

#[test]
fn a_threshold_recovers_what_it_withholds_and_costs_what_is_right() {
    let low: Vec<f64> = (0..20).map(|index| 0.01 * f64::from(index)).collect();
    let high: Vec<f64> = (0..30).map(|index| 0.5 + 0.01 * f64::from(index)).collect();
    let diagnosis = diagnose(&invented_and_right(&low, &high));
    let raise = bound(&diagnosis, Lever::RaiseThreshold).unwrap();
    // The lowest right answer chooses the threshold of all folds but its own, which withholds it.
    assert_eq!(
        (raise.at_most.part, raise.costs, raise.unchecked),
        (20, 0, 0)
    );
    assert!(bound(&diagnosis, Lever::FineTune).is_none());
    assert_eq!(
        diagnosis.next,
        "Before fine-tuning, raise the abstention threshold: it could recover at most 20 of 20."
    );
    let trial = diagnosis.abstention.unwrap().held_out.unwrap();
    assert_eq!(
        (trial.recovers, trial.costs, trial.spares, trial.held_out.n),
        (20, 0, 0, 50)
    );
    // Midway between the highest that is wrong and the lowest that is right.
    assert!((trial.held_out.threshold.unwrap() - 0.345).abs() < 1e-9);
}

#[test]
fn where_confidence_does_not_tell_them_apart_no_threshold_is_promised() {
    // Each answer that nothing supports stands between two that are right.
    let odd: Vec<f64> = (0..20)
        .map(|index| 0.04 * f64::from(index) + 0.02)
        .collect();
    let even: Vec<f64> = (0..22).map(|index| 0.04 * f64::from(index)).collect();
    let diagnosis = diagnose(&invented_and_right(&odd, &even));
    let raise = bound(&diagnosis, Lever::RaiseThreshold);
    let recovered = raise.map_or(0, |raise| raise.at_most.part.saturating_sub(raise.costs));
    assert_eq!(recovered, 0, "{raise:?}");
    let split = diagnosis.behaviour_split;
    assert_eq!(split.right_at_threshold + split.wrong_with_gold, 20);
    assert!(!diagnosis.next.contains("threshold"), "{}", diagnosis.next);
}

#[test]
fn too_few_questions_to_choose_a_threshold_leave_it_unchecked() {
    let diagnosis = diagnose(&invented_and_right(&[0.1, 0.2], &[0.8]));
    let raise = bound(&diagnosis, Lever::RaiseThreshold).unwrap();
    assert_eq!((raise.at_most.part, raise.unchecked), (2, 2));
    assert!(diagnosis.abstention.unwrap().held_out.is_none());
    assert!(
        diagnosis.next.contains("unchecked: nothing was tried"),
        "{}",
        diagnosis.next
    );
}
