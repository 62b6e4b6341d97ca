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
    let is_current = roster
        .get(&hit.document)
        .is_some_and(|entry| entry.document.version == hit.version);
    let around = [hit.position.checked_sub(1), Some(hit.position + 1)];
    around
        .into_iter()
        .flatten()
        .filter(move |_| is_current)
        .filter_map(|position| Some((position, roster.key(&hit.document, position)?)))
}
