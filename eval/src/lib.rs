//! Evaluation: data sets in BEIR's layout, metrics that agree with trec_eval and with SQuAD's script, TREC runs and reports.
//!
//! Nothing here searches or generates: what was retrieved and answered is handed in, what it is worth comes out. The same
//! input gives the same output, byte for byte.
#![expect(
    clippy::missing_errors_doc,
    reason = "`EvalError` says of each case when it comes"
)]

pub mod answers;
pub mod compare;
mod dataset;
pub mod diagnose;
mod error;
pub mod gates;
pub mod generate;
pub mod metrics;
mod plots;
pub mod record;
mod report;
mod run;
mod selective;
pub mod statistics;
pub mod trec;
mod views;

pub use dataset::{
    Corpus, CorpusDocument, Dataset, GoldQuote, Manifest, Question, UNLABELLED, write_dataset,
};
pub use error::EvalError;
pub use metrics::{Judgements, Metric, Qrels};
pub use report::{DatasetReference, Report};
pub use run::{Run, Scored};
