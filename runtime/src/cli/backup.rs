//! `quoin backup`: a consistent copy of what cannot be made again, also under load.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Setting;
use super::failure::{Context as _, Failure};
use super::output;

/// What `quoin backup` is told.
#[derive(Args, Debug)]
pub struct Backup {
    /// Folder to write; must be empty or not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Backup {
    /// Runs the command.
    ///
    /// # Errors
    /// The folder holds something already or cannot be written.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let shown = self.folder.display().to_string();
        // The server may run in another folder.
        let whole =
            std::path::absolute(&self.folder).context(|| format!("cannot use `{shown}`"))?;
        let client = setting.client().await?;
        let result = client
            .post("/admin/v1/backup", &json!({ "path": whole }))
            .await;
        client.close().await;
        let answer = result?;
        if setting.output.is_json() {
            return setting.output.json(&answer);
        }
        let files = usize::try_from(answer["files"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
        setting.output.line(format!(
            "backed up {}, {}, to {shown}",
            output::count(files, "file"),
            output::bytes(answer["bytes"].as_u64().unwrap_or(0))
        ))
    }
}
