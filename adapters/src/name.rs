//! Names of adapters, their versions and aliases: what may stand in a path, a header and a command line without quoting.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::AdapterError;

const LENGTH_MAX: usize = 64;
const RULE: &str = "1 to 64 of a-z, 0-9 and `-`, the first one not `-`";

fn checked(kind: &'static str, text: &str) -> Result<String, AdapterError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if (1..=LENGTH_MAX).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-')
    {
        Ok(text.to_owned())
    } else {
        Err(name_error(kind, text, RULE))
    }
}

fn name_error(kind: &'static str, text: &str, rule: &'static str) -> AdapterError {
    AdapterError::Name {
        kind,
        text: text.chars().take(LENGTH_MAX + 1).collect(),
        rule,
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = AdapterError;

            fn from_str(text: &str) -> Result<Self, AdapterError> {
                checked($kind, text).map(Self)
            }
        }

        impl TryFrom<String> for $type {
            type Error = AdapterError;

            fn try_from(text: String) -> Result<Self, AdapterError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

name!(
    /// What an adapter is called through all its versions, such as `support`.
    AdapterName,
    "an adapter name"
);
name!(
    /// A name that moves from version to version, such as `champion`.
    Alias,
    "an alias"
);

impl Alias {
    /// The version that answers.
    #[must_use]
    pub fn champion() -> Self {
        Self("champion".to_owned())
    }

    /// The version on its way to all traffic.
    #[must_use]
    pub fn challenger() -> Self {
        Self("challenger".to_owned())
    }

    /// The champion before this one: what a rollback goes to.
    #[must_use]
    pub fn previous() -> Self {
        Self("previous".to_owned())
    }
}

/// What the base without an adapter is called where an adapter version could stand.
pub const BASE: &str = "base";

/// One immutable version: `support@3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AdapterId {
    pub name: AdapterName,
    /// From 1.
    pub version: u32,
}

impl AdapterId {
    /// `support@3`, or `base` for the base without an adapter.
    #[must_use]
    pub fn or_base(id: Option<&Self>) -> String {
        id.map_or_else(|| BASE.to_owned(), ToString::to_string)
    }

    /// The reverse of [`AdapterId::or_base`].
    pub fn parse_or_base(text: &str) -> Result<Option<Self>, AdapterError> {
        if text == BASE {
            return Ok(None);
        }
        text.parse().map(Some)
    }
}

impl FromStr for AdapterId {
    type Err = AdapterError;

    fn from_str(text: &str) -> Result<Self, AdapterError> {
        let error = || {
            name_error(
                "an adapter version",
                text,
                "write `name@version`, such as `support@3`",
            )
        };
        let (name, number) = text.split_once('@').ok_or_else(error)?;
        let version = parse_version(number).ok_or_else(error)?;
        Ok(Self {
            name: name.parse()?,
            version,
        })
    }
}

/// A version number as we write it: from 1, no sign, no leading zero, so that each has one spelling.
pub(crate) fn parse_version(text: &str) -> Option<u32> {
    let canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical { text.parse().ok() } else { None }
}

impl TryFrom<String> for AdapterId {
    type Error = AdapterError;

    fn try_from(text: String) -> Result<Self, AdapterError> {
        text.parse()
    }
}

impl From<AdapterId> for String {
    fn from(id: AdapterId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for AdapterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id: AdapterId = "support@3".parse().unwrap();
        assert_eq!((id.name.as_str(), id.version), ("support", 3));
        assert_eq!(id.to_string(), "support@3");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"support@3\"");
    }

    #[test]
    fn what_could_leave_the_folder_or_be_read_twice_is_no_name() {
        let long = "a".repeat(65);
        for text in [
            "",
            "..",
            "a/b",
            "A",
            "a b",
            "-a",
            "ä",
            "a\0",
            ".incoming",
            &long,
        ] {
            assert!(text.parse::<AdapterName>().is_err(), "{text:?}");
        }
        assert!("a".repeat(64).parse::<AdapterName>().is_ok());
        for text in [
            "support",
            "support@",
            "support@0",
            "support@01",
            "support@+1",
            "support@1@2",
            "support@4294967296",
            "@1",
        ] {
            assert!(text.parse::<AdapterId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_error_says_the_rule_and_what_came() {
        let error = "Support".parse::<AdapterName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`Support` is not an adapter name: 1 to 64 of a-z, 0-9 and `-`, the first one not `-`"
        );
    }
}
