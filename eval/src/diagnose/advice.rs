//! The sentence that says what to do next: the first lever of the table, and why.

use std::fmt::Write as _;

use super::diagnosis::Diagnosis;
use super::levers::{AdapterEffect, Lever, LeverBound};
use crate::views::p_value;

impl Diagnosis {
    pub(super) fn advice(&self, effect: AdapterEffect) -> String {
        let undetermined = match self.undetermined {
            0 => String::new(),
            some => format!(" {some} of {} could not be judged: run them again.", self.n),
        };
        self.what_to_do(effect) + &undetermined
    }

    fn what_to_do(&self, effect: AdapterEffect) -> String {
        let failures = self.failures;
        if failures == 0 {
            return format!(
                "Nothing to pull: {} of {} questions are right.",
                self.right.part, self.n
            );
        }
        let unseen = self.knowledge.part;
        let Some(first) = self.levers.first() else {
            return format!(
                "No single lever recovers any of the {failures} failures: with the gold passages alone they fail too."
            );
        };
        if first.net() == 0 {
            return format!(
                "No lever recovers more of the {failures} failures than it costs: {}.",
                in_words(first, failures)
            );
        }
        match first.lever {
            Lever::DropAdapter => format!(
                "Serve without the adapter, or go back to the version before it: the base is right on {} of the {failures} failures, and wrong on {} of the {} that are right with it ({}).",
                first.at_most.part,
                effect.gains,
                self.right.part,
                p_value(effect.p())
            ),
            Lever::FineTune if unseen * 2 >= failures => format!(
                "{unseen} of {failures} failures are lost before the model sees the passage, and with the gold passages alone they fail too: mend both."
            ),
            Lever::FineTune => format!(
                "Fine-tuning is worth a try: {} of {failures} failures are behaviour that no cheaper lever recovers{}.",
                first.at_most.part,
                self.seen_through()
            ),
            lever if lever.brings_gold() && unseen * 2 >= failures => format!(
                "Do not fine-tune yet: {unseen} of {failures} failures are lost before the model sees the passage. First {}.",
                in_words(first, failures)
            ),
            _ => format!("Before fine-tuning, {}.", in_words(first, failures)),
        }
    }

    /// What the bound of fine-tuning rests on.
    fn seen_through(&self) -> String {
        let split = self.behaviour_split;
        let mut words = format!(
            "; {} of them are wrong with the gold passages alone too, or answered where there is no answer",
            split.wrong_with_gold
        );
        if split.not_tried > 0 {
            let _ = write!(words, "; for {} that was not tried", split.not_tried);
        }
        words
    }
}

fn in_words(bound: &LeverBound, failures: usize) -> String {
    let mut words = format!(
        "{}: it could recover at most {} of {failures}",
        bound.lever, bound.at_most.part
    );
    if bound.costs > 0 {
        let _ = write!(words, ", and would lose {}", bound.costs);
    }
    if bound.unchecked > 0 && bound.unchecked == bound.at_most.part {
        words += " (unchecked: nothing was tried that could refute it)";
    }
    words
}
