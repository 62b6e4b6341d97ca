//! What answers are worth: exact match and F1 by the rules of SQuAD 2's evaluation script, abstention, schemas and quotes.
//!
//! All values are shares from 0 to 1 (the script prints percents).

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde_json::Value;

use crate::metrics::{count, ratio};

/// One question's gold answers beside what came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AnswerOutcome {
    /// Every answer that counts as right; not looked at when it is impossible.
    pub gold: Vec<String>,
    pub is_impossible: bool,
    /// Where the answer stands, as far as the data set says so.
    pub sources: Vec<Source>,
    /// The answer as text, or none when it abstained.
    pub answer: Option<String>,
    /// Whether the answer satisfies the schema that was asked for; not looked at when it abstained.
    pub schema_valid: bool,
    pub citations: Vec<Cited>,
    /// For a question that expects fields: what it expects, and what came.
    pub fields: Option<(Value, Value)>,
}

/// A document that holds the answer, or the place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub document: String,
    /// Code points of the document's text; the whole document where the data set names no place.
    pub place: Option<Range<usize>>,
}

/// A citation of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cited {
    pub document: String,
    /// Code points of the document's text.
    pub place: Range<usize>,
    pub quote: String,
    /// Whether the quote is what the document has at that place.
    pub verbatim: bool,
}

impl Cited {
    /// In the same document, and overlapping the place where it is known.
    #[must_use]
    pub fn meets(&self, source: &Source) -> bool {
        self.document == source.document
            && source
                .place
                .as_ref()
                .is_none_or(|place| self.place.start < place.end && place.start < self.place.end)
    }
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
    let same = common(&gold, answer.iter().copied());
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

impl AnswerOutcome {
    /// This question's metrics by name. What has no meaning for it is left out: a mean over questions is one over those that have
    /// the metric, so `abstain_precision` is the mean over the questions that were abstained from, and `abstain_recall` that over
    /// the impossible ones.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let (exact, f1) = self.exact_and_f1();
        let group = if self.is_impossible {
            "NoAns"
        } else {
            "HasAns"
        };
        let answered = self.answer.is_some();
        let mut metrics = BTreeMap::from([
            ("exact".to_owned(), exact),
            ("f1".to_owned(), f1),
            (format!("{group}_exact"), exact),
            (format!("{group}_f1"), f1),
            ("answered".to_owned(), share(answered)),
        ]);
        let mut note = |name: &str, value: Option<f64>| {
            if let Some(value) = value {
                metrics.insert(name.to_owned(), value);
            }
        };
        let abstained = !answered;
        note(
            "abstain_precision",
            abstained.then(|| share(self.is_impossible)),
        );
        note(
            "abstain_recall",
            self.is_impossible.then(|| share(abstained)),
        );
        note("schema_valid", answered.then(|| share(self.schema_valid)));
        note("contains", self.contains());
        note("quote_verbatim", self.cited_share(|cited| cited.verbatim));
        note("citation_coverage", self.citation_coverage());
        let precision = self.citation_precision();
        let recall = self.citation_recall();
        note("citation_precision", precision);
        note("citation_recall", recall);
        note(
            "gold_citation_f1",
            recall.map(|recall| harmonic(precision.unwrap_or(0.0), recall)),
        );
        note(
            "field_f1",
            self.fields.as_ref().map(|(want, got)| field_f1(want, got)),
        );
        metrics
    }

    /// Whether the answer has one of the gold answers in it, word for word after [`normalise`]: what an answer in whole sentences
    /// can be right by.
    #[must_use]
    pub fn contains(&self) -> Option<f64> {
        if self.is_impossible || self.gold.is_empty() {
            return None;
        }
        let answer = format!(
            " {} ",
            normalise(self.answer.as_deref().unwrap_or_default())
        );
        let within = |gold: &String| {
            let gold = normalise(gold);
            !gold.is_empty() && answer.contains(&format!(" {gold} "))
        };
        Some(share(self.gold.iter().any(within)))
    }

    /// Whether a citation meets a source; none where no source is known.
    #[must_use]
    pub fn cites_source(&self) -> Option<bool> {
        let meets = |source: &Source| self.citations.iter().any(|cited| cited.meets(source));
        (!self.sources.is_empty()).then(|| self.sources.iter().any(meets))
    }

    fn cited_share(&self, holds: impl Fn(&Cited) -> bool) -> Option<f64> {
        let all = self.citations.len();
        let kept = self.citations.iter().filter(|cited| holds(cited)).count();
        (all > 0).then(|| ratio(count(kept), count(all)))
    }

    /// The share of the citations that meet a source.
    fn citation_precision(&self) -> Option<f64> {
        if self.is_impossible || self.sources.is_empty() {
            return None;
        }
        self.cited_share(|cited| self.sources.iter().any(|source| cited.meets(source)))
    }

    /// The share of the sources that a citation meets; 0 for an abstention.
    fn citation_recall(&self) -> Option<f64> {
        if self.is_impossible || self.sources.is_empty() {
            return None;
        }
        let met = self
            .sources
            .iter()
            .filter(|source| self.citations.iter().any(|cited| cited.meets(source)))
            .count();
        Some(ratio(count(met), count(self.sources.len())))
    }

    /// The share of the answer's words that stand in its quotes, each counted as often as it comes.
    fn citation_coverage(&self) -> Option<f64> {
        let answer = normalise(self.answer.as_deref()?);
        let words: Vec<&str> = answer.split(' ').filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return None;
        }
        let quoted: String = self
            .citations
            .iter()
            .flat_map(|cited| [cited.quote.as_str(), " "])
            .collect();
        let quoted = normalise(&quoted);
        let covered = common(&words, quoted.split(' '));
        Some(ratio(count(covered), count(words.len())))
    }
}

/// How many of `words` are among `others`, each counted as often as it comes in both.
fn common<'a>(words: &[&'a str], others: impl Iterator<Item = &'a str>) -> usize {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in words {
        *left.entry(word).or_default() += 1;
    }
    let mut same = 0;
    for word in others {
        if let Some(number) = left.get_mut(word).filter(|number| **number > 0) {
            *number -= 1;
            same += 1;
        }
    }
    same
}

/// Micro F1 over the leaves of two JSON values: a leaf is right when the other value has an equal one at the same path. Texts are
/// compared by [`normalise`], numbers as numbers; the order of a list does not count.
#[must_use]
pub fn field_f1(expected: &Value, got: &Value) -> f64 {
    let (mut want, mut have) = (Vec::new(), Vec::new());
    leaves(expected, "", &mut want);
    leaves(got, "", &mut have);
    if want.is_empty() && have.is_empty() {
        return 1.0;
    }
    let want_words: Vec<&str> = want.iter().map(String::as_str).collect();
    let right = common(&want_words, have.iter().map(String::as_str));
    ratio(2.0 * count(right), count(want.len() + have.len()))
}

fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                leaves(field, &format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for item in items {
                leaves(item, &format!("{path}/*"), found);
            }
        }
        Value::String(text) => found.push(format!("{path}={}", normalise(text))),
        Value::Number(number) => found.push(match number.as_f64() {
            Some(number) => format!("{path}={number}"),
            None => format!("{path}={number}"),
        }),
        Value::Bool(_) | Value::Null => found.push(format!("{path}={value}")),
    }
}

fn harmonic(precision: f64, recall: f64) -> f64 {
    ratio(2.0 * precision * recall, precision + recall)
}

fn share(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// The mean of each metric over the questions that have it.
#[must_use]
pub fn summarise<'a>(
    questions: impl IntoIterator<Item = &'a BTreeMap<String, f64>>,
) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<&String, (f64, usize)> = BTreeMap::new();
    for metrics in questions {
        for (name, value) in metrics {
            let (sum, number) = sums.entry(name).or_default();
            *sum += value;
            *number += 1;
        }
    }
    sums.into_iter()
        .map(|(name, (sum, number))| (name.clone(), ratio(sum, count(number))))
        .collect()
}

/// What would be answered were the threshold on the confidence higher.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ThresholdPoint {
    pub threshold: f64,
    /// Share of the questions that are answered.
    pub answered: f64,
    /// Of the abstentions, and of the impossible questions: the share that is both. None of nothing.
    pub abstain_precision: Option<f64>,
    pub abstain_recall: Option<f64>,
    /// SQuAD's, over all questions.
    pub exact: f64,
    pub f1: f64,
}

/// The curve over thresholds from 0 to 1 by twentieths: answers with a confidence below become abstentions.
#[must_use]
pub fn threshold_curve(outcomes: &[(AnswerOutcome, f64)]) -> Vec<ThresholdPoint> {
    let point = |step: u32| {
        let threshold = f64::from(step) / 20.0;
        let metrics: Vec<BTreeMap<String, f64>> = outcomes
            .iter()
            .map(|(outcome, confidence)| {
                let mut outcome = outcome.clone();
                if *confidence < threshold {
                    outcome.answer = None;
                    outcome.citations.clear();
                }
                outcome.metrics()
            })
            .collect();
        let means = summarise(&metrics);
        let of = |name: &str| means.get(name).copied();
        ThresholdPoint {
            threshold,
            answered: of("answered").unwrap_or(0.0),
            abstain_precision: of("abstain_precision"),
            abstain_recall: of("abstain_recall"),
            exact: of("exact").unwrap_or(0.0),
            f1: of("f1").unwrap_or(0.0),
        }
    };
    (0..=20).map(point).collect()
}

#[cfg(test)]
mod tests;
