//! Objects: which properties they may have beside those that are listed, how many, and how their names look.

use serde_json::{Map, Value, json};

use super::{Bounds, Place, any_scalar, narrow_at};

/// A property's name, where the model chooses it.
const NAME: &str = r"^[\p{L}\p{N}_][\p{L}\p{N}_ .-]{0,31}$";
/// Most properties that get their names from us.
const MOST_NAMED: u64 = 64;
/// How deep a value is nested of which the schema says nothing.
const FREE_DEPTH: usize = 2;

/// Bounds an object whose listed properties are narrowed already.
pub(super) fn close(fields: &mut Map<String, Value>, bounds: Bounds) {
    list_what_is_required(fields, bounds);
    if fields.contains_key("patternProperties") {
        return;
    }
    let listed = names(fields, "properties");
    let others = match fields.get("additionalProperties") {
        None | Some(Value::Bool(true)) => None,
        Some(Value::Bool(false)) => return,
        Some(schema) => Some(schema.clone()),
    };
    let wants_more =
        fields.get("minProperties").and_then(Value::as_u64) > Some(listed.len() as u64);
    match others {
        // Beside listed ones a name of the model's own could be one of those, and would have to be both.
        Some(schema) if listed.is_empty() => allow_names(fields, &schema, bounds),
        None if listed.is_empty() && bounds.free_objects => {
            allow_names(fields, &any_value(bounds, FREE_DEPTH), bounds);
        }
        None if listed.is_empty() && wants_more => allow_names(fields, &any_scalar(bounds), bounds),
        None if listed.is_empty() => {
            fields.insert(
                "properties".to_owned(),
                json!({"answer": {"type": "string", "maxLength": 200}}),
            );
            fields.insert("required".to_owned(), json!(["answer"]));
            fields.insert("additionalProperties".to_owned(), json!(false));
        }
        // What is listed will do.
        _ if !wants_more => {
            fields.insert("additionalProperties".to_owned(), json!(false));
        }
        _ => {}
    }
}

/// Properties that are required and not listed may be anything; what `additionalProperties` says holds for them too.
fn list_what_is_required(fields: &mut Map<String, Value>, bounds: Bounds) {
    let listed = names(fields, "properties");
    let missing: Vec<String> = names(fields, "required")
        .into_iter()
        .filter(|name| !listed.contains(name))
        .collect();
    let value = match fields.get("additionalProperties") {
        None | Some(Value::Bool(true)) => any_scalar(bounds),
        // Nothing satisfies it, which llguidance says better.
        Some(Value::Bool(false)) => return,
        Some(schema) => schema.clone(),
    };
    if missing.is_empty() || fields.contains_key("patternProperties") {
        return;
    }
    let properties = fields.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.extend(missing.into_iter().map(|name| (name, value.clone())));
    }
}

/// Lets the model choose the names of all properties, of a form and in a number that end.
fn allow_names(fields: &mut Map<String, Value>, schema: &Value, bounds: Bounds) {
    let least = fields
        .get("minProperties")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    if (2..=MOST_NAMED).contains(&least) {
        return name_them(fields, schema, least);
    }
    let asked = fields.get("maxProperties").and_then(Value::as_u64);
    let most = bounds.array_items.max(least);
    fields.insert("patternProperties".to_owned(), json!({ NAME: schema }));
    fields.insert("additionalProperties".to_owned(), json!(false));
    fields.insert(
        "maxProperties".to_owned(),
        json!(most.min(asked.unwrap_or(u64::MAX))),
    );
}

/// Names as many properties as there must be: a model that chooses names may choose one twice, which is one property.
fn name_them(fields: &mut Map<String, Value>, schema: &Value, least: u64) {
    let names: Vec<String> = (1..=least)
        .map(|number| format!("property_{number}"))
        .collect();
    let properties: Map<String, Value> = names
        .iter()
        .map(|name| (name.clone(), schema.clone()))
        .collect();
    fields.insert("properties".to_owned(), Value::Object(properties));
    fields.insert("required".to_owned(), json!(names));
    fields.insert("additionalProperties".to_owned(), json!(false));
    for bound in ["minProperties", "maxProperties"] {
        fields.remove(bound);
    }
}

fn any_value(bounds: Bounds, depth: usize) -> Value {
    let mut value = any_scalar(bounds);
    if depth > 0
        && let Some(choices) = value.get_mut("anyOf").and_then(Value::as_array_mut)
    {
        let inner = any_value(bounds, depth - 1);
        let mut object = json!({"type": "object", "additionalProperties": inner});
        narrow_at(&mut object, bounds, Place::Free);
        choices.push(json!({"type": "array", "items": inner, "maxItems": bounds.array_items}));
        choices.push(object);
    }
    value
}

/// The names of an object's keys, or the strings of an array.
fn names(fields: &Map<String, Value>, key: &str) -> Vec<String> {
    match fields.get(key) {
        Some(Value::Object(map)) => map.keys().cloned().collect(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}
