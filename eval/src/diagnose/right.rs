//! When an answer counts as right, and when it is right but for its form.

use serde::{Deserialize, Serialize};

use super::observation::{Observation, Outcome, Status};
use crate::answers::{exact_match, f1, normalise};

/// Words that an answer may hold beside the gold answer and still count as that answer, wordily given. What is longer
/// contains short answers by chance.
const WORDS_BESIDE_MAX: usize = 40;

/// When an answer counts as right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightRule {
    /// The F1 that is enough, above 0 and up to 1. An exact match always is.
    pub f1_at_least: f64,
    pub by: RightBy,
}

/// What is compared. A question without gold answers is judged by its citations whatever is said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RightBy {
    /// The answer's words with the gold answers'.
    Words,
    /// A citation lies on gold: for modes that answer with quotes alone.
    Citation,
    /// Either is enough.
    Either,
}

impl Default for RightRule {
    fn default() -> Self {
        Self {
            f1_at_least: 0.5,
            by: RightBy::Words,
        }
    }
}

impl RightRule {
    /// Whether this is what should have come back.
    #[must_use]
    pub fn is_right(&self, observation: &Observation, outcome: &Outcome) -> bool {
        if observation.is_impossible {
            return outcome.status == Status::Abstained;
        }
        outcome.status == Status::Answered
            && !observation.excludes_gold()
            && !has_broken_form(outcome)
            && self.has_right_content(observation, outcome)
    }

    /// Whether the content is right, whatever its form and whether or not it was returned; or the gold answer stands in it
    /// with at most [`WORDS_BESIDE_MAX`] words beside it.
    #[must_use]
    pub fn carries_answer(&self, observation: &Observation, outcome: &Outcome) -> bool {
        let Some(text) = outcome.text().filter(|_| !observation.is_impossible) else {
            return false;
        };
        self.has_right_content(observation, outcome)
            || observation
                .answers
                .iter()
                .any(|gold| contains_words(text, gold))
    }

    /// In words, for the report.
    #[must_use]
    pub fn in_words(&self) -> String {
        let words = format!(
            "its words match a gold answer exactly or with an F1 of at least {}",
            self.f1_at_least
        );
        let rule = match self.by {
            RightBy::Words => words,
            RightBy::Citation => "it cites gold".to_owned(),
            RightBy::Either => format!("{words}, or it cites gold"),
        };
        format!(
            "An answer is right when {rule}, it satisfies its schema, which admits a right answer, and its quotes are verbatim; abstaining is right when there is no answer for this caller."
        )
    }

    fn has_right_content(&self, observation: &Observation, outcome: &Outcome) -> bool {
        let cites = outcome.cites_gold == Some(true);
        if observation.answers.is_empty() {
            return cites;
        }
        match self.by {
            RightBy::Citation => cites,
            RightBy::Words => self.has_right_words(observation, outcome),
            RightBy::Either => cites || self.has_right_words(observation, outcome),
        }
    }

    fn has_right_words(&self, observation: &Observation, outcome: &Outcome) -> bool {
        if outcome.exact.is_some() || outcome.f1.is_some() {
            return outcome.exact.is_some_and(|exact| exact >= 1.0)
                || outcome.f1.is_some_and(|f1| f1 >= self.f1_at_least);
        }
        outcome.text().is_some_and(|text| {
            observation
                .answers
                .iter()
                .filter(|gold| !normalise(gold).is_empty())
                .any(|gold| exact_match(gold, text) || f1(gold, text) >= self.f1_at_least)
        })
    }
}

/// It fails its schema, or quotes what does not stand there.
pub(super) fn has_broken_form(outcome: &Outcome) -> bool {
    outcome.schema_valid == Some(false) || outcome.quote_verbatim == Some(false)
}

fn contains_words(text: &str, gold: &str) -> bool {
    let (text, gold) = (normalise(text), normalise(gold));
    let beside = text
        .split(' ')
        .count()
        .saturating_sub(gold.split(' ').count());
    !gold.is_empty()
        && beside <= WORDS_BESIDE_MAX
        && format!(" {text} ").contains(&format!(" {gold} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wordy_answer_carries_the_gold_answer_and_a_lookalike_does_not() {
        assert!(contains_words(
            "It is, I think, 30 days from then.",
            "30 days"
        ));
        assert!(!contains_words("It takes 130 days", "30 days"));
        assert!(!contains_words("anything", ""));
        assert!(!contains_words(
            &format!("30 days {}", "word ".repeat(99)),
            "30 days"
        ));
    }

    #[test]
    fn a_question_without_gold_answers_is_judged_by_its_citations() {
        let observation = Observation::default();
        let mut outcome = Outcome::answered("whatever");
        assert!(!RightRule::default().is_right(&observation, &outcome));
        outcome.cites_gold = Some(true);
        assert!(RightRule::default().is_right(&observation, &outcome));
    }
}
