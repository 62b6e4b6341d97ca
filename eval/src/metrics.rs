//! Ranking metrics as trec_eval computes them (`ndcg_cut`, `recall`, `recip_rank`, `map`, `P`, `success`).
//!
//! A document is relevant when its grade is 1 or more; a grade below 1 and a document that nobody judged gain nothing. The
//! mean is over all judged queries: one that retrieved nothing counts as 0 (trec_eval's `-c`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::EvalError;
use crate::run::{Run, Scored};

/// Document id to grade, for one query.
pub type Judgements = BTreeMap<String, i32>;
/// Judgements by query id.
pub type Qrels = BTreeMap<String, Judgements>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    NormalisedDcg(usize),
    Recall(usize),
    /// The reciprocal rank of the first relevant document, 0 beyond the cutoff if there is one.
    ReciprocalRank(Option<usize>),
    AveragePrecision,
    Precision(usize),
    Success(usize),
}

/// What reports show, in this order.
pub const STANDARD: &[Metric] = &[
    Metric::NormalisedDcg(10),
    Metric::Recall(100),
    Metric::ReciprocalRank(Some(10)),
    Metric::AveragePrecision,
    Metric::Precision(5),
    Metric::Success(1),
    Metric::Success(5),
];

impl Metric {
    #[must_use]
    pub fn of(self, ranking: &[Scored], judgements: &Judgements) -> f64 {
        let ranked = Ranked::new(ranking, judgements);
        match self {
            Self::NormalisedDcg(cutoff) => ndcg_at(&ranked, cutoff),
            Self::Recall(cutoff) => recall_at(&ranked, cutoff),
            Self::ReciprocalRank(cutoff) => rr_at(&ranked, cutoff.unwrap_or(usize::MAX)),
            Self::AveragePrecision => average_precision(&ranked),
            Self::Precision(cutoff) => precision_at(&ranked, cutoff),
            Self::Success(cutoff) => success_at(&ranked, cutoff),
        }
    }

    /// The values of all judged queries, by query id.
    #[must_use]
    pub fn by_query<'qrels>(self, run: &Run, qrels: &'qrels Qrels) -> BTreeMap<&'qrels str, f64> {
        qrels
            .iter()
            .map(|(query, judgements)| (query.as_str(), self.of(run.ranking(query), judgements)))
            .collect()
    }

    /// 0 without any query.
    #[must_use]
    pub fn mean(self, run: &Run, qrels: &Qrels) -> f64 {
        mean(self.by_query(run, qrels).into_values())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NormalisedDcg(cutoff) => write!(formatter, "nDCG@{cutoff}"),
            Self::Recall(cutoff) => write!(formatter, "R@{cutoff}"),
            Self::ReciprocalRank(Some(cutoff)) => write!(formatter, "RR@{cutoff}"),
            Self::ReciprocalRank(None) => formatter.write_str("RR"),
            Self::AveragePrecision => formatter.write_str("AP"),
            Self::Precision(cutoff) => write!(formatter, "P@{cutoff}"),
            Self::Success(cutoff) => write!(formatter, "Success@{cutoff}"),
        }
    }
}

impl FromStr for Metric {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self, EvalError> {
        let error = || EvalError::Metric {
            text: text.to_owned(),
        };
        match text.split_once('@') {
            None if text == "AP" => Ok(Self::AveragePrecision),
            None if text == "RR" => Ok(Self::ReciprocalRank(None)),
            None => Err(error()),
            Some((name, cutoff)) => {
                let cutoff = cutoff
                    .parse()
                    .ok()
                    .filter(|cutoff| *cutoff > 0)
                    .ok_or_else(error)?;
                match name {
                    "nDCG" => Ok(Self::NormalisedDcg(cutoff)),
                    "R" => Ok(Self::Recall(cutoff)),
                    "RR" => Ok(Self::ReciprocalRank(Some(cutoff))),
                    "P" => Ok(Self::Precision(cutoff)),
                    "Success" => Ok(Self::Success(cutoff)),
                    _ => Err(error()),
                }
            }
        }
    }
}

/// A ranking as its judgements see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// The grade of each retrieved document in order, 0 where it is not relevant.
    gains: Vec<u32>,
    /// The grades of all relevant documents, best first.
    ideal: Vec<u32>,
}

impl Ranked {
    #[must_use]
    pub fn new(ranking: &[Scored], judgements: &Judgements) -> Self {
        let gain = |grade: i32| u32::try_from(grade).unwrap_or(0);
        let gains = ranking
            .iter()
            .map(|scored| {
                judgements
                    .get(&scored.document)
                    .map_or(0, |grade| gain(*grade))
            })
            .collect();
        let mut ideal: Vec<_> = judgements
            .values()
            .map(|grade| gain(*grade))
            .filter(|gain| *gain > 0)
            .collect();
        ideal.sort_unstable_by(|left, right| right.cmp(left));
        Self { gains, ideal }
    }

    fn relevant_until(&self, cutoff: usize) -> usize {
        self.gains
            .iter()
            .take(cutoff)
            .filter(|gain| **gain > 0)
            .count()
    }

    /// The rank of the first relevant document, from 1.
    fn first_relevant(&self) -> Option<usize> {
        self.gains
            .iter()
            .position(|gain| *gain > 0)
            .map(|position| position + 1)
    }
}

/// `DCG@k / ideal DCG@k` with `DCG = Σ grade / log2(rank + 1)` (Järvelin and Kekäläinen 2002, as in trec_eval's `ndcg_cut`).
#[must_use]
pub fn ndcg_at(ranked: &Ranked, cutoff: usize) -> f64 {
    ratio(
        discounted_gain(&ranked.gains, cutoff),
        discounted_gain(&ranked.ideal, cutoff),
    )
}

fn discounted_gain(gains: &[u32], cutoff: usize) -> f64 {
    let discounted =
        |(position, gain): (usize, &u32)| f64::from(*gain) / (count(position) + 2.0).log2();
    gains.iter().take(cutoff).enumerate().map(discounted).sum()
}

/// The share of the relevant documents among the first k.
#[must_use]
pub fn recall_at(ranked: &Ranked, cutoff: usize) -> f64 {
    ratio(
        count(ranked.relevant_until(cutoff)),
        count(ranked.ideal.len()),
    )
}

/// `1 / rank` of the first relevant document if it is among the first k, else 0.
#[must_use]
pub fn rr_at(ranked: &Ranked, cutoff: usize) -> f64 {
    ranked
        .first_relevant()
        .filter(|rank| *rank <= cutoff)
        .map_or(0.0, |rank| 1.0 / count(rank))
}

/// The mean, over the relevant documents, of the precision at their ranks; 0 for those that were not retrieved.
#[must_use]
pub fn average_precision(ranked: &Ranked) -> f64 {
    let mut found = 0;
    let mut sum = 0.0;
    for (position, gain) in ranked.gains.iter().enumerate() {
        if *gain > 0 {
            found += 1;
            sum += count(found) / count(position + 1);
        }
    }
    ratio(sum, count(ranked.ideal.len()))
}

/// The share of the first k that is relevant; a shorter ranking is filled up with what is not.
#[must_use]
pub fn precision_at(ranked: &Ranked, cutoff: usize) -> f64 {
    ratio(count(ranked.relevant_until(cutoff)), count(cutoff))
}

/// 1 if a relevant document is among the first k.
#[must_use]
pub fn success_at(ranked: &Ranked, cutoff: usize) -> f64 {
    f64::from(u8::from(ranked.relevant_until(cutoff) > 0))
}

/// Sums in the order given: the same input gives the same bits.
pub(crate) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut values_seen) = (0.0, 0);
    for value in values {
        sum += value;
        values_seen += 1;
    }
    ratio(sum, count(values_seen))
}

/// To nine decimals: what JSON holds of it is read as it was written.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of documents and queries are far below 2^53"
)]
pub(crate) fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(documents: &[(&str, f32)], grades: &[(&str, i32)]) -> Ranked {
        let mut run = Run::default();
        run.insert(
            "q",
            documents
                .iter()
                .map(|(id, score)| ((*id).to_owned(), *score)),
        )
        .unwrap();
        let judgements = grades
            .iter()
            .map(|(id, grade)| ((*id).to_owned(), *grade))
            .collect();
        Ranked::new(run.ranking("q"), &judgements)
    }

    fn assert_close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-12,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn a_ranking_worked_out_by_hand() {
        let ranked = ranked(
            &[("a", 3.0), ("b", 2.0), ("c", 1.0)],
            &[("b", 2), ("c", 1), ("d", 1), ("a", 0)],
        );
        let third = 2.0_f64.log2() / 3.0_f64.log2();
        assert_close(ndcg_at(&ranked, 2), 2.0 * third / (2.0 + third));
        assert_close(recall_at(&ranked, 2), 1.0 / 3.0);
        assert_close(recall_at(&ranked, 100), 2.0 / 3.0);
        assert_close(rr_at(&ranked, 10), 0.5);
        assert_close(rr_at(&ranked, 1), 0.0);
        assert_close(average_precision(&ranked), (1.0 / 2.0 + 2.0 / 3.0) / 3.0);
        assert_close(precision_at(&ranked, 5), 0.4);
        assert_close(success_at(&ranked, 1), 0.0);
        assert_close(success_at(&ranked, 2), 1.0);
    }

    #[test]
    fn ties_go_to_the_greater_document_id_in_bytes() {
        let ranked = ranked(
            &[("a", 1.0), ("b", 1.0), ("B", 1.0), ("z", -0.0), ("y", 0.0)],
            &[("b", 1)],
        );
        assert_close(rr_at(&ranked, 10), 1.0);
        let mut run = Run::default();
        let documents = [("10", 1.0), ("9", 1.0), ("é", 1.0), ("z", -0.0), ("y", 0.0)];
        run.insert("q", documents.map(|(id, score)| (id.to_owned(), score)))
            .unwrap();
        let order: Vec<_> = run
            .ranking("q")
            .iter()
            .map(|scored| scored.document.as_str())
            .collect();
        assert_eq!(order, ["é", "9", "10", "z", "y"]);
    }

    #[test]
    fn nothing_retrieved_and_nothing_relevant_are_zero_and_never_no_number() {
        for ranked in [
            ranked(&[], &[("a", 1)]),
            ranked(&[("a", 1.0)], &[]),
            ranked(&[("a", 1.0)], &[("a", -1)]),
            ranked(&[], &[]),
        ] {
            for value in [
                ndcg_at(&ranked, 10),
                recall_at(&ranked, 10),
                rr_at(&ranked, 10),
                average_precision(&ranked),
                precision_at(&ranked, 10),
                precision_at(&ranked, 0),
                success_at(&ranked, 10),
            ] {
                assert_close(value, 0.0);
            }
        }
    }

    #[test]
    fn a_query_that_retrieved_nothing_counts_in_the_mean() {
        let mut run = Run::default();
        run.insert("1", [("a".to_owned(), 1.0)]).unwrap();
        let judged = Judgements::from([("a".to_owned(), 1)]);
        let qrels = Qrels::from([("1".to_owned(), judged.clone()), ("2".to_owned(), judged)]);
        assert_close(Metric::Success(1).mean(&run, &qrels), 0.5);
    }

    #[test]
    fn a_metric_is_read_as_it_is_written() {
        for metric in STANDARD.iter().chain(&[Metric::ReciprocalRank(None)]) {
            assert_eq!(metric.to_string().parse::<Metric>().unwrap(), *metric);
        }
        for text in [
            "nDCG", "nDCG@", "nDCG@0", "nDCG@-1", "ndcg@10", "AP@10", "MRR@10", "",
        ] {
            assert!(text.parse::<Metric>().is_err(), "{text}");
        }
    }
}
