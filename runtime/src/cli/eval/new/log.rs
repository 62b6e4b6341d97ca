//! The rated answers of a data folder, and its documents, as a data set takes them.

use std::collections::BTreeMap;

use quoin_eval::CorpusDocument;
use quoin_eval::generate::{LogFeedback, LogRow};
use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::transport::{Client, segment};

/// Documents that are listed at once.
const PAGE_DOCUMENTS: usize = 500;

/// One row for each answer, with all its ratings, in the order of the first.
pub(super) fn rows(answer: &Value) -> Vec<LogRow> {
    let mut rows: Vec<LogRow> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for rating in answer["ratings"].as_array().into_iter().flatten() {
        let id = rating["id"].as_str().unwrap_or_default();
        let place = *places.entry(id.to_owned()).or_insert_with(|| {
            rows.push(row(id, rating));
            rows.len() - 1
        });
        rows[place].feedback.push(LogFeedback {
            metric: rating["metric"].as_str().unwrap_or_default().to_owned(),
            value: rating["value"].clone(),
            demonstration: rating.get("demonstration").cloned(),
        });
    }
    rows
}

fn row(id: &str, rating: &Value) -> LogRow {
    let content = &rating["content"];
    let list = |name: &str| {
        content
            .get(name)
            .cloned()
            .unwrap_or_else(|| Value::Array(Vec::new()))
    };
    LogRow {
        id: id.to_owned(),
        question: content["question"].as_str().unwrap_or_default().to_owned(),
        answer: content["answer"].clone(),
        status: rating["status"].as_str().unwrap_or_default().to_owned(),
        // Answers of before these were kept have none.
        citations: serde_json::from_value(list("citations")).unwrap_or_default(),
        tokens: serde_json::from_value(list("tokens")).unwrap_or_default(),
        feedback: Vec::new(),
    }
}

/// All documents with their texts and lists.
pub(super) async fn documents(client: &Client) -> Result<Vec<CorpusDocument>, Failure> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut path = format!("/v1/documents?limit={PAGE_DOCUMENTS}");
        if let Some(after) = &after {
            path.push_str("&after=");
            path.push_str(&segment(after));
        }
        let page = client.get(&path).await?;
        for document in page["documents"].as_array().into_iter().flatten() {
            let id = document["id"].as_str().unwrap_or_default();
            let text = client
                .get(&format!("/v1/documents/{}/text", segment(id)))
                .await?;
            let word = |name: &str| document[name].as_str().map(str::to_owned);
            all.push(CorpusDocument {
                id: id.to_owned(),
                title: word("title").unwrap_or_default(),
                text: text["text"].as_str().unwrap_or_default().to_owned(),
                acl: serde_json::from_value(document["acl"].clone()).ok(),
                effective_from: word("effective_from"),
                effective_until: word("effective_until"),
                ..CorpusDocument::default()
            });
        }
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(all),
        }
    }
}
