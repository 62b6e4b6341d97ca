//! Answering only where one is sure enough: risk and coverage over thresholds of confidence, and a threshold that is judged on
//! questions which did not choose it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::metrics::{count, ratio, rounded};

/// Parts of a cross-validation.
pub(crate) const FOLDS: usize = 5;
/// Of the order in which questions are dealt to the folds.
const SEED: u64 = 0;
/// With fewer questions no threshold is proposed: a fold would hold three or fewer.
pub(crate) const QUESTIONS_MIN: usize = 20;

/// A question with a finite confidence, and whether what was written for it is right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scored<'data> {
    pub id: &'data str,
    pub confidence: f64,
    pub is_right: bool,
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

/// A threshold chosen by cross-validation: each fold is answered under the threshold that is best on the other folds, so that no
/// question is judged under one that it helped to choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Questions with a confidence and a text.
    pub n: usize,
    pub folds: usize,
    /// Questions are dealt to the folds in the order of `sha256(seed ‖ id)`.
    pub seed: u64,
    /// The best threshold without each fold; none where answering nothing was best.
    pub thresholds: Vec<Option<f64>>,
    /// What is proposed: the median of those; none to answer nothing.
    pub threshold: Option<f64>,
    /// What came of all folds together. Its `threshold` is the proposed one, though each fold had its own.
    pub point: Point,
}

impl Point {
    pub(crate) fn new(threshold: Option<f64>, right: usize, wrong: usize, n: usize) -> Self {
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

/// El-Yaniv and Wiener (2010), "On the foundations of noise-free selective classification": one point for each different
/// confidence, the highest first; `n` questions could have been answered.
pub(crate) fn curve(scored: &[Scored<'_>], n: usize) -> Vec<Point> {
    let mut sorted: Vec<&Scored<'_>> = scored.iter().collect();
    sorted.sort_by(|left, right| right.confidence.total_cmp(&left.confidence));
    let (mut right, mut wrong) = (0, 0);
    let mut points = Vec::new();
    for (index, one) in sorted.iter().enumerate() {
        if one.is_right {
            right += 1;
        } else {
            wrong += 1;
        }
        let ends_tie = sorted
            .get(index + 1)
            .is_none_or(|next| next.confidence < one.confidence);
        if ends_tie {
            points.push(Point::new(Some(one.confidence), right, wrong, n));
        }
    }
    points
}

/// The point with the most right answers less wrong ones; of equals, the highest threshold. None when answering nothing is best.
pub(crate) fn best(points: &[Point]) -> Option<Point> {
    points.iter().fold(None, |best: Option<Point>, point| {
        if point.beats(best.as_ref()) {
            Some(*point)
        } else {
            best
        }
    })
}

/// Midway between the least confidence of [`best`] and the next below it, as far as there is one.
fn choice(points: &[Point]) -> Option<f64> {
    let least = best(points)?.threshold?;
    let below = points
        .iter()
        .filter_map(|point| point.threshold)
        .find(|threshold| *threshold < least);
    Some(below.map_or(least, |below| below.midpoint(least)))
}

/// The choice, and for each question in the order given whether it is answered while held out. None for fewer than
/// [`QUESTIONS_MIN`] questions.
pub(crate) fn cross_validate(scored: &[Scored<'_>]) -> Option<(HeldOut, Vec<bool>)> {
    if scored.len() < QUESTIONS_MIN {
        return None;
    }
    let folds = dealt(scored);
    let mut answered = vec![false; scored.len()];
    let mut thresholds = Vec::with_capacity(FOLDS);
    for fold in 0..FOLDS {
        let others: Vec<Scored<'_>> = scored
            .iter()
            .zip(&folds)
            .filter(|(_, of)| **of != fold)
            .map(|(one, _)| *one)
            .collect();
        let chosen = choice(&curve(&others, others.len()));
        for (index, one) in scored.iter().enumerate() {
            if folds[index] == fold {
                answered[index] = chosen.is_some_and(|threshold| one.confidence >= threshold);
            }
        }
        thresholds.push(chosen);
    }
    let number = |is_right| {
        let both = scored.iter().zip(&answered);
        both.filter(|(one, answered)| **answered && one.is_right == is_right)
            .count()
    };
    let threshold = median(&thresholds);
    let point = Point::new(threshold, number(true), number(false), scored.len());
    let held_out = HeldOut {
        n: scored.len(),
        folds: FOLDS,
        seed: SEED,
        thresholds,
        threshold,
        point,
    };
    Some((held_out, answered))
}

/// The fold of each question: as many in each, give or take one.
fn dealt(scored: &[Scored<'_>]) -> Vec<usize> {
    let digest = |one: &Scored<'_>| -> [u8; 32] {
        Sha256::new_with_prefix(SEED.to_le_bytes())
            .chain_update(one.id)
            .finalize()
            .into()
    };
    let mut order: Vec<([u8; 32], usize)> = scored.iter().map(digest).zip(0..).collect();
    order.sort_unstable();
    let mut folds = vec![0; scored.len()];
    for (place, (_, index)) in order.into_iter().enumerate() {
        folds[index] = place % FOLDS;
    }
    folds
}

/// Answering nothing is above every threshold.
fn median(thresholds: &[Option<f64>]) -> Option<f64> {
    let mut sorted: Vec<f64> = thresholds
        .iter()
        .map(|threshold| threshold.unwrap_or(f64::INFINITY))
        .collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get(sorted.len() / 2).copied();
    middle.filter(|threshold| threshold.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Generator;

    /// `n` questions: right with the chance that `is_right` gives for a confidence.
    fn made(n: usize, stream: &str, chance: fn(f64) -> f64) -> Vec<(String, f64, bool)> {
        let mut generator = Generator::named(7, stream);
        let one = |index| {
            let confidence = generator.share();
            let is_right = generator.share() < chance(confidence);
            (format!("q{index}"), confidence, is_right)
        };
        (0..n).map(one).collect()
    }

    fn scored(made: &[(String, f64, bool)]) -> Vec<Scored<'_>> {
        made.iter()
            .map(|(id, confidence, is_right)| Scored {
                id,
                confidence: *confidence,
                is_right: *is_right,
            })
            .collect()
    }

    fn gain(point: &Point) -> f64 {
        count(point.right) - count(point.wrong)
    }

    #[test]
    fn where_confidence_says_nothing_the_naive_choice_gains_and_the_held_out_one_does_not() {
        let (mut naive, mut honest) = (0.0, 0.0);
        for stream in 0..40 {
            let made = made(60, &format!("noise {stream}"), |_| 0.5);
            let scored = scored(&made);
            naive += best(&curve(&scored, 60)).map_or(0.0, |point| gain(&point));
            honest += gain(&cross_validate(&scored).unwrap().0.point);
        }
        // Nothing is to be gained: right and wrong are as likely everywhere.
        assert!(naive / 40.0 > 4.0, "{naive}");
        assert!(honest / 40.0 < 1.5, "{honest}");
    }

    #[test]
    fn where_confidence_tells_right_from_wrong_the_threshold_lies_between_them() {
        let made = made(200, "told", |confidence| {
            f64::from(u8::from(confidence > 0.4))
        });
        let (held_out, answered) = cross_validate(&scored(&made)).unwrap();
        assert!((held_out.threshold.unwrap() - 0.4).abs() < 0.05);
        assert!(held_out.point.wrong <= 2 && held_out.point.right > 100);
        assert_eq!(
            answered.iter().filter(|answered| **answered).count(),
            held_out.point.right + held_out.point.wrong
        );
    }

    #[test]
    fn no_question_is_judged_under_a_threshold_that_it_chose() {
        // One question decides: without it nothing is worth answering, with it everything from its confidence up is.
        let mut made = made(39, "wrong", |_| 0.0);
        made.push(("lucky".to_owned(), 2.0, true));
        let scored = scored(&made);
        assert_eq!(best(&curve(&scored, 40)).unwrap().right, 1);
        let (held_out, answered) = cross_validate(&scored).unwrap();
        assert_eq!((answered[39], held_out.point.right), (false, 0));
        assert_eq!(held_out.thresholds.iter().flatten().count(), FOLDS - 1);
    }

    #[test]
    fn folds_are_as_large_as_each_other_and_do_not_depend_on_the_order() {
        let made = made(52, "folds", |_| 0.5);
        let mut turned = made.clone();
        turned.reverse();
        let (folds, mut back) = (dealt(&scored(&made)), dealt(&scored(&turned)));
        back.reverse();
        assert_eq!(folds, back);
        for fold in 0..FOLDS {
            let size = folds.iter().filter(|of| **of == fold).count();
            assert!((10..=11).contains(&size), "{size}");
        }
        assert!(cross_validate(&scored(&made)[..QUESTIONS_MIN - 1]).is_none());
    }
}
