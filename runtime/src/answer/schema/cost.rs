//! Schemas that are small to write and take for ever to check: definitions that double each other, and numbers whose
//! multiples take a table of millions of states.
//!
//! All parts of `allOf`, `anyOf` and `oneOf` look at the same value, so their costs add up; the properties of an object look
//! at different ones, so the dearest counts. Of `anyOf` the alternatives add up only so far: the first that fits ends it.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Most sub-schemas that may have to look at one value, followed through references.
const MAX_LOOKS: u64 = 20_000;
/// How many references are followed, one into the other, where the alternatives of `anyOf` add up,
const REFERENCES_WITH_ALL: u8 = 3;
/// and where the dearest of them counts.
const REFERENCES_WITH_DEAREST: u8 = 16;
/// Largest number that a value may have to be a multiple of, without its factors of ten.
const MAX_MULTIPLE: f64 = 10_000.0;

/// Beyond it llguidance's whole numbers end.
const LARGEST_BOUND: f64 = 9e18;

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
    let too_many = [
        (true, REFERENCES_WITH_ALL),
        (false, REFERENCES_WITH_DEAREST),
    ]
    .into_iter()
    .any(|(all_alternatives, max_references)| {
        let mut counter = Counter {
            root: schema,
            all_alternatives,
            max_references,
            known: HashMap::new(),
        };
        counter.looks(schema, 0) > MAX_LOOKS
    });
    if too_many {
        return Some(format!(
            "one value would have to be checked against more than {MAX_LOOKS} sub-schemas, through references that repeat \
             each other"
        ));
    }
    if let Some(bound) = large_bound(schema) {
        return Some(format!(
            "bounds of numbers must lie within ±{LARGEST_BOUND:e}, got {bound:e}"
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
    /// Whether the alternatives of `anyOf` add up.
    all_alternatives: bool,
    max_references: u8,
    /// By the address of a sub-schema and the references followed on the way to it.
    known: HashMap<(*const Value, u8), u64>,
}

impl<'a> Counter<'a> {
    /// Sub-schemas that look at a value of this one.
    fn looks(&mut self, schema: &'a Value, references: u8) -> u64 {
        let Some(fields) = schema.as_object() else {
            return 1;
        };
        let place = (std::ptr::from_ref(schema), references);
        if let Some(known) = self.known.get(&place) {
            return *known;
        }
        let mut looks = 1_u64;
        for key in IN_PLACE {
            looks = looks.saturating_add(self.in_place(fields, key, references));
        }
        let parts = INTO_PARTS
            .iter()
            .map(|key| self.dearest_part(fields, key, references));
        let looks = looks.saturating_add(parts.max().unwrap_or(0));
        self.known.insert(place, looks);
        looks
    }

    fn in_place(&mut self, fields: &'a Map<String, Value>, key: &str, references: u8) -> u64 {
        match fields.get(key) {
            None => 0,
            Some(Value::String(reference)) => self.follow(reference, references),
            Some(Value::Array(parts)) if key == "anyOf" && !self.all_alternatives => {
                self.dearest(parts.iter(), references)
            }
            Some(Value::Array(parts)) => self.sum(parts.iter(), references),
            Some(Value::Object(parts)) if key == "dependentSchemas" => {
                self.sum(parts.values(), references)
            }
            Some(part) => self.looks(part, references),
        }
    }

    fn dearest_part(&mut self, fields: &'a Map<String, Value>, key: &str, references: u8) -> u64 {
        let named = matches!(key, "properties" | "patternProperties");
        match fields.get(key) {
            None => 0,
            Some(Value::Object(parts)) if named => self.dearest(parts.values(), references),
            Some(Value::Array(parts)) => self.dearest(parts.iter(), references),
            Some(part) => self.looks(part, references),
        }
    }

    fn sum(&mut self, parts: impl Iterator<Item = &'a Value>, references: u8) -> u64 {
        parts.fold(0, |sum, part| {
            sum.saturating_add(self.looks(part, references))
        })
    }

    fn dearest(&mut self, parts: impl Iterator<Item = &'a Value>, references: u8) -> u64 {
        parts.fold(0, |dearest, part| dearest.max(self.looks(part, references)))
    }

    fn follow(&mut self, reference: &str, references: u8) -> u64 {
        let target = reference
            .strip_prefix('#')
            .filter(|_| references < self.max_references)
            .and_then(|pointer| self.root.pointer(pointer));
        target.map_or(1, |target| self.looks(target, references + 1))
    }
}

fn large_bound(schema: &Value) -> Option<f64> {
    const BOUNDS: [&str; 4] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
    match schema {
        Value::Array(items) => items.iter().find_map(large_bound),
        Value::Object(fields) => BOUNDS
            .iter()
            .filter_map(|key| fields.get(*key).and_then(Value::as_f64))
            .find(|bound| bound.abs() > LARGEST_BOUND)
            .or_else(|| fields.values().find_map(large_bound)),
        _ => None,
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
        for keyword in ["allOf", "oneOf"] {
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
