//! Evaluation: data sets in BEIR's layout, metrics that agree with trec_eval and with SQuAD's script, TREC runs and reports.
//!
//! Nothing here searches or generates: what was retrieved and answered is handed in, what it is worth comes out. The same
//! input gives the same output, byte for byte.
#![expect(
    clippy::missing_errors_doc,
    reason = "`EvalError` says of each case when it comes"
)]

pub mod answers;
mod dataset;
pub mod diagnose;
mod error;
pub mod metrics;
mod report;
mod run;
pub mod trec;

pub use dataset::{Corpus, CorpusDocument, Dataset, Question};
pub use error::EvalError;
pub use metrics::{Judgements, Metric, Qrels};
pub use report::{DatasetReference, Report};
pub use run::{Run, Scored};
