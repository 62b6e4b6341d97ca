//! `quoin documents`: what the catalogue holds.

use std::path::PathBuf;

use clap::Subcommand;
use quoin_retriever::DeletionReceipt;
use serde_json::{Value, json};

use super::Setting;
use super::failure::{Context as _, Failure};
use super::output::{self, Output};
use super::transport::{Client, segment};

/// Most documents of one page of the listing.
const PAGE: usize = 500;

/// `quoin documents …`
#[derive(Debug, Subcommand)]
pub enum Documents {
    /// List documents, by id
    List {
        /// Most documents
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Begin after this id
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Show one document: its fields, or its text
    Show {
        /// Document id
        id: String,
        /// Print the text alone, as the offsets of quotes count it
        #[arg(long)]
        text: bool,
    },
    /// Say who may read a document; the next request goes by it, and nothing is indexed again
    SetAcl {
        /// Document id
        id: String,
        /// Access tokens, such as `public` or `group:hr`; an empty one leaves it to admins
        #[arg(long, required = true, value_delimiter = ',', value_name = "TOKEN,…")]
        acl: Vec<String>,
    },
    /// Delete documents; nothing finds them once this has answered
    Delete {
        /// Document ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Show what a deletion has purged until now, signed by the server
    Receipt {
        /// Id of the deleted document
        id: String,
    },
    /// Check the signature of a receipt, without a server
    VerifyReceipt {
        /// The receipt, as JSON
        file: PathBuf,
        /// The public key that must have signed it; `quoin documents receipt` shows the server's
        #[arg(long, value_name = "HEX")]
        key: Option<String>,
    },
    /// Prove that nothing of a deleted document is left, in the raw files too
    VerifyErased {
        /// Id of the deleted document
        id: String,
        /// A file with text to search for, each of its lines by itself
        #[arg(long, value_name = "FILE")]
        text: Option<PathBuf>,
        /// Text to search for
        #[arg(long, value_name = "TEXT")]
        phrase: Vec<String>,
    },
}

impl Documents {
    /// Runs the command.
    ///
    /// # Errors
    /// The request is refused; for several ids, after all were tried.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        if let Self::VerifyReceipt { file, key } = &self {
            return verify_receipt(file, key.as_deref(), setting.output);
        }
        let client = setting.client().await?;
        let result = match self {
            Self::List { limit, after } => list(&client, limit, after, setting.output).await,
            Self::Show { id, text: true } => show_text(&client, &id, setting.output).await,
            Self::Show { id, text: false } => show(&client, &id, setting.output).await,
            Self::SetAcl { id, acl } => set_acl(&client, &id, acl, setting.output).await,
            Self::Delete { ids } => delete(&client, &ids, setting.output).await,
            Self::Receipt { id } => receipt(&client, &id, setting.output).await,
            Self::VerifyErased { id, text, phrase } => {
                verify_erased(&client, &id, text, phrase, setting.output).await
            }
            Self::VerifyReceipt { .. } => Ok(()),
        };
        client.close().await;
        result
    }
}

/// Collects pages until there are no more, or enough.
async fn list(
    client: &Client,
    limit: Option<usize>,
    mut after: Option<String>,
    output: Output,
) -> Result<(), Failure> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut documents: Vec<Value> = Vec::new();
    while documents.len() < limit {
        let page = PAGE.min(limit - documents.len());
        let mut path = format!("/v1/documents?limit={page}");
        if let Some(after) = &after {
            path.push_str("&after=");
            path.push_str(&segment(after));
        }
        let mut answer = client.get(&path).await?;
        let Some(found) = answer["documents"].as_array_mut() else {
            break;
        };
        documents.append(found);
        match answer["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    if output.is_json() {
        return output.json(&json!({ "documents": documents }));
    }
    let mut rows = vec![
        ["ID", "VERSION", "ACCESS", "TITLE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(documents.iter().map(row));
    output.line(output::table(&rows))?;
    output.note(output::count(documents.len(), "document"));
    Ok(())
}

fn row(document: &Value) -> Vec<String> {
    let acl = document["acl"].as_array().map(|tokens| {
        let tokens: Vec<_> = tokens.iter().filter_map(Value::as_str).collect();
        tokens.join(",")
    });
    vec![
        document["id"].as_str().unwrap_or_default().to_owned(),
        document["version"].to_string(),
        acl.filter(|acl| !acl.is_empty())
            .unwrap_or_else(|| "admin only".to_owned()),
        document["title"].as_str().unwrap_or_default().to_owned(),
    ]
}

async fn show(client: &Client, id: &str, output: Output) -> Result<(), Failure> {
    let document = client
        .get(&format!("/v1/documents/{}", segment(id)))
        .await?;
    if output.is_json() {
        return output.json(&document);
    }
    let Some(fields) = document.as_object() else {
        return output.json(&document);
    };
    let rows: Vec<_> = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            vec![name.clone(), value]
        })
        .collect();
    output.line(output::table(&rows))
}

async fn show_text(client: &Client, id: &str, output: Output) -> Result<(), Failure> {
    let answer = client
        .get(&format!("/v1/documents/{}/text", segment(id)))
        .await?;
    if output.is_json() {
        return output.json(&answer);
    }
    output.line(answer["text"].as_str().unwrap_or_default())
}

async fn set_acl(
    client: &Client,
    id: &str,
    mut acl: Vec<String>,
    output: Output,
) -> Result<(), Failure> {
    acl.retain(|token| !token.is_empty());
    let path = format!("/v1/documents/{}", segment(id));
    let body = json!({ "acl": acl });
    let changed = client.send(http::Method::PATCH, &path, Some(&body)).await?;
    if output.is_json() {
        return output.json(&changed);
    }
    let readers = if acl.is_empty() {
        "admins".to_owned()
    } else {
        acl.join(",")
    };
    output.line(format!("{id} is for {readers} now"))
}

async fn delete(client: &Client, ids: &[String], output: Output) -> Result<(), Failure> {
    let mut receipts = Vec::new();
    let mut failed = 0;
    for id in ids {
        let path = format!("/v1/documents/{}", segment(id));
        match client.send(http::Method::DELETE, &path, None).await {
            Ok(receipt) => {
                if !output.is_json() {
                    output.line(format!("deleted {id}"))?;
                }
                receipts.push(receipt);
            }
            Err(failure) => {
                failed += 1;
                output.warn(format!("{id}: {}", failure.in_one_line()));
            }
        }
    }
    if output.is_json() {
        output.json(&json!({ "receipts": receipts }))?;
    }
    if failed > 0 {
        let failed = output::count(failed, "document");
        return Err(Failure::new(format!("{failed} could not be deleted")));
    }
    Ok(())
}

async fn receipt(client: &Client, id: &str, output: Output) -> Result<(), Failure> {
    let path = format!("/admin/v1/deletions/{}", segment(id));
    // A receipt is a document of its own: what is printed can be kept and checked.
    output.json(&client.get(&path).await?)
}

fn verify_receipt(file: &PathBuf, key: Option<&str>, output: Output) -> Result<(), Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).context(|| format!("cannot read `{shown}`"))?;
    let receipt: DeletionReceipt =
        serde_json::from_str(&text).context(|| format!("`{shown}` is no receipt"))?;
    if !receipt.is_genuine() {
        return Err(Failure::new(format!(
            "`{shown}` was not signed by the key it names, or was changed since"
        )));
    }
    if key.is_some_and(|key| !key.eq_ignore_ascii_case(&receipt.key)) {
        return Err(Failure::new(format!(
            "`{shown}` was signed by another key: {}",
            receipt.key
        )));
    }
    if output.is_json() {
        return output.json(&json!({"genuine": true, "id": receipt.id, "key": receipt.key}));
    }
    output.line(format!("genuine: signed by {}", receipt.key))
}

async fn verify_erased(
    client: &Client,
    id: &str,
    text: Option<PathBuf>,
    mut phrases: Vec<String>,
    output: Output,
) -> Result<(), Failure> {
    if let Some(file) = text {
        let text = std::fs::read_to_string(&file)
            .context(|| format!("cannot read `{}`", file.display()))?;
        phrases.extend(text.lines().map(str::trim).map(str::to_owned));
    }
    phrases.retain(|phrase| !phrase.is_empty());
    let path = format!("/admin/v1/verify-erased/{}", segment(id));
    let report = client.post(&path, &json!({ "phrases": phrases })).await?;
    let erased = report["erased"] == true;
    if output.is_json() {
        output.json(&report)?;
    } else {
        output.line(format!(
            "searched {} files, {}, for {} pieces of the text and {} phrases",
            report["files"],
            output::bytes(report["bytes"].as_u64().unwrap_or(0)),
            report["pieces"],
            phrases.len()
        ))?;
        for problem in report["problems"].as_array().into_iter().flatten() {
            output.line(format!("problem: {}", problem.as_str().unwrap_or_default()))?;
        }
        for finding in report["findings"].as_array().into_iter().flatten() {
            output.line(format!(
                "found: {} in {} at byte {}",
                finding["what"].as_str().unwrap_or_default(),
                finding["file"].as_str().unwrap_or_default(),
                finding["offset"]
            ))?;
        }
        if erased {
            output.line(format!("erased: nothing of {id} is left"))?;
        }
    }
    if erased {
        Ok(())
    } else {
        Err(Failure::new(format!("{id} is not proved to be erased")))
    }
}
