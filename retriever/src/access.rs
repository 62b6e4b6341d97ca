//! Who may read what. `Access::may_read` is the one function that decides.
//!
//! Bitmaps in the indexes only make the decision fast: every hit is put to `may_read` again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::RetrieverError;

/// The token that every caller has.
pub const PUBLIC: &str = "public";
const MAX_TOKENS: usize = 4096;
const MAX_TOKEN_BYTES: usize = 256;

/// The tokens that a caller carries: what it may read follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    tokens: BTreeSet<String>,
    admin: bool,
}

impl Access {
    /// A caller with these tokens, and `public`.
    pub fn of<T: Into<String>>(tokens: impl IntoIterator<Item = T>) -> Self {
        let mut tokens: BTreeSet<String> = tokens.into_iter().map(Into::into).collect();
        tokens.insert(PUBLIC.to_owned());
        Self {
            tokens,
            admin: false,
        }
    }

    /// A caller with the `admin` scope, who reads everything.
    #[must_use]
    pub fn admin() -> Self {
        Self {
            tokens: BTreeSet::from([PUBLIC.to_owned()]),
            admin: true,
        }
    }

    /// Whether a document with this list may be read: the caller has the `admin` scope, or shares a token with the list.
    #[must_use]
    pub fn may_read(&self, acl: &AccessList) -> bool {
        self.admin || acl.0.iter().any(|token| self.tokens.contains(token))
    }

    /// Whether the caller reads everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    /// The caller's tokens, `public` among them.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str)
    }
}

/// The tokens that open a document; an empty list opens it to `admin` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccessList(Vec<String>);

impl AccessList {
    /// Sorts the tokens and drops repeats.
    ///
    /// # Errors
    /// More than 4,096 tokens, or a token that is empty, longer than 256 bytes, or has control characters.
    pub fn new(mut tokens: Vec<String>) -> Result<Self, RetrieverError> {
        if tokens.len() > MAX_TOKENS {
            return Err(RetrieverError::TooLarge {
                what: "acl",
                limit: MAX_TOKENS as u64,
                got: tokens.len() as u64,
                unit: "tokens",
            });
        }
        for token in &tokens {
            if token.is_empty()
                || token.len() > MAX_TOKEN_BYTES
                || token.chars().any(char::is_control)
            {
                return Err(RetrieverError::invalid(
                    "acl",
                    format!(
                        "tokens have 1 to {MAX_TOKEN_BYTES} bytes and no control characters, got `{}`",
                        token.escape_debug().take(80).collect::<String>()
                    ),
                ));
            }
        }
        tokens.sort_unstable();
        tokens.dedup();
        Ok(Self(tokens))
    }

    /// The tokens, sorted.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether only `admin` reads it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_token_opens_a_document() {
        let acl = AccessList::new(vec!["group:hr".into(), "user:ann".into()]).unwrap();
        assert!(Access::of(["user:ann"]).may_read(&acl));
        assert!(!Access::of(["user:bob"]).may_read(&acl));
    }

    #[test]
    fn everyone_reads_what_is_public() {
        let acl = AccessList::new(vec![PUBLIC.into()]).unwrap();
        assert!(Access::of(Vec::<String>::new()).may_read(&acl));
    }

    #[test]
    fn an_empty_list_opens_to_admin_alone() {
        let acl = AccessList::default();
        assert!(!Access::of(["user:ann"]).may_read(&acl));
        assert!(Access::admin().may_read(&acl));
    }

    #[test]
    fn a_list_with_an_empty_token_is_refused() {
        assert!(AccessList::new(vec![String::new()]).is_err());
    }
}
