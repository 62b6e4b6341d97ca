#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::ApproximateTokEnv;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::{Bounds, narrow, numbers};
use crate::answer::schema::alternatives::free_from_exclusion;

fn narrowed(mut schema: Value, bounds: Bounds) -> Value {
    let root = schema.clone();
    free_from_exclusion(&mut schema, &root);
    narrow(&mut schema, bounds);
    schema
}

#[test]
fn open_strings_arrays_and_numbers_get_an_end() {
    let schema = json!({"type": "object", "properties": {
        "name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}, "days": {"type": "integer"}}});
    let schema = narrowed(schema, Bounds::GENEROUS);
    assert_eq!(schema["properties"]["name"]["maxLength"], 600);
    assert_eq!(schema["properties"]["tags"]["maxItems"], 12);
    assert_eq!(schema["properties"]["tags"]["items"]["maxLength"], 600);
    assert_eq!(schema["properties"]["days"]["maximum"], numbers::LIMIT);
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn what_the_caller_bounds_is_left_alone() {
    let schema = json!({"type": "object", "properties": {
        "code": {"type": "string", "pattern": "^[A-Z]{3}$", "maxLength": 3}, "text": {"type": "string", "maxLength": 5000},
        "kind": {"enum": ["a", "b"]}, "n": {"type": "integer", "minimum": 1, "maximum": 5}}, "additionalProperties": false});
    assert_eq!(narrowed(schema.clone(), Bounds::GENEROUS), schema);
}

#[test]
fn a_minimum_above_our_limit_is_not_contradicted() {
    let large = json!({"type": "integer", "minimum": 5_000_000_000_000_i64});
    assert_eq!(
        narrowed(large, Bounds::GENEROUS)["maximum"],
        5_999_999_999_999.0
    );
    let long = narrowed(json!({"type": "string", "minLength": 5000}), Bounds::TIGHT);
    assert!(long["maxLength"].as_u64().unwrap() >= 5000);
    let address = json!({"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083});
    assert_eq!(narrowed(address, Bounds::GENEROUS)["maxLength"], 200);
}

#[test]
fn parts_of_a_conjunction_stay_open_to_each_other() {
    let schema = json!({"allOf": [
        {"type": "object", "properties": {"a": {"type": "integer"}}}, {"type": "object", "properties": {"b": {"type": "integer"}}}]});
    let schema = narrowed(schema, Bounds::GENEROUS);
    assert!(schema["allOf"][0].get("additionalProperties").is_none());
}

#[test]
fn a_format_that_only_annotates_is_no_constraint() {
    let schema = json!({"type": "string", "format": "password", "maxLength": 9});
    let schema = narrowed(schema, Bounds::GENEROUS);
    assert_eq!(schema, json!({"type": "string", "maxLength": 9}));
}

/// Schemas with an end that is open in some way.
fn open_ended() -> Vec<Value> {
    let field = |schema: Value| json!({"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": false});
    vec![
        json!({"type": "object"}),
        json!({}),
        json!({"type": "object", "required": ["a", "b"]}),
        json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a", "b"]}),
        json!({"type": "object", "minProperties": 2}),
        json!({"type": "object", "minProperties": 5, "maxProperties": 6}),
        json!({"type": "object", "minProperties": 3, "additionalProperties": {"type": "string"}}),
        field(json!({"type": "object", "additionalProperties": {"type": "integer"}})),
        field(
            json!({"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 3}),
        ),
        field(
            json!({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "number"}}, "minProperties": 1}),
        ),
        field(
            json!({"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": {"type": "integer"}}),
        ),
        field(json!({"type": "number"})),
        field(json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})),
        field(json!({"type": "number", "minimum": 0.25, "maximum": 0.250_01})),
        field(json!({"type": "integer", "minimum": -3})),
        field(json!({"type": "integer", "minimum": 1_000_000_000_000_i64})),
        field(json!({"type": "number", "maximum": -5e12})),
        field(json!({"type": ["string", "number", "null"]})),
        field(json!({"type": "string", "format": "date"})),
        field(json!({"type": "string", "format": "time"})),
        field(json!({"type": "string", "format": "date-time"})),
        field(json!({"type": "string", "format": "duration"})),
        field(json!({"type": "string", "format": "email"})),
        field(json!({"type": "string", "format": "hostname"})),
        field(json!({"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083})),
        field(json!({"type": "string", "format": "binary"})),
        field(json!({"type": "string", "pattern": r"^\S+@\S+$"})),
        field(
            json!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "boolean"}}]}),
        ),
    ]
}

#[test]
fn whatever_is_decoded_ends_and_satisfies_the_schema_as_it_came() {
    let environment = ApproximateTokEnv::single_byte_env();
    let mut factory = ParserFactory::new_simple(&environment).unwrap();
    factory.quiet();
    let mut random = Random(7);
    for schema in open_ended() {
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap();
        for (bounds, most) in [(Bounds::GENEROUS, 200_000), (Bounds::TIGHT, 1_200)] {
            let mut grammar = narrowed(schema.clone(), bounds);
            grammar["x-guidance"] = json!({"whitespace_flexible": false});
            for attempt in 0..6 {
                let grammar = TopLevelGrammar::from_json_schema(grammar.clone());
                let mut matcher = Matcher::new(factory.create_parser(grammar));
                assert_eq!(matcher.get_error(), None, "{schema}");
                let text = decode(&mut matcher, &mut random, attempt % 2 == 0, most);
                let text = text.unwrap_or_else(|cut| panic!("{schema} goes on: {cut}"));
                let value: Value = serde_json::from_str(&text).unwrap();
                if let Err(broken) = validator.validate(&value) {
                    panic!("{schema}: {text}: {broken}");
                }
            }
        }
    }
}

/// What a model could write: any allowed byte, or always one that goes on. Too long a text is an error.
fn decode(
    matcher: &mut Matcher,
    random: &mut Random,
    long: bool,
    most: usize,
) -> Result<String, String> {
    let mut bytes = Vec::new();
    while !matcher.is_stopped() {
        let mask = matcher.compute_mask().unwrap();
        let allowed: Vec<u8> = (0..=255)
            .filter(|byte| mask.is_allowed(u32::from(*byte)))
            .collect();
        let going_on: Vec<u8> = allowed
            .iter()
            .copied()
            .filter(|byte| byte.is_ascii_alphanumeric() || *byte == b',')
            .collect();
        let choices = if long && !going_on.is_empty() {
            &going_on
        } else {
            &allowed
        };
        let Some(byte) = choices.get(random.below(choices.len().max(1))) else {
            break;
        };
        bytes.push(*byte);
        if bytes.len() > most {
            return Err(String::from_utf8_lossy(&bytes[..200]).into_owned());
        }
        matcher.consume_token(u32::from(*byte)).unwrap();
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// A linear congruential generator (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }
}
