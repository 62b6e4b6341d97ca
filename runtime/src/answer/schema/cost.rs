//! Schemas that are small to write and take for ever to check: definitions that double each other, and numbers whose
//! multiples take a table of millions of states.
//!
//! All parts of `allOf`, `anyOf` and `oneOf` look at the same value, so their costs add up; the properties of an object look
//! at different ones, so the dearest counts.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Most sub-schemas that may have to look at one value, followed through references.
const MAX_LOOKS: u64 = 20_000;
/// How often a reference that leads into itself is followed where all alternatives count,
const TURNS_WITH_ALL: u8 = 3;
/// and where the dearest alternative counts: what all parts of an `allOf` repeat is repeated at each level of a value.
const TURNS_WITH_DEAREST: u8 = 14;
/// Largest number that a value may have to be a multiple of, without its factors of ten.
const MAX_MULTIPLE: f64 = 10_000.0;

const IN_PLACE: [&str; 9] = [
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "$ref",
];
const INTO_PARTS: [&str; 8] = [
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "items",
    "prefixItems",
    "contains",
    "unevaluatedProperties",
];

/// What is too dear about a schema.
pub(super) fn too_dear(schema: &Value) -> Option<String> {
    let too_many = [(true, TURNS_WITH_ALL), (false, TURNS_WITH_DEAREST)]
        .into_iter()
        .any(|(all_alternatives, max_turns)| {
            let mut counter = Counter {
                root: schema,
                all_alternatives,
                max_turns,
                turns: HashMap::new(),
                left: MAX_LOOKS * 4,
            };
            counter.looks(schema).is_none_or(|looks| looks > MAX_LOOKS)
        });
    if too_many {
        return Some(format!(
            "one value would have to be checked against more than {MAX_LOOKS} sub-schemas, through references that repeat \
             each other"
        ));
    }
    large_multiple(schema).map(|multiple| {
        format!(
            "`multipleOf` must be at most {MAX_MULTIPLE} but for factors of ten, got {multiple}"
        )
    })
}

struct Counter<'a> {
    root: &'a Value,
    /// Whether the alternatives of `anyOf` and `oneOf` add up.
    all_alternatives: bool,
    max_turns: u8,
    /// How often each reference is being followed now.
    turns: HashMap<&'a str, u8>,
    /// Steps that may still be taken: the count itself must not take for ever.
    left: u64,
}

impl<'a> Counter<'a> {
    /// Sub-schemas that look at a value of this one; `None` when they are too many to count.
    fn looks(&mut self, schema: &'a Value) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let Some(fields) = schema.as_object() else {
            return Some(1);
        };
        let mut here = 1_u64;
        for key in IN_PLACE {
            here = here.saturating_add(self.looks_of_key(fields, key)?);
        }
        let mut dearest = 0;
        for key in INTO_PARTS {
            dearest = dearest.max(self.dearest_part(fields, key)?);
        }
        Some(here.saturating_add(dearest))
    }

    fn looks_of_key(&mut self, fields: &'a Map<String, Value>, key: &str) -> Option<u64> {
        match fields.get(key) {
            None => Some(0),
            Some(Value::String(reference)) => self.follow(reference),
            Some(Value::Array(parts)) if key != "allOf" && !self.all_alternatives => {
                self.dearest(parts.iter())
            }
            Some(Value::Array(parts)) => self.sum(parts.iter()),
            Some(Value::Object(parts)) if key == "dependentSchemas" => self.sum(parts.values()),
            Some(part) => self.looks(part),
        }
    }

    fn dearest_part(&mut self, fields: &'a Map<String, Value>, key: &str) -> Option<u64> {
        let named = matches!(key, "properties" | "patternProperties");
        match fields.get(key) {
            Some(Value::Object(parts)) if named => self.dearest(parts.values()),
            Some(Value::Array(parts)) => self.dearest(parts.iter()),
            Some(part) => self.looks(part),
            None => Some(0),
        }
    }

    fn sum(&mut self, parts: impl Iterator<Item = &'a Value>) -> Option<u64> {
        let mut sum = 0_u64;
        for part in parts {
            sum = sum.saturating_add(self.looks(part)?);
        }
        Some(sum)
    }

    fn dearest(&mut self, parts: impl Iterator<Item = &'a Value>) -> Option<u64> {
        let mut dearest = 0;
        for part in parts {
            dearest = dearest.max(self.looks(part)?);
        }
        Some(dearest)
    }

    fn follow(&mut self, reference: &'a str) -> Option<u64> {
        let turns = self.turns.entry(reference).or_default();
        if *turns >= self.max_turns {
            return Some(1);
        }
        *turns += 1;
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer));
        let looks = target.map_or(Some(1), |target| self.looks(target));
        if let Some(turns) = self.turns.get_mut(reference) {
            *turns -= 1;
        }
        looks
    }
}

fn large_multiple(schema: &Value) -> Option<f64> {
    match schema {
        Value::Array(items) => items.iter().find_map(large_multiple),
        Value::Object(fields) => fields
            .get("multipleOf")
            .and_then(Value::as_f64)
            .filter(|multiple| without_tens(*multiple) > MAX_MULTIPLE)
            .or_else(|| fields.values().find_map(large_multiple)),
        _ => None,
    }
}

/// The digits of a number between its first and its last that is not zero.
fn without_tens(number: f64) -> f64 {
    let digits: String = format!("{number:e}")
        .split('e')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.trim_matches('0').parse().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::{Value, json};

    use super::too_dear;

    /// `d0` is a string, and each further definition is twice the one before, by `keyword`.
    fn doubled(keyword: &str, times: usize) -> Value {
        let mut definitions = json!({"d0": {"type": "string"}});
        for number in 1..=times {
            let before = json!({"$ref": format!("#/$defs/d{}", number - 1)});
            definitions[format!("d{number}")] = json!({ keyword: [before, before] });
        }
        json!({"$defs": definitions, "$ref": format!("#/$defs/d{times}")})
    }

    #[test]
    fn definitions_that_double_each_other_are_refused_at_once() {
        for keyword in ["allOf", "anyOf", "oneOf"] {
            assert!(too_dear(&doubled(keyword, 5)).is_none(), "{keyword}");
            for times in [20, 39, 400] {
                let reason = too_dear(&doubled(keyword, times)).unwrap();
                assert!(reason.contains("20000 sub-schemas"), "{reason}");
            }
        }
    }

    #[test]
    fn a_recursion_that_doubles_at_each_level_is_refused() {
        let once = json!({"properties": {"a": {"$ref": "#"}}});
        assert!(too_dear(&json!({"allOf": [once]})).is_none());
        assert!(too_dear(&json!({"allOf": [once, once]})).is_some());
    }

    #[test]
    fn recursion_and_large_unions_that_people_write_are_not() {
        let tree = json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "n": {"type": "integer"}}});
        let kinds: Vec<Value> = (0..12)
            .map(|kind| json!({"type": "object", "properties": {"kind": {"const": kind}, "inner": {"$ref": "#/$defs/expression"}}, "required": ["kind"]}))
            .collect();
        let expressions =
            json!({"$defs": {"expression": {"anyOf": kinds}}, "$ref": "#/$defs/expression"});
        let list = json!({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}});
        for schema in [tree, expressions, list] {
            assert_eq!(too_dear(&schema), None, "{schema}");
        }
    }

    #[test]
    fn multiples_that_need_a_table_of_millions_are_refused() {
        assert!(too_dear(&json!({"items": {"type": "integer", "multipleOf": 999_983}})).is_some());
        for multiple in [
            json!(0.01),
            json!(7),
            json!(250_000),
            json!(1e-6),
            json!(9999),
        ] {
            assert_eq!(too_dear(&json!({ "multipleOf": multiple })), None);
        }
    }
}
