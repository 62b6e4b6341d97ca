//! `quoin index`: the generations of the text and vector index.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Setting;
use super::failure::Failure;
use super::output::{self, Output};
use super::transport::Client;

/// `quoin index …`
#[derive(Debug, Subcommand)]
pub enum Index {
    /// List the generations on disk
    List,
    /// Build a new generation from the catalogue and switch to it
    Rebuild,
    /// Switch to a generation
    Activate {
        /// Number of the generation
        generation: u64,
    },
    /// Switch back to the generation before
    Rollback,
    /// Compare the index with the catalogue and the files with their digests
    Verify,
}

impl Index {
    /// Runs the command.
    ///
    /// # Errors
    /// The request is refused, or `verify` found something.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let client = setting.client().await?;
        let result = self.ask(&client).await;
        client.close().await;
        self.print(&result?, setting.output)
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        let nothing = json!({});
        match self {
            Self::List => client.get("/admin/v1/index").await,
            Self::Rebuild => client.post("/admin/v1/index/rebuild", &nothing).await,
            Self::Rollback => client.post("/admin/v1/index/rollback", &nothing).await,
            Self::Verify => client.post("/admin/v1/index/verify", &nothing).await,
            Self::Activate { generation } => {
                let path = format!("/admin/v1/index/{generation}/activate");
                client.post(&path, &nothing).await
            }
        }
    }

    fn print(&self, answer: &Value, output: Output) -> Result<(), Failure> {
        if output.is_json() {
            output.json(answer)?;
        } else {
            match self {
                Self::List => output.line(generations(answer))?,
                Self::Verify => output.line(findings(answer))?,
                _ => output.line(format!("generation {} is active", answer["generation"]))?,
            }
        }
        if matches!(self, Self::Verify) && answer["ok"].as_bool() == Some(false) {
            return Err(Failure::new("the index does not agree with the catalogue")
                .hint("`quoin index rebuild` makes it again from the catalogue"));
        }
        Ok(())
    }
}

fn generations(answer: &Value) -> String {
    let none = Vec::new();
    let found = answer["generations"].as_array().unwrap_or(&none);
    let mut rows = vec![
        ["GENERATION", "STATE", "DOCUMENTS", "PASSAGES"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(found.iter().map(|generation| {
        let active = generation["active"].as_bool() == Some(true);
        vec![
            generation["generation"].to_string(),
            if active { "active" } else { "kept" }.to_owned(),
            generation["documents"].to_string(),
            generation["passages"].to_string(),
        ]
    }));
    output::table(&rows)
}

fn findings(answer: &Value) -> String {
    let none = Vec::new();
    let problems = answer["problems"].as_array().unwrap_or(&none);
    if problems.is_empty() {
        return "the index agrees with the catalogue".to_owned();
    }
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| {
            problem
                .as_str()
                .map_or_else(|| problem.to_string(), str::to_owned)
        })
        .collect();
    lines.join("\n")
}
