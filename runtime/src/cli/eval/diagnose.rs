//! `quoin eval diagnose`: asks each question with and without retrieval, with and without the adapter, and with the gold passages
//! alone, and says where each wrong answer was lost.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use quoin_adapters::{AdapterId, Alias};
use quoin_eval::diagnose::{Cell, Context, Diagnosis, Observation, RightBy, RightRule, Settings};
use quoin_eval::{DatasetReference, Question};
use serde_json::json;

use self::observe::Observer;
use super::answers::Questions;
use super::asking::{Asked, Asker};
use super::cache::Cache;
use super::corpus::{self, Corpus};
use crate::answer::types::Mode;
use crate::cli::Setting;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Output};
use crate::cli::transport::Client;

mod observe;

/// When an answer counts as right, on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RightArgument {
    /// Its words match a gold answer.
    Words,
    /// It cites a place that holds the answer.
    Citation,
    /// One of the two.
    Either,
}

/// What `quoin eval diagnose` is told.
#[derive(Args, Debug)]
pub struct Diagnose {
    #[command(flatten)]
    questions: Questions,
    /// Write report.json, report.md, report.html and junit.xml here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The adapter to try beside the base: NAME@VERSION, or the champion when there is one
    #[arg(long, value_name = "NAME@VERSION")]
    adapter: Option<String>,
    /// Let the best sentences answer instead of a model
    #[arg(long, conflicts_with = "adapter")]
    extractive: bool,
    /// When an answer is right
    #[arg(long, value_enum, default_value = "either")]
    right: RightArgument,
    /// The F1 that is enough for its words to match
    #[arg(long, value_name = "F1", default_value_t = 0.5)]
    f1: f64,
    /// Ask everything anew
    #[arg(long)]
    no_cache: bool,
}

/// What was answered under which circumstances, in the order of the questions.
type Cells = BTreeMap<Cell, Vec<Asked>>;

impl Diagnose {
    /// Runs the command.
    ///
    /// # Errors
    /// The data set cannot be read, a question was trained on, or the report cannot be written.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let (dataset, questions) = self.questions.open()?;
        let reference = DatasetReference::of(&dataset)?;
        let corpus = Corpus::open(
            corpus::documents(&dataset)?,
            &setting.config,
            setting.output,
        )
        .await?;
        let adapter = self.adapter(&corpus)?;
        let questions =
            self.questions
                .refuse_trained(questions, &corpus.quoin, adapter.as_ref())?;
        let observer = Observer::new(&corpus.quoin);
        let cells = self
            .ask_in_all(setting, &reference, &observer, adapter.as_ref(), &questions)
            .await?;
        let mut observations = Vec::with_capacity(questions.len());
        for (index, question) in questions.iter().enumerate() {
            observations.push(observer.observe(question, index, &cells).await?);
        }
        corpus.close().await;
        let diagnosis = self.diagnose(&observations, &reference, adapter.as_ref())?;
        let output = setting.output;
        if let Some(out) = &self.out {
            diagnosis.write(out)?;
            output.note(format!("wrote `{}`", out.display()));
        }
        if output.is_json() {
            return output.json(&diagnosis);
        }
        print(&diagnosis, output)
    }

    fn adapter(&self, corpus: &Corpus) -> Result<Option<AdapterId>, Failure> {
        if self.extractive {
            return Ok(None);
        }
        if let Some(name) = &self.adapter {
            return Ok(AdapterId::parse_or_base(name)?);
        }
        let aliases = corpus.quoin.registry().aliases()?;
        Ok(aliases.get(&Alias::champion()).cloned())
    }

    /// Asks every question under all circumstances that there are.
    async fn ask_in_all(
        &self,
        setting: &Setting,
        reference: &DatasetReference,
        observer: &Observer,
        adapter: Option<&AdapterId>,
        questions: &[Question],
    ) -> Result<Cells, Failure> {
        let output = setting.output;
        let mut cells = Cells::new();
        let mode = if self.extractive {
            Mode::Extractive
        } else {
            Mode::Grounded
        };
        let models = std::iter::once(None).chain(adapter.map(Some));
        for model in models {
            let named = AdapterId::or_base(model);
            let (release, _) = observer.quoin().released(Some(&named), mode).await?;
            let folder = setting.config.data().join("evaluations");
            let cache = Arc::new(if self.no_cache {
                Cache::none()
            } else {
                Cache::open(&folder, &json!([reference.digest, release]))?
            });
            let client = Arc::new(Client::within(Arc::clone(observer.quoin())));
            let by = |mode: Mode| Asker {
                texts: observer.texts().clone(),
                client: Arc::clone(&client),
                cache: Arc::clone(&cache),
                model: Some(named.clone()),
                mode,
                top_k: None,
                trace: true,
                concurrency: 2,
                as_public: true,
            };
            let mut note = |context, asked| cells.insert(Cell::of(context, model.is_some()), asked);
            output.note(format!("{named}: retrieved passages"));
            let retrieved = by(mode);
            note(
                Context::Retrieved,
                retrieved.ask_all(questions, output).await?,
            );
            output.note(format!("{named}: gold passages"));
            let gold = observer
                .ask_with_gold(questions, &named, mode, output)
                .await?;
            note(Context::Gold, gold);
            if !self.extractive {
                output.note(format!("{named}: no passages"));
                let closed = by(Mode::ClosedBook);
                note(Context::Closed, closed.ask_all(questions, output).await?);
            }
        }
        Ok(cells)
    }

    fn diagnose(
        &self,
        observations: &[Observation],
        reference: &DatasetReference,
        adapter: Option<&AdapterId>,
    ) -> Result<Diagnosis, Failure> {
        let about = [
            ("data set", reference.name.clone()),
            ("digest", reference.digest.clone()),
            ("adapter", AdapterId::or_base(adapter)),
            ("program", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let settings = Settings {
            right: RightRule {
                f1_at_least: self.f1,
                by: match self.right {
                    RightArgument::Words => RightBy::Words,
                    RightArgument::Citation => RightBy::Citation,
                    RightArgument::Either => RightBy::Either,
                },
            },
            served: None,
            about: about.map(|(name, value)| (name.to_owned(), value)).into(),
        };
        Ok(Diagnosis::of(observations, &settings)?)
    }
}

fn print(diagnosis: &Diagnosis, output: Output) -> Result<(), Failure> {
    output.line(&diagnosis.next)?;
    output.line("")?;
    let mut rows = vec![vec!["CLASS".to_owned(), "QUESTIONS".to_owned()]];
    rows.extend(diagnosis.classes.iter().map(|count| {
        vec![
            count.class.to_string(),
            format!("{} of {}", count.share.part, count.share.whole),
        ]
    }));
    output.line(output::table(&rows))?;
    output.line("")?;
    let mut rows = vec![
        ["LEVER", "RECOVERS AT MOST", "ALONE", "COSTS"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(diagnosis.levers.iter().map(|lever| {
        vec![
            lever.lever.to_string(),
            lever.at_most.part.to_string(),
            lever.alone.to_string(),
            lever.costs.to_string(),
        ]
    }));
    output.line(output::table(&rows))
}
