//! Risk and coverage over thresholds of confidence: what a higher or lower abstention threshold would have done.

use serde::{Deserialize, Serialize};

use super::decide::Case;
use super::observation::Status;
use crate::selective::{HeldOut, Point, QUESTIONS_MIN, Scored, best, cross_validate, curve};

/// Points that are kept of a curve; of more, evenly chosen ones.
const POINTS_MAX: usize = 200;

/// Of the questions with a confidence and a text, those at or above a threshold are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskCoverage {
    /// Questions that the curve is over.
    pub n: usize,
    /// Highest threshold first.
    pub points: Vec<Point>,
    /// The point with the most right answers less wrong ones (of equals, the highest threshold); none when answering
    /// nothing is best. Found on these very questions, so it flatters itself: `held_out` is what to go by.
    pub best: Option<Point>,
    /// What was answered under the threshold as it is.
    pub now: Point,
    /// The threshold that is proposed, judged on questions that did not choose it; none for fewer than 20 questions.
    pub held_out: Option<ThresholdTrial>,
}

/// A proposed threshold, against the one in force. Questions are counted while they are held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdTrial {
    pub held_out: HeldOut,
    /// Failures that would be right: withheld where there is no answer, or given where it was withheld.
    pub recovers: usize,
    /// Questions that are right, and would not be.
    pub costs: usize,
    /// Wrong answers to questions that have one, which would be abstentions: still not right.
    pub spares: usize,
}

impl RiskCoverage {
    /// What is proposed, and on what it rests.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Some(trial) = &self.held_out else {
            return format!(
                "No threshold is proposed: of the questions, {} have a confidence and a text, and {QUESTIONS_MIN} are needed to choose one on some and judge it on others.",
                self.n
            );
        };
        let HeldOut {
            n,
            folds,
            threshold,
            ..
        } = trial.held_out;
        let proposed = threshold.map_or_else(
            || "Proposed: answer nothing".to_owned(),
            |threshold| format!("Proposed threshold: {threshold:.4}"),
        );
        format!(
            "{proposed}, for most right answers less wrong ones. Each of {n} questions was judged under the threshold that is best on the other {} of {folds} folds: {} failures would be right, {} right ones would not be, and {} wrong answers would be abstentions. The best on these very questions flatters itself.",
            folds - 1,
            trial.recovers,
            trial.costs,
            trial.spares
        )
    }
}

/// By case: whether it would be answered at a threshold that other questions chose; none where that is not known.
pub(super) type Decisions = Vec<Option<bool>>;

/// None when no question has both a finite confidence and a text.
pub(super) fn risk_coverage(cases: &[Case<'_>]) -> (Option<RiskCoverage>, Decisions) {
    let mut decisions = vec![None; cases.len()];
    let (places, scored): (Vec<usize>, Vec<Scored<'_>>) = cases
        .iter()
        .enumerate()
        .filter_map(|(place, case)| Some((place, scored(case)?)))
        .unzip();
    if scored.is_empty() {
        return (None, decisions);
    }
    let n = scored.len();
    let answered_now = |is_right: bool| {
        let given = places.iter().zip(&scored).filter(|(place, one)| {
            let status = cases[**place].outcome().map(|outcome| outcome.status);
            status == Some(Status::Answered) && one.is_right == is_right
        });
        given.count()
    };
    let now = Point::new(None, answered_now(true), answered_now(false), n);
    let mut points = curve(&scored, n);
    let best = best(&points);
    let last = points.len() - 1;
    if points.len() > POINTS_MAX {
        points = (0..POINTS_MAX)
            .map(|index| points[index * last / (POINTS_MAX - 1)])
            .collect();
    }
    let held_out = cross_validate(&scored).map(|(held_out, answered)| {
        for (place, answered) in places.iter().zip(answered) {
            decisions[*place] = Some(answered);
        }
        trial(cases, &decisions, held_out)
    });
    let curve = RiskCoverage {
        n,
        points,
        best,
        now,
        held_out,
    };
    (Some(curve), decisions)
}

fn scored<'data>(case: &Case<'data>) -> Option<Scored<'data>> {
    let outcome = case.outcome().filter(|outcome| outcome.text().is_some())?;
    let confidence = outcome
        .confidence
        .filter(|confidence| confidence.is_finite())?;
    Some(Scored {
        id: &case.observation.id,
        confidence,
        is_right: case.carries_answer(),
    })
}

fn trial(cases: &[Case<'_>], decisions: &Decisions, held_out: HeldOut) -> ThresholdTrial {
    let mut trial = ThresholdTrial {
        held_out,
        recovers: 0,
        costs: 0,
        spares: 0,
    };
    for (case, decision) in cases.iter().zip(decisions) {
        match case.moved(*decision) {
            Some(Moved::ToRight) => trial.recovers += 1,
            Some(Moved::FromRight) => trial.costs += 1,
            Some(Moved::WrongToSilence) => trial.spares += 1,
            None => {}
        }
    }
    trial
}

/// What answering or withholding would change for a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    ToRight,
    FromRight,
    WrongToSilence,
}

impl Case<'_> {
    /// What becomes of it where it is answered, or not, against how it is served; none where nothing that counts changes.
    pub(super) fn moved(&self, is_answered: Option<bool>) -> Option<Moved> {
        let outcome = self.outcome()?;
        let is_impossible = self.observation.is_impossible;
        let is_right = self.is_right(self.served);
        match (outcome.status, is_answered?) {
            (Status::Answered, false) | (Status::Abstained, true) if is_right => {
                Some(Moved::FromRight)
            }
            (Status::Answered, false) if is_impossible => Some(Moved::ToRight),
            (Status::Answered, false) => Some(Moved::WrongToSilence),
            (Status::Abstained, true) if self.carries_answer() => Some(Moved::ToRight),
            _ => None,
        }
    }
}
