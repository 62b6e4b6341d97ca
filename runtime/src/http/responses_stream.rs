//! Events of a response: created, the item and its part, the text, the annotations once, each done, completed.

use axum::response::sse::Event;
use serde_json::{Value, json};

use super::chat::text;
use super::chat_stream::{piece, still_to_send};
use super::error::ApiError;
use super::responses::{Echo, annotations, content_part, item_id, message_item};
use super::stream::{EventFormat, json_event};
use crate::answer::types::{Answer, Progress, Status};

/// One stream of events.
pub(super) struct ResponseEvents {
    echo: Echo,
    id: String,
    item: String,
    sequence: u64,
    sent: String,
    begun: bool,
}

impl ResponseEvents {
    pub(super) fn new(id: String, echo: Echo) -> Self {
        Self {
            item: item_id(&id),
            id,
            echo,
            sequence: 0,
            sent: String::new(),
            begun: false,
        }
    }

    fn event(&mut self, kind: &str, fields: Value) -> Event {
        let mut body = json!({"type": kind, "sequence_number": self.sequence});
        self.sequence += 1;
        if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
            body.extend(fields);
        }
        json_event(Some(kind), &body)
    }

    /// An event about the one part of the one message.
    fn part_event(&mut self, kind: &str, fields: Value) -> Event {
        let mut place = json!({"item_id": self.item, "output_index": 0, "content_index": 0});
        if let (Some(place), Value::Object(fields)) = (place.as_object_mut(), fields) {
            place.extend(fields);
        }
        self.event(kind, place)
    }

    fn begin(&mut self, empty_part: &Value) -> Vec<Event> {
        if std::mem::replace(&mut self.begun, true) {
            return Vec::new();
        }
        let item = message_item(&self.item, "in_progress", &[]);
        vec![
            self.event(
                "response.output_item.added",
                json!({"output_index": 0, "item": item}),
            ),
            self.part_event("response.content_part.added", json!({"part": empty_part})),
        ]
    }

    fn text_delta(&mut self, text: &str) -> Vec<Event> {
        let mut events = self
            .begin(&json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []}));
        self.sent.push_str(text);
        events.push(self.part_event(
            "response.output_text.delta",
            json!({"delta": text, "logprobs": []}),
        ));
        events
    }

    fn refusal(&mut self, refusal: &Value) -> Vec<Event> {
        let mut events = self.begin(&json!({"type": "refusal", "refusal": ""}));
        events.push(self.part_event("response.refusal.delta", json!({"delta": refusal})));
        events.push(self.part_event("response.refusal.done", json!({"refusal": refusal})));
        events
    }

    fn text_end(&mut self, answer: &Answer, whole: &str, rest: &str) -> Vec<Event> {
        let mut events = if rest.is_empty() && self.begun {
            Vec::new()
        } else {
            self.text_delta(rest)
        };
        for (index, annotation) in annotations(answer, whole).into_iter().enumerate() {
            let fields = json!({"annotation_index": index, "annotation": annotation});
            events.push(self.part_event("response.output_text.annotation.added", fields));
        }
        let text = self.sent.clone();
        events.push(self.part_event(
            "response.output_text.done",
            json!({"text": text, "logprobs": []}),
        ));
        events
    }
}

impl EventFormat for ResponseEvents {
    fn opening(&mut self) -> Vec<Event> {
        let response = self.echo.unfinished(&self.id, "in_progress", &Value::Null);
        vec![
            self.event("response.created", json!({"response": response})),
            self.event("response.in_progress", json!({"response": response})),
        ]
    }

    fn progress(&mut self, progress: Progress) -> Vec<Event> {
        match progress {
            Progress::Retrieval { .. } => Vec::new(),
            Progress::Delta { text, of_string } => {
                let quoted = self.echo.structured && of_string;
                self.text_delta(&piece(text, quoted, self.sent.is_empty()))
            }
        }
    }

    fn answer(&mut self, answer: &Answer) -> Result<Vec<Event>, ApiError> {
        let mut part = content_part(answer, self.echo.structured);
        let mut events = if self.echo.structured && answer.status == Status::Abstained {
            self.refusal(&part["refusal"])
        } else {
            let whole = text(answer, self.echo.structured);
            let rest = still_to_send(&self.sent, &whole, answer)?;
            let events = self.text_end(answer, &whole, rest);
            part["text"] = Value::from(self.sent.as_str());
            events
        };
        let item = message_item(&self.item, "completed", std::slice::from_ref(&part));
        events.push(self.part_event("response.content_part.done", json!({"part": part})));
        events.push(self.event(
            "response.output_item.done",
            json!({"output_index": 0, "item": item}),
        ));
        let mut response = self.echo.completed(&self.id, answer);
        response["output"] = json!([item]);
        events.push(self.event("response.completed", json!({"response": response})));
        Ok(events)
    }

    fn failure(&mut self, error: &ApiError, _request_id: &str) -> Vec<Event> {
        let detail = json!({"code": error.code(), "message": error.message()});
        let response = self.echo.unfinished(&self.id, "failed", &detail);
        vec![self.event("response.failed", json!({"response": response}))]
    }

    fn shows_retrieval(&self) -> bool {
        false
    }
}
