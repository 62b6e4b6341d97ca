//! The caller's JSON Schema, narrowed so that what is decoded always ends.
//!
//! A grammar keeps a model inside a schema, but not from filling an unbounded string, array or number until the token
//! limit cuts it off in the middle. Every value of the narrowed schema is a value of the original one, and the
//! answer is validated against the original at the end.

mod alternatives;
mod cost;
mod narrow;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

pub use narrow::Bounds;

/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 64;
/// Most properties of one object: a grammar that may go on in more ways at one place is given up by llguidance.
const MAX_PROPERTIES: usize = 256;
/// Largest schema, bytes of JSON.
pub const MAX_SCHEMA_BYTES: usize = 128 << 10;

/// Why a schema is refused.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Not a JSON Schema object.
    #[error("`schema` must be a JSON object, got {0}")]
    NotAnObject(&'static str),
    /// Larger than the limit.
    #[error("`schema` must be at most {MAX_SCHEMA_BYTES} bytes, got {0}")]
    TooLarge(usize),
    /// Nested deeper than the limit.
    #[error("`schema` must be nested at most {MAX_DEPTH} levels deep")]
    TooDeep,
    /// An object with more properties than the limit.
    #[error("`schema` may list at most {MAX_PROPERTIES} properties in one object, got {0}")]
    TooManyProperties(usize),
    /// Small to write, and too much to check or to decode under.
    #[error("`schema` cannot be enforced: {0}")]
    TooDear(String),
    /// Invalid by its own rules, or a reference that leads outside.
    #[error("`schema` is not a valid JSON Schema: {0}")]
    Invalid(String),
}

/// A schema that was checked: what the caller sent, and what validates against it.
pub struct AnswerSchema {
    original: Value,
    /// The same with `anyOf` for each `oneOf` that says no more.
    choices: Value,
    validator: Validator,
}

impl AnswerSchema {
    /// The schema of a request that brings none: a string.
    ///
    /// # Errors
    /// Never for this constant; the signature is that of [`AnswerSchema::new`].
    pub fn text() -> Result<Self, SchemaError> {
        Self::new(json!({"type": "string"}))
    }

    /// Checks size, depth and validity.
    ///
    /// # Errors
    /// [`SchemaError`] says which limit or rule it breaks.
    pub fn new(schema: Value) -> Result<Self, SchemaError> {
        if !schema.is_object() {
            return Err(SchemaError::NotAnObject(kind(&schema)));
        }
        let bytes = schema.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(SchemaError::TooLarge(bytes));
        }
        if deeper_than(&schema, MAX_DEPTH) {
            return Err(SchemaError::TooDeep);
        }
        if let Some(properties) = most_properties(&schema).filter(|most| *most > MAX_PROPERTIES) {
            return Err(SchemaError::TooManyProperties(properties));
        }
        let mut choices = schema.clone();
        alternatives::free_from_exclusion(&mut choices, &schema);
        if let Some(reason) = cost::too_dear(&choices) {
            return Err(SchemaError::TooDear(reason));
        }
        let validator = jsonschema::validator_for(&schema)
            .map_err(|error| SchemaError::Invalid(error.to_string()))?;
        Ok(Self {
            original: schema,
            choices,
            validator,
        })
    }

    /// What the caller sent.
    #[must_use]
    pub const fn original(&self) -> &Value {
        &self.original
    }

    /// Whether it asks for a plain string and nothing else.
    #[must_use]
    pub fn is_plain_text(&self) -> bool {
        self.original.as_object().is_some_and(|fields| {
            fields.get("type") == Some(&json!("string"))
                && fields
                    .keys()
                    .all(|key| ["type", "title", "description", "$schema"].contains(&key.as_str()))
        })
    }

    /// Whether a given value satisfies it; the error names the place and the rule, not the value.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self, value: &Value) -> Result<(), String> {
        self.validator
            .validate(value)
            .map_err(|error| format!("at `{}`: {}", error.instance_path(), error.masked()))
    }

    /// Whether a text can satisfy it: none, a word or a sentence does.
    #[must_use]
    pub fn accepts_text(&self) -> bool {
        [
            "",
            "Yes",
            "A sentence of a document, quoted as it stands there.",
        ]
        .iter()
        .any(|text| self.validator.is_valid(&Value::from(*text)))
    }

    /// The schema to decode under: a subset of the original, with every open end bounded.
    #[must_use]
    pub fn narrowed(&self, bounds: Bounds) -> Value {
        let mut schema = self.choices.clone();
        narrow::narrow(&mut schema, bounds);
        if let Some(fields) = schema.as_object_mut() {
            fields.remove("$schema");
            // Without it a weak model prints white space for ever.
            fields.insert(
                "x-guidance".to_owned(),
                json!({"whitespace_flexible": false}),
            );
        }
        schema
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn deeper_than(value: &Value, levels: usize) -> bool {
    let children: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => return false,
    };
    levels == 0
        || children
            .into_iter()
            .any(|child| deeper_than(child, levels - 1))
}

/// Entries of the largest `properties` anywhere in the schema.
fn most_properties(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => items.iter().filter_map(most_properties).max(),
        Value::Object(fields) => {
            let own = fields
                .get("properties")
                .and_then(Value::as_object)
                .map(Map::len);
            own.max(fields.values().filter_map(most_properties).max())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn schemas_that_are_none_are_refused_by_name() {
        assert_eq!(
            AnswerSchema::new(json!([])).err().unwrap().to_string(),
            "`schema` must be a JSON object, got an array"
        );
        let mut deep = json!({"type": "string"});
        for _ in 0..80 {
            deep = json!({"type": "array", "items": deep});
        }
        assert!(matches!(AnswerSchema::new(deep), Err(SchemaError::TooDeep)));
        let many: Map<String, Value> = (0..300)
            .map(|number| (format!("p{number}"), json!({"type": "string"})))
            .collect();
        assert_eq!(
            AnswerSchema::new(json!({"items": {"properties": many}}))
                .err()
                .unwrap()
                .to_string(),
            "`schema` may list at most 256 properties in one object, got 300"
        );
        assert!(matches!(
            AnswerSchema::new(json!({"type": "text"})),
            Err(SchemaError::Invalid(_))
        ));
    }
}
