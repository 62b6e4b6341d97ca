//! `quoin sources`: the folders that the server follows.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Setting;
use super::failure::Failure;
use super::output::{self, Output};
use super::transport::segment;

/// `quoin sources …`
#[derive(Debug, Subcommand)]
pub enum Sources {
    /// List the followed folders, and how each is
    List,
    /// Scan a folder now
    Scan {
        /// Name of the source
        name: String,
        /// Delete the documents of all files that are gone, even if that is more than half of them
        #[arg(long)]
        prune: bool,
    },
}

impl Sources {
    /// Runs the command.
    ///
    /// # Errors
    /// No server follows the source, or the request is refused.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let client = setting.client().await?;
        let answer = match &self {
            Self::List => client.get("/admin/v1/sources").await,
            Self::Scan { name, prune } => {
                let path = format!("/admin/v1/sources/{}/scan", segment(name));
                client.post(&path, &json!({ "prune": prune })).await
            }
        };
        client.close().await;
        let answer = answer.map_err(|failure| {
            if failure.is_not_found() {
                failure.hint(
            "folders are followed by `quoin serve`, as `[[sources]]` of its configuration says",
        )
            } else {
                failure
            }
        })?;
        if setting.output.is_json() {
            return setting.output.json(&answer);
        }
        match answer["sources"].as_array() {
            Some(sources) => print(sources, setting.output),
            None => print(std::slice::from_ref(&answer), setting.output),
        }
    }
}

fn print(sources: &[Value], output: Output) -> Result<(), Failure> {
    let mut rows = vec![
        [
            "NAME",
            "DOCUMENTS",
            "PUT",
            "MOVED",
            "DELETED",
            "ERRORS",
            "LAST SCAN",
            "FOLDER",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(sources.iter().map(row));
    output.line(output::table(&rows))?;
    for source in sources {
        let name = source["name"].as_str().unwrap_or_default();
        if let Some(guard) = source["guard"].as_str() {
            output.warn(format!(
                "{name}: {guard}; `quoin sources scan {name} --prune` deletes them"
            ));
        }
        for error in source["errors"].as_array().into_iter().flatten() {
            let part = |key: &str| error[key].as_str().unwrap_or_default();
            output.warn(format!("{name}: {}: {}", part("path"), part("reason")));
        }
    }
    Ok(())
}

fn row(source: &Value) -> Vec<String> {
    let text = |key: &str| source[key].as_str().unwrap_or("never").to_owned();
    let errors = source["errors"].as_array().map_or(0, Vec::len);
    vec![
        text("name"),
        source["documents"].to_string(),
        source["put"].to_string(),
        source["moved"].to_string(),
        source["deleted"].to_string(),
        errors.to_string(),
        text("last_scan"),
        text("path"),
    ]
}
