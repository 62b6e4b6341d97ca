//! The Prometheus recorder of the process: installed once, described in one place, folded regularly.

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Bounds of the time histograms, seconds: from a search to a long answer on a CPU.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder. Everything measured before is lost; a second call changes nothing.
pub fn init_metrics() {
    handle();
}

/// The page for Prometheus.
#[must_use]
pub fn page() -> String {
    handle().map_or_else(String::new, PrometheusHandle::render)
}

/// Folds what was recorded since the last time; without it an unscraped process would keep every sample.
pub fn upkeep() {
    if let Some(handle) = handle() {
        handle.run_upkeep();
    }
}

/// Sets a gauge to a count.
pub fn set_gauge(name: &'static str, value: u64) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of documents stay far below 2^52"
    )]
    metrics::gauge!(name).set(value as f64);
}

fn handle() -> Option<&'static PrometheusHandle> {
    HANDLE.get_or_init(install).as_ref()
}

fn install() -> Option<PrometheusHandle> {
    let installed = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder);
    match installed {
        Ok(handle) => {
            describe();
            Some(handle)
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no metrics: the recorder could not be installed"
            );
            None
        }
    }
}

fn describe() {
    describe_histogram!(
        "quoin_request_duration_seconds",
        Unit::Seconds,
        "From a request to its response's head"
    );
    describe_histogram!(
        "quoin_time_to_first_token_seconds",
        Unit::Seconds,
        "From admission to the first token"
    );
    describe_histogram!(
        "quoin_stage_duration_seconds",
        Unit::Seconds,
        "Stages of an answer"
    );
    describe_gauge!(
        "quoin_http_requests_in_flight",
        "Requests that hold a place"
    );
    describe_gauge!(
        "quoin_requests_running",
        "Answers that are being made, those that wait for the engine among them"
    );
    describe_gauge!(
        "quoin_requests_waiting",
        "Generations that wait for a model to be free"
    );
    describe_counter!(
        "quoin_answers_total",
        "Requests for an answer, by how they ended"
    );
    describe_counter!("quoin_abstentions_total", "Answers that there were none");
    describe_counter!(
        "quoin_quote_failures_total",
        "Citations that the last gate held back"
    );
    describe_counter!(
        "quoin_source_put_total",
        "Documents put because files of followed folders are new or changed"
    );
    describe_counter!(
        "quoin_source_moved_total",
        "Files of followed folders that moved and kept their documents"
    );
    describe_counter!(
        "quoin_source_deleted_total",
        "Documents deleted because files of followed folders are gone"
    );
    describe_counter!("quoin_prompt_tokens_total", "Tokens of prompts");
    describe_counter!("quoin_completion_tokens_total", "Tokens generated");
    describe_counter!(
        "quoin_request_log_dropped_total",
        "Records that did not reach the request log"
    );
    describe_gauge!("quoin_documents", "Documents in the catalogue");
    describe_gauge!("quoin_passages", "Passages in the index");
    describe_gauge!("quoin_index_generation", "Generation of the index");
    describe_gauge!(
        "quoin_deletion_pending_seconds",
        Unit::Seconds,
        "Age of the oldest deletion that is not purged from everywhere"
    );
    describe_gauge!("quoin_ready", "1 when answers can be made");
}
