//! `quoin config`: whether the configuration is valid, what is in force, and what may stand in it.
//!
//! The descriptions of the schema are the comments of the example file that is installed beside the binary, so that there
//! is one text for both; tests hold the example against `Config`.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::Setting;
use super::failure::{Context as _, Failure};
use crate::config::Config;
use crate::release;

const EXAMPLE: &str = include_str!("../../../deploy/quoin.toml");

/// `quoin config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration; an error names the key
    Check,
    /// Print what is in force: file, environment and flags together
    Show,
    /// Print the JSON Schema of the configuration
    Schema,
}

impl ConfigCommand {
    /// Runs the command. The configuration was read and checked before.
    ///
    /// # Errors
    /// stdout cannot be written.
    pub fn run(&self, setting: &Setting) -> Result<(), Failure> {
        let output = setting.output;
        if matches!(self, Self::Check) {
            check(&setting.config)?;
        }
        match self {
            Self::Check if output.is_json() => {
                output.json(&json!({ "ok": true, "file": setting.file }))
            }
            Self::Check => match &setting.file {
                Some(file) => output.line(format!("`{}` is valid", file.display())),
                None => output.line("the defaults are valid; name a file with `--config FILE`"),
            },
            Self::Show if output.is_json() => output.json(&setting.config),
            Self::Show => {
                let text = toml::to_string_pretty(&setting.config)
                    .context(|| "cannot write the configuration as TOML".to_owned())?;
                output.line(text.trim_end())
            }
            Self::Schema => output.json(&schema()?),
        }
    }
}

/// What only its users can judge: the settings of the engine and the filter of the log.
fn check(config: &Config) -> Result<(), Failure> {
    release::engine_settings(config)?;
    tracing_subscriber::EnvFilter::try_new(&config.log.filter)
        .context(|| format!("`log.filter` is not a filter: `{}`", config.log.filter))?;
    Ok(())
}

/// One key of the example file.
struct Key {
    section: Option<String>,
    name: String,
    description: String,
    example: toml::Value,
}

/// The keys of the example file, with the comment above each.
fn keys() -> Result<Vec<Key>, Failure> {
    let (mut keys, mut section, mut comment) = (Vec::new(), None, Vec::new());
    for line in EXAMPLE.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = Some(name.to_owned());
        } else if let Some(assignment) = line.strip_prefix('#') {
            let table: toml::Table = assignment.parse()?;
            keys.extend(table.into_iter().map(|(name, example)| Key {
                section: section.clone(),
                name,
                description: comment.join(" "),
                example,
            }));
        }
        comment.clear();
    }
    Ok(keys)
}

/// JSON Schema of the configuration.
fn schema() -> Result<Value, Failure> {
    let defaults = serde_json::to_value(Config::default())?;
    let mut root = Map::new();
    let mut sections: Map<String, Value> = Map::new();
    for key in keys()? {
        let default = match &key.section {
            Some(section) => &defaults[section][&key.name],
            None => &defaults[&key.name],
        };
        let property = property(&key, default);
        match key.section {
            None => root.insert(key.name, property),
            Some(section) => {
                let section = sections.entry(section).or_insert_with(
                    || json!({ "type": "object", "additionalProperties": false, "properties": {} }),
                );
                section["properties"][&key.name] = property;
                None
            }
        };
    }
    root.append(&mut sections);
    root.insert("sources".to_owned(), sources());
    Ok(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of quoin",
        "type": "object",
        "additionalProperties": false,
        "properties": root,
    }))
}

/// Followed folders, which the example can only show in words.
fn sources() -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    json!({
        "type": "array",
        "description": "Followed folders.",
        "items": {
            "type": "object",
            "additionalProperties": false,
            "required": ["name", "path"],
            "properties": {
                "name": text, "path": text, "prefix": text, "acl": texts, "include": texts, "exclude": texts, "every": text,
                "watch": { "type": "boolean" }, "allow_mass_deletion": { "type": "boolean" },
            },
        },
    })
}

/// Type and default from the values, choices and bounds from the description.
fn property(key: &Key, default: &Value) -> Value {
    let mut property = match &key.example {
        toml::Value::Integer(_) => json!({ "type": "integer" }),
        toml::Value::Float(_) => json!({ "type": "number" }),
        toml::Value::Boolean(_) => json!({ "type": "boolean" }),
        toml::Value::Array(_) => json!({ "type": "array", "items": { "type": "string" } }),
        _ => json!({ "type": "string" }),
    };
    property["description"] = json!(key.description);
    if let Some((_, choices)) = key.description.split_once("One of: ") {
        property["enum"] = choices.split(", ").collect();
    }
    if let Some((low, high)) = bounds(&key.description) {
        property["minimum"] = json!(low);
        property["maximum"] = json!(high);
    }
    if !default.is_null() {
        property["default"] = match default.as_f64() {
            // The example's digits, not those of the nearest 32-bit number.
            Some(_) if default.is_f64() => json!(key.example),
            _ => default.clone(),
        };
    }
    property
}

/// `From LOW to HIGH.` of a description.
fn bounds(description: &str) -> Option<(u64, u64)> {
    let (_, range) = description.rsplit_once("From ")?;
    let (low, high) = range.strip_suffix('.')?.split_once(" to ")?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{EXAMPLE, bounds, keys, schema};
    use crate::config::Config;
    use serde_json::Value;
    use std::path::Path;

    const FILE: &str = "deploy/quoin.toml";

    /// The example with every key set.
    fn everything_set() -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
            _ => line.to_owned(),
        };
        EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_example_changes_nothing_and_shows_the_defaults() {
        let default = serde_json::to_value(Config::default()).expect("it serialises");
        let untouched = Config::parse(EXAMPLE, Path::new(FILE)).expect("the example parses");
        assert_eq!(
            serde_json::to_value(untouched).expect("it serialises"),
            default
        );
        let all = Config::parse(&everything_set(), Path::new(FILE))
            .expect("it parses with every key set");
        let all = serde_json::to_value(all.checked().expect("it is valid")).expect("it serialises");
        for (section, values) in default.as_object().expect("an object") {
            for (key, value) in values
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, value)| !value.is_null())
            {
                assert_eq!(&all[section][key], value, "{section}.{key}");
            }
        }
    }

    #[test]
    fn the_example_has_every_key() {
        let default = serde_json::to_value(Config::default()).expect("it serialises");
        let mut expected: Vec<String> = Vec::new();
        for (section, values) in default.as_object().expect("an object") {
            match values {
                Value::Object(values) => {
                    expected.extend(values.keys().map(|key| format!("{section}.{key}")));
                }
                _ => expected.push(section.clone()),
            }
        }
        let keys = keys().expect("the example parses");
        let found: Vec<String> = keys
            .iter()
            .map(|key| match &key.section {
                Some(section) => format!("{section}.{}", key.name),
                None => key.name.clone(),
            })
            .collect();
        assert_eq!(found, expected);
        assert!(keys.iter().all(|key| !key.description.is_empty()));
    }

    #[test]
    fn the_bounds_that_the_example_states_are_those_that_are_checked() {
        for key in keys().expect("the example parses") {
            let (Some((low, high)), Some(section)) = (bounds(&key.description), &key.section)
            else {
                continue;
            };
            let checked = |value: i128| {
                let text = format!("[{section}]\n{} = {value}", key.name);
                Config::parse(&text, Path::new(FILE))
                    .map(Config::checked)
                    .is_ok_and(|parsed| parsed.is_ok())
            };
            let name = &key.name;
            assert!(
                checked(i128::from(low)) && checked(i128::from(high)),
                "{section}.{name}: the bounds are allowed"
            );
            assert!(
                !checked(i128::from(high) + 1),
                "{section}.{name}: more than {high} is not"
            );
            assert!(
                !checked(i128::from(low) - 1),
                "{section}.{name}: less than {low} is not"
            );
        }
    }

    #[test]
    fn the_schema_knows_choices_bounds_and_defaults() {
        let schema = schema().expect("the example parses");
        let model = &schema["properties"]["model"]["properties"];
        assert_eq!(model["device"]["enum"][1], "cpu");
        assert_eq!(model["queue_length"]["maximum"], 100_000);
        assert_eq!(model["source"]["default"], "bundled");
        assert_eq!(
            schema["properties"]["retrieval"]["properties"]["default_acl"]["type"],
            "array"
        );
        assert_eq!(
            schema["properties"]["answers"]["properties"]["extractive_threshold"]["default"],
            0.45
        );
    }
}
