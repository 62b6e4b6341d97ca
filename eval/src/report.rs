//! Reports: `report.json` is the truth; Markdown, one HTML file and JUnit are views of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::answers::ThresholdPoint;
use crate::dataset::Dataset;
use crate::error::EvalError;
use crate::metrics::{Qrels, STANDARD};
use crate::run::Run;
use crate::trec;

/// The order of the stages in every view; others follow by name.
const STAGES: &[&str] = &["bm25", "vector", "fused", "reranked"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetReference {
    pub name: String,
    /// `sha256:…` of its files.
    pub digest: String,
    pub documents: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub dataset: DatasetReference,
    /// How many questions were evaluated: all judged ones, answered or not.
    pub n: usize,
    /// `sha256:…` of everything that was configured for this evaluation.
    pub config_digest: String,
    /// The release that answered, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The adapter of that release, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Stage to metric to value.
    #[serde(default)]
    pub metrics: BTreeMap<String, BTreeMap<String, f64>>,
    /// Of the hits of searches as a client makes them: which share is what none should be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, f64>,
    /// Kind of question to metric to mean, where the data set names kinds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, BTreeMap<String, f64>>,
    /// What a higher threshold on the confidence would do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<ThresholdPoint>,
    /// Stage to percentile (`p50`, `p99`, …) to milliseconds: all that differs from one run to the next.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub timings_ms: BTreeMap<String, BTreeMap<String, f64>>,
}

/// `sha256:…` of what was hashed.
pub(crate) fn sha256_text(hasher: Sha256) -> String {
    let mut text = "sha256:".to_owned();
    for byte in hasher.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl DatasetReference {
    /// Reads the whole folder once more.
    pub fn of(dataset: &Dataset) -> Result<Self, EvalError> {
        Ok(Self {
            name: dataset.name(),
            digest: dataset.digest()?,
            documents: dataset.count_documents()?,
        })
    }
}

impl Report {
    /// The standard metrics of each stage's run. `configuration` is any text that holds everything that was configured.
    #[must_use]
    pub fn of_retrieval(
        dataset: DatasetReference,
        configuration: &str,
        runs: &BTreeMap<String, Run>,
        qrels: &Qrels,
    ) -> Self {
        let values = |run: &Run| {
            STANDARD
                .iter()
                .map(|metric| (metric.to_string(), metric.mean(run, qrels)))
                .collect()
        };
        Self {
            dataset,
            n: qrels.len(),
            config_digest: sha256_text(Sha256::new_with_prefix(configuration)),
            release: None,
            adapter: None,
            metrics: runs
                .iter()
                .map(|(stage, run)| (stage.clone(), values(run)))
                .collect(),
            checks: BTreeMap::new(),
            answers: BTreeMap::new(),
            kinds: BTreeMap::new(),
            thresholds: Vec::new(),
            timings_ms: BTreeMap::new(),
        }
    }

    /// The means of an evaluation of answers.
    #[must_use]
    pub fn of_answers(
        dataset: DatasetReference,
        configuration: &str,
        answers: BTreeMap<String, f64>,
    ) -> Self {
        Self {
            answers,
            ..Self::of_retrieval(dataset, configuration, &BTreeMap::new(), &Qrels::new())
        }
    }

    /// Records one stage's times, in milliseconds, by their nearest-rank percentiles.
    pub fn time(&mut self, stage: &str, milliseconds: &[f64]) {
        let mut sorted = milliseconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else {
            return;
        };
        let percentiles = [("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)];
        let values = percentiles.map(|(name, percent)| {
            let rank = (sorted.len() * percent)
                .div_ceil(100)
                .saturating_sub(1)
                .min(last);
            (name.to_owned(), sorted[rank])
        });
        self.timings_ms.insert(stage.to_owned(), values.into());
    }

    /// Writes `report.json`, `report.md`, `report.html` and `junit.xml` into the folder, which is made if need be.
    pub fn write(&self, folder: &Path) -> Result<(), EvalError> {
        let files = [
            ("report.json", self.to_json()),
            ("report.md", self.to_markdown()),
            ("report.html", self.to_html()),
            ("junit.xml", self.to_junit()),
        ];
        crate::views::write_all(folder, &files)
    }

    /// The text of `report.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }

    /// Writes `run.<stage>.trec` for each stage into the folder.
    pub fn write_runs(folder: &Path, runs: &BTreeMap<String, Run>) -> Result<(), EvalError> {
        fs::create_dir_all(folder).map_err(EvalError::io("create", folder))?;
        for (stage, run) in runs {
            trec::write_run(
                &folder.join(format!("run.{stage}.trec")),
                run,
                &format!("quoin-{stage}"),
            )?;
        }
        Ok(())
    }

    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "# Evaluation on {}\n\n{} documents, {} questions. Data set `{}`, configuration `{}`",
            self.dataset.name,
            self.dataset.documents,
            self.n,
            self.dataset.digest,
            self.config_digest
        );
        match &self.release {
            Some(release) => writeln!(text, ", release `{release}`.").unwrap_or_default(),
            None => text.push_str(".\n"),
        }
        for table in self.tables() {
            let _ = write!(text, "\n## {}\n\n| {} |", table.title, table.head);
            for column in &table.columns {
                let _ = write!(text, " {column} |");
            }
            let _ = write!(text, "\n|---|{}", "---:|".repeat(table.columns.len()));
            for (name, values) in &table.rows {
                let _ = write!(text, "\n| {name} |");
                for value in values {
                    let _ = write!(text, " {} |", table.written(*value));
                }
            }
            text.push('\n');
        }
        text
    }

    /// One file that needs no network: each value with a bar of its length.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut body = format!(
            "<h1>Evaluation on {}</h1>\n<p>{} documents, {} questions.</p>\n<dl><dt>data set</dt><dd>{}</dd>\
             <dt>configuration</dt><dd>{}</dd>",
            escape(&self.dataset.name),
            self.dataset.documents,
            self.n,
            escape(&self.dataset.digest),
            escape(&self.config_digest)
        );
        if let Some(release) = &self.release {
            let _ = write!(body, "<dt>release</dt><dd>{}</dd>", escape(release));
        }
        body.push_str("</dl>\n");
        for table in self.tables() {
            let _ = write!(
                body,
                "<h2>{}</h2>\n<table>\n<tr><th>{}</th>",
                escape(&table.title),
                escape(&table.head)
            );
            for column in &table.columns {
                let _ = write!(body, "<th>{}</th>", escape(column));
            }
            body.push_str("</tr>\n");
            for (name, values) in &table.rows {
                let _ = write!(body, "<tr><th scope=\"row\">{}</th>", escape(name));
                for value in values {
                    let bar = value.unwrap_or(0.0) / table.full;
                    let width = (bar * 100.0).clamp(0.0, 100.0);
                    let _ = write!(
                        body,
                        "<td><i style=\"width:{width:.1}%\"></i><b>{}</b></td>",
                        table.written(*value)
                    );
                }
                body.push_str("</tr>\n");
            }
            body.push_str("</table>\n");
        }
        let title = escape(&self.dataset.name);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>Evaluation on {title}</title>\n<style>\n{STYLE}</style>\n{body}</html>\n"
        )
    }

    /// One suite a table row, one case a metric, so that CI shows the values over time. Nothing fails here: gates decide.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut text =
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"quoin eval\">\n"
                .to_owned();
        for table in self.tables().iter().filter(|table| table.is_share) {
            for (name, values) in &table.rows {
                let name = escape(name);
                let _ = writeln!(
                    text,
                    "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"0\">",
                    values.iter().flatten().count()
                );
                for (column, value) in table.columns.iter().zip(values) {
                    if let Some(value) = value {
                        let column = escape(column);
                        let _ = writeln!(
                            text,
                            "    <testcase classname=\"{name}\" name=\"{column}\"><system-out>{value}</system-out></testcase>"
                        );
                    }
                }
                text.push_str("  </testsuite>\n");
            }
        }
        text.push_str("</testsuites>\n");
        text
    }

    fn tables(&self) -> Vec<Table> {
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

/// What means over all questions stand under.
const ALL: &str = "all";

/// Row to column to value.
type Rows = BTreeMap<String, BTreeMap<String, f64>>;

struct Table {
    title: String,
    head: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Option<f64>>)>,
    /// Values are shares from 0 to 1, not milliseconds or tokens.
    is_share: bool,
    /// The value whose bar is full.
    full: f64,
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

    fn written(&self, value: Option<f64>) -> String {
        match value {
            None => String::new(),
            Some(value) if self.is_share => format!("{value:.4}"),
            Some(value) => format!("{value:.2}"),
        }
    }
}

/// Each name once: those in `first` in that order, then the others by name.
fn ordered<'names>(names: impl Iterator<Item = &'names String>, first: &[&str]) -> Vec<String> {
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

/// For text and attributes of HTML and XML; control characters, which XML cannot hold, are replaced.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

pub(crate) const STYLE: &str = "\
:root { color-scheme: light dark; --bar: #8ab6d6; --line: #8884; }
@media (prefers-color-scheme: dark) { :root { --bar: #2f6690; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; font-size: .85rem; }
dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th[scope=row], th:first-child { text-align: left; }
td { position: relative; min-width: 5rem; font-variant-numeric: tabular-nums; }
td i { position: absolute; left: 0; bottom: 0; height: 4px; background: var(--bar); }
td b { font-weight: normal; }
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::count;

    fn report() -> Report {
        let stage = |value: f64| {
            BTreeMap::from([
                ("R@100".to_owned(), value),
                ("nDCG@10".to_owned(), value / 2.0),
            ])
        };
        Report {
            dataset: DatasetReference {
                name: "a <set>".to_owned(),
                digest: "sha256:00".to_owned(),
                documents: 3,
            },
            n: 2,
            config_digest: "sha256:11".to_owned(),
            release: None,
            adapter: None,
            metrics: BTreeMap::from([
                ("vector".to_owned(), stage(0.5)),
                ("bm25".to_owned(), stage(0.25)),
                ("fused".to_owned(), stage(1.0)),
            ]),
            checks: BTreeMap::new(),
            answers: BTreeMap::from([("exact".to_owned(), 0.5)]),
            kinds: BTreeMap::new(),
            thresholds: Vec::new(),
            timings_ms: BTreeMap::new(),
        }
    }

    #[test]
    fn the_markdown_shows_stages_and_metrics_in_their_order() {
        assert_eq!(
            report().to_markdown(),
            "# Evaluation on a <set>\n\n3 documents, 2 questions. Data set `sha256:00`, configuration `sha256:11`.\n\
             \n## Retrieval\n\n| stage | nDCG@10 | R@100 |\n|---|---:|---:|\n| bm25 | 0.1250 | 0.2500 |\n\
             | vector | 0.2500 | 0.5000 |\n| fused | 0.5000 | 1.0000 |\n\
             \n## Answers\n\n| metric | all |\n|---|---:|\n| exact | 0.5000 |\n"
        );
    }

    #[test]
    fn names_from_outside_are_text_in_html_and_xml() {
        let mut report = report();
        report.metrics.insert(
            "\"<script>'\u{1}".to_owned(),
            BTreeMap::from([("R@5&".to_owned(), 0.5)]),
        );
        let html = report.to_html();
        assert!(html.contains("a &lt;set&gt;") && !html.contains("<script"));
        let junit = report.to_junit();
        assert!(
            junit.contains("name=\"&quot;&lt;script&gt;&#39;\u{fffd}\"")
                && junit.contains("R@5&amp;"),
            "{junit}"
        );
    }

    #[test]
    fn the_report_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        report().write(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join("report.json")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["metrics"]["fused"]["nDCG@10"], 0.5);
        assert_eq!(value["answers"]["exact"], 0.5);
        assert_eq!(
            (value["n"].as_u64(), value["config_digest"].as_str()),
            (Some(2), Some("sha256:11"))
        );
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report());
        for name in ["report.md", "report.html", "junit.xml"] {
            assert!(folder.path().join(name).is_file(), "{name}");
        }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut report = report();
        let times: Vec<f64> = (1..=200).rev().map(count).collect();
        report.time("bm25", &times);
        report.time("none", &[]);
        let expected = [
            ("max", 200.0),
            ("p50", 100.0),
            ("p95", 190.0),
            ("p99", 198.0),
        ];
        assert_eq!(
            report.timings_ms["bm25"],
            expected
                .map(|(name, value)| (name.to_owned(), value))
                .into()
        );
        assert!(!report.timings_ms.contains_key("none"));
    }
}
