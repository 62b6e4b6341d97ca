//! Opening: catalogue first, then the pipeline that serves and its snapshot, then the delta of what that lacks.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::Inner;
use super::maintenance::Wanted;
use crate::catalogue::{Catalogue, Serving};
use crate::erasure::ReceiptKey;
use crate::index::delta::DeltaWriter;
use crate::index::publish::{Current, Published};
use crate::index::roster::{Entry, Roster};
use crate::index::snapshot::{self, Snapshot};
use crate::pipeline::{MadeBy, Models, Pipeline};
use crate::rank::sentences::SentenceEncoder;
use crate::settings::RetrieverSettings;
use crate::{RetrieverError, check_token};

/// Documents that are handed from the thread that reads them to the one that lists them, at a time.
const BATCH: usize = 1024;
/// And how many times that may wait.
const BATCHES: usize = 8;

pub(super) fn open(
    folder: &Path,
    settings: RetrieverSettings,
    models: Models,
) -> Result<Inner, RetrieverError> {
    for token in settings.default_acl.iter().flatten() {
        check_token("default_acl", token)?;
    }
    let generations = folder.join("generations");
    std::fs::create_dir_all(&generations).map_err(RetrieverError::io("create", &generations))?;
    let catalogue = open_catalogue(&folder.join("quoin.db"), &generations)?;
    snapshot::sweep(&generations)?;
    let made_by = MadeBy::of(&settings);
    let fingerprint = Pipeline::fingerprint_of(&made_by.passages, &models);
    let number = catalogue.register_pipeline(&fingerprint, &made_by.to_json())?;
    let (most, read) = (
        made_by.passages.max_tokens,
        models.embedder.passage_tokens(),
    );
    // Two tokens frame what a transformer reads.
    if most.saturating_sub(2) > read {
        tracing::warn!(
            max_tokens = most,
            read,
            "passages can be longer than what the embedder reads: their ends are found by words alone"
        );
    }
    let configured = Arc::new(Pipeline::new(
        number,
        fingerprint,
        made_by.passages,
        models,
        &settings.ranking,
    ));
    let inner = Inner {
        writing: Mutex::new(DeltaWriter::new(configured.embedder.dimensions())?),
        current: Current::new(Published::empty(Arc::clone(&configured))),
        snapshots: Mutex::new(()),
        wanted: Arc::new(Wanted::default()),
        settings,
        catalogue,
        receipt_key: ReceiptKey::open(folder)?,
        data: folder.to_owned(),
        configured,
        sentences: SentenceEncoder::bundled()?,
        generations,
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
        let pipeline = self.pipeline_to_serve()?;
        let (base, roster) = std::thread::scope(|scope| {
            let base = scope.spawn(|| self.usable_snapshot(&pipeline));
            let roster = self.roster(pipeline.number);
            (base.join(), roster)
        });
        let base = base.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let (generation, roster) = roster?;
        let missing = Self::missing(&roster, base.as_deref());
        let too_many = missing.len() > self.settings.compaction.delta_passages as u64;
        if too_many
            && base
                .as_ref()
                .is_none_or(|base| missing.len() > base.keys.len())
        {
            let delta = crate::index::delta::DeltaView::default();
            self.current
                .store(Published::new(generation, roster, None, delta, pipeline));
            self.compact()?;
        } else {
            let mut delta = self.lock_writing();
            *delta = self.new_delta(&roster, base.as_deref(), &pipeline)?;
            let published = Published::new(generation, roster, base, delta.view(), pipeline);
            self.current.store(published);
        }
        if self.catalogue.unpurged()?.is_some() {
            self.wanted.purge_at(std::time::Instant::now());
        }
        Ok(())
    }

    /// The documents of the catalogue with their generation: read on this thread, listed on another.
    fn roster(&self, pipeline: u32) -> Result<(u64, Roster), RetrieverError> {
        std::thread::scope(|scope| {
            let (send, read) = std::sync::mpsc::sync_channel::<Vec<Entry>>(BATCHES);
            let listed = scope.spawn(move || Roster::of(read.into_iter().flatten()));
            let mut batch = Vec::with_capacity(BATCH);
            // The other thread ends when nothing is sent any more; should it end before, its panic is found below.
            let give = |batch: &mut Vec<Entry>| drop(send.send(std::mem::take(batch)));
            let generation = self.catalogue.each_document(pipeline, |entry| {
                batch.push(entry);
                if batch.len() == BATCH {
                    give(&mut batch);
                }
            });
            give(&mut batch);
            drop(send);
            let roster = listed.join();
            let roster = roster.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((generation?, roster))
        })
    }

    /// The pipeline that served last, if its models can be loaded: then the one of the settings is built beside it. Else the one
    /// of the settings, at once.
    fn pipeline_to_serve(&self) -> Result<Arc<Pipeline>, RetrieverError> {
        let serving = self.catalogue.serving()?;
        let configured = self.configured.number;
        let is_another = ![0, configured].contains(&serving.pipeline);
        if is_another && !self.catalogue.is_empty()? {
            match self.pipeline(serving.pipeline) {
                Ok(pipeline) => {
                    if serving.left == configured {
                        tracing::warn!(
                            "serving what was gone back to; `index rebuild` goes to what is configured"
                        );
                    } else {
                        tracing::info!(
                            "the settings ask for other passages or vectors: they are made while the present ones serve"
                        );
                        self.wanted.build();
                    }
                    return Ok(pipeline);
                }
                Err(error) => {
                    tracing::warn!(%error, "what served before cannot serve any more: all is cut and embedded again first");
                }
            }
        }
        self.cut_all(&self.configured, &|| false)?;
        if serving.pipeline != configured {
            self.catalogue.set_serving(Serving {
                pipeline: configured,
                ..Serving::default()
            })?;
        }
        Ok(Arc::clone(&self.configured))
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

    /// The snapshot that served last, or the newest other one of the pipeline. What is damaged is removed, for the catalogue has
    /// it all, and so is what no known pipeline made.
    fn usable_snapshot(
        &self,
        pipeline: &Pipeline,
    ) -> Result<Option<Arc<Snapshot>>, RetrieverError> {
        let known: Vec<String> = self
            .catalogue
            .pipelines()?
            .into_iter()
            .map(|pipeline| pipeline.fingerprint)
            .collect();
        let mut numbers = snapshot::list(&self.generations)?;
        let active = self.catalogue.serving()?.snapshot;
        // The active one goes last, and the last is tried first.
        numbers.sort_by_key(|number| (*number == active, *number));
        while let Some(number) = numbers.pop() {
            let folder = self.generations.join(number.to_string());
            let of_another = snapshot::read_manifest(&folder).is_ok_and(|manifest| {
                manifest.pipeline != pipeline.fingerprint && known.contains(&manifest.pipeline)
            });
            if of_another {
                continue;
            }
            match Snapshot::load(&folder, true) {
                Ok(found) if found.manifest.pipeline == pipeline.fingerprint => {
                    return Ok(Some(Arc::new(found)));
                }
                Ok(_) => tracing::warn!(number, "a snapshot of an unknown pipeline is removed"),
                Err(error) => {
                    tracing::warn!(number, %error, "a damaged snapshot is rebuilt from the catalogue");
                }
            }
            snapshot::remove(&self.generations, number)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::{self, Embedder, tests::Letters};
    use crate::{Access, Content, DocumentId, DocumentInput, Retriever, SearchRequest};

    fn open_with(folder: &Path, embedder: Arc<dyn Embedder>) -> Retriever {
        Retriever::open_with_embedder(folder, RetrieverSettings::default(), embedder).unwrap()
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
        retriever.settle();
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
