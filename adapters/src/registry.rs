//! The registry: `<name>/<version>/` folders that appear whole or not at all and are never written again.
//!
//! An adapter is copied into `.incoming/`, checked there, sealed with its manifest, synced, and renamed to its number. What a
//! crash leaves in `.incoming/` is removed at the next start. Locks are advisory and held by an open file, so that a process
//! that dies releases them.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tempfile::TempDir;

use crate::aliases::{self, AliasMove, Aliases};
use crate::base::BaseIdentity;
use crate::check;
use crate::error::AdapterError;
use crate::files;
use crate::lineage::{LINEAGE, LINEAGE_BYTES_MAX, Lineage};
use crate::name::{AdapterId, AdapterName, Alias, parse_version};
use crate::signature;
use crate::trust::Trust;
use crate::version::AdapterVersion;

const INCOMING: &str = ".incoming";
/// Shared by every copy in progress; whoever gets it alone may clean up.
const INCOMING_LOCK: &str = ".incoming.lock";
/// Held while a version number is given out or aliases move.
const CHANGE_LOCK: &str = ".change.lock";
const ALIASES: &str = "aliases.json";

/// Calls block on files, but for [`Registry::aliases`]; all of them may be made from several threads and processes at once.
#[derive(Debug)]
pub struct Registry {
    folder: PathBuf,
    trust: Trust,
    /// As this registry last read or wrote them.
    aliases: RwLock<Option<Arc<Aliases>>>,
}

/// What is registered, by name and version, and what is there but cannot be read.
#[derive(Debug, Default)]
pub struct Listing {
    pub versions: Vec<AdapterVersion>,
    pub damaged: Vec<AdapterError>,
}

/// What [`Registry::add`] found or made.
#[derive(Debug)]
pub struct Added {
    pub version: AdapterVersion,
    /// False when these files were registered for this base before, and the signature, if there is one, adds nothing.
    pub is_new: bool,
}

impl Registry {
    /// Opens or creates the registry and removes what an interrupted `add` left. It trusts nobody's signature and requires
    /// none; see [`Registry::trusting`].
    pub fn open(folder: &Path) -> Result<Self, AdapterError> {
        let registry = Self {
            folder: folder.to_owned(),
            trust: Trust::default(),
            aliases: RwLock::default(),
        };
        let incoming = folder.join(INCOMING);
        fs::create_dir_all(&incoming).map_err(AdapterError::io("create", &incoming))?;
        let lock = files::lock_file(&folder.join(INCOMING_LOCK))?;
        match lock.try_lock() {
            Ok(()) => remove_leftovers(&incoming)?,
            Err(TryLockError::WouldBlock) => {
                tracing::debug!("an adapter is being added, nothing to clean up");
            }
            Err(TryLockError::Error(source)) => {
                return Err(AdapterError::io("lock", &folder.join(INCOMING_LOCK))(
                    source,
                ));
            }
        }
        if let Err(error) = registry.aliases() {
            tracing::error!(%error, "the aliases cannot be read");
        }
        Ok(registry)
    }

    /// The registry with these keys, which [`Registry::add`] and [`Registry::verify`] check signatures with.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Checks the PEFT folder `source`, its lineage and its signature, and stores it as the next version of `name`. Adding
    /// the same files for the same base again answers the version that they already are, unless they are signed now and
    /// that version is not, or not by the same key.
    pub fn add(
        &self,
        source: &Path,
        name: &AdapterName,
        base: &BaseIdentity,
    ) -> Result<Added, AdapterError> {
        check::refuse_pickles(source)?;
        let _copying = self.share_incoming()?;
        let incoming = self.incoming();
        let folder = TempDir::new_in(&incoming)
            .map_err(AdapterError::io("create a folder in", &incoming))?;
        let mut stored = Vec::new();
        for (file, limit) in signature::contents_of(source) {
            stored.push(files::copy(
                &source.join(file),
                &folder.path().join(file),
                limit,
            )?);
        }
        let signature = signature::copy(source, folder.path())?;
        let lora = check::check(folder.path(), base)?;
        check_lineage(folder.path())?;
        let mut version = AdapterVersion::new(name.clone(), stored, base, lora);
        version.signature =
            signature::accept(folder.path(), signature, &version.digest, &self.trust)?;
        self.publish(folder, version)
    }

    /// Gives the checked folder its number and its place.
    fn publish(&self, folder: TempDir, mut version: AdapterVersion) -> Result<Added, AdapterError> {
        let _change = self.lock_changes()?;
        let named = self.folder.join(version.name.as_str());
        let numbers = self.numbers(&version.name)?;
        for number in &numbers {
            let id = AdapterId {
                name: version.name.clone(),
                version: *number,
            };
            match self.show(&id) {
                Ok(existing) if says_as_much(&existing, &version) => {
                    return Ok(Added {
                        version: existing,
                        is_new: false,
                    });
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(adapter = %id, %error, "a stored adapter version cannot be read");
                }
            }
        }
        version.version = numbers.last().map_or(1, |last| last + 1);
        version.seal(folder.path())?;

        fs::create_dir_all(&named).map_err(AdapterError::io("create", &named))?;
        files::sync_folder(&self.folder)?;
        version.folder = named.join(version.version.to_string());
        // A folder that has content is never replaced by a rename.
        fs::rename(folder.path(), &version.folder)
            .map_err(AdapterError::io("rename to", &version.folder))?;
        let _ = folder.keep();
        files::sync_folder(&named)?;
        Ok(Added {
            version,
            is_new: true,
        })
    }

    /// The manifest of one version, as it is stored; [`Registry::verify`] says whether the rest still fits it.
    pub fn show(&self, id: &AdapterId) -> Result<AdapterVersion, AdapterError> {
        let folder = self
            .folder
            .join(id.name.as_str())
            .join(id.version.to_string());
        if !folder.is_dir() {
            return Err(AdapterError::NotFound {
                adapter: id.to_string(),
            });
        }
        AdapterVersion::read(&folder, id)
    }

    /// Reads every byte of a version and its reports again; the error names the file that differs, or says why the signature
    /// is not trusted.
    pub fn verify(&self, id: &AdapterId) -> Result<AdapterVersion, AdapterError> {
        let version = self.verify_content(id)?;
        version.verify_reports()?;
        Ok(version)
    }

    /// [`Registry::verify`] without the reports: what must hold before a version is loaded. A report that was damaged takes no
    /// adapter out of service.
    pub fn verify_content(&self, id: &AdapterId) -> Result<AdapterVersion, AdapterError> {
        let version = self.show(id)?;
        version.verify(&self.trust)?;
        Ok(version)
    }

    pub fn list(&self) -> Result<Listing, AdapterError> {
        let mut listing = Listing::default();
        for name in self.names()? {
            for version in self.numbers(&name)? {
                match self.show(&AdapterId {
                    name: name.clone(),
                    version,
                }) {
                    Ok(version) => listing.versions.push(version),
                    Err(error) => listing.damaged.push(error),
                }
            }
        }
        Ok(listing)
    }

    /// Where the aliases are. From memory after the first call, so every request may ask: what another registry on the same
    /// folder moved since then is not seen here.
    pub fn aliases(&self) -> Result<Arc<Aliases>, AdapterError> {
        let known = self.aliases.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref() {
            return Ok(Arc::clone(known));
        }
        drop(known);
        // Not while a move is between its file and its memory: the older of the two could be kept.
        let _change = self.lock_changes()?;
        Ok(self.remember(aliases::read(&self.folder.join(ALIASES))?))
    }

    fn remember(&self, aliases: Aliases) -> Arc<Aliases> {
        let aliases = Arc::new(aliases);
        let mut known = self.aliases.write().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::clone(&aliases));
        aliases
    }

    /// Moves one alias, if it still is where the caller saw it. `None` is the base without an adapter.
    pub fn set_alias(
        &self,
        alias: &Alias,
        from: Option<&AdapterId>,
        to: Option<&AdapterId>,
    ) -> Result<Arc<Aliases>, AdapterError> {
        self.move_aliases(&[AliasMove {
            alias: alias.clone(),
            from: from.cloned(),
            to: to.cloned(),
        }])
    }

    /// Makes all moves or none, in one step that survives a crash: a promotion moves `champion` and `previous` together.
    pub fn move_aliases(&self, moves: &[AliasMove]) -> Result<Arc<Aliases>, AdapterError> {
        for id in moves.iter().filter_map(|step| step.to.as_ref()) {
            self.show(id)?;
        }
        let _change = self.lock_changes()?;
        let path = self.folder.join(ALIASES);
        let mut aliases = aliases::read(&path)?;
        aliases::apply(&mut aliases, moves)?;
        if let Err(error) = aliases::write(&path, &aliases) {
            // It may or may not have become the file.
            *self.aliases.write().unwrap_or_else(PoisonError::into_inner) = None;
            return Err(error);
        }
        Ok(self.remember(aliases))
    }

    fn names(&self) -> Result<Vec<AdapterName>, AdapterError> {
        let mut names: Vec<_> = folder_names(&self.folder)?
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    fn numbers(&self, name: &AdapterName) -> Result<Vec<u32>, AdapterError> {
        let folder = self.folder.join(name.as_str());
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut numbers: Vec<_> = folder_names(&folder)?
            .iter()
            .filter_map(|name| parse_version(name))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(crate) fn incoming(&self) -> PathBuf {
        self.folder.join(INCOMING)
    }

    pub(crate) fn lock_changes(&self) -> Result<File, AdapterError> {
        files::lock(&self.folder.join(CHANGE_LOCK))
    }

    pub(crate) fn share_incoming(&self) -> Result<File, AdapterError> {
        let path = self.folder.join(INCOMING_LOCK);
        let file = files::lock_file(&path)?;
        file.lock_shared()
            .map_err(AdapterError::io("lock", &path))?;
        Ok(file)
    }
}

/// Whether `existing` is the same content, signed at least by whom the `new` one is signed by.
fn says_as_much(existing: &AdapterVersion, new: &AdapterVersion) -> bool {
    let key = |version: &AdapterVersion| version.signature.as_ref().map(|made| made.key.clone());
    existing.digest == new.digest && (new.signature.is_none() || key(existing) == key(new))
}

fn check_lineage(folder: &Path) -> Result<(), AdapterError> {
    let path = folder.join(LINEAGE);
    if files::is_there(&path) {
        Lineage::parse(&files::read_bounded(&path, LINEAGE_BYTES_MAX)?)?;
    }
    Ok(())
}

fn folder_names(folder: &Path) -> Result<Vec<String>, AdapterError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(AdapterError::io("list", folder))? {
        let entry = entry.map_err(AdapterError::io("list", folder))?;
        if entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    Ok(names)
}

fn remove_leftovers(incoming: &Path) -> Result<(), AdapterError> {
    for entry in fs::read_dir(incoming).map_err(AdapterError::io("list", incoming))? {
        let path = entry.map_err(AdapterError::io("list", incoming))?.path();
        tracing::warn!(path = %path.display(), "removing an adapter whose adding was interrupted");
        fs::remove_dir_all(&path).map_err(AdapterError::io("remove", &path))?;
    }
    Ok(())
}
