//! What one request has produced so far: text from token ids, counts, times, and how it ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mistralrs::Response;

use super::{generate::Decoding, sampler::Step, vocabulary::Vocabulary};
use crate::{EngineError, Event, Finish, Outcome, Timings, Usage};

/// What one request has produced so far.
pub(super) struct Output {
    vocabulary: Arc<Vocabulary>,
    text: String,
    characters: Characters,
    skips_space: bool,
    usage: Usage,
    max_tokens: usize,
    logprobs: f32,
    arrival: Instant,
    admitted: Instant,
    first_token: Option<Duration>,
    /// The caller has its last event.
    pub finished: bool,
}

impl Output {
    pub fn new(vocabulary: &Arc<Vocabulary>, request: &Decoding) -> Self {
        Self {
            vocabulary: Arc::clone(vocabulary),
            text: String::new(),
            characters: Characters::default(),
            skips_space: request.matcher.is_none() && vocabulary.leads_with_space,
            usage: Usage {
                prompt_tokens: request.prompt.len(),
                completion_tokens: 0,
            },
            max_tokens: request.max_tokens,
            logprobs: 0.0,
            arrival: request.arrival,
            admitted: Instant::now(),
            first_token: None,
            finished: false,
        }
    }

    pub fn started(&self) -> Event {
        Event::Started {
            prompt_tokens: self.usage.prompt_tokens,
            queued: self.admitted - self.arrival,
        }
    }

    pub fn take(&mut self, step: Step) -> Result<Vec<Event>, EngineError> {
        if self.finished {
            return Ok(Vec::new());
        }
        let mut events = Vec::new();
        match step {
            Step::Failed(error) => {
                self.finished = true;
                return Err(error);
            }
            Step::End => events.extend(self.finish(Finish::Stop)),
            Step::Token { id, logprob } => {
                self.first_token
                    .get_or_insert_with(|| self.admitted.elapsed());
                self.usage.completion_tokens += 1;
                self.logprobs += logprob;
                let vocabulary = Arc::clone(&self.vocabulary);
                events.extend(self.delta(vocabulary.bytes(id), false));
                if self.usage.completion_tokens == self.max_tokens {
                    events.extend(self.finish(Finish::Length));
                }
            }
        }
        Ok(events)
    }

    fn delta(&mut self, bytes: &[u8], at_end: bool) -> Option<Event> {
        let mut text = self.characters.take(bytes, at_end);
        if std::mem::take(&mut self.skips_space) && text.starts_with(' ') {
            text.remove(0);
        }
        self.text.push_str(&text);
        (!text.is_empty()).then_some(Event::Delta(text))
    }

    fn finish(&mut self, finish: Finish) -> Vec<Event> {
        let mut events: Vec<_> = self.delta(&[], true).into_iter().collect();
        self.finished = true;
        let tokens = self.usage.completion_tokens;
        #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
        let mean_logprob = (tokens > 0).then(|| self.logprobs / tokens as f32);
        let queued = self.admitted - self.arrival;
        let first_token = self.first_token.unwrap_or_else(|| self.admitted.elapsed());
        let timings = Timings {
            queued,
            first_token,
            total: self.arrival.elapsed(),
        };
        events.push(Event::Finished(Outcome {
            text: self.text.clone(),
            finish,
            usage: self.usage,
            timings,
            mean_logprob,
        }));
        events
    }

    /// mistralrs has answered: an error only if the caller has no end yet.
    pub fn end(&self, response: Option<Response>) -> Result<(), EngineError> {
        if self.finished {
            return Ok(());
        }
        let reason = match response {
            Some(Response::InternalError(error) | Response::ValidationError(error)) => {
                error.to_string()
            }
            Some(Response::CompletionModelError(error, _) | Response::ModelError(error, _)) => {
                error
            }
            Some(_) => "the engine ended it early".into(),
            None => "the engine broke off".into(),
        };
        Err(EngineError::Generation { reason })
    }
}

/// Text from bytes that come in pieces: a token can be a part of a character.
#[derive(Default)]
struct Characters {
    pending: Vec<u8>,
}

impl Characters {
    /// The characters that are complete now; at the end everything. What is no UTF-8 becomes U+FFFD.
    fn take(&mut self, bytes: &[u8], at_end: bool) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = self.pending.as_slice();
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    rest = after;
                    match error.error_len() {
                        None if !at_end => break,
                        length => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            rest = &rest[length.unwrap_or(rest.len())..];
                        }
                    }
                }
            }
        }
        self.pending = rest.to_vec();
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_give_the_text_of_the_whole(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..12)) {
            let mut characters = Characters::default();
            let mut text: String = pieces.iter().map(|piece| characters.take(piece, false)).collect();
            text.push_str(&characters.take(&[], true));
            let whole = pieces.concat();
            prop_assert_eq!(text, String::from_utf8_lossy(&whole));
        }
    }

    #[test]
    fn a_character_is_sent_when_its_last_byte_has_come() {
        let mut characters = Characters::default();
        let sent: Vec<_> = "a\u{1f469}b"
            .bytes()
            .map(|byte| characters.take(&[byte], false))
            .collect();
        assert_eq!(sent, ["a", "", "", "", "\u{1f469}", "b"]);
        assert_eq!(characters.take(b"\xf0\x9f", false), "");
        assert_eq!(characters.take(&[], true), "\u{fffd}");
    }
}
