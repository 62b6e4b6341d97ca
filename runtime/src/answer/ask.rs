//! A request that was checked: every bound holds, every default is filled in, the schema can be enforced.

use quoin_engine::EngineError;
use serde_json::{Value, json};

use crate::answer::error::AnswerError;
use crate::answer::schema::{AnswerSchema, Bounds};
use crate::answer::standalone::standalone;
use crate::answer::types::{AnswerRequest, Mode, Turn};
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
    forms: Forms,
    /// Passages to retrieve.
    pub top_k: usize,
    /// Most citations.
    pub max_citations: usize,
    /// Most generated tokens.
    pub max_tokens: usize,
}

/// The schema as it is decoded under, in its two widths: its open ends bounded, or as it came where bounding them made it
/// unenforceable.
struct Forms {
    generous: Value,
    tight: Value,
}

impl Ask {
    /// Checks bounds and schema. Blocking: compiles a caller's schema twice, milliseconds for most.
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
        check_history(&request.history, config)?;
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
        let (schema, forms) = match request.schema.clone() {
            None => text()?,
            Some(schema) => enforceable(schema)?,
        };
        if request.mode == Mode::Extractive && !schema.accepts_text() {
            return Err(invalid(
                "schema",
                "`schema` must allow a string when `mode` is `extractive`".to_owned(),
            ));
        }
        Ok(Self {
            schema,
            forms,
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

    /// The question as one that stands alone, by words: see [`standalone`].
    #[must_use]
    pub fn standalone(&self) -> String {
        standalone(&self.request.question, &self.request.history)
    }

    /// The schema to decode under.
    #[must_use]
    pub fn decoding_schema(&self, bounds: Bounds) -> &Value {
        if bounds == Bounds::GENEROUS {
            &self.forms.generous
        } else {
            &self.forms.tight
        }
    }
}

/// Holds what was said before to its bounds.
///
/// # Errors
/// [`AnswerError::Invalid`] names the limit and what came.
pub fn check_history(history: &[Turn], config: &Config) -> Result<(), AnswerError> {
    at_most("history", "turns", history.len(), MAX_HISTORY)?;
    let bytes = history.iter().map(|turn| turn.content.len()).sum();
    let limit = 4 * config.server.max_question_bytes;
    at_most("history", "bytes", bytes, limit)
}

/// The schema of a request that brings none.
fn text() -> Result<(AnswerSchema, Forms), AnswerError> {
    let schema = AnswerSchema::text()?;
    let forms = Forms {
        generous: schema.narrowed(Bounds::GENEROUS),
        tight: schema.narrowed(Bounds::TIGHT),
    };
    Ok((schema, forms))
}

fn enforceable(schema: Value) -> Result<(AnswerSchema, Forms), AnswerError> {
    let schema = AnswerSchema::new(schema)?;
    let original = strict_white_space(schema.original());
    let form = |bounds| {
        let narrowed = schema.narrowed(bounds);
        match quoin_engine::check_schema(&narrowed) {
            Ok(()) => Ok(narrowed),
            Err(refused) => match quoin_engine::check_schema(&original) {
                Ok(()) => Ok(original.clone()),
                Err(_) => Err(refused),
            },
        }
    };
    match (form(Bounds::GENEROUS), form(Bounds::TIGHT)) {
        (Ok(generous), Ok(tight)) => Ok((schema, Forms { generous, tight })),
        (Err(EngineError::UnsupportedSchema { reason }), _)
        | (_, Err(EngineError::UnsupportedSchema { reason })) => {
            Err(AnswerError::UnenforceableSchema { reason })
        }
        (Err(other), _) | (_, Err(other)) => Err(AnswerError::Engine(other)),
    }
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
