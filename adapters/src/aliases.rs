//! Aliases: names that move between versions by compare-and-swap, several in one step, kept in one file that is replaced
//! as a whole.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::AdapterError;
use crate::files;
use crate::name::{AdapterId, Alias};

const FORMAT: u32 = 1;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where each alias is. One that is not in here stands for the base without an adapter.
pub type Aliases = BTreeMap<Alias, AdapterId>;

/// One step of a change: the alias goes to `to` if it is at `from`; `None` is the base without an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasMove {
    pub alias: Alias,
    pub from: Option<AdapterId>,
    pub to: Option<AdapterId>,
}

#[derive(Serialize, Deserialize)]
struct AliasFile {
    format: u32,
    aliases: Aliases,
}

pub(crate) fn read(path: &Path) -> Result<Aliases, AdapterError> {
    if !path.exists() {
        return Ok(Aliases::new());
    }
    let bytes = files::read_bounded(path, FILE_BYTES_MAX)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file: AliasFile = serde_json::from_slice(&bytes).map_err(|error| {
        AdapterError::refused(
            &name,
            "its content",
            error.to_string(),
            "must be what was written",
        )
    })?;
    if file.format != FORMAT {
        let found = file.format.to_string();
        return Err(AdapterError::refused(
            &name,
            "`format`",
            found,
            format!("this version reads {FORMAT}"),
        ));
    }
    Ok(file.aliases)
}

pub(crate) fn write(path: &Path, aliases: &Aliases) -> Result<(), AdapterError> {
    let file = AliasFile {
        format: FORMAT,
        aliases: aliases.clone(),
    };
    files::replace(path, format!("{:#}\n", json!(file)).as_bytes())
}

/// Applies all moves or, when one alias is not where it was expected, none.
pub(crate) fn apply(aliases: &mut Aliases, moves: &[AliasMove]) -> Result<(), AdapterError> {
    let mut changed = aliases.clone();
    for step in moves {
        let found = changed.get(&step.alias);
        if found != step.from.as_ref() {
            return Err(AdapterError::AliasMoved {
                alias: step.alias.to_string(),
                expected: AdapterId::or_base(step.from.as_ref()),
                found: AdapterId::or_base(found),
            });
        }
        match &step.to {
            Some(id) => changed.insert(step.alias.clone(), id.clone()),
            None => changed.remove(&step.alias),
        };
    }
    *aliases = changed;
    Ok(())
}
