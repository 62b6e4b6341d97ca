//! `quoin keys`: who may use the server, and what each may do and read.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Setting;
use super::failure::Failure;
use super::output::{self, Output};
use super::transport::{Client, segment};
use crate::caller::Scope;

/// `quoin keys …`
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Create a key; it is shown once and stored only as a hash
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do: answer, search, ingest, feedback, admin
        #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPE,…")]
        scopes: Vec<Scope>,
        /// Access tokens: what it may read, besides what is `public`
        #[arg(long, value_delimiter = ',', value_name = "TOKEN,…")]
        tokens: Vec<String>,
    },
    /// List keys, without the keys themselves
    List,
    /// Revoke a key at once
    Revoke {
        /// Id of the key
        id: String,
    },
}

impl Keys {
    /// Runs the command.
    ///
    /// # Errors
    /// The request is refused.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let client = setting.client().await?;
        let result = self.ask(&client).await;
        client.close().await;
        self.print(&result?, setting.output)
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        match self {
            Self::Create {
                name,
                scopes,
                tokens,
            } => {
                let body = json!({ "name": name, "scopes": scopes, "tokens": tokens });
                client.post("/admin/v1/keys", &body).await
            }
            Self::List => client.get("/admin/v1/keys").await,
            Self::Revoke { id } => {
                let path = format!("/admin/v1/keys/{}", segment(id));
                client.send(http::Method::DELETE, &path, None).await
            }
        }
    }

    fn print(&self, answer: &Value, output: Output) -> Result<(), Failure> {
        match self {
            Self::Create { .. } if output.is_json() => {
                output.json(&json!({ "id": answer["id"], "key": answer["key"] }))
            }
            _ if output.is_json() => output.json(answer),
            Self::Create { .. } => {
                output.line(answer["key"].as_str().unwrap_or_default())?;
                output.note(format!(
                    "key {} is shown this once; send it as `authorization: Bearer …`",
                    answer["id"].as_str().unwrap_or_default()
                ));
                Ok(())
            }
            Self::List => output.line(listing(answer)),
            Self::Revoke { id } => output.line(format!("revoked {id}")),
        }
    }
}

fn listing(answer: &Value) -> String {
    let none = Vec::new();
    let keys = answer["keys"].as_array().unwrap_or(&none);
    let mut rows = vec![
        ["ID", "NAME", "SCOPES", "TOKENS", "STATE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(keys.iter().map(|key| {
        let revoked = !key["revoked_at"].is_null();
        vec![
            key["id"].as_str().unwrap_or_default().to_owned(),
            key["name"].as_str().unwrap_or_default().to_owned(),
            words(&key["scopes"]),
            words(&key["tokens"]),
            if revoked { "revoked" } else { "active" }.to_owned(),
        ]
    }));
    output::table(&rows)
}

fn words(list: &Value) -> String {
    let none = Vec::new();
    let words: Vec<_> = list
        .as_array()
        .unwrap_or(&none)
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(",")
    }
}
