//! `quoin eval retrieval`: how good retrieval is, on judged queries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use quoin_engine::Device;
use quoin_eval::record::{EvaluatedRun, QuestionRecord};
use quoin_eval::{Dataset, DatasetReference, Qrels, Report, Run};
use quoin_retriever::{Access, DocumentInput, Retriever, SearchRequest, SearchResult};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::checks::Checks;
use super::corpus;
use crate::cli::Setting;
use crate::cli::failure::{Context as _, Failure};
use crate::cli::output::{self, Output};
use crate::config::RetrievalConfig;
use crate::release::models_folder;

/// Documents that each stage ranks for a query.
const DEPTH: usize = 100;
/// Hits of the searches that are timed.
const TIMED_TOP_K: usize = 10;
/// Documents written at once.
const BATCH_DOCUMENTS: usize = 256;

/// What `quoin eval retrieval` is told.
#[derive(Args, Debug)]
pub struct Retrieval {
    /// Folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv
    #[arg(long, value_name = "DIR")]
    dataset: PathBuf,
    /// Which judgements
    #[arg(long, default_value = "test")]
    split: String,
    /// Write report.json, report.md, report.html, junit.xml and run.STAGE.trec here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only the first N judged queries, by id
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// What makes vectors, instead of the configured one: `bundled`, `bundled-encoder`, or the folder of a model
    #[arg(long, value_name = "DIR")]
    embedder: Option<String>,
    /// What reranks, instead of the configured one: `auto`, `off`, `late-interaction`, or the folder of a cross-encoder
    #[arg(long, value_name = "NAME|DIR")]
    reranker: Option<String>,
}

/// How the index was made.
#[derive(Debug, Default, Serialize)]
struct Ingestion {
    documents: usize,
    /// Documents that the retriever refused.
    refused: usize,
    passages: u64,
    seconds: f64,
    passages_per_second: f64,
    /// Publishing one snapshot of everything, afterwards.
    rebuild_seconds: f64,
}

/// What every stage ranked, and how long searches took.
#[derive(Default)]
struct Measured {
    runs: BTreeMap<String, Run>,
    search_ms: Vec<f64>,
    stages_ms: BTreeMap<&'static str, Vec<f64>>,
    with_reranking_ms: Vec<f64>,
    checks: Checks,
}

impl Retrieval {
    /// Runs the command.
    ///
    /// # Errors
    /// The data set cannot be read, or the report cannot be written.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let output = setting.output;
        let models = models_folder(setting.config.data());
        let mut retrieval = setting.config.retrieval.clone();
        retrieval.embedder = self.embedder.clone().unwrap_or(retrieval.embedder);
        retrieval.reranker = self.reranker.clone().unwrap_or(retrieval.reranker);
        tokio::task::spawn_blocking(move || self.measure(&retrieval, &models, output)).await?
    }

    fn measure(
        &self,
        retrieval: &RetrievalConfig,
        models: &Path,
        output: Output,
    ) -> Result<(), Failure> {
        let mut dataset = Dataset::open_split(&self.dataset, &self.split)?;
        if let Some(limit) = self.limit {
            dataset.qrels = std::mem::take(&mut dataset.qrels)
                .into_iter()
                .take(limit)
                .collect();
        }
        let reference = DatasetReference::of(&dataset)?;
        let folder = tempfile::tempdir().context(|| "cannot make a temporary folder".to_owned())?;
        let settings = retrieval.settings(Device::Auto, models);
        let configuration = format!("{settings:?}");
        let retriever = Retriever::open(folder.path(), settings)?;
        let ingestion = ingest(&dataset, &retriever, reference.documents, output)?;
        let measured = rank_all(&dataset, &retriever, output)?;

        let configuration = format!("{configuration} {}", retriever.statistics().pipeline);
        let report = report(reference, &configuration, &measured, &dataset.qrels);
        if let Some(out) = &self.out {
            let questions = records(&dataset, &measured.runs)?;
            EvaluatedRun::new(report.clone(), questions)?.write(out)?;
            Report::write_runs(out, &measured.runs)?;
            output.note(format!("wrote `{}`", out.display()));
        }
        if output.is_json() {
            let mut value = serde_json::to_value(&report)?;
            value["ingestion"] = json!(ingestion);
            return output.json(&value);
        }
        print(&report, &ingestion, output)
    }
}

/// Puts the corpus into the retriever and publishes it as one snapshot, as a server would have it after a while.
fn ingest(
    dataset: &Dataset,
    retriever: &Retriever,
    documents: usize,
    output: Output,
) -> Result<Ingestion, Failure> {
    let bar = output.progress(documents as u64, "ingesting");
    let mut ingestion = Ingestion::default();
    let mut writing = Duration::ZERO;
    let mut documents = corpus::documents(dataset)?;
    loop {
        let batch: Vec<DocumentInput> = documents
            .by_ref()
            .take(BATCH_DOCUMENTS)
            .map(|document| document.map(for_somebody))
            .collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        let read = batch.len();
        let begun = Instant::now();
        let stored = retriever.put_batch(batch)?;
        writing += begun.elapsed();
        for error in stored.into_iter().filter_map(Result::err) {
            ingestion.refused += 1;
            output.warn(error.to_string());
        }
        bar.inc(read as u64);
    }
    bar.finish_and_clear();
    let begun = Instant::now();
    retriever.rebuild()?;
    retriever.settle();
    ingestion.rebuild_seconds = begun.elapsed().as_secs_f64();
    let statistics = retriever.statistics();
    ingestion.documents = statistics.documents;
    ingestion.passages = statistics.passages;
    ingestion.seconds = writing.as_secs_f64();
    ingestion.passages_per_second = per_second(statistics.passages, writing);
    Ok(ingestion)
}

/// A document that does not say who may read it gets one of a few groups, so that there is something to leak. Rankings are made
/// for whoever may read all.
fn for_somebody(document: DocumentInput) -> DocumentInput {
    const GROUPS: u8 = 8;
    let digest: [u8; 32] = Sha256::digest(document.id.to_string()).into();
    DocumentInput {
        default_acl: Some(vec![format!("group:{}", digest[0] % GROUPS)]),
        ..document
    }
}

/// Ranks every judged query by every stage; then times searches as a client would make them.
fn rank_all(dataset: &Dataset, retriever: &Retriever, output: Output) -> Result<Measured, Failure> {
    let access = Access::admin();
    let queries = dataset.judged_queries()?;
    let bar = output.progress(queries.len() as u64, "ranking");
    let mut measured = Measured {
        checks: Checks::of(retriever)?,
        ..Measured::default()
    };
    for (id, text) in queries {
        let rankings = retriever.rankings(text, DEPTH, &access)?;
        let stages = [
            ("bm25", rankings.bm25),
            ("vector", rankings.vector),
            ("fused", rankings.fused),
            ("reranked", rankings.reranked),
        ];
        for (stage, ranking) in stages {
            let run = measured.runs.entry(stage.to_owned()).or_default();
            run.insert(
                id,
                ranking
                    .into_iter()
                    .map(|(document, score)| (document.to_string(), score)),
            )?;
        }
        let request = SearchRequest::new(text, TIMED_TOP_K);
        let found = measured.search(retriever, &request, &access)?;
        measured.checks.look(&found, &dataset.qrels[id]);
        let request = SearchRequest {
            rerank: Some(true),
            ..request
        };
        let begun = Instant::now();
        retriever.search(&request, &access)?;
        measured.with_reranking_ms.push(milliseconds(begun));
        measured.checks.ask_as_somebody(retriever, text)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(measured)
}

/// The metrics of each query, by stage: what two runs are compared by.
fn records(
    dataset: &Dataset,
    runs: &BTreeMap<String, Run>,
) -> Result<Vec<QuestionRecord>, Failure> {
    let mut values: Vec<(String, BTreeMap<&str, f64>)> = Vec::new();
    for (stage, run) in runs {
        for metric in quoin_eval::metrics::STANDARD {
            let by_query = metric.by_query(run, &dataset.qrels);
            values.push((format!("{stage}/{metric}"), by_query));
        }
    }
    let record = |(id, text): (&str, &str)| QuestionRecord {
        id: id.to_owned(),
        question: text.to_owned(),
        metrics: values
            .iter()
            .filter_map(|(name, by_query)| Some((name.clone(), *by_query.get(id)?)))
            .collect(),
        ..QuestionRecord::default()
    };
    Ok(dataset.judged_queries()?.into_iter().map(record).collect())
}

impl Measured {
    /// Searches as a client would, and takes the time of each stage.
    fn search(
        &mut self,
        retriever: &Retriever,
        request: &SearchRequest,
        access: &Access,
    ) -> Result<SearchResult, Failure> {
        let begun = Instant::now();
        let found = retriever.search(request, access)?;
        self.search_ms.push(milliseconds(begun));
        let timings = found.timings;
        for (stage, time) in [
            ("search.access", timings.access_ms),
            ("search.bm25", timings.bm25_ms),
            ("search.vector", timings.vector_ms),
            ("search.rank", timings.rank_ms),
            ("search.fetch", timings.fetch_ms),
        ] {
            self.stages_ms.entry(stage).or_default().push(time);
        }
        Ok(found)
    }
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn report(
    reference: DatasetReference,
    configuration: &str,
    measured: &Measured,
    qrels: &Qrels,
) -> Report {
    let mut report = Report::of_retrieval(reference, configuration, &measured.runs, qrels);
    report.time("search", &measured.search_ms);
    report.time("search_with_reranking", &measured.with_reranking_ms);
    for (stage, times) in &measured.stages_ms {
        report.time(stage, times);
    }
    report.checks = measured.checks.shares();
    report
}

fn print(report: &Report, ingestion: &Ingestion, output: Output) -> Result<(), Failure> {
    let metrics: Vec<String> = quoin_eval::metrics::STANDARD
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut rows = vec![[vec!["STAGE".to_owned()], metrics.clone()].concat()];
    for stage in ["bm25", "vector", "fused", "reranked"] {
        let mut row = vec![stage.to_owned()];
        row.extend(
            metrics
                .iter()
                .map(|metric| format!("{:.4}", report.metrics[stage][metric])),
        );
        rows.push(row);
    }
    output.line(output::table(&rows))?;
    output.line("")?;
    output.line(format!(
        "{} and {} documents, {} passages ingested in {:.1} s ({:.0} passages/s), published in {:.1} s",
        output::count(report.n, "query"),
        ingestion.documents,
        ingestion.passages,
        ingestion.seconds,
        ingestion.passages_per_second,
        ingestion.rebuild_seconds,
    ))?;
    for (name, shown) in [
        ("search", "search"),
        ("search_with_reranking", "search with reranking"),
    ] {
        let times = &report.timings_ms[name];
        output.line(format!(
            "{shown}: p50 {:.2} ms, p99 {:.2} ms",
            times["p50"], times["p99"]
        ))?;
    }
    for (check, share) in &report.checks {
        output.line(format!("{check}: {share:.4}"))?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}
