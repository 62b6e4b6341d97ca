//! `quoin eval`: how good retrieval is, on judged queries.

use clap::Subcommand;

use super::Setting;
use super::failure::Failure;

/// `quoin eval …`
#[derive(Debug, Subcommand)]
pub enum Eval {}

impl Eval {
    /// Runs the command.
    ///
    /// # Errors
    /// The data set cannot be read.
    pub async fn run(self, _setting: &Setting) -> Result<(), Failure> {
        match self {}
    }
}
