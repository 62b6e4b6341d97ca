//! The key that signs receipts: `receipt.key` in the data folder, made at the first start, for its owner alone.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};

use crate::RetrieverError;

const FILE: &str = "receipt.key";
const BYTES: usize = 32;

/// An Ed25519 key.
pub(crate) struct ReceiptKey(SigningKey);

impl ReceiptKey {
    /// Reads the key, or makes one.
    pub(crate) fn open(data: &Path) -> Result<Self, RetrieverError> {
        let path = data.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let secret = super::receipt::bytes_of(text.trim()).ok_or_else(|| {
                    let problem = format!("is not {BYTES} bytes of hexadecimal");
                    RetrieverError::invalid(FILE, problem)
                })?;
                Ok(Self(SigningKey::from_bytes(&secret)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let secret = random()?;
                write(data, &path, &secret).map_err(RetrieverError::io("write", &path))?;
                Ok(Self(SigningKey::from_bytes(&secret)))
            }
            Err(error) => Err(RetrieverError::io("read", &path)(error)),
        }
    }

    /// The public part, in hexadecimal.
    pub(crate) fn public(&self) -> String {
        crate::hex(self.0.verifying_key().as_bytes())
    }

    /// A signature, in hexadecimal.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        crate::hex(&self.0.sign(message).to_bytes())
    }
}

/// The file appears whole or not at all. Temporary files are for their owner alone.
fn write(data: &Path, path: &Path, secret: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".receipt-")
        .tempfile_in(data)?;
    writeln!(file, "{}", crate::hex(secret))?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(data)?.sync_all()
}

/// Bytes that nobody can guess.
pub(crate) fn random() -> Result<[u8; BYTES], RetrieverError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; BYTES];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(RetrieverError::io("read", source))?;
    Ok(bytes)
}
