//! What stands beside a file about it: its own `NAME.quoin.toml`, and the `.quoin.toml` of its folder or one above.
//!
//! A rule that cannot be read closes: its documents are not stored, and what is stored stays as it is.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

const ENDING: &str = ".quoin.toml";
const MAX_BYTES: u64 = 64 << 10;

/// What a file beside a document says about it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sidecar {
    acl: Option<Vec<String>>,
    title: Option<String>,
    uri: Option<String>,
    metadata: Option<toml::Table>,
    effective_from: Option<Moment>,
    effective_until: Option<Moment>,
    supersedes: Option<String>,
}

/// TOML's own instants and dates, or text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Moment {
    Instant(toml::value::Datetime),
    Text(String),
}

/// What a folder says about everything below it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FolderRule {
    acl: Vec<String>,
}

/// The rules of folders, each read once. Made anew for every scan.
#[derive(Debug, Default)]
pub struct Rules {
    folders: HashMap<PathBuf, Result<Option<Vec<String>>, String>>,
}

/// Whether a file is a rule and not a document.
#[must_use]
pub fn is_rule(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().ends_with(ENDING.as_bytes()))
}

impl Rules {
    /// The fields that the rules around a file give its document. A link has the rules of what it leads to.
    ///
    /// # Errors
    /// A rule that cannot be read or is wrong: which, and why.
    pub fn said(&mut self, file: &Path) -> Result<serde_json::Map<String, Value>, String> {
        let file = file.canonicalize().map_err(|error| error.to_string())?;
        let mut said = serde_json::Map::new();
        if let Some(sidecar) = sidecar(&file)? {
            sidecar.into_fields(&mut said);
        }
        if let Some(acl) = file
            .parent()
            .map_or(Ok(None), |folder| self.nearest(folder))?
        {
            said.insert("default_acl".to_owned(), json!(acl));
        }
        Ok(said)
    }

    /// The list of the nearest folder that has one, from this folder upwards.
    fn nearest(&mut self, folder: &Path) -> Result<Option<Vec<String>>, String> {
        if let Some(known) = self.folders.get(folder) {
            return known.clone();
        }
        let rule = match read::<FolderRule>(&folder.join(ENDING)) {
            Err(error) => Err(error),
            Ok(Some(rule)) => checked(&folder.join(ENDING), &rule.acl).map(|()| Some(rule.acl)),
            Ok(None) => folder
                .parent()
                .map_or(Ok(None), |above| self.nearest(above)),
        };
        self.folders.insert(folder.to_owned(), rule.clone());
        rule
    }
}

impl Sidecar {
    fn into_fields(self, fields: &mut serde_json::Map<String, Value>) {
        let mut say = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(key.to_owned(), value);
            }
        };
        say("acl", self.acl.map(|acl| json!(acl)));
        say("title", self.title.map(Value::String));
        say("uri", self.uri.map(Value::String));
        say(
            "metadata",
            self.metadata.map(|table| plain(toml::Value::Table(table))),
        );
        say("effective_from", self.effective_from.map(Moment::into_json));
        say(
            "effective_until",
            self.effective_until.map(Moment::into_json),
        );
        say("supersedes", self.supersedes.map(Value::String));
    }
}

impl Moment {
    fn into_json(self) -> Value {
        match self {
            Self::Instant(instant) => Value::String(instant.to_string()),
            Self::Text(text) => Value::String(text),
        }
    }
}

/// Instants as text.
fn plain(value: toml::Value) -> Value {
    match value {
        toml::Value::Table(table) => {
            let fields = table.into_iter().map(|(key, value)| (key, plain(value)));
            Value::Object(fields.collect())
        }
        toml::Value::Array(values) => values.into_iter().map(plain).collect(),
        toml::Value::Datetime(instant) => Value::String(instant.to_string()),
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(flag) => json!(flag),
    }
}

fn sidecar(file: &Path) -> Result<Option<Sidecar>, String> {
    let mut name = file.as_os_str().to_owned();
    name.push(ENDING);
    let path = PathBuf::from(name);
    let sidecar: Option<Sidecar> = read(&path)?;
    if let Some(acl) = sidecar.as_ref().and_then(|sidecar| sidecar.acl.as_deref()) {
        checked(&path, acl)?;
    }
    Ok(sidecar)
}

fn checked(path: &Path, acl: &[String]) -> Result<(), String> {
    for token in acl {
        quoin_retriever::check_token("acl", token)
            .map_err(|error| format!("`{}`: {error}", path.display()))?;
    }
    Ok(())
}

/// `None` where there is no such file.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("`{}`: {what}", path.display());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // The name of the file is as long as a name can be: no other stands beside it.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidFilename => return Ok(None),
        Err(error) => return Err(wrong(&error)),
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| wrong(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(wrong(&format!("has at most {MAX_BYTES} bytes")));
    }
    toml::from_str(&text)
        .map(Some)
        .map_err(|error| wrong(&error.message()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Rules, is_rule};
    use serde_json::{Value, json};

    fn said(files: &[(&str, &str)], of: &str) -> Result<Value, String> {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        Rules::default()
            .said(&root.path().join(of))
            .map(Value::Object)
    }

    #[test]
    fn the_nearest_folder_wins_and_a_sidecar_stands_beside_it() {
        let files = [
            (".quoin.toml", "acl = [\"public\"]"),
            ("hr/.quoin.toml", "acl = [\"group:hr\"]"),
            ("hr/pay/a.md", ""),
            ("b.md", ""),
            (
                "b.md.quoin.toml",
                "acl = [\"user:ann\"]\ntitle = \"B\"\neffective_from = 2026-01-31\n[metadata]\nyear = 2026",
            ),
        ];
        assert_eq!(
            said(&files, "hr/pay/a.md"),
            Ok(json!({"default_acl": ["group:hr"]}))
        );
        assert_eq!(
            said(&files, "b.md"),
            Ok(
                json!({"acl": ["user:ann"], "title": "B", "metadata": {"year": 2026}, "effective_from": "2026-01-31",
                      "default_acl": ["public"]})
            )
        );
    }

    #[test]
    fn a_rule_that_is_wrong_closes() {
        for (name, text) in [
            (".quoin.toml", "acl = \"public\""),
            (".quoin.toml", "alc = [\"public\"]"),
            (".quoin.toml", ""),
            (".quoin.toml", "acl = [\"a b\"]"),
            ("a.md.quoin.toml", "acl = [\"group:hr\""),
            ("a.md.quoin.toml", "readers = []"),
            ("a.md.quoin.toml", "acl = [\"\"]"),
        ] {
            let error = said(&[("a.md", ""), (name, text)], "a.md");
            assert!(
                error.is_err_and(|error| error.contains(name)),
                "{name}: {text}"
            );
        }
        // A folder of that name cannot be read either.
        let folder = said(&[("a.md", ""), (".quoin.toml/x", "")], "a.md");
        assert!(folder.is_err());
    }

    #[test]
    fn a_link_has_the_rules_of_what_it_leads_to() {
        let root = tempfile::tempdir().expect("a folder");
        let hr = root.path().join("hr");
        fs::create_dir(&hr).expect("a folder");
        fs::write(hr.join(".quoin.toml"), "acl = [\"group:hr\"]").expect("a rule");
        fs::write(hr.join("a.md"), "").expect("a file");
        let link = root.path().join("open.md");
        std::os::unix::fs::symlink(hr.join("a.md"), &link).expect("a link");
        let said = Rules::default().said(&link).expect("rules");
        assert_eq!(said["default_acl"], json!(["group:hr"]));
    }

    #[test]
    fn a_rule_is_no_document() {
        assert!(is_rule(".quoin.toml".as_ref()) && is_rule("x/a.pdf.quoin.toml".as_ref()));
        assert!(!is_rule("quoin.toml".as_ref()) && !is_rule("a.toml".as_ref()));
    }
}
