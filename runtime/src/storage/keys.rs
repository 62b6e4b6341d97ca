//! API keys: 32 random bytes, shown once, stored as SHA-256. Read from memory, written through.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quoin_retriever::check_token;
use rusqlite::{Connection, params};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::writer::Writer;
use super::{StorageError, clock};
use crate::caller::{Caller, Scope};

const PREFIX: &str = "qk_";
const MAX_NAME_BYTES: usize = 128;
const MAX_TOKENS: usize = 256;

type Hash = [u8; 32];

/// What a key is, without the key.
#[derive(Clone, Debug, Serialize)]
pub struct KeyInfo {
    /// Stable id; the subject of its callers is `key:<id>`.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// What it may read, beside `public`.
    pub tokens: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; null while it works.
    pub revoked_at: Option<String>,
}

/// A key at the only moment it can be seen.
pub struct NewKey {
    /// What it is.
    pub info: KeyInfo,
    /// The bearer key.
    pub key: String,
}

/// The API keys of one data folder.
pub struct Keys {
    known: RwLock<HashMap<Hash, KeyInfo>>,
    writer: Arc<Writer>,
}

impl Keys {
    pub(super) fn new(known: HashMap<Hash, KeyInfo>, writer: Arc<Writer>) -> Self {
        Self {
            known: RwLock::new(known),
            writer,
        }
    }

    /// Whether a key was ever made. Revoking the last one does not open the server again.
    #[must_use]
    pub fn any(&self) -> bool {
        !self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// The caller behind a bearer key, unless it is unknown or revoked.
    #[must_use]
    pub fn authenticate(&self, bearer: &str) -> Option<Caller> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let info = known.get(&hash(bearer))?;
        info.revoked_at
            .is_none()
            .then(|| Caller::with_key(&info.id, info.scopes.clone(), &info.tokens))
    }

    /// Makes a key. It works from the moment this returns, also after a crash.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for a name, scope set or token outside its bounds.
    pub async fn create(
        &self,
        name: &str,
        scopes: BTreeSet<Scope>,
        mut tokens: Vec<String>,
    ) -> Result<NewKey, StorageError> {
        check_name(name)?;
        if scopes.is_empty() {
            return Err(StorageError::Invalid(
                "a key needs at least one scope: answer, search, ingest, feedback or admin"
                    .to_owned(),
            ));
        }
        if tokens.len() > MAX_TOKENS {
            return Err(StorageError::Invalid(format!(
                "a key holds at most {MAX_TOKENS} access tokens, got {}",
                tokens.len()
            )));
        }
        for token in &tokens {
            check_token("tokens", token)
                .map_err(|error| StorageError::Invalid(error.to_string()))?;
        }
        tokens.sort();
        tokens.dedup();
        let key = random_key();
        let (digest, created_ms) = (hash(&key), clock::now_ms());
        let info = KeyInfo {
            id: Uuid::new_v4().simple().to_string()[..12].to_owned(),
            name: name.to_owned(),
            scopes,
            tokens,
            created_at: clock::rfc3339(created_ms),
            revoked_at: None,
        };
        let row = info.clone();
        self.writer
            .run(move |connection| insert(connection, &row, &digest, created_ms))
            .await?;
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, info.clone());
        Ok(NewKey { info, key })
    }

    /// All keys, oldest first, revoked ones too.
    #[must_use]
    pub fn list(&self) -> Vec<KeyInfo> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<_> = known.values().cloned().collect();
        keys.sort_by(|a, b| (&a.created_at, &a.id).cmp(&(&b.created_at, &b.id)));
        keys
    }

    /// Ends a key, for good. Revoking twice keeps the first time.
    ///
    /// # Errors
    /// [`StorageError::UnknownKey`].
    pub async fn revoke(&self, id: &str) -> Result<KeyInfo, StorageError> {
        let revoked_ms = clock::now_ms();
        let wanted = id.to_owned();
        self.writer
            .run(move |connection| {
                let rows = connection.execute(
                    "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1",
                    params![wanted, revoked_ms],
                )?;
                if rows == 0 {
                    Err(StorageError::UnknownKey(wanted))
                } else {
                    Ok(())
                }
            })
            .await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let info = known
            .values_mut()
            .find(|info| info.id == id)
            .ok_or_else(|| StorageError::UnknownKey(id.to_owned()))?;
        info.revoked_at
            .get_or_insert_with(|| clock::rfc3339(revoked_ms));
        Ok(info.clone())
    }
}

/// Reads every key into memory; a data folder has tens of them.
pub(super) fn load(connection: &Connection) -> Result<HashMap<Hash, KeyInfo>, StorageError> {
    let mut statement = connection
        .prepare("SELECT hash, id, name, scopes, tokens, created_at, revoked_at FROM api_keys")?;
    let rows = statement.query_map([], |row| {
        let hash: Hash = row.get(0)?;
        let scopes: String = row.get(3)?;
        let tokens: String = row.get(4)?;
        let info = KeyInfo {
            id: row.get(1)?,
            name: row.get(2)?,
            // A scope that a newer program knew grants nothing here.
            scopes: scopes
                .split(',')
                .filter_map(|scope| scope.parse().ok())
                .collect(),
            tokens: tokens
                .split(',')
                .filter(|token| !token.is_empty())
                .map(str::to_owned)
                .collect(),
            created_at: clock::rfc3339(row.get(5)?),
            revoked_at: row.get::<_, Option<i64>>(6)?.map(clock::rfc3339),
        };
        Ok((hash, info))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn insert(
    connection: &Connection,
    info: &KeyInfo,
    digest: &Hash,
    created_ms: i64,
) -> Result<(), StorageError> {
    let scopes: Vec<_> = info.scopes.iter().map(|scope| scope.as_str()).collect();
    connection.execute(
        "INSERT INTO api_keys (id, hash, name, scopes, tokens, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![info.id, digest, info.name, scopes.join(","), info.tokens.join(","), created_ms],
    )?;
    Ok(())
}

fn check_name(name: &str) -> Result<(), StorageError> {
    if (1..=MAX_NAME_BYTES).contains(&name.trim().len())
        && name.len() <= MAX_NAME_BYTES
        && !name.chars().any(char::is_control)
    {
        return Ok(());
    }
    Err(StorageError::Invalid(format!(
        "a key's name is 1 to {MAX_NAME_BYTES} bytes without control characters, got {} bytes",
        name.len()
    )))
}

fn hash(key: &str) -> Hash {
    Sha256::digest(key.as_bytes()).into()
}

/// 32 bytes from two version 4 UUIDs, whose 244 random bits come from the operating system.
fn random_key() -> String {
    let mut digest = Sha256::new();
    digest.update(Uuid::new_v4().as_bytes());
    digest.update(Uuid::new_v4().as_bytes());
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(digest.finalize()))
}
