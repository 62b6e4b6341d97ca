//! JSON: records, one a line or in one array. Each becomes `key: value` paragraphs under what it calls itself.

use serde_json::Value;

use super::structure::Structure;
use super::warnings::Warnings;
use super::{Budget, ReadDocument, Reader};
use crate::RetrieverError;

/// What is nested deeper is kept as JSON.
const MAX_DEPTH: usize = 12;
/// The largest single value: it is held in memory as a tree, bytes.
const MAX_VALUE_BYTES: usize = 16 << 20;
/// Keys that name a record, the best first.
const NAMES: [&str; 7] = [
    "title", "name", "subject", "headline", "question", "id", "_id",
];
/// A longer name is a text.
const MAX_NAME_BYTES: usize = 200;

pub(super) struct JsonLines;

impl Reader for JsonLines {
    fn read(&self, text: String, budget: &Budget) -> Result<ReadDocument, RetrieverError> {
        let mut structure = Structure::new(budget);
        let mut warnings = Warnings::default();
        let first = text.lines().find(|line| !line.trim().is_empty());
        let by_line = first.is_some_and(|line| {
            let value = parse(line);
            matches!(value, Ok(Value::Object(_))) && line.trim().len() < text.trim().len()
        });
        if !by_line {
            if text.trim().is_empty() {
                return Ok(ReadDocument::default());
            }
            match parse(&text)? {
                Value::Array(records) => {
                    for one in &records {
                        record(&mut structure, one)?;
                    }
                }
                one => record(&mut structure, &one)?,
            }
            return Ok(structure.finish(None, Vec::new()));
        }
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            match parse(line) {
                Ok(value) => record(&mut structure, &value)?,
                Err(error) => warnings.add(format!("line {number} was left out: {error}")),
            }
        }
        Ok(structure.finish(None, warnings.into_lines()))
    }
}

fn parse(text: &str) -> Result<Value, RetrieverError> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(RetrieverError::TooLarge {
            what: "one JSON value",
            limit: MAX_VALUE_BYTES as u64,
            got: text.len() as u64,
            unit: "bytes (put one record on each line)",
        });
    }
    serde_json::from_str(text).map_err(|error| RetrieverError::Unreadable {
        format: "jsonlines",
        problem: error.to_string(),
    })
}

fn record(structure: &mut Structure<'_>, value: &Value) -> Result<(), RetrieverError> {
    let Value::Object(fields) = value else {
        return describe(structure, "", value, 0);
    };
    let name = NAMES.iter().find_map(|key| {
        let words = match fields.get(*key)? {
            Value::String(words) => words.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!words.is_empty() && words.len() <= MAX_NAME_BYTES).then_some((*key, words))
    });
    if let Some((_, words)) = &name {
        structure.heading(2, words)?;
    }
    for (key, value) in fields {
        if name.as_ref().is_some_and(|(named, _)| named == key) {
            continue;
        }
        describe(structure, key, value, 1)?;
    }
    Ok(())
}

/// Recurses no deeper than [`MAX_DEPTH`].
fn describe(
    structure: &mut Structure<'_>,
    path: &str,
    value: &Value,
    depth: usize,
) -> Result<(), RetrieverError> {
    match value {
        Value::Object(fields) if depth < MAX_DEPTH => {
            for (key, value) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                describe(structure, &path, value, depth + 1)?;
            }
            Ok(())
        }
        Value::Array(values) if depth < MAX_DEPTH && !values.iter().all(is_scalar) => {
            for value in values {
                describe(structure, path, value, depth + 1)?;
            }
            Ok(())
        }
        Value::Array(values) if values.iter().all(is_scalar) => {
            let words: Vec<String> = values.iter().map(words).collect();
            line(structure, path, &words.join(", "))
        }
        value => line(structure, path, &words(value)),
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

fn words(value: &Value) -> String {
    match value {
        Value::String(words) => words.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

fn line(structure: &mut Structure<'_>, path: &str, words: &str) -> Result<(), RetrieverError> {
    if words.trim().is_empty() {
        return Ok(());
    }
    let whole = if path.is_empty() {
        words.to_owned()
    } else {
        format!("{path}: {}", words.trim())
    };
    for paragraph in whole.split("\n\n") {
        structure.paragraph(paragraph)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    fn read(text: &str) -> ReadDocument {
        JsonLines
            .read(text.to_owned(), &Budget::new(&Limits::default()))
            .unwrap()
    }

    #[test]
    fn records_stand_under_their_names_and_a_bad_line_costs_itself() {
        let read = read(
            "{\"title\":\"Pump\",\"price\":{\"net\":5},\"tags\":[\"a\",\"b\"]}\n{oops\n{\"text\":\"no name\"}\n",
        );
        assert_eq!(
            read.text,
            "Pump\n\nprice.net: 5\n\ntags: a, b\n\ntext: no name"
        );
        assert_eq!(read.warnings.len(), 1);
        assert!(read.warnings[0].starts_with("line 2 was left out"));
    }

    #[test]
    fn an_array_of_records_and_a_lone_one_are_read() {
        assert_eq!(
            read("[\n{\"id\": 7, \"a\": true},\n{\"a\": null}]").text,
            "7\n\na: true"
        );
        assert_eq!(read("{\n\"a\": \"x\"\n}").text, "a: x");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}1{}", "{\"a\":".repeat(60), "}".repeat(60));
        assert!(read(&deep).text.starts_with("a.a.a.a"));
        let deeper = "[".repeat(100_000);
        let budget = Budget::new(&Limits::default());
        assert!(JsonLines.read(deeper, &budget).is_err());
    }
}
