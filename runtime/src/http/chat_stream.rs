//! Chunks of a chat completion: the role, the text, the annotations once, the end, the usage when it was asked for.

use axum::response::sse::Event;
use serde_json::{Map, Value, json};

use super::chat::{Form, annotations, beside, fingerprint, text, usage};
use super::error::ApiError;
use super::message::ABSTENTION;
use super::stream::{EventFormat, done_event, json_event};
use crate::answer::types::{Answer, Progress, Status};
use crate::storage::now_ms;

/// One stream of chunks.
pub(super) struct ChatEvents {
    id: String,
    created: i64,
    model: String,
    form: Form,
    with_usage: bool,
    sent: String,
}

impl ChatEvents {
    pub(super) fn new(id: String, model: String, form: Form, with_usage: bool) -> Self {
        Self {
            id,
            created: now_ms() / 1000,
            model,
            form,
            with_usage,
            sent: String::new(),
        }
    }

    fn chunk(&self, choices: &Value, more: Map<String, Value>) -> Event {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        });
        if let Some(fields) = chunk.as_object_mut() {
            fields.extend(more);
        }
        json_event(None, &chunk)
    }

    fn delta(&self, delta: &Value, finish_reason: Option<&str>) -> Event {
        let choice =
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
        self.chunk(&choice, Map::new())
    }
}

impl EventFormat for ChatEvents {
    fn opening(&mut self) -> Vec<Event> {
        vec![self.delta(
            &json!({"role": "assistant", "content": "", "refusal": null}),
            None,
        )]
    }

    fn progress(&mut self, progress: Progress) -> Vec<Event> {
        match progress {
            Progress::Retrieval { .. } => Vec::new(),
            Progress::Delta { text, of_string } => {
                let quoted = self.form.structured && of_string;
                self.more(&piece(text, quoted, self.sent.is_empty()))
            }
        }
    }

    fn answer(&mut self, answer: &Answer) -> Result<Vec<Event>, ApiError> {
        let mut events = Vec::new();
        let whole = text(answer, self.form.structured);
        if self.form.structured && answer.status == Status::Abstained {
            events.push(self.delta(&json!({"refusal": ABSTENTION}), None));
        } else {
            let rest = still_to_send(&self.sent, &whole, answer)?;
            if !rest.is_empty() {
                events.extend(self.more(rest));
            }
        }
        let annotations = annotations(answer, &whole);
        if !annotations.is_empty() {
            events.push(self.delta(&json!({"annotations": annotations}), None));
        }
        events.push(self.end(answer));
        if self.with_usage {
            let mut more = Map::new();
            more.insert("usage".to_owned(), usage(answer.usage));
            events.push(self.chunk(&json!([]), more));
        }
        events.push(done_event());
        Ok(events)
    }

    fn failure(&mut self, error: &ApiError, request_id: &str) -> Vec<Event> {
        vec![json_event(None, &error.body(request_id)), done_event()]
    }

    fn shows_retrieval(&self) -> bool {
        false
    }
}

impl ChatEvents {
    /// More of the answer: of the message, or of the arguments of the function that is forced.
    fn more(&mut self, text: &str) -> Vec<Event> {
        let begins = self.sent.is_empty();
        self.sent.push_str(text);
        let Some(tool) = &self.form.tool else {
            return vec![self.delta(&json!({"content": text}), None)];
        };
        let mut call = json!({"function": {"arguments": text}});
        if begins {
            call = tool.call(&self.id, text);
        }
        call["index"] = json!(0);
        vec![self.delta(&json!({"tool_calls": [call]}), None)]
    }

    fn end(&self, answer: &Answer) -> Event {
        let called = self
            .form
            .tool
            .as_ref()
            .filter(|_| answer.status == Status::Answered);
        let finish_reason = called.map_or("stop", |tool| tool.finish_reason);
        let choice =
            json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": finish_reason}]);
        let mut more = Map::new();
        more.insert(
            "system_fingerprint".to_owned(),
            Value::from(fingerprint(answer)),
        );
        more.insert("quoin".to_owned(), beside(answer));
        self.chunk(&choice, more)
    }
}

/// A piece of an answer as it stands in a message of JSON: of a string, escaped, the first one behind the quotation mark.
pub(super) fn piece(text: String, quoted: bool, first: bool) -> String {
    if !quoted {
        return text;
    }
    let json = Value::from(text).to_string();
    let inside = &json[1..json.len() - 1];
    if first {
        format!("\"{inside}")
    } else {
        inside.to_owned()
    }
}

/// What is still to be sent of `whole`.
///
/// # Errors
/// What was sent is something else: of an abstention, because a source was withdrawn after its beginning had been sent.
pub(super) fn still_to_send<'a>(
    sent: &str,
    whole: &'a str,
    answer: &Answer,
) -> Result<&'a str, ApiError> {
    rest(sent, whole, &answer.answer).ok_or_else(|| match answer.status {
        Status::Abstained => ApiError::conflict(
            "a source of this answer was changed or withdrawn while it was written: ask again",
        ),
        Status::Answered => ApiError::internal("what was streamed is not the answer"),
    })
}

/// What of `whole` was not sent. JSON may have been streamed in another spelling of the same value. `None` when what was
/// sent is something else.
fn rest<'a>(sent: &str, whole: &'a str, value: &Value) -> Option<&'a str> {
    if let Some(rest) = whole.strip_prefix(sent) {
        return Some(rest);
    }
    let same = serde_json::from_str::<Value>(sent).is_ok_and(|streamed| streamed == *value);
    same.then_some("")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::rest;

    #[test]
    fn only_what_was_not_sent_yet_is_sent_at_the_end() {
        assert_eq!(rest("", "whole", &Value::from("whole")), Some("whole"));
        assert_eq!(rest("wh", "whole", &Value::from("whole")), Some("ole"));
        assert_eq!(rest("whole", "whole", &Value::from("whole")), Some(""));
        assert_eq!(rest("other", "whole", &Value::from("whole")), None);
        assert_eq!(
            rest(r#"{"a": 1}"#, r#"{"a":1}"#, &json!({"a": 1})),
            Some("")
        );
        assert_eq!(rest(r#"{"a": 2}"#, r#"{"a":1}"#, &json!({"a": 1})), None);
    }
}
