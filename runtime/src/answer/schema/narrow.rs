//! Bounds the open ends of a schema, so that what is decoded under it ends. Every value of what comes out is a value of
//! what went in.

mod numbers;
mod objects;
mod texts;

use serde_json::{Map, Value, json};

/// How far open ends may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Longest string, characters, where the schema says nothing.
    pub string_characters: u64,
    /// Most array items and most properties with names of the model's own, where the schema says nothing.
    pub array_items: u64,
    /// Whether a `number` may have a fraction where a whole number would do.
    pub fractions: bool,
    /// Whether an object that lists no properties may have any, or one called `answer`.
    pub free_objects: bool,
}

impl Bounds {
    /// For the first attempt.
    pub const GENEROUS: Self = Self {
        string_characters: 600,
        array_items: 12,
        fractions: true,
        free_objects: true,
    };
    /// For a model that ran into the token limit on the first attempt.
    pub const TIGHT: Self = Self {
        string_characters: 40,
        array_items: 2,
        fractions: false,
        free_objects: false,
    };
}

/// Narrows a whole schema, in place.
pub(super) fn narrow(schema: &mut Value, bounds: Bounds) {
    narrow_at(schema, bounds, Place::Free);
}

/// Where a sub-schema stands: within an `allOf`, closing an object would contradict its siblings.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Free,
    Conjunct,
}

const COMBINATORS: [&str; 7] = ["allOf", "anyOf", "oneOf", "if", "then", "else", "not"];

fn narrow_at(schema: &mut Value, bounds: Bounds, place: Place) {
    if schema == &Value::Bool(true) || schema.as_object().is_some_and(is_unconstrained) {
        *schema = any_scalar(bounds);
        return;
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
            "string" => texts::bound(fields, bounds),
            "array" => bound_array(fields, bounds),
            "number" | "integer" => numbers::bound(fields, bounds),
            "object" if !combined && place == Place::Free => objects::close(fields, bounds),
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
                    narrow_at(value, bounds, Place::Free);
                }
            }
            "anyOf" | "oneOf" | "prefixItems" => {
                for value in child.as_array_mut().into_iter().flatten() {
                    narrow_at(value, bounds, Place::Free);
                }
            }
            "allOf" => {
                for value in child.as_array_mut().into_iter().flatten() {
                    narrow_at(value, bounds, Place::Conjunct);
                }
            }
            "items" | "additionalProperties" if child.is_object() || key == "items" => {
                narrow_at(child, bounds, Place::Free);
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

/// For a value of which the schema says nothing.
fn any_scalar(bounds: Bounds) -> Value {
    let mut choices =
        json!([{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]);
    for choice in choices.as_array_mut().into_iter().flatten() {
        narrow_at(choice, bounds, Place::Free);
    }
    json!({ "anyOf": choices })
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

#[cfg(test)]
mod tests;
