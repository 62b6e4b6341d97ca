//! Signatures of adapters: what is signed, the two files that may carry a signature, and whether a trusted key made it.
//!
//! Signed are the ASCII bytes `quoin adapter 1\n`, the content digest (`sha256:` and 64 digits), `\n`. The content digest is
//! the SHA-256 of `{"base":"sha256:…","files":[{"bytes":…,"name":"…","sha256":"…"},…]}` without white space, with the files
//! `adapter_config.json`, `adapter_model.safetensors` and, where there is one, `adapter_lineage.json`, in this order. Neither
//! name nor number is in it, so that a folder is signed before it is added.

use std::path::Path;

use ed25519_dalek::Signature as Ed25519Signature;
use serde::{Deserialize, Serialize};

use crate::base::BaseIdentity;
use crate::check::{CONFIG, CONFIG_BYTES_MAX, WEIGHTS, WEIGHTS_BYTES_MAX};
use crate::error::AdapterError;
use crate::files;
use crate::lineage::{LINEAGE, LINEAGE_BYTES_MAX};
use crate::trust::{Kind, PublicKey, Trust, bytes_of};
use crate::version::{StoredFile, content_digest};

/// 128 hexadecimal digits: Ed25519 (RFC 8032) of the message itself.
const PLAIN: &str = "quoin.sig";
/// As `minisign -S` writes it: of the message's `BLAKE2b`, with a comment that is signed too.
const MINISIGN: &str = "adapter.minisig";
const SIGNATURE_BYTES_MAX: u64 = 8 << 10;
/// What every signed message begins with, so that no other signature of the key is one of an adapter.
const DOMAIN: &str = "quoin adapter 1\n";

/// The signature of a version, as its manifest records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    pub file: StoredFile,
    /// The whole key, with which it can be checked by whoever trusts it.
    pub key: PublicKey,
}

/// What is signed for a PEFT folder, before it is added to a registry that serves `base`. Reads every byte of the folder's
/// adapter, and does not check whether it would be accepted.
pub fn signed_message(folder: &Path, base: &BaseIdentity) -> Result<String, AdapterError> {
    let contents = contents_of(folder)
        .map(|(name, limit)| files::digest(&folder.join(name), limit))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(message(&content_digest(&contents, &base.digest)))
}

/// The message that states a content digest.
pub(crate) fn message(digest: &str) -> String {
    format!("{DOMAIN}{digest}\n")
}

/// The names of what the content of a PEFT folder is, in the order in which it is digested, with their limits in bytes.
pub(crate) fn contents_of(folder: &Path) -> impl Iterator<Item = (&'static str, u64)> {
    let lineage = files::is_there(&folder.join(LINEAGE)).then_some((LINEAGE, LINEAGE_BYTES_MAX));
    [(CONFIG, CONFIG_BYTES_MAX), (WEIGHTS, WEIGHTS_BYTES_MAX)]
        .into_iter()
        .chain(lineage)
}

/// Copies the signature of a PEFT folder, if it has one.
pub(crate) fn copy(source: &Path, target: &Path) -> Result<Option<StoredFile>, AdapterError> {
    let there = [PLAIN, MINISIGN].map(|name| files::is_there(&source.join(name)));
    let name = match there {
        [false, false] => return Ok(None),
        [true, false] => PLAIN,
        [false, true] => MINISIGN,
        [true, true] => {
            let limit = format!("which carries a signature too: remove one of them, or `{PLAIN}`");
            let found = format!("beside `{PLAIN}`");
            return Err(AdapterError::refused(MINISIGN, "its place", found, limit));
        }
    };
    files::copy(&source.join(name), &target.join(name), SIGNATURE_BYTES_MAX).map(Some)
}

/// Finds the trusted key that signed the content; refuses a signature by none of them and, where signatures are required,
/// none at all.
pub(crate) fn accept(
    folder: &Path,
    stored: Option<StoredFile>,
    digest: &str,
    trust: &Trust,
) -> Result<Option<Signature>, AdapterError> {
    let Some(file) = stored else {
        return require(trust, "the folder").map(|()| None);
    };
    let bytes = files::read_bounded(&folder.join(&file.name), SIGNATURE_BYTES_MAX)?;
    let parsed = Parsed::read(&file.name, &bytes)
        .map_err(|limit| AdapterError::refused(&file.name, "its content", "no signature", limit))?;
    let message = message(digest);
    let signer = trust
        .keys
        .iter()
        .find(|key| parsed.is_by(key, message.as_bytes()));
    match signer {
        Some(key) => Ok(Some(Signature {
            file,
            key: key.clone(),
        })),
        None => Err(AdapterError::Untrusted {
            subject: format!("the folder with content `{digest}`"),
            reason: format!("none of them made the signature `{}`", file.name),
            trusted: trust.listed(),
        }),
    }
}

/// Checks a recorded signature against its own key; the error says what is wrong with its file.
pub(crate) fn check(folder: &Path, signature: &Signature, digest: &str) -> Result<(), String> {
    let name = &signature.file.name;
    let bytes = files::read_bounded(&folder.join(name), SIGNATURE_BYTES_MAX)
        .map_err(|error| error.to_string())?;
    let parsed = Parsed::read(name, &bytes)?;
    if parsed.is_by(&signature.key, message(digest).as_bytes()) {
        return Ok(());
    }
    Err(format!(
        "is no signature of `{digest}` by key `{}`",
        signature.key.id()
    ))
}

/// Refuses a version whose signer is not, or not any more, among the trusted.
pub(crate) fn check_trusted(
    subject: &str,
    signature: Option<&Signature>,
    trust: &Trust,
) -> Result<(), AdapterError> {
    let Some(signature) = signature else {
        return require(trust, subject);
    };
    if trust.keys.contains(&signature.key) {
        return Ok(());
    }
    Err(AdapterError::Untrusted {
        subject: subject.to_owned(),
        reason: format!("its signature is by `{}`", signature.key.id()),
        trusted: trust.listed(),
    })
}

fn require(trust: &Trust, subject: &str) -> Result<(), AdapterError> {
    if !trust.require_signature {
        return Ok(());
    }
    Err(AdapterError::Untrusted {
        subject: subject.to_owned(),
        reason: format!("`require_signature` is set, and there is no `{PLAIN}` or `{MINISIGN}`"),
        trusted: trust.listed(),
    })
}

enum Parsed {
    Ed25519(Ed25519Signature),
    Minisign(minisign_verify::Signature),
}

impl Parsed {
    /// The error says what the content must be.
    fn read(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(bytes).map_err(|_| "must be text".to_owned())?;
        if name == MINISIGN {
            return minisign_verify::Signature::decode(text)
                .map(Self::Minisign)
                .map_err(|error| format!("must be what `minisign -S` writes ({error})"));
        }
        let digits = text.strip_suffix('\n').unwrap_or(text);
        bytes_of::<{ Ed25519Signature::BYTE_SIZE }>(digits)
            .map(|bytes| Self::Ed25519(Ed25519Signature::from_bytes(&bytes)))
            .ok_or_else(|| "must be 128 of 0-9 and a-f, and a line feed".to_owned())
    }

    fn is_by(&self, key: &PublicKey, message: &[u8]) -> bool {
        match (self, key.kind()) {
            (Self::Ed25519(signature), Kind::Ed25519(key)) => {
                key.verify_strict(message, signature).is_ok()
            }
            // Signatures of the message itself, which minisign wrote before 0.8, are not accepted.
            (Self::Minisign(signature), Kind::Minisign { key, .. }) => {
                key.verify(message, signature, false).is_ok()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};
    use proptest::prelude::*;

    fn hex(signature: &Ed25519Signature) -> String {
        crate::digest::hex_bytes(&signature.to_bytes())
    }

    fn public(secret: &SigningKey) -> PublicKey {
        let digits = crate::digest::hex_bytes(secret.verifying_key().as_bytes());
        format!("ed25519:{digits}").parse().unwrap()
    }

    #[test]
    fn a_digest_is_signed_under_the_name_of_what_it_is() {
        assert_eq!(message("sha256:00"), "quoin adapter 1\nsha256:00\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Parsed::read(PLAIN, &bytes);
            let _ = Parsed::read(MINISIGN, &bytes);
        }

        #[test]
        fn no_lines_of_a_minisign_file_make_it_panic(
            first in "(untrusted comment: )?.{0,20}",
            second in "[A-Za-z0-9+/=]{0,110}",
            third in "(trusted comment: )?.{0,20}",
            fourth in "[A-Za-z0-9+/=]{0,110}",
        ) {
            let _ = Parsed::read(MINISIGN, format!("{first}\n{second}\n{third}\n{fourth}\n").as_bytes());
        }

        #[test]
        fn a_signature_is_of_one_message_by_one_key(
            secret in any::<[u8; 32]>(),
            other in any::<[u8; 32]>(),
            message in proptest::collection::vec(any::<u8>(), 1..100),
            changed in any::<prop::sample::Index>(),
        ) {
            prop_assume!(secret != other);
            let (secret, other) = (SigningKey::from_bytes(&secret), SigningKey::from_bytes(&other));
            let text = hex(&secret.sign(&message));
            let parsed = Parsed::read(PLAIN, text.as_bytes()).unwrap();
            prop_assert!(parsed.is_by(&public(&secret), &message));
            prop_assert!(!parsed.is_by(&public(&other), &message));
            let mut tampered = message.clone();
            tampered[changed.index(message.len())] ^= 1;
            prop_assert!(!parsed.is_by(&public(&secret), &tampered));

            let mut digits = text.into_bytes();
            let at = changed.index(digits.len());
            digits[at] = if digits[at] == b'0' { b'1' } else { b'0' };
            let forged = Parsed::read(PLAIN, &digits).unwrap();
            prop_assert!(!forged.is_by(&public(&secret), &message));
        }
    }
}
