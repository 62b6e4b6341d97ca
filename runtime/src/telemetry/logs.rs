//! Logs on stderr, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error(
        "`log.filter` is not a filter such as `info` or `quoin=debug,tantivy=warn`: `{filter}`"
    )]
    Filter {
        /// What it says.
        filter: String,
        /// The parser's words.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
}

/// Sends logs to stderr. A second call in one process changes nothing.
///
/// # Errors
/// [`TelemetryError::Filter`].
pub fn init_logs(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter).map_err(|source| TelemetryError::Filter {
        filter: config.filter.clone(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Only the first subscriber of a process takes effect; tests make many.
    let _already = if config.format == "json" {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_target(false).try_init()
    };
    Ok(())
}
