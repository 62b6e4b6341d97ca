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
use crate::record::QuestionRecord;
use crate::run::Run;
use crate::trec;

mod plots;
mod tables;
mod views;

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
        self.write_with(folder, &[])
    }

    /// The same, with plots of the questions in `report.html`.
    pub(crate) fn write_with(
        &self,
        folder: &Path,
        questions: &[QuestionRecord],
    ) -> Result<(), EvalError> {
        let files = [
            ("report.json", self.to_json()),
            ("report.md", self.to_markdown()),
            ("report.html", self.to_html_with(questions)),
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
}

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
            "# Evaluation on a &lt;set>\n\n3 documents, 2 questions. Data set `sha256:00`, configuration `sha256:11`.\n\
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
