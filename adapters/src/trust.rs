//! Who may sign adapters: public keys as the operator writes them, and what is done with an adapter that nobody signed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::digest::{hex_bytes, hex_of};
use crate::error::AdapterError;

const ED25519: &str = "ed25519:";
const MINISIGN: &str = "minisign:";
/// Two bytes of algorithm, eight of key id, and the key.
const MINISIGN_BYTES: usize = 42;
const KEY_ID_DIGITS: usize = 16;

/// Whose signatures are accepted. The default trusts nobody and requires nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    pub keys: Vec<PublicKey>,
    /// Refuse adapters that carry no signature. One that carries a signature by another key is refused in any case.
    pub require_signature: bool,
}

impl Trust {
    /// Reads the keys; an error names the key and what is wrong with it. To require signatures and trust nobody is an
    /// error, because no adapter could ever be added.
    pub fn parse(keys: &[String], require_signature: bool) -> Result<Self, AdapterError> {
        let keys: Vec<PublicKey> = keys
            .iter()
            .map(|key| key.parse())
            .collect::<Result<_, _>>()?;
        for (position, key) in keys.iter().enumerate() {
            if keys[..position].contains(key) {
                return Err(key_error(&key.to_string(), "is there twice"));
            }
        }
        if require_signature && keys.is_empty() {
            return Err(AdapterError::NoTrustedKeys);
        }
        Ok(Self {
            keys,
            require_signature,
        })
    }

    /// The ids of the keys, as errors list them.
    pub(crate) fn listed(&self) -> String {
        if self.keys.is_empty() {
            return "no key".to_owned();
        }
        let ids: Vec<_> = self
            .keys
            .iter()
            .map(|key| format!("`{}`", key.id()))
            .collect();
        ids.join(", ")
    }
}

/// A key that signatures are checked with: `ed25519:` and 64 hexadecimal digits, or `minisign:` and the second line of
/// minisign's `.pub` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Ed25519(VerifyingKey),
    Minisign {
        key: minisign_verify::PublicKey,
        bytes: [u8; MINISIGN_BYTES],
    },
}

/// What a key is called for short. Two keys can have the same: what is stored and compared is the whole key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyId(String);

impl PublicKey {
    /// `ed25519:` and the first 16 digits of the key's SHA-256, or `minisign:` and the id that minisign shows.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(match &self.0 {
            Kind::Ed25519(key) => {
                let mut digest = hex_of(key.as_bytes());
                digest.truncate(KEY_ID_DIGITS);
                format!("{ED25519}{digest}")
            }
            Kind::Minisign { bytes, .. } => {
                let mut id = [0; 8];
                id.copy_from_slice(&bytes[2..10]);
                format!("{MINISIGN}{:X}", u64::from_le_bytes(id))
            }
        })
    }

    pub(crate) const fn kind(&self) -> &Kind {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = AdapterError;

    fn from_str(text: &str) -> Result<Self, AdapterError> {
        let kind = if let Some(digits) = text.strip_prefix(ED25519) {
            read_ed25519(digits)
        } else if let Some(encoded) = text.strip_prefix(MINISIGN) {
            read_minisign(encoded)
        } else {
            Err("must begin with `ed25519:` or `minisign:`")
        };
        kind.map(Self).map_err(|reason| key_error(text, reason))
    }
}

fn read_ed25519(digits: &str) -> Result<Kind, &'static str> {
    let bytes = bytes_of::<32>(digits).ok_or("must be `ed25519:` and 64 of 0-9 and a-f")?;
    point(&bytes).map(Kind::Ed25519)
}

fn read_minisign(encoded: &str) -> Result<Kind, &'static str> {
    const RULE: &str =
        "must be `minisign:` and the 56 characters of the second line of the `.pub` file";
    let bytes: [u8; MINISIGN_BYTES] = STANDARD
        .decode(encoded)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(RULE)?;
    let key = minisign_verify::PublicKey::from_base64(encoded)
        .map_err(|_| "is not of minisign's algorithm `Ed`")?;
    let mut of_point = [0; 32];
    of_point.copy_from_slice(&bytes[10..]);
    point(&of_point)?;
    Ok(Kind::Minisign { key, bytes })
}

/// Under a key of small order anybody can sign.
fn point(bytes: &[u8; 32]) -> Result<VerifyingKey, &'static str> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| "is not a point of the curve")?;
    if key.is_weak() {
        return Err("is of small order, anybody could sign with it");
    }
    Ok(key)
}

/// What exactly `2 * N` lower-case hexadecimal digits say.
pub(crate) fn bytes_of<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

fn key_error(key: &str, reason: &'static str) -> AdapterError {
    AdapterError::Key {
        key: key.chars().take(120).collect(),
        reason,
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Ed25519(key) => write!(formatter, "{ED25519}{}", hex_bytes(key.as_bytes())),
            Kind::Minisign { bytes, .. } => {
                write!(formatter, "{MINISIGN}{}", STANDARD.encode(bytes))
            }
        }
    }
}

impl TryFrom<String> for PublicKey {
    type Error = AdapterError;

    fn try_from(text: String) -> Result<Self, AdapterError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 8032, section 7.1, test 1.
    const KEY: &str = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    /// From minisign's own documentation.
    const MINISIGN_KEY: &str = "minisign:RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_is_written_as_it_is_read_and_has_a_short_id() {
        for (text, id) in [
            (KEY, "ed25519:21fe31dfa154a261"),
            (MINISIGN_KEY, "minisign:E7620F1842B4E81F"),
            (
                "minisign:RWTUAmIPyzOrDO6nr77iFqCYaz7KmeiGcqawJh/x+2PFMsd+7fFc6opC",
                "minisign:CAB33CB0F6202D4",
            ),
        ] {
            let key: PublicKey = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
            assert_eq!(key.id().to_string(), id);
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_is_named_with_what_is_wrong() {
        let weak = format!("ed25519:01{}", "0".repeat(62));
        // Of the coordinates 2 to 9, two and seven are on no point.
        let no_point = format!("ed25519:02{}", "0".repeat(62));
        let minisign = MINISIGN_KEY.replace("RWQ", "AAA");
        let shouted = KEY.replace("d75a", "D75A");
        for (text, reason) in [
            ("", "must begin with `ed25519:` or `minisign:`"),
            (
                "RWQf6LRCGA9i53",
                "must begin with `ed25519:` or `minisign:`",
            ),
            ("ed25519:00", "64 of 0-9 and a-f"),
            (&shouted, "64 of 0-9 and a-f"),
            (&weak, "is of small order"),
            (&no_point, "is not a point of the curve"),
            (
                "minisign:RWQf6LRCGA9i53",
                "56 characters of the second line",
            ),
            (&minisign, "is not of minisign's algorithm"),
        ] {
            let error = text.parse::<PublicKey>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
            assert!(error.contains(reason), "`{error}` does not say `{reason}`");
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_named() {
        let error = Trust::parse(&[KEY.to_owned(), KEY.to_owned()], false).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(KEY) && said.contains("is there twice"),
            "{said}"
        );
    }

    #[test]
    fn to_require_signatures_and_to_trust_nobody_is_an_error() {
        let error = Trust::parse(&[], true).unwrap_err().to_string();
        assert_eq!(
            error,
            "`require_signature` is set and `trusted_keys` is empty: no adapter could ever be added"
        );
        Trust::parse(&[KEY.to_owned()], true).unwrap();
        Trust::parse(&[], false).unwrap();
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_a_key_has_one_spelling(text in "(ed25519:|minisign:)?[0-9a-fA-Z+/=]{0,70}") {
            if let Ok(key) = text.parse::<PublicKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }

        #[test]
        fn every_point_of_the_curve_is_read_back(secret in any::<[u8; 32]>()) {
            let key = ed25519_dalek::SigningKey::from_bytes(&secret).verifying_key();
            let text = format!("ed25519:{}", hex_bytes(key.as_bytes()));
            prop_assert_eq!(text.parse::<PublicKey>().unwrap().to_string(), text);
        }
    }
}
