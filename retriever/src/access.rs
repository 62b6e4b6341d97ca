//! Who may read what. `Access::may_read` is the one function that decides.
//!
//! Bitmaps in the indexes only make the decision fast: every hit is put to `may_read` again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{RetrieverError, Timestamp};

/// The token that every caller has.
pub const PUBLIC: &str = "public";
const MAX_TOKENS: usize = 4096;
const MAX_TOKEN_BYTES: usize = 128;

/// Holds an access token to the rule that lists of documents and keys of callers share: 1 to 128 bytes without white space,
/// commas and control characters, so that a list of tokens can be written in one line.
///
/// # Errors
/// The rule is broken; the error is about `field`.
pub fn check_token(field: &'static str, token: &str) -> Result<(), RetrieverError> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != ',';
    if (1..=MAX_TOKEN_BYTES).contains(&token.len()) && token.chars().all(plain) {
        return Ok(());
    }
    Err(RetrieverError::invalid(
        field,
        format!(
            "has tokens of 1 to {MAX_TOKEN_BYTES} bytes without white space, commas and control characters, got `{}` of {} \
             bytes",
            token.escape_debug().take(80).collect::<String>(),
            token.len()
        ),
    ))
}

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

    /// A caller who reads nothing, not even what is public.
    pub(crate) fn nobody() -> Self {
        Self {
            tokens: BTreeSet::new(),
            admin: false,
        }
    }

    /// As the catalogue keeps it: the tokens, or `None` for one who reads everything.
    pub(crate) fn stored(&self) -> Option<&BTreeSet<String>> {
        (!self.admin).then_some(&self.tokens)
    }

    /// The reverse of [`Access::stored`].
    pub(crate) fn from_stored(tokens: Option<BTreeSet<String>>) -> Self {
        match tokens {
            Some(tokens) => Self {
                tokens,
                admin: false,
            },
            None => Self::admin(),
        }
    }

    /// Whether a document with this list may be read: the caller has the `admin` scope, or shares a token with the list.
    #[must_use]
    pub fn may_read(&self, acl: &AccessList) -> bool {
        self.admin || acl.0.iter().any(|token| self.tokens.contains(token))
    }

    /// Whether it may be shown by its name or in a list at an instant: the caller may read it, and it is not still to come.
    /// Only `admin` is shown that. Searches have instants of their own.
    pub(crate) fn may_see(
        &self,
        acl: &AccessList,
        effective_from: Option<Timestamp>,
        at: Timestamp,
    ) -> bool {
        self.may_read(acl) && (self.admin || effective_from.is_none_or(|from| from <= at))
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
    /// More than 4,096 tokens, or one that [`check_token`] refuses.
    pub fn new(mut tokens: Vec<String>) -> Result<Self, RetrieverError> {
        if tokens.len() > MAX_TOKENS {
            return Err(RetrieverError::too_long(
                "acl",
                MAX_TOKENS,
                tokens.len(),
                "tokens",
            ));
        }
        for token in &tokens {
            check_token("acl", token)?;
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
    fn a_token_is_one_word_of_bounded_length() {
        for token in ["public", "group:hr", "user:ann@example.org", "gruppe:übung"] {
            assert!(AccessList::new(vec![token.into()]).is_ok(), "{token}");
        }
        let long = "t".repeat(129);
        for token in ["", " ", "a b", "a\u{a0}b", "a,b", "a\n", "\0", &long] {
            let error = AccessList::new(vec![PUBLIC.into(), token.into()]).unwrap_err();
            let want = format!(
                "got `{}` of {} bytes",
                token.escape_debug().take(80).collect::<String>(),
                token.len()
            );
            assert!(error.to_string().ends_with(&want), "{error}");
        }
        assert!(AccessList::new(vec!["t".repeat(128)]).is_ok());
    }
}
