//! Opening: catalogue first, then the snapshot that can be used, then the delta of what it lacks.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::Inner;
use super::maintenance::Wanted;
use crate::catalogue::Catalogue;
use crate::embed::{self, Embedder};
use crate::index::delta::DeltaWriter;
use crate::index::publish::{Current, Published};
use crate::index::roster::Roster;
use crate::index::snapshot::{self, Snapshot};
use crate::rank::rerank::{Reranker, StaticLateInteraction};
use crate::settings::{RerankerKind, RetrieverSettings};
use crate::{RetrieverError, check_token, ingest};

/// What embeds and what reranks; the rest of the retriever knows their traits only.
pub(crate) struct Models {
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) reranker: Option<Box<dyn Reranker>>,
}

impl Models {
    /// Those in the binary.
    ///
    /// # Errors
    /// The files in the binary do not fit together.
    pub(crate) fn bundled(reranker: RerankerKind) -> Result<Self, RetrieverError> {
        let table = embed::bundled()?;
        let reranker: Option<Box<dyn Reranker>> = match reranker {
            RerankerKind::Off => None,
            RerankerKind::StaticLateInteraction => {
                Some(Box::new(StaticLateInteraction::new(Arc::clone(&table))))
            }
        };
        Ok(Self {
            embedder: table,
            reranker,
        })
    }
}

pub(super) fn open(
    folder: &Path,
    settings: RetrieverSettings,
    models: Models,
) -> Result<Inner, RetrieverError> {
    for token in settings.default_acl.iter().flatten() {
        check_token("default_acl", token)?;
    }
    let Models { embedder, reranker } = models;
    let generations = folder.join("generations");
    std::fs::create_dir_all(&generations).map_err(RetrieverError::io("create", &generations))?;
    let catalogue = open_catalogue(&folder.join("quoin.db"), &generations)?;
    snapshot::sweep(&generations)?;
    let content_pipeline = ingest::content_pipeline(embedder.as_ref(), &settings.passages);
    let inner = Inner {
        index_pipeline: ingest::index_pipeline(&content_pipeline),
        writing: Mutex::new(DeltaWriter::new(embedder.dimensions())?),
        current: Current::new(Published::empty()),
        snapshots: Mutex::new(()),
        wanted: Arc::new(Wanted::default()),
        settings,
        catalogue,
        embedder,
        reranker,
        generations,
        content_pipeline,
    };
    inner.load()?;
    Ok(inner)
}

/// Refuses to begin with nothing where there was something: whoever lost the catalogue has a copy, or says that it may go.
fn open_catalogue(path: &Path, generations: &Path) -> Result<Catalogue, RetrieverError> {
    let newest = snapshot::list(generations)?.pop().unwrap_or_default();
    let lost = || RetrieverError::CatalogueLost {
        catalogue: path.to_owned(),
        generations: generations.to_owned(),
        newest,
    };
    if newest > 0 && !path.exists() {
        return Err(lost());
    }
    let catalogue = Catalogue::open(path)?;
    if newest > 0 && catalogue.generation()? == 0 {
        return Err(lost());
    }
    Ok(catalogue)
}

impl Inner {
    /// Publishes what the catalogue holds.
    fn load(&self) -> Result<(), RetrieverError> {
        self.remove_misfits()?;
        self.redo_other_pipelines()?;
        let (generation, entries) = self.catalogue.documents()?;
        let mut roster = Roster::default();
        for entry in entries {
            roster.insert(entry);
        }
        let base = self.usable_snapshot()?;
        let missing = Self::missing(&roster, base.as_deref());
        let too_many = missing.len() > self.settings.compaction.delta_passages as u64;
        if too_many
            && base
                .as_ref()
                .is_none_or(|base| missing.len() > base.keys.len())
        {
            self.current
                .store(Published::new(generation, roster, None, <_>::default()));
            self.compact()?;
        } else {
            self.replace_base(generation, roster, base)?;
        }
        if self.catalogue.unpurged()?.is_some() {
            self.wanted.purge_at(std::time::Instant::now());
        }
        Ok(())
    }

    /// Removes the snapshots that are not of this catalogue, or of a state that it does not have: it was put back from a copy.
    /// That comes before anything is written, for by its number a snapshot fits again soon.
    fn remove_misfits(&self) -> Result<(), RetrieverError> {
        for number in snapshot::list(&self.generations)? {
            let folder = self.generations.join(number.to_string());
            let Ok(manifest) = snapshot::read_manifest(&folder) else {
                continue;
            };
            if let Err(error) = self.fits(&manifest) {
                tracing::warn!(number, %error, "a snapshot of another catalogue is rebuilt");
                snapshot::remove(&self.generations, number)?;
            }
        }
        Ok(())
    }

    /// The snapshot that served last, or the newest other one; damaged ones are removed, for the catalogue has it all.
    fn usable_snapshot(&self) -> Result<Option<Arc<Snapshot>>, RetrieverError> {
        let mut numbers = snapshot::list(&self.generations)?;
        let active = self.catalogue.active_snapshot()?;
        // The active one goes last, and the last is tried first.
        numbers.sort_by_key(|number| (Some(*number) == active, *number));
        while let Some(number) = numbers.pop() {
            let folder = self.generations.join(number.to_string());
            match Snapshot::load(&folder, true) {
                Ok(found) if found.manifest.pipeline == self.index_pipeline => {
                    return Ok(Some(Arc::new(found)));
                }
                Ok(_) => tracing::warn!(number, "a snapshot of another pipeline is rebuilt"),
                Err(error) => {
                    tracing::warn!(number, %error, "a damaged snapshot is rebuilt from the catalogue");
                }
            }
            snapshot::remove(&self.generations, number)?;
        }
        Ok(None)
    }

    /// Cuts and embeds documents again that were stored under other rules.
    fn redo_other_pipelines(&self) -> Result<(), RetrieverError> {
        let mut after = 0;
        loop {
            let found = self
                .catalogue
                .of_other_pipelines(&self.content_pipeline, after, 64)?;
            let Some((last, _)) = found.last() else {
                return Ok(());
            };
            // What is done again comes last and under the new rules; what is damaged stays, and is not tried again.
            after = *last;
            let ids: Vec<_> = found.into_iter().map(|(_, id)| id).collect();
            tracing::warn!(
                documents = ids.len(),
                "documents are cut and embedded again: the rules have changed"
            );
            self.redo(&ids)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::tests::Letters;
    use crate::{Access, Content, DocumentId, DocumentInput, Retriever, SearchRequest};

    fn open_with(folder: &Path, embedder: Arc<dyn Embedder>) -> Retriever {
        let models = Models {
            embedder,
            reranker: None,
        };
        Retriever::open_with(folder, RetrieverSettings::default(), models).unwrap()
    }

    /// What the vector index alone finds.
    fn nearest(retriever: &Retriever, query: &str) -> String {
        let rankings = retriever.rankings(query, 1, &Access::admin()).unwrap();
        rankings.vector[0].0.to_string()
    }

    #[test]
    fn another_embedder_takes_over_what_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let retriever = open_with(folder.path(), embed::bundled().unwrap());
        for (name, text) in [("pump", "the pump resets itself"), ("zzz", "zzz zzz")] {
            let id = DocumentId::new(name).unwrap();
            retriever
                .put(DocumentInput::new(id, Content::text(text)))
                .unwrap();
        }
        retriever.rebuild().unwrap();
        assert_eq!(nearest(&retriever, "resetting pumps"), "pump");
        let before = retriever.pipeline();
        drop(retriever);

        let retriever = open_with(folder.path(), Arc::new(Letters));
        assert_eq!(nearest(&retriever, "zebra zoo zzz"), "zzz");
        assert_eq!(retriever.embedder(), "letters");
        assert_ne!(retriever.pipeline(), before);
        let id = DocumentId::new("new").unwrap();
        retriever
            .put(DocumentInput::new(id, Content::text("qqq")))
            .unwrap();
        retriever.rebuild().unwrap();
        assert_eq!(nearest(&retriever, "qq"), "new");
        let searched = retriever.search(&SearchRequest::new("pump", 5), &Access::admin());
        assert_eq!(searched.unwrap().hits[0].document.as_str(), "pump");
        assert!(retriever.verify().unwrap().problems.is_empty());
    }

    #[test]
    fn a_default_list_that_no_document_could_have_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let settings = RetrieverSettings {
            default_acl: Some(vec!["group hr".into()]),
            ..RetrieverSettings::default()
        };
        let error = Retriever::open(folder.path(), settings).err().unwrap();
        assert!(error.to_string().starts_with("`default_acl` has tokens"));
    }
}
