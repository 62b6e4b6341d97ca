//! What `[[sources]]` says about a followed folder, and which of its files take part.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// A followed folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Its name: what `source` filters match, and `quoin sources` shows.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// Stands before the ids of its documents, with a `/` between.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Access list of the documents for which nothing nearer says one.
    #[serde(default)]
    pub acl: Option<Vec<String>>,
    /// Only these files; all when empty. See [`SourceConfig::takes`].
    #[serde(default)]
    pub include: Vec<String>,
    /// Not these files.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Time between scans, such as `30s`, `10m`, `2h` or `1d`.
    #[serde(default = "ten_minutes")]
    pub every: String,
    /// Whether changes are followed as the system tells of them, beside the scans.
    #[serde(default = "yes")]
    pub watch: bool,
    /// Whether more than half of the documents may go at once.
    #[serde(default)]
    pub allow_mass_deletion: bool,
}

fn ten_minutes() -> String {
    "10m".to_owned()
}

const fn yes() -> bool {
    true
}

impl SourceConfig {
    /// A folder with the defaults.
    #[must_use]
    pub fn new(name: String, path: PathBuf) -> Self {
        Self {
            name,
            path,
            prefix: None,
            acl: None,
            include: Vec::new(),
            exclude: Vec::new(),
            every: ten_minutes(),
            watch: true,
            allow_mass_deletion: false,
        }
    }

    /// Time between scans.
    ///
    /// # Errors
    /// `every` is not a number with a unit, or not between a second and 30 days.
    pub fn interval(&self) -> Result<Duration, ConfigError> {
        let digits = self
            .every
            .trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &self.every[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => 0,
        };
        let seconds = digits.parse::<u64>().unwrap_or(0).saturating_mul(unit);
        if !(1..=30 * 86_400).contains(&seconds) {
            return Err(ConfigError::Bounds {
                key: "sources.every",
                bound: "a number with s, m, h or d, from 1s to 30d".to_owned(),
                got: format!("`{}`", self.every),
            });
        }
        Ok(Duration::from_secs(seconds))
    }

    /// Whether a file takes part, by its path below the folder. A pattern that begins with `*` is the end of a path, one that ends
    /// with `/` is a folder, and any other is a whole path.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        let among = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, path));
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(end) => path.ends_with(end),
        None if pattern.ends_with('/') => path.starts_with(pattern),
        None => path == pattern,
    }
}

/// Holds the folders against one another: no two may give their documents the same ids.
///
/// # Errors
/// A name or prefix that is there twice, a name that is empty or long, a wrong interval or access token.
pub fn check(sources: &[SourceConfig]) -> Result<(), ConfigError> {
    for (index, source) in sources.iter().enumerate() {
        source.interval()?;
        let wrong = |key, bound: &str, got: &str| ConfigError::Bounds {
            key,
            bound: bound.to_owned(),
            got: format!("`{got}`"),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=64).contains(&source.name.len())
            || !source.name.chars().all(plain)
            || source.name.starts_with('.')
        {
            let bound = "1 to 64 letters, digits, `-`, `_` and `.`, not beginning with `.`";
            return Err(wrong("sources.name", bound, &source.name));
        }
        for token in source.acl.iter().flatten() {
            quoin_retriever::check_token("sources.acl", token)
                .map_err(|error| wrong("sources.acl", &error.to_string(), token))?;
        }
        for other in &sources[..index] {
            if other.name == source.name {
                return Err(wrong(
                    "sources.name",
                    "another for each source",
                    &source.name,
                ));
            }
            let (one, two) = (stem(other), stem(source));
            if one == two {
                return Err(wrong("sources.prefix", "another for each source", two));
            }
        }
    }
    Ok(())
}

fn stem(source: &SourceConfig) -> &str {
    source
        .prefix
        .as_deref()
        .unwrap_or_default()
        .trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::{SourceConfig, check};

    fn source(name: &str, prefix: Option<&str>) -> SourceConfig {
        SourceConfig {
            prefix: prefix.map(str::to_owned),
            ..SourceConfig::new(name.to_owned(), "docs".into())
        }
    }

    #[test]
    fn names_and_prefixes_are_there_once() {
        assert!(check(&[source("a", None), source("b", Some("b"))]).is_ok());
        assert!(check(&[source("a", None), source("b", None)]).is_err());
        assert!(check(&[source("a", Some("x/")), source("b", Some("x"))]).is_err());
        assert!(check(&[source("a", Some("x")), source("a", Some("y"))]).is_err());
        assert!(check(&[source("../a", None)]).is_err());
    }

    #[test]
    fn an_interval_is_a_number_with_a_unit() {
        let every = |text: &str| {
            let mut source = source("a", None);
            text.clone_into(&mut source.every);
            source.interval().map(|time| time.as_secs()).ok()
        };
        assert_eq!(every("30s"), Some(30));
        assert_eq!(every("2h"), Some(7200));
        for wrong in [
            "",
            "10",
            "m",
            "0s",
            "31d",
            "1w",
            "-1s",
            "9999999999999999999999d",
        ] {
            assert_eq!(every(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn patterns_are_ends_folders_or_paths() {
        let mut source = source("a", None);
        source.include = vec!["*.md".to_owned(), "notes/".to_owned()];
        source.exclude = vec!["notes/draft.txt".to_owned()];
        for (path, takes) in [
            ("a.md", true),
            ("x/b.md", true),
            ("notes/c.txt", true),
            ("notes/draft.txt", false),
            ("d.txt", false),
        ] {
            assert_eq!(source.takes(path), takes, "{path}");
        }
    }
}
