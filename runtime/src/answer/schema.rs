//! The caller's JSON Schema, narrowed so that what is decoded always ends.
//!
//! A grammar keeps a model inside a schema, but not from filling an unbounded string, array or number until the token
//! limit cuts it off in the middle. Every value of the narrowed schema is a value of the original one, and the
//! answer is validated against the original at the end.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 64;
/// Largest schema, bytes of JSON.
pub const MAX_SCHEMA_BYTES: usize = 128 << 10;

/// How far open ends may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Longest string, characters, where the schema says nothing.
    pub string_characters: u64,
    /// Most array items, where the schema says nothing.
    pub array_items: u64,
    /// Whether a `number` may have a fraction.
    pub fractions: bool,
}

impl Bounds {
    /// For the first attempt.
    pub const GENEROUS: Self = Self {
        string_characters: 600,
        array_items: 12,
        fractions: true,
    };
    /// For a model that ran into the token limit on the first attempt.
    pub const TIGHT: Self = Self {
        string_characters: 40,
        array_items: 2,
        fractions: false,
    };
}

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
    /// Invalid by its own rules, or a reference that leads outside.
    #[error("`schema` is not a valid JSON Schema: {0}")]
    Invalid(String),
}

/// A schema that was checked: what the caller sent, and what validates against it.
pub struct AnswerSchema {
    original: Value,
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
        let validator = jsonschema::validator_for(&schema)
            .map_err(|error| SchemaError::Invalid(error.to_string()))?;
        Ok(Self {
            original: schema,
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

    /// The schema to decode under: a subset of the original, with every open end bounded.
    #[must_use]
    pub fn narrowed(&self, bounds: Bounds) -> Value {
        let mut schema = self.original.clone();
        narrow(&mut schema, bounds, Place::Free);
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

/// Where a sub-schema stands: within an `allOf`, closing an object would contradict its siblings.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Free,
    Conjunct,
}

const COMBINATORS: [&str; 7] = ["allOf", "anyOf", "oneOf", "if", "then", "else", "not"];

fn narrow(schema: &mut Value, bounds: Bounds, place: Place) {
    if schema == &Value::Bool(true) || schema.as_object().is_some_and(is_unconstrained) {
        *schema = json!({"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "null"}]});
    }
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    narrow_children(fields, bounds);
    if ["enum", "const", "$ref"]
        .iter()
        .any(|key| fields.contains_key(*key))
    {
        return;
    }
    let types: Vec<String> = match fields.get("type") {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => return,
    };
    let combined = COMBINATORS.iter().any(|key| fields.contains_key(*key));
    for name in types {
        match name.as_str() {
            "string" => bound_string(fields, bounds),
            "array" => bound_array(fields, bounds),
            "number" | "integer" => bound_number(fields, bounds),
            "object" if !combined && place == Place::Free => close_object(fields),
            _ => {}
        }
    }
}

fn narrow_children(fields: &mut Map<String, Value>, bounds: Bounds) {
    for (key, child) in fields.iter_mut() {
        match key.as_str() {
            "properties" | "patternProperties" | "$defs" | "definitions" => {
                for value in child
                    .as_object_mut()
                    .into_iter()
                    .flat_map(|map| map.values_mut())
                {
                    narrow(value, bounds, Place::Free);
                }
            }
            "anyOf" | "oneOf" | "prefixItems" => {
                for value in child.as_array_mut().into_iter().flatten() {
                    narrow(value, bounds, Place::Free);
                }
            }
            "allOf" => {
                for value in child.as_array_mut().into_iter().flatten() {
                    narrow(value, bounds, Place::Conjunct);
                }
            }
            "items" | "additionalProperties" if child.is_object() || key == "items" => {
                narrow(child, bounds, Place::Free);
            }
            _ => {}
        }
    }
}

/// `{}` and `{"title": …}` allow any value.
fn is_unconstrained(fields: &Map<String, Value>) -> bool {
    fields.keys().all(|key| {
        ["title", "description", "default", "examples", "$comment"].contains(&key.as_str())
    })
}

fn bound_string(fields: &mut Map<String, Value>, bounds: Bounds) {
    if ["maxLength", "pattern", "format"]
        .iter()
        .any(|key| fields.contains_key(*key))
    {
        return;
    }
    let least = fields.get("minLength").and_then(Value::as_u64).unwrap_or(0);
    fields.insert(
        "maxLength".to_owned(),
        json!(bounds.string_characters.max(least.saturating_add(16))),
    );
}

fn bound_array(fields: &mut Map<String, Value>, bounds: Bounds) {
    if !fields.contains_key("maxItems") {
        let least = fields.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let fixed = fields
            .get("prefixItems")
            .and_then(Value::as_array)
            .map_or(0, Vec::len) as u64;
        fields.insert(
            "maxItems".to_owned(),
            json!(bounds.array_items.max(least).max(fixed)),
        );
    }
    fields
        .entry("items")
        .or_insert_with(|| json!({"type": "string", "maxLength": bounds.string_characters}));
}

/// Largest magnitude of a number that the schema leaves open: exact as a double, and short.
const NUMBER_LIMIT: i64 = 999_999_999_999;

fn bound_number(fields: &mut Map<String, Value>, bounds: Bounds) {
    if !bounds.fractions
        && fields.get("type") == Some(&json!("number"))
        && !fields.contains_key("multipleOf")
    {
        fields.insert("type".to_owned(), json!("integer"));
    }
    let low = number(fields, &["minimum", "exclusiveMinimum"]);
    let high = number(fields, &["maximum", "exclusiveMaximum"]);
    #[expect(clippy::cast_precision_loss, reason = "the limit is far below 2^53")]
    let limit = NUMBER_LIMIT as f64;
    if low.is_none() && high.is_none_or(|high| high > -limit) {
        fields.insert("minimum".to_owned(), json!(-NUMBER_LIMIT));
    }
    if high.is_none() && low.is_none_or(|low| low < limit) {
        fields.insert("maximum".to_owned(), json!(NUMBER_LIMIT));
    }
}

fn number(fields: &Map<String, Value>, keys: &[&str]) -> Option<f64> {
    keys.iter()
        .find_map(|key| fields.get(*key))
        .and_then(Value::as_f64)
}

/// An object that lists its properties takes no others; one that lists none gets one to fill.
fn close_object(fields: &mut Map<String, Value>) {
    let open = fields
        .get("additionalProperties")
        .is_none_or(|value| value == &Value::Bool(true));
    if !open || fields.contains_key("patternProperties") {
        return;
    }
    let listed = fields
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|map| !map.is_empty());
    let required: Vec<String> = fields
        .get("required")
        .and_then(Value::as_array)
        .map(|names| {
            names
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default();
    if !listed && required.is_empty() && !fields.contains_key("minProperties") {
        fields.insert(
            "properties".to_owned(),
            json!({"answer": {"type": "string", "maxLength": 200}}),
        );
        fields.insert("required".to_owned(), json!(["answer"]));
    }
    let properties = fields.get("properties").and_then(Value::as_object);
    let all_known = required
        .iter()
        .all(|name| properties.is_some_and(|map| map.contains_key(name)));
    if all_known && !fields.contains_key("minProperties") {
        fields.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn narrowed(schema: Value) -> Value {
        let mut value = AnswerSchema::new(schema)
            .unwrap()
            .narrowed(Bounds::GENEROUS);
        value.as_object_mut().unwrap().remove("x-guidance");
        value
    }

    #[test]
    fn open_strings_arrays_and_numbers_get_an_end() {
        let schema = narrowed(json!({"type": "object", "properties": {
            "name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}, "days": {"type": "integer"}}}));
        assert_eq!(schema["properties"]["name"]["maxLength"], 600);
        assert_eq!(schema["properties"]["tags"]["maxItems"], 12);
        assert_eq!(schema["properties"]["tags"]["items"]["maxLength"], 600);
        assert_eq!(schema["properties"]["days"]["maximum"], NUMBER_LIMIT);
        assert_eq!(schema["additionalProperties"], false);
    }

    #[test]
    fn what_the_caller_bounds_is_left_alone() {
        let schema = json!({"type": "object", "properties": {
            "code": {"type": "string", "pattern": "^[A-Z]{3}$"}, "when": {"type": "string", "format": "date"},
            "kind": {"enum": ["a", "b"]}, "n": {"type": "integer", "minimum": 1, "maximum": 5}}, "additionalProperties": false});
        assert_eq!(narrowed(schema.clone()), schema);
    }

    #[test]
    fn a_minimum_above_our_limit_is_not_contradicted() {
        let schema = narrowed(json!({"type": "integer", "minimum": 5_000_000_000_000_i64}));
        assert!(schema.get("maximum").is_none());
        let long = narrowed(json!({"type": "string", "minLength": 5000}));
        assert!(long["maxLength"].as_u64().unwrap() >= 5000);
    }

    #[test]
    fn parts_of_a_conjunction_stay_open_to_each_other() {
        let schema = narrowed(json!({"allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}}, {"type": "object", "properties": {"b": {"type": "integer"}}}]}));
        assert!(schema["allOf"][0].get("additionalProperties").is_none());
    }

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
        assert!(matches!(
            AnswerSchema::new(json!({"type": "text"})),
            Err(SchemaError::Invalid(_))
        ));
    }
}
