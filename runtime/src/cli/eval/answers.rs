//! `quoin eval answers`: asks a data set's questions and writes what the answers are worth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use quoin_adapters::{AdapterId, BASE};
use quoin_eval::answers::{summarise, threshold_curve};
use quoin_eval::generate::trained_on;
use quoin_eval::record::EvaluatedRun;
use quoin_eval::{Dataset, DatasetReference, Question, Report};
use serde_json::{Value, json};

use super::asking::{Asked, Asker};
use super::cache::Cache;
use super::corpus::{self, Corpus};
use super::scoring::{FIRST_TOKEN, LATENCY, Texts};
use crate::answer::types::Mode;
use crate::cli::Setting;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Output};
use crate::cli::transport::Client;
use crate::service::Quoin;

/// Answers under way at once in this process, whose models answer one at a time: the next one is searched meanwhile.
const CONCURRENCY_HERE: usize = 2;
/// And at a server elsewhere, which has its own queue.
const CONCURRENCY_THERE: usize = 8;
const CONCURRENCY_MAX: usize = 64;

/// Questions that are named in an error.
const NAMED: usize = 5;

/// Metrics that people see first; all others stand in the report.
const SHOWN: &[&str] = &[
    "exact",
    "f1",
    "contains",
    "HasAns_f1",
    "NoAns_f1",
    "answered",
    "abstain_precision",
    "abstain_recall",
    "gold_citation_f1",
    "citation_precision",
    "citation_recall",
    "citation_coverage",
    "field_f1",
    "quote_verbatim",
    "schema_valid",
    "failed",
];

/// As [`Mode`], on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModeArgument {
    Auto,
    Grounded,
    Extractive,
    ClosedBook,
}

impl From<ModeArgument> for Mode {
    fn from(mode: ModeArgument) -> Self {
        match mode {
            ModeArgument::Auto => Self::Auto,
            ModeArgument::Grounded => Self::Grounded,
            ModeArgument::Extractive => Self::Extractive,
            ModeArgument::ClosedBook => Self::ClosedBook,
        }
    }
}

/// Which questions of which data set.
#[derive(Args, Debug)]
pub(super) struct Questions {
    /// Folder with qa.jsonl, and corpus.jsonl or a dataset.toml that names a folder of documents
    #[arg(long, value_name = "DIR")]
    pub(super) dataset: PathBuf,
    /// Only the first N questions
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Leave out questions that the adapter was trained on, instead of refusing them
    #[arg(long)]
    pub(super) exclude_trained: bool,
}

impl Questions {
    pub(super) fn open(&self) -> Result<(Dataset, Vec<Question>), Failure> {
        let dataset = Dataset::open(&self.dataset)?;
        if dataset.questions.is_empty() {
            return Err(Failure::new(format!(
                "`{}` has no questions: qa.jsonl is missing or empty",
                self.dataset.display()
            )));
        }
        let limit = self.limit.unwrap_or(usize::MAX);
        let questions = dataset.questions.iter().take(limit).cloned().collect();
        Ok((dataset, questions))
    }

    /// Questions that an adapter has learned from prove nothing about it.
    pub(super) fn refuse_trained(
        &self,
        questions: Vec<Question>,
        quoin: &Quoin,
        adapter: Option<&AdapterId>,
    ) -> Result<Vec<Question>, Failure> {
        let Some(id) = adapter else {
            return Ok(questions);
        };
        let Some(lineage) = quoin.registry().show(id)?.lineage()? else {
            return Ok(questions);
        };
        let row_ids = &lineage.training_data.row_ids;
        let trained: BTreeSet<String> = trained_on(&questions, row_ids)
            .into_iter()
            .map(|question| question.id.clone())
            .collect();
        if !trained.is_empty() && !self.exclude_trained {
            let named: Vec<&str> = trained.iter().take(NAMED).map(String::as_str).collect();
            return Err(Failure::new(format!(
                "`{id}` was trained on {} of this data set, such as {}",
                output::count(trained.len(), "question"),
                named.join(", "),
            ))
            .hint("`--exclude-trained` leaves them out"));
        }
        let kept: Vec<Question> = questions
            .into_iter()
            .filter(|question| !trained.contains(&question.id))
            .collect();
        if kept.is_empty() {
            return Err(Failure::new(format!(
                "`{id}` was trained on every question of this data set"
            )));
        }
        Ok(kept)
    }
}

/// What `quoin eval answers` is told.
#[derive(Args, Debug)]
pub struct Answers {
    #[command(flatten)]
    questions: Questions,
    /// Write report.json, report.md, report.html, junit.xml and questions.jsonl here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Who answers: `quoin` (the champion), NAME@VERSION or `base`
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// How to answer
    #[arg(long, value_enum, default_value = "auto")]
    mode: ModeArgument,
    /// Passages to retrieve, instead of what is configured
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Ask this server, which has the documents, instead of this machine
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Environment variable with the key of that server; one with `admin` may ask as whoever the questions name
    #[arg(long, value_name = "NAME", requires = "url")]
    key_env: Option<String>,
    /// Answers under way at once
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    /// Ask everything anew
    #[arg(long)]
    no_cache: bool,
}

/// What answered.
struct By {
    release: Option<String>,
    adapter: Option<String>,
}

impl Answers {
    /// Runs the command.
    ///
    /// # Errors
    /// The data set cannot be read, a question was trained on, or the report cannot be written.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        if self
            .concurrency
            .is_some_and(|n| !(1..=CONCURRENCY_MAX).contains(&n))
        {
            return Err(Failure::usage(format!(
                "`--concurrency` is 1 to {CONCURRENCY_MAX}"
            )));
        }
        let (dataset, questions) = self.questions.open()?;
        let reference = DatasetReference::of(&dataset)?;
        match &self.url {
            Some(url) => self.ask_there(url, setting, reference, &questions).await,
            None => self.ask_here(setting, &dataset, reference, questions).await,
        }
    }

    /// On a service of its own, in this process.
    async fn ask_here(
        &self,
        setting: &Setting,
        dataset: &Dataset,
        reference: DatasetReference,
        questions: Vec<Question>,
    ) -> Result<(), Failure> {
        let corpus =
            Corpus::open(corpus::documents(dataset)?, &setting.config, setting.output).await?;
        let released = corpus
            .quoin
            .released(self.model.as_deref(), self.mode.into());
        let (release, adapter) = released.await?;
        let id = AdapterId::parse_or_base(&adapter)?;
        let questions = self
            .questions
            .refuse_trained(questions, &corpus.quoin, id.as_ref())?;
        let cache = if self.no_cache {
            Cache::none()
        } else {
            let key = json!([reference.digest, release]);
            Cache::open(&setting.config.data().join("evaluations"), &key)?
        };
        let client = Arc::new(Client::within(Arc::clone(&corpus.quoin)));
        let asker = self.asker(client, cache, CONCURRENCY_HERE, true);
        let all = asker.ask_all(&questions, setting.output).await?;
        corpus.close().await;
        let by = By {
            release: Some(release),
            adapter: Some(adapter),
        };
        self.tell(setting.output, reference, by, &all)
    }

    /// On a server that has the documents. Nothing is kept: its release may change meanwhile.
    async fn ask_there(
        &self,
        url: &str,
        setting: &Setting,
        reference: DatasetReference,
        questions: &[Question],
    ) -> Result<(), Failure> {
        let key = match &self.key_env {
            Some(name) => Some(std::env::var(name).map_err(|_| {
                Failure::usage(format!("the environment variable `{name}` holds no key"))
            })?),
            None => None,
        };
        let client = Arc::new(Client::far(url, key)?);
        let asker = self.asker(client, Cache::none(), CONCURRENCY_THERE, false);
        let all = asker.ask_all(questions, setting.output).await?;
        let answers = all.iter().filter_map(|one| one.answer.as_ref().ok());
        let releases: BTreeSet<(&str, &str)> = answers
            .map(|answer| (answer.release.id.as_str(), answer.release.adapter.as_str()))
            .collect();
        if releases.len() > 1 {
            setting.output.warn(format!(
                "the answers came from {} releases: this report is about none of them alone",
                releases.len()
            ));
        }
        let one = releases.first().filter(|_| releases.len() == 1);
        let by = By {
            release: one.map(|(release, _)| (*release).to_owned()),
            adapter: one.map(|(_, adapter)| (*adapter).to_owned()),
        };
        self.tell(setting.output, reference, by, &all)
    }

    fn asker(&self, client: Arc<Client>, cache: Cache, most: usize, as_public: bool) -> Asker {
        Asker {
            texts: Texts::new(Arc::clone(&client)),
            client,
            cache: Arc::new(cache),
            model: self.model.clone(),
            mode: self.mode.into(),
            top_k: self.top_k,
            trace: false,
            concurrency: self.concurrency.unwrap_or(most),
            as_public,
        }
    }

    fn tell(
        &self,
        output: Output,
        reference: DatasetReference,
        by: By,
        asked: &[Asked],
    ) -> Result<(), Failure> {
        // Not who answers: that is what runs are compared for.
        let configuration = json!({
            "mode": Mode::from(self.mode), "top_k": self.top_k, "limit": self.questions.limit,
        });
        let report = report(reference, &configuration, by, asked);
        if let Some(out) = &self.out {
            let records = asked.iter().map(|one| one.scored.record.clone()).collect();
            EvaluatedRun::new(report.clone(), records)?.write(out)?;
            output.note(format!("wrote `{}`", out.display()));
        }
        if output.is_json() {
            output.json(&report)?;
        } else {
            print(&report, asked, output)?;
        }
        if asked.iter().all(|one| one.answer.is_err()) {
            return Err(Failure::new("no question could be answered"));
        }
        Ok(())
    }
}

fn report(reference: DatasetReference, configuration: &Value, by: By, asked: &[Asked]) -> Report {
    let is_time = |name: &str| [LATENCY, FIRST_TOKEN].contains(&name);
    let metrics = asked.iter().map(|one| &one.scored.record.metrics);
    let mut answers = summarise(metrics.clone());
    answers.retain(|name, _| !is_time(name));
    let outcomes: Vec<_> = asked
        .iter()
        .map(|one| {
            let confidence = one.answer.as_ref().map_or(0.0, |answer| answer.confidence);
            (one.scored.outcome.clone(), confidence)
        })
        .collect();
    let mut report = Report::of_answers(reference, &configuration.to_string(), answers);
    report.n = asked.len();
    report.release = by.release;
    report.adapter = by.adapter;
    report.thresholds = threshold_curve(&outcomes);
    report.kinds = by_kind(asked);
    for (stage, name) in [("answer", LATENCY), ("first_token", FIRST_TOKEN)] {
        let times: Vec<f64> = metrics
            .clone()
            .filter_map(|metrics| metrics.get(name).copied())
            .collect();
        report.time(stage, &times);
    }
    report
}

/// The means of each kind of question, where the data set names kinds.
fn by_kind(asked: &[Asked]) -> BTreeMap<String, BTreeMap<String, f64>> {
    let mut kinds: BTreeMap<&String, Vec<&BTreeMap<String, f64>>> = BTreeMap::new();
    for one in asked {
        let record = &one.scored.record;
        if let Some(kind) = &record.kind {
            kinds.entry(kind).or_default().push(&record.metrics);
        }
    }
    let shown = |metrics: BTreeMap<String, f64>| {
        let kept = metrics.into_iter();
        kept.filter(|(name, _)| SHOWN.contains(&name.as_str()))
            .collect()
    };
    kinds
        .into_iter()
        .map(|(kind, metrics)| (kind.clone(), shown(summarise(metrics))))
        .collect()
}

fn print(report: &Report, asked: &[Asked], output: Output) -> Result<(), Failure> {
    let mut rows = vec![vec![
        "METRIC".to_owned(),
        "MEAN".to_owned(),
        "OF".to_owned(),
    ]];
    for name in SHOWN {
        if let Some(value) = report.answers.get(*name) {
            let has = |one: &&Asked| one.scored.record.metrics.contains_key(*name);
            let of = asked.iter().filter(has).count();
            rows.push(vec![
                (*name).to_owned(),
                format!("{value:.4}"),
                of.to_string(),
            ]);
        }
    }
    output.line(output::table(&rows))?;
    output.line("")?;
    let by = report.adapter.as_deref().unwrap_or(BASE);
    output.line(format!(
        "{} of {} answered by {by}",
        output::count(report.n, "question"),
        report.dataset.name
    ))?;
    if let Some(times) = report.timings_ms.get("answer") {
        output.line(format!(
            "answer: p50 {:.1} ms, p99 {:.1} ms",
            times["p50"], times["p99"]
        ))?;
    }
    let failed = asked.iter().filter_map(|one| {
        let reason = one.answer.as_ref().err()?;
        Some((&one.scored.record.id, reason))
    });
    for (id, reason) in failed.take(NAMED) {
        output.warn(format!("question `{id}`: {reason}"));
    }
    Ok(())
}
