//! Risk and coverage over thresholds of confidence: what a higher or lower abstention threshold would have done.

use serde::{Deserialize, Serialize};

use super::decide::Case;
use super::observation::Status;
use super::statistics::rounded;
use crate::metrics::{count, ratio};

/// Points that are kept of a curve; of more, evenly chosen ones beside the best.
const POINTS_MAX: usize = 200;

/// El-Yaniv and Wiener (2010), "On the foundations of noise-free selective classification": of the questions with a
/// confidence and a text, those at or above a threshold are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskCoverage {
    /// Questions that the curve is over.
    pub n: usize,
    /// Highest threshold first.
    pub points: Vec<Point>,
    /// The point with the most right answers less wrong ones (of equals, the highest threshold); none when answering
    /// nothing is best. Found on these very questions, so it flatters itself.
    pub best: Option<Point>,
    /// What was answered under the threshold as it is.
    pub now: Point,
}

/// What answering at or above this confidence gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// None for the threshold that is in force, which is not known here.
    pub threshold: Option<f64>,
    pub right: usize,
    pub wrong: usize,
    /// Share of the questions that are answered.
    pub coverage: f64,
    /// Share of the answers that are wrong.
    pub risk: f64,
}

impl Point {
    fn new(threshold: Option<f64>, right: usize, wrong: usize, n: usize) -> Self {
        let answered = count(right + wrong);
        Self {
            threshold,
            right,
            wrong,
            coverage: rounded(ratio(answered, count(n))),
            risk: rounded(ratio(count(wrong), answered)),
        }
    }

    fn beats(&self, other: Option<&Self>) -> bool {
        let (right, wrong) = other.map_or((0, 0), |other| (other.right, other.wrong));
        self.right + wrong > right + self.wrong
    }
}

/// None when no question has both a finite confidence and a text.
pub(super) fn risk_coverage(cases: &[Case<'_>]) -> Option<RiskCoverage> {
    let mut scored = Vec::new();
    let (mut right_now, mut wrong_now) = (0, 0);
    for case in cases {
        let Some(outcome) = case.outcome().filter(|outcome| outcome.text().is_some()) else {
            continue;
        };
        let Some(confidence) = outcome
            .confidence
            .filter(|confidence| confidence.is_finite())
        else {
            continue;
        };
        let is_right = case.carries_answer();
        scored.push((confidence, is_right));
        if outcome.status == Status::Answered {
            if is_right {
                right_now += 1;
            } else {
                wrong_now += 1;
            }
        }
    }
    if scored.is_empty() {
        return None;
    }
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    let n = scored.len();
    let (mut points, mut best): (Vec<Point>, Option<Point>) = (Vec::new(), None);
    let (mut right, mut wrong) = (0, 0);
    for (index, (confidence, is_right)) in scored.iter().enumerate() {
        if *is_right {
            right += 1;
        } else {
            wrong += 1;
        }
        let ends_tie = scored
            .get(index + 1)
            .is_none_or(|next| next.0 < *confidence);
        if ends_tie {
            let point = Point::new(Some(*confidence), right, wrong, n);
            if point.beats(best.as_ref()) {
                best = Some(point);
            }
            points.push(point);
        }
    }
    let last = points.len() - 1;
    if points.len() > POINTS_MAX {
        points = (0..POINTS_MAX)
            .map(|index| points[index * last / (POINTS_MAX - 1)])
            .collect();
    }
    Some(RiskCoverage {
        n,
        points,
        best,
        now: Point::new(None, right_now, wrong_now, n),
    })
}
