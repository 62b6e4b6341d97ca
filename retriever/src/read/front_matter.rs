//! YAML front matter: what a Markdown document says about itself between two `---` lines.

use serde::Deserialize;
use serde_json::Value;

use super::Stated;
use crate::document::Metadata;
use crate::{AccessList, DocumentId, RetrieverError, Timestamp};

const MAX_BYTES: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// The keys that mean something here; all others become metadata.
#[derive(Deserialize)]
struct FrontMatter {
    title: Option<Value>,
    uri: Option<String>,
    acl: Option<OneOrMany>,
    effective_from: Option<String>,
    effective_until: Option<String>,
    supersedes: Option<String>,
    metadata: Option<Metadata>,
    #[serde(flatten)]
    other: Metadata,
}

/// Splits `text` after its front matter, if it starts with one: the YAML between the lines, and where the body starts.
pub(super) fn split(text: &str) -> Option<(&str, usize)> {
    let first = text.split_inclusive('\n').next()?;
    if first.trim_end() != "---" {
        return None;
    }
    let mut offset = first.len();
    for line in text[first.len()..].split_inclusive('\n') {
        let end = line.trim_end();
        if end == "---" || end == "..." {
            return Some((&text[first.len()..offset], offset + line.len()));
        }
        offset += line.len();
        if offset > MAX_BYTES {
            return None;
        }
    }
    None
}

/// Reads the YAML between the lines.
///
/// # Errors
/// Not a YAML mapping, or a key with a value that it cannot have; the error names the key.
pub(super) fn parse(yaml: &str) -> Result<Stated, RetrieverError> {
    if yaml.trim().is_empty() {
        return Ok(Stated::default());
    }
    let front: FrontMatter = serde_saphyr::from_str(yaml).map_err(|error| {
        let message = error.to_string();
        unreadable(format!(
            "front matter: {}",
            message.lines().next().unwrap_or("not valid YAML")
        ))
    })?;
    let mut metadata = front.other;
    metadata.extend(front.metadata.unwrap_or_default());
    let acl = front.acl.map(|acl| match acl {
        OneOrMany::One(token) => vec![token],
        OneOrMany::Many(tokens) => tokens,
    });
    if let Some(tokens) = &acl {
        AccessList::new(tokens.clone()).map_err(|error| keyed("acl", &error))?;
    }
    Ok(Stated {
        title: front.title.and_then(|title| match title {
            Value::String(title) => Some(title),
            Value::Null => None,
            other => Some(other.to_string()),
        }),
        uri: front.uri,
        acl,
        metadata,
        effective_from: instant("effective_from", front.effective_from)?,
        effective_until: instant("effective_until", front.effective_until)?,
        supersedes: front
            .supersedes
            .map(DocumentId::new)
            .transpose()
            .map_err(|error| keyed("supersedes", &error))?,
    })
}

fn instant(key: &str, value: Option<String>) -> Result<Option<Timestamp>, RetrieverError> {
    value
        .map(|text| text.parse::<Timestamp>())
        .transpose()
        .map_err(|error| keyed(key, &error))
}

fn keyed(key: &str, error: &RetrieverError) -> RetrieverError {
    unreadable(format!("front matter: `{key}`: {error}"))
}

fn unreadable(problem: String) -> RetrieverError {
    RetrieverError::Unreadable {
        format: "markdown",
        problem,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn known_keys_are_read_and_others_become_metadata() {
        let text = "---\ntitle: Leave\nacl: [public]\neffective_from: 2026-01-01\nsupersedes: old.md\nteam: people\nyear: 2026\n---\nbody";
        let (yaml, body) = split(text).unwrap();
        assert_eq!(&text[body..], "body");
        let stated = parse(yaml).unwrap();
        assert_eq!(stated.title.as_deref(), Some("Leave"));
        assert_eq!(stated.acl, Some(vec!["public".to_owned()]));
        assert_eq!(
            stated.effective_from.unwrap().to_string(),
            "2026-01-01T00:00:00Z"
        );
        assert_eq!(stated.supersedes.unwrap().as_str(), "old.md");
        assert_eq!(stated.metadata["team"], "people");
        assert_eq!(stated.metadata["year"], 2026);
    }

    #[test]
    fn a_wrong_value_is_reported_with_its_key() {
        let error = parse("effective_until: tomorrow").unwrap_err().to_string();
        assert!(error.contains("`effective_until`"), "{error}");
    }

    #[test]
    fn a_rule_without_an_end_is_not_front_matter() {
        assert_eq!(split("---\ntext\n"), None);
        assert_eq!(split("text\n---\n"), None);
    }

    #[test]
    fn aliases_that_multiply_do_not_exhaust_memory() {
        let mut yaml = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (name, of) in ('b'..='j').zip('a'..='i') {
            let many = vec![format!("*{of}"); 10].join(",");
            writeln!(yaml, "{name}: &{name} [{many}]").unwrap();
        }
        assert!(parse(&yaml).is_err());
    }
}
