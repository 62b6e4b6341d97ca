//! Metrics and logs. Neither holds the text of documents, questions or answers.
//!
//! Labels are bounded: routes, statuses, stages, adapter versions. Nothing is labelled by generation or release, of which
//! there are as many as writes; the generation is a gauge.

mod logs;
mod prometheus;

pub use logs::{TelemetryError, init_logs};
pub use prometheus::{init_metrics, page, set_gauge, upkeep};
