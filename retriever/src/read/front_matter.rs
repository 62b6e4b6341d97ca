//! YAML front matter: what a Markdown document says about itself between two `---` lines.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Stated;
use crate::document::Metadata;
use crate::{AccessList, DocumentId, RetrieverError, Timestamp};

const MAX_BYTES: usize = 64 << 10;

/// An access list that is there but says nothing is an error: it must not become the default.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "`acl` is a list of tokens, or one text with commas between them"
)]
enum Tokens {
    One(String),
    Many(Vec<String>),
}

impl Tokens {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(tokens) => tokens
                .split(',')
                .map(|token| token.trim().to_owned())
                .collect(),
            Self::Many(tokens) => tokens,
        }
    }
}

/// The keys that mean something here, in letters of either case; all others become metadata.
#[derive(Default)]
struct FrontMatter {
    title: Option<Value>,
    uri: Option<String>,
    acl: Option<Tokens>,
    effective_from: Option<String>,
    effective_until: Option<String>,
    supersedes: Option<String>,
    metadata: Option<Metadata>,
    other: Metadata,
}

impl<'de> Deserialize<'de> for FrontMatter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = FrontMatter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys with values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FrontMatter, A::Error> {
        let mut front = FrontMatter::default();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let lower = key.to_ascii_lowercase();
            match lower.as_str() {
                "title" => front.title = map.next_value()?,
                "uri" => front.uri = map.next_value()?,
                "acl" => front.acl = Some(map.next_value()?),
                "effective_from" => front.effective_from = map.next_value()?,
                "effective_until" => front.effective_until = map.next_value()?,
                "supersedes" => front.supersedes = map.next_value()?,
                "metadata" => front.metadata = map.next_value()?,
                _ => {
                    front.other.insert(key, map.next_value()?);
                    continue;
                }
            }
            if !seen.insert(lower) {
                return Err(A::Error::custom(format!("`{key}` is there twice")));
            }
        }
        Ok(front)
    }
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

/// Lines that are looked at for an access list that would be lost.
const LINES_LOOKED_AT: usize = 40;

/// Refuses a text without front matter that begins as if it had some, with an access list in it: not closed, behind a blank
/// line, in TOML. Taken for text, it would be read by whoever reads what says nothing.
///
/// # Errors
/// Says where front matter must stand.
pub(super) fn refuse_lost_list(text: &str) -> Result<(), RetrieverError> {
    let mut lines = text
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(LINES_LOOKED_AT);
    let opens = lines
        .next()
        .is_some_and(|line| line.starts_with("---") || line.starts_with("+++"));
    let names_a_list = |line: &str| {
        let name = line.split([':', '=']).next().unwrap_or_default();
        name.len() < line.len() && name.trim().eq_ignore_ascii_case("acl")
    };
    if opens && lines.any(names_a_list) {
        return Err(unreadable(
            "front matter that names an `acl` must be YAML at the very start, between two lines of `---`".to_owned(),
        ));
    }
    Ok(())
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
    let acl = front.acl.map(Tokens::into_list);
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
    fn an_access_list_is_read_however_its_key_and_its_tokens_are_written() {
        for yaml in [
            "acl: [group:hr, group:it]",
            "acl: group:hr, group:it",
            "ACL: group:hr,group:it",
            "Acl: \"group:hr , group:it\"",
            "aCL:\n  - group:hr\n  - group:it",
        ] {
            let stated = parse(yaml).unwrap();
            let want = ["group:hr".to_owned(), "group:it".to_owned()];
            assert_eq!(stated.acl.as_deref(), Some(&want[..]), "{yaml}");
            assert!(stated.metadata.is_empty());
        }
        assert_eq!(parse("acl: []").unwrap().acl, Some(vec![]));
    }

    #[test]
    fn an_access_list_that_cannot_be_read_is_an_error_and_not_left_out() {
        for yaml in [
            "acl: group:hr,",
            "acl: group:hr, , group:it",
            "acl: group hr",
            "acl: \"\"",
            "acl:",
            "ACL: ~",
            "acl: 7",
            "acl: {group: hr}",
            "acl: [\"group:hr,group:it\"]",
            "acl: [group:hr]\nACL: [public]",
            "acl: [group:hr]\nacl: [public]",
        ] {
            let error = parse(yaml).expect_err(yaml).to_string();
            assert!(error.to_lowercase().contains("acl"), "{yaml}: {error}");
        }
    }

    #[test]
    fn known_keys_are_known_in_capitals_and_others_keep_theirs() {
        let stated = parse("Title: Leave\nSupersedes: 2024.10\nTeam: hr\nURI: x:y").unwrap();
        assert_eq!(stated.title.as_deref(), Some("Leave"));
        assert_eq!(stated.supersedes.unwrap().as_str(), "2024.10");
        assert_eq!(stated.uri.as_deref(), Some("x:y"));
        assert_eq!(stated.metadata["Team"], "hr");
    }

    #[test]
    fn a_wrong_value_is_reported_with_its_key() {
        let error = parse("effective_until: tomorrow").unwrap_err().to_string();
        assert!(error.contains("`effective_until`"), "{error}");
    }

    #[test]
    fn an_access_list_that_would_be_lost_is_refused() {
        for text in [
            "\n---\nacl: [group:hr]\n---\nPay.",
            " ---\nacl: [group:hr]\n---\nPay.",
            "--- # pay\nACL: [group:hr]\n---\nPay.",
            "---\rtitle: Pay\racl: [group:hr]\r---\rPay.",
            "---\nacl: [group:hr]\n\nPay.",
            "+++\nacl = [\"group:hr\"]\n+++\nPay.",
        ] {
            assert!(split(text).is_none(), "{text:?}");
            assert!(refuse_lost_list(text).is_err(), "{text:?}");
        }
        for text in [
            "# Pay\n\n---\n\nacl: is a word here",
            "---\n\nA rule, then text.",
            "aclu: none",
        ] {
            assert!(refuse_lost_list(text).is_ok(), "{text:?}");
        }
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
