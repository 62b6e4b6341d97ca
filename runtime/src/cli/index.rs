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
    Verify {
        /// Rebuild from the catalogue what is damaged, and say what cannot be
        #[arg(long)]
        repair: bool,
    },
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
            Self::List => return client.get("/admin/v1/index").await,
            Self::Verify { repair: false } => {
                return client.post("/admin/v1/index/verify", &nothing).await;
            }
            Self::Verify { repair: true } => {
                return client.post("/admin/v1/index/repair", &nothing).await;
            }
            Self::Rebuild => client.post("/admin/v1/index/rebuild", &nothing).await?,
            Self::Rollback => client.post("/admin/v1/index/rollback", &nothing).await?,
            Self::Activate { generation } => {
                let path = format!("/admin/v1/index/{generation}/activate");
                client.post(&path, &nothing).await?
            }
        };
        let listed = client.get("/admin/v1/index").await?;
        let active = generations(&listed).find(|generation| generation["active"] == true);
        Ok(json!({ "generation": active.map(|generation| &generation["generation"]) }))
    }

    fn print(&self, answer: &Value, output: Output) -> Result<(), Failure> {
        let problems = answer["problems"].as_array().map_or(0, Vec::len);
        match self {
            _ if output.is_json() => output.json(answer)?,
            Self::List => output.line(listing(answer))?,
            Self::Verify { .. } => output.line(findings(answer))?,
            _ => output.line(format!("generation {} is active", answer["generation"]))?,
        }
        if problems > 0 {
            return Err(Failure::new(format!(
                "the index has {}",
                output::count(problems, "problem")
            ))
            .hint(match self {
                Self::Verify { repair: true } => {
                    "what is damaged in the catalogue is put again, or comes back with `quoin restore`"
                }
                _ => "`quoin index verify --repair` rebuilds from the catalogue what it can",
            }));
        }
        Ok(())
    }
}

fn generations(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["generations"].as_array().into_iter().flatten()
}

fn listing(answer: &Value) -> String {
    let mut rows = vec![
        ["GENERATION", "STATE", "PASSAGES", "WRITTEN"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(generations(answer).map(|generation| {
        let state = if generation["active"] == true {
            "active"
        } else {
            "kept"
        };
        vec![
            generation["generation"].to_string(),
            state.to_owned(),
            generation["passages"].to_string(),
            generation["created_at"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        ]
    }));
    output::table(&rows)
}

fn findings(answer: &Value) -> String {
    let none = Vec::new();
    let problems = answer["problems"].as_array().unwrap_or(&none);
    let repaired = answer["repaired"].as_array().unwrap_or(&none);
    let words = |list: &[Value], before: &str| -> Vec<String> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        list.iter()
            .map(|value| format!("{before}{}", word(value)))
            .collect()
    };
    let mut lines = words(repaired, "repaired: ");
    if problems.is_empty() {
        lines.push(format!(
            "{} documents, {} passages, {} snapshots: nothing is wrong",
            answer["documents"], answer["passages"], answer["snapshots"]
        ));
    }
    lines.extend(words(problems, ""));
    lines.join("\n")
}
