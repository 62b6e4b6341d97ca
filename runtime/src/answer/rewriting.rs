//! The model itself makes a question of a conversation stand alone, under a grammar; `standalone.rs` does it by words.

use serde_json::{Value, json};

use crate::answer::ask::Ask;
use crate::answer::generate::run;
use crate::answer::prompt::{self, PromptStyle};
use crate::answer::{Answerer, grammar};
use crate::config::Rewriting;
use crate::service::Quoin;

/// Longest rewritten question, characters.
const MAX_CHARACTERS: usize = 400;
const MAX_TOKENS: usize = 160;

impl Quoin {
    /// What retrieval searches for. A model is asked only where the settings say so, where something was said before, and where
    /// it can follow instructions; should it fail, it is done by words.
    pub(super) async fn standalone_query(&self, ask: &Ask, answerer: &Answerer) -> String {
        let by_words = ask.standalone();
        let Answerer::Model(served) = answerer else {
            return by_words;
        };
        let wanted = self.config().answers.rewriting == Rewriting::Model
            && served.style == PromptStyle::Instruct
            && !ask.request.history.is_empty();
        if !wanted {
            return by_words;
        }
        let schema = json!({"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS,
            "x-guidance": {"whitespace_flexible": false}});
        let messages = prompt::rewriting(&ask.request);
        let request = self.request(ask, messages, grammar::closed_book(&schema), MAX_TOKENS);
        match run(served, request, None).await {
            Ok(Some(outcome)) => match serde_json::from_str::<Value>(&outcome.text) {
                Ok(Value::String(question)) if !question.trim().is_empty() => question,
                _ => by_words,
            },
            Ok(None) => by_words,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "the question was rewritten by words, not by the model"
                );
                by_words
            }
        }
    }
}
