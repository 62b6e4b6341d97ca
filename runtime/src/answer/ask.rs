//! A request that was checked: every bound holds, every default is filled in, the schema can be enforced.

use quoin_engine::EngineError;
use serde_json::{Value, json};

use crate::answer::error::AnswerError;
use crate::answer::schema::{AnswerSchema, Bounds};
use crate::answer::types::AnswerRequest;
use crate::config::Config;

/// Most characters of `session`.
const MAX_SESSION: usize = 256;
/// Most earlier turns.
const MAX_HISTORY: usize = 64;

/// A checked request.
pub struct Ask {
    /// As it came.
    pub request: AnswerRequest,
    /// What the answer must satisfy.
    pub schema: AnswerSchema,
    decoded_as: DecodedAs,
    /// Passages to retrieve.
    pub top_k: usize,
    /// Most citations.
    pub max_citations: usize,
    /// Most generated tokens.
    pub max_tokens: usize,
}

/// Which form of the schema a grammar can be made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DecodedAs {
    /// With its open ends bounded.
    Narrowed,
    /// As it came: bounding its ends made it unenforceable.
    Original,
}

impl Ask {
    /// Checks bounds and schema. Blocking: compiles the schema once, milliseconds.
    ///
    /// # Errors
    /// [`AnswerError::Invalid`] names field, limit and what came; [`AnswerError::Schema`] and
    /// [`AnswerError::UnenforceableSchema`] say what is wrong with the schema.
    pub fn checked(request: AnswerRequest, config: &Config) -> Result<Self, AnswerError> {
        let question = request.question.trim();
        if question.is_empty() {
            return Err(invalid(
                "question",
                "`question` must not be empty".to_owned(),
            ));
        }
        at_most(
            "question",
            "bytes",
            request.question.len(),
            config.server.max_question_bytes,
        )?;
        at_most("history", "turns", request.history.len(), MAX_HISTORY)?;
        let history_bytes = request.history.iter().map(|turn| turn.content.len()).sum();
        at_most(
            "history",
            "bytes",
            history_bytes,
            4 * config.server.max_question_bytes,
        )?;
        let instruction_bytes = request.instructions.as_ref().map_or(0, String::len);
        at_most(
            "instructions",
            "bytes",
            instruction_bytes,
            config.server.max_question_bytes,
        )?;
        at_most(
            "session",
            "bytes",
            request.session.as_ref().map_or(0, String::len),
            MAX_SESSION,
        )?;
        if let Some(temperature) = request.temperature
            && !(0.0..=2.0).contains(&temperature)
        {
            return Err(invalid(
                "temperature",
                format!("`temperature` must be between 0 and 2, got {temperature}"),
            ));
        }
        let (schema, decoded_as) = match request.schema.clone() {
            None => (AnswerSchema::text()?, DecodedAs::Narrowed),
            Some(schema) => enforceable(schema)?,
        };
        Ok(Self {
            schema,
            decoded_as,
            top_k: within("top_k", request.top_k, config.answers.top_k, 64)?,
            max_citations: within(
                "max_citations",
                request.max_citations,
                config.answers.max_citations,
                16,
            )?,
            max_tokens: within(
                "max_tokens",
                request.max_tokens,
                config.answers.max_tokens,
                config.model.context_length / 2,
            )?,
            request,
        })
    }

    /// What retrieval searches for: the question, with the last thing the user said before it.
    #[must_use]
    pub fn query(&self) -> String {
        use crate::answer::types::TurnRole;
        let before = self
            .request
            .history
            .iter()
            .rev()
            .find(|turn| turn.role == TurnRole::User);
        before.map_or_else(
            || self.request.question.clone(),
            |turn| format!("{} {}", self.request.question, turn.content),
        )
    }

    /// The schema to decode under: narrowed, or as it came where narrowing made it unenforceable. Tight bounds are compiled to
    /// see whether they can be: milliseconds.
    #[must_use]
    pub fn decoding_schema(&self, bounds: Bounds) -> Value {
        if self.decoded_as == DecodedAs::Narrowed {
            let narrowed = self.schema.narrowed(bounds);
            let known = self.request.schema.is_none() || bounds == Bounds::GENEROUS;
            if known || quoin_engine::check_schema(&narrowed).is_ok() {
                return narrowed;
            }
        }
        strict_white_space(self.schema.original())
    }
}

fn enforceable(schema: Value) -> Result<(AnswerSchema, DecodedAs), AnswerError> {
    let schema = AnswerSchema::new(schema)?;
    let Err(narrowed) = quoin_engine::check_schema(&schema.narrowed(Bounds::GENEROUS)) else {
        return Ok((schema, DecodedAs::Narrowed));
    };
    if quoin_engine::check_schema(&strict_white_space(schema.original())).is_ok() {
        return Ok((schema, DecodedAs::Original));
    }
    let reason = match narrowed {
        EngineError::UnsupportedSchema { reason } => reason,
        other => other.to_string(),
    };
    Err(AnswerError::UnenforceableSchema { reason })
}

fn strict_white_space(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.insert(
            "x-guidance".to_owned(),
            json!({"whitespace_flexible": false}),
        );
    }
    schema
}

fn invalid(param: &'static str, message: String) -> AnswerError {
    AnswerError::Invalid { param, message }
}

fn at_most(param: &'static str, unit: &str, got: usize, limit: usize) -> Result<(), AnswerError> {
    if got <= limit {
        return Ok(());
    }
    Err(invalid(
        param,
        format!("`{param}` must be at most {limit} {unit}, got {got}"),
    ))
}

fn within(
    param: &'static str,
    got: Option<usize>,
    default: usize,
    most: usize,
) -> Result<usize, AnswerError> {
    let value = got.unwrap_or_else(|| default.min(most));
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    Err(invalid(
        param,
        format!("`{param}` must be between 1 and {most}, got {value}"),
    ))
}
