//! The command line: parses, runs one subcommand, prints a failure once, and ends with its exit code.
//!
//! Data goes to stdout, everything else to stderr. What asks, searches or changes a data folder is a client of our own HTTP
//! surface ([`transport`]).

mod adapters;
mod ask;
mod backup;
mod config;
mod doctor;
mod documents;
mod eval;
mod failure;
mod follow;
mod index;
mod ingest;
mod keys;
mod models;
mod output;
mod restore;
mod rollout;
mod search;
mod serve;
mod socket;
mod sources;
mod transport;
mod walk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, DataFolder};
use failure::{Context as _, Exit, Failure};
use output::Output;
use transport::Client;

/// The subcommand that the child process is started with.
const READ_DOCUMENT: &str = "read-document";
/// Longest wait at the end for work that nobody waits for, such as a model that is still being read.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(1);

/// Answers with verbatim quotes, from your documents and a local model, in one process.
#[derive(Debug, Parser)]
#[command(
    name = "quoin",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
#[command(after_help = "\
Start with `quoin serve`, then `quoin ingest FOLDER` and `quoin ask \"QUESTION\"`.
Every command works on the data folder, whether or not a server runs on it.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
struct Global {
    /// Where state lives [default: quoin-data, or `data` of the configuration]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    data: Option<PathBuf>,
    /// Configuration, TOML; `quoin config show` prints what is in force
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    config: Option<PathBuf>,
    /// One JSON document on stdout
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// Nothing on stderr but warnings and errors
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer over HTTP
    ///
    /// Without configuration it listens on 127.0.0.1:8080 with the bundled models and a sample handbook, and needs no
    /// network. SIGTERM or Ctrl-C lets requests in flight finish; a second one ends at once.
    Serve(serve::Serve),
    /// Read files and folders into the catalogue
    ///
    /// Reads PDF, Word (.docx), `PowerPoint` (.pptx), workbooks (.xlsx, .xls, .ods), HTML, Markdown, plain text, CSV, JSON (.json,
    /// .jsonl), e-mail (.eml) and source code. A document's id is its path below PATH, with the name of PATH before it when there are several. Ingesting it again replaces it, or changes
    /// nothing when its content and its list of readers are the same. One bad file costs no other.
    Ingest(ingest::Ingest),
    /// Ask a question; the answer comes with its quotes
    ///
    /// The answer is printed first, then every quote with its document, headings and place, in code points of the
    /// document's text.
    Ask(ask::Ask),
    /// Rank passages for a query
    ///
    /// By words and by meaning; both rankings are fused, and with `--rerank` the best are ranked again.
    Search(search::Search),
    /// Look at documents, or delete them
    #[command(subcommand)]
    Documents(documents::Documents),
    /// Look at followed folders, or scan one now
    #[command(subcommand)]
    Sources(sources::Sources),
    /// Look at the generations of the index, rebuild, verify or switch them
    #[command(subcommand)]
    Index(index::Index),
    /// Add adapter versions, check them, and name them
    #[command(subcommand)]
    Adapters(adapters::Adapters),
    /// Try an adapter version on a share of the traffic, and let it prove itself
    ///
    /// The new release answers in the shadow first, then a growing share of the traffic. It is promoted when it is shown to be no
    /// worse, and aborted as soon as it is shown to be worse; every step stands in a log with its evidence.
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Measure retrieval on judged queries
    #[command(subcommand)]
    Eval(eval::Eval),
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Look at language models, fetch them, or take them over from a folder
    #[command(subcommand)]
    Models(models::Models),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Copy the catalogue, keys and adapters to a folder, also under load
    ///
    /// What is left out, the index and the bundled models, is made again from them.
    Backup(backup::Backup),
    /// Put a backup in the place of the data folder
    ///
    /// Checks every digest first, and replaces the folder whole or not at all. What was deleted after the backup was made is
    /// deleted again: a restore brings no deleted document back. Stop the server first.
    Restore(restore::Restore),
    /// Check the machine, the data folder, the index and the models
    Doctor,
    /// Read one file from stdin, under limits; the process that ingests starts it
    #[command(name = READ_DOCUMENT, hide = true)]
    ReadDocument,
}

/// What a command works with.
struct Setting {
    /// The settings in force.
    config: Config,
    /// The configuration file, when one was named.
    file: Option<PathBuf>,
    /// Where to print.
    output: Output,
}

impl Setting {
    fn of(global: Global) -> Result<Self, Failure> {
        let mut config = Config::load(global.config.as_deref()).map_err(|error| {
            Failure::from(error)
                .hint("`quoin config schema` lists every key, `quoin config show` what is in force")
        })?;
        if let Some(data) = global.data {
            config.data = DataFolder(data);
        }
        config.reader_command = std::env::current_exe()
            .ok()
            .map(|program| vec![program.into(), READ_DOCUMENT.into()]);
        Ok(Self {
            config,
            file: global.config,
            output: Output::new(global.json, global.quiet),
        })
    }

    /// A way to the data folder, through its server or in this process.
    ///
    /// # Errors
    /// As [`Client::connect`].
    async fn client(&self) -> Result<Client, Failure> {
        let data = self.config.data();
        if !data.join("quoin.db").exists() {
            let shown = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
            self.output.greet(format!(
                "there was no data folder `{}`: made a new one, without documents; `--data DIR` names another",
                shown.display()
            ));
        }
        Client::connect(&self.config).await
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(()) => ExitCode::from(Exit::Success.code()),
        Err(failure) => {
            output::complain(&output::printable(&failure.to_string()));
            ExitCode::from(failure.exit().code())
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    // Before there are threads: it limits its own memory.
    if matches!(cli.command, Command::ReadDocument) {
        return quoin_retriever::read_worker().context(|| "cannot read the file".to_owned());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context(|| "cannot start the runtime".to_owned())?;
    let result = runtime.block_on(command(cli));
    runtime.shutdown_timeout(LEFTOVER_PATIENCE);
    result
}

async fn command(cli: Cli) -> Result<(), Failure> {
    let mut global = cli.global;
    if matches!(&cli.command, Command::Eval(eval) if eval.is_configured_apart()) {
        global.config = None;
    }
    let setting = Setting::of(global)?;
    let mut log = setting.config.log.clone();
    if !matches!(cli.command, Command::Serve(_)) {
        // A server's log is its voice; a command speaks for itself and leaves only warnings to the log.
        "warn".clone_into(&mut log.filter);
    }
    crate::telemetry::init_logs(&log)?;
    match cli.command {
        Command::Serve(serve) => serve.run(setting).await,
        Command::Ingest(ingest) => ingest.run(&setting).await,
        Command::Ask(ask) => ask.run(&setting).await,
        Command::Search(search) => search.run(&setting).await,
        Command::Documents(documents) => documents.run(&setting).await,
        Command::Sources(sources) => sources.run(&setting).await,
        Command::Index(index) => index.run(&setting).await,
        Command::Adapters(adapters) => adapters.run(&setting).await,
        Command::Rollout(rollout) => rollout.run(&setting).await,
        Command::Eval(eval) => eval.run(&setting).await,
        Command::Keys(keys) => keys.run(&setting).await,
        Command::Models(models) => models.run(&setting).await,
        Command::Config(config) => config.run(&setting),
        Command::Backup(backup) => backup.run(&setting).await,
        Command::Restore(restore) => restore.run(&setting).await,
        Command::Doctor => doctor::run(&setting).await,
        // It ran before there was a runtime.
        Command::ReadDocument => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
