//! `oneOf` where no value can satisfy two of its alternatives: there it says the same as `anyOf`, which can be decoded under.
//!
//! So it is with discriminated unions, whose alternatives require one property with another constant each.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// More alternatives are left as they are.
const MAX_ALTERNATIVES: usize = 64;
/// How deep alternatives are compared.
const MAX_DEPTH: usize = 4;
const TYPES: [&str; 7] = [
    "null", "boolean", "integer", "number", "string", "array", "object",
];

/// Turns each such `oneOf` into `anyOf`, in place. `root` is the schema that references lead into.
pub(super) fn free_from_exclusion(schema: &mut Value, root: &Value) {
    match schema {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| free_from_exclusion(item, root)),
        Value::Object(fields) => {
            let exclusive = fields
                .get("oneOf")
                .and_then(Value::as_array)
                .is_some_and(|alternatives| pairwise_apart(alternatives, root));
            if exclusive && !fields.contains_key("anyOf") {
                if let Some(alternatives) = fields.remove("oneOf") {
                    fields.insert("anyOf".to_owned(), alternatives);
                }
                // Says in other words what the alternatives say.
                fields.remove("discriminator");
            }
            fields
                .values_mut()
                .for_each(|field| free_from_exclusion(field, root));
        }
        _ => {}
    }
}

fn pairwise_apart(alternatives: &[Value], root: &Value) -> bool {
    alternatives.len() <= MAX_ALTERNATIVES
        && alternatives.iter().enumerate().all(|(index, one)| {
            alternatives[index + 1..]
                .iter()
                .all(|other| apart(one, other, root, MAX_DEPTH))
        })
}

/// Whether it is certain that no value satisfies both.
fn apart(one: &Value, other: &Value, root: &Value, depth: usize) -> bool {
    let (Some(one), Some(other)) = (resolved(one, root), resolved(other, root)) else {
        return false;
    };
    if types(one).is_disjoint(&types(other)) {
        return true;
    }
    if let (Some(ours), Some(theirs)) = (constants(one), constants(other))
        && !ours.iter().any(|value| theirs.contains(value))
    {
        return true;
    }
    let only_objects = |fields| types(fields) == BTreeSet::from(["object"]);
    depth > 0
        && (only_objects(one) || only_objects(other))
        && required(one).intersection(&required(other)).any(|name| {
            match (property(one, name), property(other, name)) {
                (Some(ours), Some(theirs)) => apart(ours, theirs, root, depth - 1),
                _ => false,
            }
        })
}

/// The schema behind one reference into the root; a chain of them is not followed.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a Map<String, Value>> {
    let fields = schema.as_object()?;
    let Some(reference) = fields.get("$ref").and_then(Value::as_str) else {
        return Some(fields);
    };
    let target = root.pointer(reference.strip_prefix('#')?)?.as_object()?;
    (!target.contains_key("$ref")).then_some(target)
}

/// The types that a value of the schema may have; `integer` is a `number` too.
fn types(fields: &Map<String, Value>) -> BTreeSet<&str> {
    let mut types: BTreeSet<&str> = match fields.get("type") {
        Some(Value::String(name)) => BTreeSet::from([name.as_str()]),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => match constants(fields) {
            Some(values) => values.into_iter().map(type_of).collect(),
            None => TYPES.into(),
        },
    };
    if types.contains("number") {
        types.insert("integer");
    }
    types
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn constants(fields: &Map<String, Value>) -> Option<Vec<&Value>> {
    if let Some(value) = fields.get("const") {
        return Some(vec![value]);
    }
    fields
        .get("enum")
        .and_then(Value::as_array)
        .map(|values| values.iter().collect())
}

fn required(fields: &Map<String, Value>) -> BTreeSet<&str> {
    let names = fields.get("required").and_then(Value::as_array);
    names
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn property<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get("properties")?.get(name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::free_from_exclusion;

    fn freed(mut schema: Value) -> Value {
        let root = schema.clone();
        free_from_exclusion(&mut schema, &root);
        schema
    }

    fn tagged(tag: &str) -> Value {
        json!({"type": "object", "properties": {"kind": {"const": tag}, "n": {"type": "integer"}}, "required": ["kind", "n"]})
    }

    #[test]
    fn a_discriminated_union_becomes_a_choice() {
        let schema = freed(json!({
            "$defs": {"a": tagged("a"), "b": tagged("b")},
            "properties": {"item": {"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "discriminator": {"propertyName": "kind"}}},
        }));
        let item = &schema["properties"]["item"];
        assert_eq!(item["anyOf"][1]["$ref"], "#/$defs/b");
        assert!(item.get("oneOf").is_none() && item.get("discriminator").is_none());
    }

    #[test]
    fn alternatives_of_other_types_become_a_choice() {
        let schema = json!({"oneOf": [{"type": "string"}, {"type": "integer"}, {"const": null}]});
        assert!(freed(schema).get("anyOf").is_some());
    }

    #[test]
    fn what_a_value_could_satisfy_twice_is_left_alone() {
        let optional = json!({"type": "object", "properties": {"kind": {"const": "b"}}});
        for schema in [
            json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}),
            json!({"oneOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]}),
            json!({"oneOf": [tagged("a"), tagged("a")]}),
            json!({"oneOf": [tagged("a"), optional]}),
            json!({"oneOf": [tagged("a"), {"type": "array"}], "anyOf": [true]}),
            json!({"oneOf": [{"required": ["kind"], "properties": {"kind": {"const": "a"}}}, {"required": ["kind"], "properties": {"kind": {"const": "b"}}}]}),
            json!({"oneOf": [{"$ref": "#/nowhere"}, {"type": "null"}]}),
        ] {
            assert_eq!(freed(schema.clone()), schema);
        }
    }
}
