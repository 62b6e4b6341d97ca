//! `quoin adapters`: LoRA adapter versions, and the names that requests know them by.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::Setting;
use super::failure::{Context as _, Failure};
use super::output::{self, Output};
use super::transport::{Client, segment};

/// `quoin adapters …`
#[derive(Debug, Subcommand)]
pub enum Adapters {
    /// Check an adapter against the base model and store it as the next version of NAME
    Add {
        /// Folder with `adapter_config.json` and `adapter_model.safetensors`, as PEFT writes it
        path: PathBuf,
        /// Name of the adapter
        #[arg(long)]
        name: String,
    },
    /// Compare a stored version with its digests and the base model
    Verify {
        /// NAME@VERSION
        version: String,
    },
    /// Keep a report of an evaluation beside a version
    Report {
        /// NAME@VERSION
        version: String,
        /// `report.json` of `quoin eval`
        file: PathBuf,
    },
    /// Print what a signature of an adapter's folder is made of
    Message {
        /// Folder with `adapter_config.json` and `adapter_model.safetensors`
        path: PathBuf,
    },
    /// List versions
    List,
    /// Show one version
    Show {
        /// NAME@VERSION
        version: String,
    },
    /// List aliases, or point one at a version
    Alias {
        /// The alias
        #[arg(requires = "to")]
        alias: Option<String>,
        /// NAME@VERSION, or `base`
        to: Option<String>,
        /// Only if the alias points at this version now
        #[arg(long, value_name = "NAME@VERSION")]
        expect: Option<String>,
    },
}

impl Adapters {
    /// Runs the command.
    ///
    /// # Errors
    /// The folder does not exist, or the request is refused.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let client = setting.client().await?;
        let result = self.ask(&client).await;
        client.close().await;
        self.print(&result?, setting.output)
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        match self {
            Self::Add { path, name } => {
                let body = json!({ "path": whole(path)?, "name": name });
                client.post("/admin/v1/adapters", &body).await
            }
            Self::Verify { version } => {
                let path = format!("/admin/v1/adapters/{}/verify", segment(version));
                client.post(&path, &json!({})).await
            }
            Self::Report { version, file } => {
                let path = format!("/admin/v1/adapters/{}/reports", segment(version));
                client.post(&path, &json!({ "path": whole(file)? })).await
            }
            Self::Message { path } => {
                let body = json!({ "path": whole(path)? });
                client.post("/admin/v1/adapters/message", &body).await
            }
            Self::List => client.get("/admin/v1/adapters").await,
            Self::Show { version } => {
                client
                    .get(&format!("/admin/v1/adapters/{}", segment(version)))
                    .await
            }
            Self::Alias {
                alias: Some(alias),
                to,
                expect,
            } => {
                let mut body = json!({ "to": to });
                if let Some(expect) = expect {
                    body["expect"] = json!(expect);
                }
                let path = format!("/admin/v1/aliases/{}", segment(alias));
                client.send(http::Method::PUT, &path, Some(&body)).await
            }
            Self::Alias { alias: None, .. } => client.get("/admin/v1/aliases").await,
        }
    }

    fn print(&self, answer: &Value, output: Output) -> Result<(), Failure> {
        if output.is_json() {
            return output.json(answer);
        }
        match self {
            Self::Add { .. } => output.line(format!("added {}", label(answer))),
            Self::Verify { version } => {
                output.line(format!("{version} is intact and fits the base model"))
            }
            Self::Report { version, .. } => {
                let digest = answer["digest"].as_str().unwrap_or_default();
                output.line(format!("{digest} lies beside {version}"))
            }
            // The last line break is a part of it.
            Self::Message { .. } => output.piece(answer["message"].as_str().unwrap_or_default()),
            Self::List => {
                for damaged in answer["damaged"].as_array().into_iter().flatten() {
                    output.warn(damaged.as_str().unwrap_or_default());
                }
                output.line(listing(answer))
            }
            Self::Show { .. } => output.line(serde_json::to_string_pretty(answer)?),
            Self::Alias {
                alias: Some(alias),
                to,
                ..
            } => output.line(format!("{alias} -> {}", to.as_deref().unwrap_or_default())),
            Self::Alias { alias: None, .. } => output.line(aliases(answer)),
        }
    }
}

/// The server may run in another folder.
fn whole(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize()
        .context(|| format!("cannot read `{}`", path.display()))
}

fn label(version: &Value) -> String {
    match version["id"].as_str() {
        Some(id) => id.to_owned(),
        None => format!(
            "{}@{}",
            version["name"].as_str().unwrap_or_default(),
            version["version"]
        ),
    }
}

fn listing(answer: &Value) -> String {
    let none = Vec::new();
    let mut rows = vec![
        ["ADAPTER", "RANK", "SIGNED BY", "DIGEST"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(
        answer["adapters"]
            .as_array()
            .unwrap_or(&none)
            .iter()
            .map(|version| {
                vec![
                    label(version),
                    version["rank"].to_string(),
                    version["signed_by"].as_str().unwrap_or("-").to_owned(),
                    version["digest"].as_str().unwrap_or_default().to_owned(),
                ]
            }),
    );
    output::table(&rows)
}

fn aliases(answer: &Value) -> String {
    let none = Vec::new();
    let mut rows = vec![["ALIAS", "VERSION"].map(str::to_owned).to_vec()];
    rows.extend(
        answer["aliases"]
            .as_array()
            .unwrap_or(&none)
            .iter()
            .map(|alias| {
                vec![
                    alias["alias"].as_str().unwrap_or_default().to_owned(),
                    alias["to"].as_str().unwrap_or_default().to_owned(),
                ]
            }),
    );
    output::table(&rows)
}
