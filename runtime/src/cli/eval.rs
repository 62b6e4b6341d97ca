//! `quoin eval`: how good retrieval and answers are, what failed and which lever to pull, and whether a change made it worse.
//!
//! Data sets are read into a folder of their own; the data folder lends its models and adapters, and keeps answers that were
//! given before.

mod answers;
mod asking;
mod cache;
mod checks;
mod compare;
mod corpus;
mod diagnose;
mod gate;
mod new;
mod retrieval;
mod scoring;

use clap::Subcommand;

use super::Setting;
use super::failure::Failure;

/// `quoin eval …`
#[derive(Debug, Subcommand)]
pub enum Eval {
    /// Rank a BEIR data set's judged queries: nDCG@10, R@100 and more for every stage
    Retrieval(retrieval::Retrieval),
    /// Ask a data set's questions: exact match, F1, citations, abstention, schemas, time
    ///
    /// The questions go through the same code as a server's requests, or to a server by its address. What was answered before by
    /// the same release is not asked again.
    Answers(answers::Answers),
    /// Compare two runs question by question: difference, interval, test, and what flipped
    Compare(compare::Compare),
    /// Decide whether a run is good enough: exit code 0, 100 when a gate failed, 101 when that cannot be told
    Gate(gate::GateCommand),
    /// Say of each wrong answer where it was lost, and which lever could recover how many
    Diagnose(diagnose::Diagnose),
    /// Make a data set from documents: questions on their tables, definitions and numbers, marked as generated
    New(new::New),
}

impl Eval {
    /// Whether `--config` is its own, and not the file of settings.
    pub const fn is_configured_apart(&self) -> bool {
        matches!(self, Self::Gate(_))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The data set or a run cannot be read, or a report cannot be written.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        match self {
            Self::Retrieval(retrieval) => retrieval.run(setting).await,
            Self::Answers(answers) => answers.run(setting).await,
            Self::Compare(compare) => compare.run(setting),
            Self::Gate(gate) => gate.run(setting),
            Self::Diagnose(diagnose) => diagnose.run(setting).await,
            Self::New(new) => new.run(setting).await,
        }
    }
}
