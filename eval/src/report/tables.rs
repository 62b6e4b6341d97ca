//! The tables of a report: what stands in every view, row by row.

use std::collections::BTreeMap;

use super::Report;
use crate::answers::ThresholdPoint;
use crate::metrics::STANDARD;

/// The order of the stages in every view; others follow by name.
pub(super) const STAGES: &[&str] = &["bm25", "vector", "fused", "reranked"];

/// What means over all questions stand under.
const ALL: &str = "all";

/// Row to column to value.
type Rows = BTreeMap<String, BTreeMap<String, f64>>;

pub(super) struct Table {
    pub title: String,
    pub head: String,
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<Option<f64>>)>,
    /// Values are shares from 0 to 1, not milliseconds or tokens.
    pub is_share: bool,
    /// The value whose bar is full.
    pub full: f64,
    largest: f64,
}

impl Table {
    fn new(title: &str, head: &str, values: &Rows, first: &[&str]) -> Self {
        let columns = ordered(values.values().flat_map(BTreeMap::keys), first);
        let rows: Vec<(String, Vec<Option<f64>>)> = ordered(values.keys(), STAGES)
            .into_iter()
            .map(|row| {
                let cells = columns
                    .iter()
                    .map(|column| values[&row].get(column).copied())
                    .collect();
                (row, cells)
            })
            .collect();
        let largest = rows
            .iter()
            .flat_map(|(_, cells)| cells.iter().flatten())
            .fold(0.0, |most, value| value.max(most));
        Self {
            title: title.to_owned(),
            head: head.to_owned(),
            columns,
            rows,
            is_share: true,
            full: 1.0,
            largest,
        }
    }

    /// The values are no shares: the longest bar is the largest value's.
    fn of_numbers(mut self) -> Self {
        self.is_share = false;
        if self.largest > 0.0 {
            self.full = self.largest;
        }
        self
    }

    pub fn written(&self, value: Option<f64>) -> String {
        match value {
            None => String::new(),
            Some(value) if self.is_share => format!("{value:.4}"),
            Some(value) => format!("{value:.2}"),
        }
    }
}

/// Each name once: those in `first` in that order, then the others by name.
pub(super) fn ordered<'names>(
    names: impl Iterator<Item = &'names String>,
    first: &[&str],
) -> Vec<String> {
    let mut names: Vec<String> = names.cloned().collect();
    let place = |name: &String| {
        first
            .iter()
            .position(|known| known == name)
            .unwrap_or(first.len())
    };
    names.sort_by(|left, right| place(left).cmp(&place(right)).then_with(|| left.cmp(right)));
    names.dedup();
    names
}

impl Report {
    pub(super) fn tables(&self) -> Vec<Table> {
        let standard: Vec<String> = STANDARD.iter().map(ToString::to_string).collect();
        let standard: Vec<&str> = standard.iter().map(String::as_str).collect();
        let percentiles = ["p50", "p95", "p99", "max"];
        let threshold = [
            "answered",
            "abstain_precision",
            "abstain_recall",
            "exact",
            "f1",
        ];
        let (shares, counts) = self.answers_by_kind();
        [
            Table::new("Retrieval", "stage", &self.metrics, &standard),
            Table::new("Checks of searches", "check", &self.checks(), &[]),
            Table::new("Answers", "metric", &shares, &[ALL]),
            Table::new("Tokens", "metric", &counts, &[ALL]).of_numbers(),
            Table::new(
                "Were answers with less confidence abstentions",
                "threshold",
                &self.by_threshold(),
                &threshold,
            ),
            Table::new("Milliseconds", "stage", &self.timings_ms, &percentiles).of_numbers(),
        ]
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect()
    }

    fn checks(&self) -> BTreeMap<String, BTreeMap<String, f64>> {
        let row =
            |(name, value): (&String, &f64)| (name.clone(), [("share".to_owned(), *value)].into());
        self.checks.iter().map(row).collect()
    }

    /// Metric to kind of question to mean: shares, and what is counted in tokens.
    fn answers_by_kind(&self) -> (Rows, Rows) {
        let all = self.answers.iter().map(|(name, value)| (name, ALL, value));
        let kinds = self.kinds.iter().flat_map(|(kind, means)| {
            means
                .iter()
                .map(move |(name, value)| (name, kind.as_str(), value))
        });
        let (mut shares, mut counts) = (Rows::new(), Rows::new());
        for (name, kind, value) in all.chain(kinds) {
            let rows = if name.ends_with("_tokens") {
                &mut counts
            } else {
                &mut shares
            };
            let row = rows.entry(name.clone()).or_default();
            row.insert(kind.to_owned(), *value);
        }
        (shares, counts)
    }

    fn by_threshold(&self) -> Rows {
        let row = |point: &ThresholdPoint| {
            let mut row = BTreeMap::from([
                ("answered".to_owned(), point.answered),
                ("exact".to_owned(), point.exact),
                ("f1".to_owned(), point.f1),
            ]);
            let shares = [
                ("abstain_precision", point.abstain_precision),
                ("abstain_recall", point.abstain_recall),
            ];
            for (name, share) in shares {
                if let Some(share) = share {
                    row.insert(name.to_owned(), share);
                }
            }
            (format!("{:.2}", point.threshold), row)
        };
        self.thresholds.iter().map(row).collect()
    }
}
