//! The passages before and after hits, for answers that have room for them.

use std::collections::HashSet;

use super::Stages;
use super::hits::hit;
use crate::index::roster::Roster;
use crate::retriever::Inner;
use crate::{Access, Hit, PassageId, RetrieverError};

impl Inner {
    /// See [`crate::Retriever::neighbours`].
    pub(crate) fn neighbours(
        &self,
        hits: &[Hit],
        access: &Access,
    ) -> Result<Vec<Hit>, RetrieverError> {
        let published = self.current.load();
        let mut seen: HashSet<PassageId> = hits.iter().map(|hit| hit.passage.clone()).collect();
        let mut keys = Vec::new();
        for hit in hits {
            for (position, key) in beside(&published.roster, hit) {
                if seen.insert(PassageId::new(&hit.document, position)) {
                    keys.push(key);
                }
            }
        }
        let rows = self.catalogue.passage_rows(&keys)?;
        let readable = rows
            .into_iter()
            .flatten()
            .filter(|row| access.may_read(&row.acl));
        Ok(readable
            .map(|row| hit(row, 0.0, Stages::default()))
            .collect())
    }
}

/// Positions and keys of the passages before and after a hit.
fn beside(roster: &Roster, hit: &Hit) -> impl Iterator<Item = (usize, u32)> {
    let entry = roster
        .get(&hit.document)
        .filter(|entry| entry.document.version == hit.version);
    let keys = entry.map_or(0..0, |entry| entry.keys.clone());
    let before = hit.position.checked_sub(1);
    [before, Some(hit.position + 1)]
        .into_iter()
        .flatten()
        .filter_map(move |position| {
            let key = keys.start.checked_add(u32::try_from(position).ok()?)?;
            keys.contains(&key).then_some((position, key))
        })
}
