//! `quoin ask`: one question, its answer, and the quotes that support it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::Setting;
use super::failure::{Context as _, Failure};
use super::output::Output;
use super::transport::Client;
use crate::answer::types::{Answer, Citation, Status};

/// What `quoin ask` is told.
#[derive(Args, Debug)]
pub struct Ask {
    /// The question
    question: String,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    mode: Mode,
    /// JSON Schema that the answer must satisfy
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Passages to retrieve
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Most citations
    #[arg(long, value_name = "N")]
    max_citations: Option<usize>,
    /// `quoin`, `base`, or an adapter version such as `support@2`
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Read only what these access tokens (and `public`) may read, instead of everything
    #[arg(long = "as", value_delimiter = ',', value_name = "TOKEN,…")]
    reading_as: Vec<String>,
    /// Show what was retrieved, prompted and decoded
    #[arg(long)]
    trace: bool,
    /// Print the answer while it is made
    #[arg(long, conflicts_with = "json")]
    stream: bool,
}

/// How to answer, as on the wire.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// The model, or quotes alone when it is down or busy
    Auto,
    /// The model, from retrieved passages
    Grounded,
    /// The best sentences, quoted; nothing is generated
    Extractive,
    /// The model, without documents
    #[value(name = "closed_book", alias = "closed-book")]
    ClosedBook,
}

impl Mode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Grounded => "grounded",
            Self::Extractive => "extractive",
            Self::ClosedBook => "closed_book",
        }
    }
}

impl Ask {
    /// Runs the command. An abstention is an answer, not an error.
    ///
    /// # Errors
    /// The schema cannot be read, or the request is refused.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let body = self.body()?;
        let client = setting.client().await?.reading_as(&self.reading_as);
        let result = if self.stream {
            self.follow(&client, &body, setting.output).await
        } else {
            self.wait(&client, &body, setting.output).await
        };
        client.close().await;
        result
    }

    fn body(&self) -> Result<Value, Failure> {
        let mut body = json!({
            "question": self.question,
            "mode": self.mode.as_str(),
            "trace": self.trace,
            "stream": self.stream,
        });
        if let Some(path) = &self.schema {
            body["schema"] = read_schema(path)?;
        }
        for (name, number) in [("top_k", self.top_k), ("max_citations", self.max_citations)] {
            if let Some(number) = number {
                body[name] = json!(number);
            }
        }
        if let Some(model) = &self.model {
            body["model"] = json!(model);
        }
        Ok(body)
    }

    async fn wait(&self, client: &Client, body: &Value, output: Output) -> Result<(), Failure> {
        let value = client.post("/v1/answers", body).await?;
        if output.is_json() {
            return output.json(&value);
        }
        let answer: Answer = serde_json::from_value(value)?;
        match answer.status {
            Status::Answered => output.line(spoken(&answer.answer)?)?,
            Status::Abstained => output.line(ABSTAINED)?,
        }
        support(&answer, output)
    }

    async fn follow(&self, client: &Client, body: &Value, output: Output) -> Result<(), Failure> {
        let mut events = Events::of(client.stream("/v1/answers", body).await?);
        let mut begun = false;
        while let Some((name, data)) = events.next().await? {
            match name.as_str() {
                "delta" => {
                    begun = true;
                    output.piece(data["text"].as_str().unwrap_or_default())?;
                }
                "answer" => {
                    let answer: Answer = serde_json::from_value(data)?;
                    match answer.status {
                        Status::Abstained => output.line(ABSTAINED)?,
                        Status::Answered if begun => output.line("")?,
                        Status::Answered => output.line(spoken(&answer.answer)?)?,
                    }
                    return support(&answer, output);
                }
                "error" => {
                    let message = data["error"]["message"].as_str();
                    return Err(Failure::new(message.unwrap_or("the server gave up")));
                }
                _ => {}
            }
        }
        Err(Failure::new(
            "the server ended the stream before the answer",
        ))
    }
}

const ABSTAINED: &str =
    "no answer: nothing in the documents that may be read answers this question";

fn read_schema(path: &Path) -> Result<Value, Failure> {
    let what = || format!("cannot read the schema `{}`", path.display());
    let text = std::fs::read_to_string(path).context(what)?;
    serde_json::from_str(&text).context(|| format!("the schema `{}` is not JSON", path.display()))
}

/// A string as it is, anything else as JSON.
fn spoken(answer: &Value) -> Result<String, Failure> {
    match answer.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Ok(serde_json::to_string_pretty(answer)?),
    }
}

/// The citations on stdout, how the answer came about on stderr.
fn support(answer: &Answer, output: Output) -> Result<(), Failure> {
    for (index, citation) in answer.citations.iter().enumerate() {
        output.line("")?;
        output.line(quoted(index + 1, citation))?;
    }
    if let Some(trace) = &answer.trace {
        output.line("")?;
        output.line("trace:")?;
        output.line(serde_json::to_string_pretty(trace)?)?;
    }
    output.note(format!(
        "\nconfidence {:.2} · {} · {:.0} ms",
        answer.confidence, answer.release.route, answer.timings_ms.total
    ));
    Ok(())
}

fn quoted(number: usize, citation: &Citation) -> String {
    let quote = citation.quote.trim_end().replace('\n', "\n    ");
    let mut text = format!("[{number}] “{quote}”\n    {}", citation.document);
    // Writing to a String cannot fail.
    if !citation.heading.is_empty() {
        let _ = write!(text, " · {}", citation.heading.join(" > "));
    }
    if let Some(page) = citation.page {
        let _ = write!(text, " · page {page}");
    }
    let _ = write!(text, " · {}–{}", citation.start, citation.end);
    text
}

/// Server-sent events of a body: name and JSON, until `[DONE]`.
struct Events {
    body: axum::body::BodyDataStream,
    buffer: Vec<u8>,
}

impl Events {
    fn of(body: axum::body::Body) -> Self {
        Self {
            body: body.into_data_stream(),
            buffer: Vec::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<(String, Value)>, Failure> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let (name, data) = fields(&String::from_utf8_lossy(&event));
                if data == "[DONE]" {
                    return Ok(None);
                }
                if !data.is_empty() {
                    return Ok(Some((name, serde_json::from_str(&data)?)));
                }
            }
            match self.body.next().await {
                Some(bytes) => self.buffer.extend_from_slice(&bytes?),
                None => return Ok(None),
            }
        }
    }
}

/// The name and the data of one event.
fn fields(event: &str) -> (String, String) {
    let (mut name, mut data) = (String::new(), Vec::new());
    for line in event.lines() {
        if let Some(value) = line.strip_prefix("event:") {
            value.trim().clone_into(&mut name);
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        }
    }
    (name, data.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{Events, quoted};
    use crate::answer::types::Citation;
    use axum::body::Body;
    use serde_json::json;

    #[tokio::test]
    async fn events_split_anywhere_are_put_together() {
        let text = "event: delta\ndata: {\"text\":\"é\"}\n\n: ping\n\nevent: answer\ndata: {}\n\ndata: [DONE]\n\n";
        for cut in 1..text.len() {
            let (left, right) = text.as_bytes().split_at(cut);
            let pieces = [left.to_vec(), right.to_vec()].map(Ok::<_, std::io::Error>);
            let mut events = Events::of(Body::from_stream(futures::stream::iter(pieces)));
            let mut seen = Vec::new();
            while let Some(event) = events.next().await.expect("they parse") {
                seen.push(event);
            }
            let expected = [
                ("delta".to_owned(), json!({"text": "é"})),
                ("answer".to_owned(), json!({})),
            ];
            assert_eq!(seen, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_citation_shows_its_quote_and_where_it_stands() {
        let citation = Citation {
            document: "people/leave.md".to_owned(),
            title: None,
            uri: None,
            passage: "p".to_owned(),
            quote: "Two\nlines.".to_owned(),
            start: 10,
            end: 20,
            page: Some(3),
            heading: vec!["Leave".to_owned(), "Paid".to_owned()],
        };
        assert_eq!(
            quoted(1, &citation),
            "[1] “Two\n    lines.”\n    people/leave.md · Leave > Paid · page 3 · 10–20"
        );
    }
}
