//! `quoin search`: the passages that fit a query best, and why.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::Setting;
use super::failure::Failure;

/// How much of a passage is shown, characters.
const SHOWN_CHARACTERS: usize = 240;
/// Passages that were ranked but are no hits, of those that are listed.
const SHOWN_DROPPED: usize = 10;

/// What `quoin search` is told.
#[derive(Args, Debug)]
pub struct Search {
    /// What to look for
    query: String,
    /// Passages to return
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Read only what these access tokens (and `public`) may read, instead of everything
    #[arg(long = "as", value_delimiter = ',', value_name = "TOKEN,…")]
    reading_as: Vec<String>,
    /// Rank the best again by their single words' meanings
    #[arg(long)]
    rerank: bool,
    /// Show rank and score at every stage
    #[arg(long)]
    explain: bool,
}

impl Search {
    /// Runs the command.
    ///
    /// # Errors
    /// The request is refused.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let mut body = json!({ "query": self.query, "explain": self.explain });
        if let Some(top_k) = self.top_k {
            body["top_k"] = json!(top_k);
        }
        if self.rerank {
            body["rerank"] = json!(true);
        }
        let client = setting.client().await?.reading_as(&self.reading_as);
        let result = client.post("/v1/search", &body).await;
        client.close().await;
        let answer = result?;
        let output = setting.output;
        if output.is_json() {
            return output.json(&answer);
        }
        let none = Vec::new();
        let hits = answer["hits"].as_array().unwrap_or(&none);
        for (index, hit) in hits.iter().enumerate() {
            if index > 0 {
                output.line("")?;
            }
            output.line(shown(index + 1, hit, self.explain))?;
        }
        if hits.is_empty() {
            output.note("nothing found");
        }
        if self.explain {
            output.line(dropped(&answer))?;
        }
        Ok(())
    }
}

fn shown(rank: usize, hit: &Value, explain: bool) -> String {
    let document = hit["document"].as_str().unwrap_or_default();
    let score = hit["score"].as_f64().unwrap_or_default();
    let mut text = format!("{rank}. {document}");
    // Writing to a String cannot fail.
    if let Some(heading) = hit["heading"].as_array().filter(|parts| !parts.is_empty()) {
        let parts: Vec<_> = heading.iter().filter_map(Value::as_str).collect();
        let _ = write!(text, " · {}", parts.join(" > "));
    }
    let _ = write!(
        text,
        " · {}–{} · score {score:.3}",
        hit["start"], hit["end"]
    );
    if explain {
        for stage in ["bm25", "vector", "fused", "rerank"] {
            let place = &hit["stages"][stage];
            if let (Some(rank), Some(score)) = (place["rank"].as_u64(), place["score"].as_f64()) {
                let _ = write!(text, "\n   {stage:<7} rank {rank:<4} score {score:.4}");
            }
        }
    }
    let _ = write!(
        text,
        "\n   {}",
        beginning(hit["text"].as_str().unwrap_or_default())
    );
    text
}

/// How sure the result is, and what was ranked but is no hit.
fn dropped(answer: &Value) -> String {
    let mut text = format!(
        "\nconfidence {:.2}",
        answer["confidence"].as_f64().unwrap_or_default()
    );
    let none = Vec::new();
    let all = answer["explanation"]["dropped"].as_array().unwrap_or(&none);
    for one in all.iter().take(SHOWN_DROPPED) {
        let passage = one["passage"].as_str().unwrap_or_default();
        let reason = one["reason"].as_str().unwrap_or_default().replace('_', " ");
        let _ = write!(
            text,
            "\ndropped at rank {}: {passage} · {reason}",
            one["rank"]
        );
        if let Some(same) = one["duplicate_of"].as_str() {
            let _ = write!(text, " of {same}");
        }
    }
    if all.len() > SHOWN_DROPPED {
        let more = all.len() - SHOWN_DROPPED;
        let _ = write!(text, "\n… and {more} more: `--json` lists them");
    }
    text
}

/// The first characters of a passage, on one line.
fn beginning(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::shown;
    use serde_json::json;

    #[test]
    fn a_hit_shows_its_stages_when_asked() {
        let hit = json!({
            "document": "a.md", "heading": ["A", "B"], "start": 3, "end": 9, "score": 0.5, "text": "two\n words",
            "stages": {"bm25": {"rank": 1, "score": 7.5}, "vector": null}
        });
        assert_eq!(
            shown(1, &hit, true),
            "1. a.md · A > B · 3–9 · score 0.500\n   bm25    rank 1    score 7.5000\n   two words"
        );
    }
}
