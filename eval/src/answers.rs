//! What answers are worth: exact match and F1 by the rules of SQuAD 2's evaluation script, abstention, schemas and quotes.
//!
//! All values are shares from 0 to 1 (the script prints percents).

use std::collections::{BTreeMap, HashMap};

use crate::metrics::{count, mean, ratio};

/// One question's gold answers beside what came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerOutcome {
    /// Every answer that counts as right; not looked at when it is impossible.
    pub gold: Vec<String>,
    pub is_impossible: bool,
    /// The answer as text, or none when it abstained.
    pub answer: Option<String>,
    /// Whether the answer satisfies the schema that was asked for; not looked at when it abstained.
    pub schema_valid: bool,
    /// The citations, and how many of them are verbatim in their documents.
    pub quotes: usize,
    pub quotes_verbatim: usize,
}

/// Lower case, without ASCII punctuation, without the words `a`, `an` and `the`, with single spaces.
#[must_use]
pub fn normalise(text: &str) -> String {
    let plain: String = text
        .to_lowercase()
        .chars()
        .filter(|character| !character.is_ascii_punctuation())
        .collect();
    let mut kept = String::with_capacity(plain.len());
    let mut rest = plain.as_str();
    // A word is what the script's `\b` sees as one: the article in `–the` counts, the one in `theatre` does not.
    while let Some(first) = rest.chars().next() {
        let in_word = first.is_alphanumeric();
        let end = rest
            .find(|character: char| character.is_alphanumeric() != in_word)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        kept.push_str(if matches!(run, "a" | "an" | "the") {
            " "
        } else {
            run
        });
        rest = after;
    }
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[must_use]
pub fn exact_match(gold: &str, answer: &str) -> bool {
    normalise(gold) == normalise(answer)
}

/// The harmonic mean of precision and recall over the words of both, each counted as often as it comes.
#[must_use]
pub fn f1(gold: &str, answer: &str) -> f64 {
    let (gold, answer) = (normalise(gold), normalise(answer));
    let (gold, answer): (Vec<_>, Vec<_>) = (gold.split(' ').collect(), answer.split(' ').collect());
    if gold == [""] || answer == [""] {
        return f64::from(u8::from(gold == answer));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &gold {
        *left.entry(word).or_default() += 1;
    }
    let mut same = 0;
    for word in &answer {
        if let Some(number) = left.get_mut(word).filter(|number| **number > 0) {
            *number -= 1;
            same += 1;
        }
    }
    ratio(2.0 * count(same), count(gold.len() + answer.len()))
}

impl AnswerOutcome {
    /// Exact match and F1 against the best of the gold answers. Abstaining is right when the question is impossible.
    #[must_use]
    pub fn exact_and_f1(&self) -> (f64, f64) {
        let answer = self.answer.as_deref().unwrap_or_default();
        let gold: Vec<&str> = if self.is_impossible {
            vec![""]
        } else {
            self.gold
                .iter()
                .map(String::as_str)
                .filter(|gold| !normalise(gold).is_empty())
                .collect()
        };
        let gold = if gold.is_empty() { vec![""] } else { gold };
        let exact = gold.iter().any(|gold| exact_match(gold, answer));
        let best = gold.iter().map(|gold| f1(gold, answer)).fold(0.0, f64::max);
        (f64::from(u8::from(exact)), best)
    }
}

/// The metrics of all outcomes by their names. What has nothing to be a share of is left out.
#[must_use]
pub fn summarise(outcomes: &[AnswerOutcome]) -> BTreeMap<String, f64> {
    let mut summary = BTreeMap::new();
    let groups: [(&str, Option<bool>); 3] =
        [("", None), ("HasAns_", Some(false)), ("NoAns_", Some(true))];
    for (prefix, impossible) in groups {
        let chosen: Vec<(f64, f64)> = outcomes
            .iter()
            .filter(|outcome| {
                impossible.is_none_or(|impossible| outcome.is_impossible == impossible)
            })
            .map(AnswerOutcome::exact_and_f1)
            .collect();
        if !chosen.is_empty() {
            summary.insert(
                format!("{prefix}exact"),
                mean(chosen.iter().map(|(exact, _)| *exact)),
            );
            summary.insert(
                format!("{prefix}f1"),
                mean(chosen.iter().map(|(_, f1)| *f1)),
            );
        }
    }
    let number = |predicate: fn(&AnswerOutcome) -> bool| {
        outcomes.iter().filter(|outcome| predicate(outcome)).count()
    };
    let answered = number(|outcome| outcome.answer.is_some());
    let abstained = outcomes.len() - answered;
    let impossible = number(|outcome| outcome.is_impossible);
    let rightly_abstained = number(|outcome| outcome.is_impossible && outcome.answer.is_none());
    let valid = number(|outcome| outcome.answer.is_some() && outcome.schema_valid);
    let quotes: usize = outcomes.iter().map(|outcome| outcome.quotes).sum();
    let verbatim: usize = outcomes.iter().map(|outcome| outcome.quotes_verbatim).sum();
    for (name, part, whole) in [
        ("answered", answered, outcomes.len()),
        ("abstain_precision", rightly_abstained, abstained),
        ("abstain_recall", rightly_abstained, impossible),
        ("schema_valid", valid, answered),
        ("quote_verbatim", verbatim, quotes),
    ] {
        if whole > 0 {
            summary.insert(name.to_owned(), ratio(count(part), count(whole)));
        }
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(gold: &[&str], answer: Option<&str>) -> AnswerOutcome {
        AnswerOutcome {
            gold: gold.iter().map(ToString::to_string).collect(),
            is_impossible: gold.is_empty(),
            answer: answer.map(str::to_owned),
            schema_valid: true,
            quotes: usize::from(answer.is_some()),
            quotes_verbatim: usize::from(answer.is_some()),
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
        broken.quotes_verbatim = 0;
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
            ("exact", 0.5),
            ("f1", 0.5),
            ("quote_verbatim", 0.5),
            ("schema_valid", 0.5),
        ];
        let expected: BTreeMap<_, _> = expected
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(summarise(&outcomes), expected);
    }

    #[test]
    fn a_share_of_nothing_is_left_out() {
        assert!(summarise(&[]).is_empty());
        let summary = summarise(&[outcome(&["Paris"], Some("Paris"))]);
        assert!(!summary.contains_key("abstain_precision") && !summary.contains_key("NoAns_f1"));
    }
}
