//! Whether a JSON Schema can be enforced while decoding, asked of llguidance alone: no model is needed.

use llguidance::{
    Matcher, ParserFactory,
    api::TopLevelGrammar,
    toktrie::{ApproximateTokEnv, TokEnv},
};
use serde_json::Value;

use crate::EngineError;

/// # Errors
/// [`EngineError::UnsupportedSchema`] with the reason: a keyword that is not supported, or a schema that nothing satisfies.
pub fn check_schema(schema: &Value) -> Result<(), EngineError> {
    let refused = |reason: String| EngineError::UnsupportedSchema { reason };
    let environment = ApproximateTokEnv::single_byte_env();
    let factory = terse_factory(&environment).map_err(|error| refused(error.to_string()))?;
    compile(&factory, TopLevelGrammar::from_json_schema(schema.clone()))
        .map(|_| ())
        .map_err(refused)
}

/// A factory that prints nothing, and whose errors hold no text of what was decoded.
pub(crate) fn terse_factory(
    environment: &TokEnv,
) -> Result<ParserFactory, impl std::fmt::Display + use<>> {
    ParserFactory::new_simple(environment).map(|mut factory| {
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        factory
    })
}

/// A matcher at its start, or why there is none.
pub(crate) fn compile(
    factory: &ParserFactory,
    grammar: TopLevelGrammar,
) -> Result<Matcher, String> {
    let mut matcher = Matcher::new(factory.create_parser(grammar));
    if let Some(error) = matcher.get_error() {
        return Err(first_line(&error));
    }
    match matcher.compute_mask() {
        Ok(mask) if mask.is_zero() => Err("nothing satisfies it".into()),
        Ok(_) => Ok(matcher),
        Err(error) => Err(first_line(&error.to_string())),
    }
}

/// llguidance appends a dump of its state.
fn first_line(error: &str) -> String {
    let line = error.split("\n<state>").next().unwrap_or(error).trim();
    line.lines().next().unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn reason(schema: &Value) -> String {
        match check_schema(schema) {
            Err(EngineError::UnsupportedSchema { reason }) => reason,
            other => panic!("{schema}: {other:?}"),
        }
    }

    #[test]
    fn ordinary_schemas_pass() {
        for schema in [
            json!({"type": "string"}),
            json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}, "required": ["a"], "additionalProperties": false}),
            json!({"type": "array", "items": {"enum": ["x", "y", null]}, "minItems": 1, "maxItems": 3}),
            json!({"anyOf": [{"type": "number"}, {"$ref": "#/$defs/n"}], "$defs": {"n": {"type": "null"}}}),
            json!(true),
        ] {
            check_schema(&schema).unwrap();
        }
    }

    #[test]
    fn a_schema_that_contradicts_itself_is_refused_with_the_reason() {
        for schema in [
            json!({"type": "string", "minLength": 5, "maxLength": 2}),
            json!({"type": "integer", "minimum": 10, "maximum": 3}),
            json!({"type": "array", "minItems": 4, "maxItems": 1}),
            json!({"type": "integer", "enum": ["a"]}),
            json!({"allOf": [{"type": "string"}, {"type": "number"}]}),
            json!({"type": "object", "properties": {"a": false}, "required": ["a"]}),
            json!(false),
        ] {
            let reason = reason(&schema);
            assert!(
                !reason.is_empty() && !reason.contains('\n'),
                "{schema}: {reason}"
            );
        }
    }

    #[test]
    fn a_keyword_that_cannot_be_enforced_is_named() {
        assert!(reason(&json!({"type": "array", "uniqueItems": true})).contains("uniqueItems"));
        assert!(reason(&json!({"type": "string", "format": "of-our-own"})).contains("of-our-own"));
        assert!(reason(&json!({"type": "no-such-type"})).contains("no-such-type"));
    }
}
