//! The retriever: opening it, writing to it, and what it says about itself.

mod build;
mod change;
mod checking;
#[cfg(test)]
mod clock;
mod erasing;
mod generations;
mod maintenance;
mod open;
mod prepared;
mod supersession;
mod words;
mod write;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::catalogue::Catalogue;
use crate::document::{Document, DocumentChange, DocumentInput, Page, Stored};
use crate::embed::{self, Embedder};
use crate::erasure::{DeletionReceipt, ErasureReport, ReceiptKey};
use crate::index::delta::DeltaWriter;
use crate::index::publish::Current;
use crate::pipeline::{MadeBy, Models, Pipeline};
use crate::rank::rerank::{self, Reads};
use crate::rank::sentences::SentenceEncoder;
use crate::search::{Hit, SearchRequest, SearchResult, StageRankings, Whereabouts};
use crate::settings::RetrieverSettings;
use crate::{Access, AccessList, DocumentId, RetrieverError, Timestamp};

pub use self::checking::VerifyReport;
pub use self::generations::GenerationInfo;
use self::maintenance::{Maintenance, Wanted};
pub use self::words::PipelineFingerprints;

/// Documents in, passages out. Shared by `Arc`; every call blocks, so asynchronous callers give it a thread.
pub struct Retriever {
    inner: Arc<Inner>,
    /// Ends, and is waited for, when the retriever is dropped.
    maintenance: Maintenance,
}

/// What the retriever's threads share.
pub(crate) struct Inner {
    pub(crate) settings: RetrieverSettings,
    pub(crate) catalogue: Catalogue,
    pub(crate) current: Current,
    receipt_key: ReceiptKey,
    /// The data folder.
    data: PathBuf,
    /// The pipeline of the settings; the one that serves may be another, while this one is built or after going back.
    configured: Arc<Pipeline>,
    /// What single sentences are compared by, whatever serves.
    sentences: SentenceEncoder,
    /// `<data>/generations`.
    generations: PathBuf,
    /// Held by whoever writes: catalogue, then delta, then publication.
    writing: Mutex<DeltaWriter>,
    /// Held by whoever writes or removes snapshots.
    snapshots: Mutex<()>,
    wanted: Arc<Wanted>,
}

/// How much there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Live documents.
    pub documents: usize,
    /// Their passages.
    pub passages: u64,
    /// The catalogue's generation.
    pub generation: u64,
    /// The generation of the snapshot that serves, if there is one.
    pub snapshot: Option<u64>,
    /// Passages in the delta.
    pub delta_passages: u64,
    /// Passages that the indexes still hold though they are gone.
    pub dead_passages: u64,
    /// Fingerprint of the pipeline that serves.
    pub pipeline: String,
    /// How far the pipeline of the settings is, while another one serves.
    pub building: Option<Building>,
}

/// A pipeline that does not serve yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Building {
    /// Its fingerprint.
    pub pipeline: String,
    /// Documents that it has cut and embedded.
    pub documents: u64,
    /// Whether it goes on by itself; after going back from it, it does not.
    pub goes_on: bool,
}

impl Retriever {
    /// Opens the catalogue in `folder/quoin.db` and the snapshot in `folder/generations`, creating what is not there and
    /// rebuilding what cannot be used. The caller holds the folder's lock: two retrievers on one folder are not supported.
    ///
    /// # Errors
    /// The folder cannot be written, the catalogue is damaged, newer than this program, or lost while snapshots of it are there,
    /// a model's folder is not there or holds no model that can be run, or the default access list breaks the rule of tokens.
    pub fn open(folder: &Path, settings: RetrieverSettings) -> Result<Self, RetrieverError> {
        let models = Models::load(&MadeBy::of(&settings), &settings)?;
        Self::open_with(folder, settings, models)
    }

    /// Opens as [`Retriever::open`] does, with vectors of another embedder than the settings name. While the folder holds passages
    /// of another pipeline, those serve and the new ones are made in the background.
    ///
    /// # Errors
    /// As [`Retriever::open`].
    pub fn open_with_embedder(
        folder: &Path,
        settings: RetrieverSettings,
        embedder: Arc<dyn Embedder>,
    ) -> Result<Self, RetrieverError> {
        let token_vectors = settings.token_vectors.unwrap_or(true);
        let models = Models::around(embedder, false, token_vectors, &settings.ranking.reranker)?;
        Self::open_with(folder, settings, models)
    }

    fn open_with(
        folder: &Path,
        settings: RetrieverSettings,
        models: Models,
    ) -> Result<Self, RetrieverError> {
        let inner = Arc::new(open::open(folder, settings, models)?);
        let maintenance = Maintenance::start(Arc::clone(&inner));
        Ok(Self { inner, maintenance })
    }

    /// Puts a document on behalf of one who may read everything. For any other writer there is [`Retriever::put_as`].
    ///
    /// # Errors
    /// As [`Retriever::put_as`].
    pub fn put(&self, input: DocumentInput) -> Result<Stored, RetrieverError> {
        self.put_as(input, &Access::admin())
    }

    /// Puts a document. When this returns, it is on disk and searches find it. What `supersedes` names but the writer may not
    /// read counts as not there, now and later: nobody hides what is hidden from them. Whether the writer may replace what has
    /// the document's own id is for the caller to decide.
    ///
    /// # Errors
    /// The input breaks a rule or a limit, or the catalogue cannot write; then nothing has changed.
    pub fn put_as(&self, input: DocumentInput, writer: &Access) -> Result<Stored, RetrieverError> {
        let mut stored = self.put_batch_as(vec![input], writer)?;
        stored
            .pop()
            .unwrap_or_else(|| Err(RetrieverError::invalid("documents", "is empty")))
    }

    /// Puts documents on behalf of one who may read everything, as [`Retriever::put_batch_as`] does for any other.
    ///
    /// # Errors
    /// As [`Retriever::put_batch_as`].
    pub fn put_batch(
        &self,
        inputs: Vec<DocumentInput>,
    ) -> Result<Vec<Result<Stored, RetrieverError>>, RetrieverError> {
        self.put_batch_as(inputs, &Access::admin())
    }

    /// Puts documents as [`Retriever::put_as`] does, in order; one that breaks a rule costs its own error only.
    ///
    /// # Errors
    /// The catalogue cannot write. Documents of the batch may have been stored by then: put it again, what is there is `unchanged`.
    pub fn put_batch_as(
        &self,
        inputs: Vec<DocumentInput>,
        writer: &Access,
    ) -> Result<Vec<Result<Stored, RetrieverError>>, RetrieverError> {
        self.inner.put_batch(inputs, writer)
    }

    /// Changes what is said about a document, but not its text. When this returns, it is on disk, and the next search, listing
    /// or reading goes by it; no passage is made again unless the title changes. A list that is removed becomes the default of
    /// the settings, as for a document that never had one.
    ///
    /// # Errors
    /// `NotFound` when there is none, and when the writer may not read it; the change breaks a rule or a limit, or the catalogue
    /// cannot write: then nothing has changed.
    pub fn change_as(
        &self,
        id: &DocumentId,
        change: DocumentChange,
        writer: &Access,
    ) -> Result<Stored, RetrieverError> {
        self.inner.change(id, change, writer)
    }

    /// Deletes a document. When this returns no search finds it, also after a crash; its words leave the snapshots soon after.
    ///
    /// # Errors
    /// `NotFound` when there is none, and when the caller may not see it; or the catalogue cannot write.
    pub fn delete(
        &self,
        id: &DocumentId,
        access: &Access,
    ) -> Result<DeletionReceipt, RetrieverError> {
        self.inner.delete(id, access)
    }

    /// What the last deletion of a document has purged until now. That it was there is told to `admin` alone: its list is gone.
    ///
    /// # Errors
    /// `NotDeleted` when there was none, or the catalogue cannot be read.
    pub fn receipt(&self, id: &DocumentId) -> Result<DeletionReceipt, RetrieverError> {
        self.inner.receipt(id)
    }

    /// The receipts of all deletions, the last of each document, in order of their ids.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    pub fn receipts(&self, page: &Page) -> Result<Vec<DeletionReceipt>, RetrieverError> {
        let deletions = self
            .inner
            .catalogue
            .deletions_after(page.after.as_ref(), page.limit)?;
        deletions
            .into_iter()
            .map(|deletion| self.inner.receipt_of(deletion))
            .collect()
    }

    /// The public key that signs receipts: Ed25519, hexadecimal.
    #[must_use]
    pub fn receipt_key(&self) -> String {
        self.inner.receipt_key.public()
    }

    /// Documents whose deletion an outer place was not noted as purged of, with the generation of each, oldest first.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    pub fn unpurged(
        &self,
        place: &str,
        most: usize,
    ) -> Result<Vec<(DocumentId, u64)>, RetrieverError> {
        let deletions = self.inner.catalogue.unpurged_of(place, most)?;
        Ok(deletions
            .into_iter()
            .map(|deletion| (deletion.document, deletion.generation))
            .collect())
    }

    /// Notes that an outer place holds nothing any more of what was deleted up to a generation. Where the place is a table of the
    /// same file, what was moved in it is overwritten first.
    ///
    /// # Errors
    /// The catalogue cannot write, or a reader keeps its log from being emptied: then nothing is noted.
    pub fn note_purged(&self, place: &str, generation: u64) -> Result<(), RetrieverError> {
        if !self.inner.catalogue.wipe()? {
            return Err(RetrieverError::LogInUse);
        }
        self.inner.catalogue.mark_place_purged(place, generation)
    }

    /// How long the oldest deletion waits that some place may still hold something of, seconds; 0 when none waits.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    pub fn deletion_pending_seconds(&self) -> Result<u64, RetrieverError> {
        let oldest = self.inner.catalogue.oldest_unpurged()?;
        let waits = oldest.map_or(0, |at| {
            Timestamp::now().as_milliseconds() - at.as_milliseconds()
        });
        Ok(waits.max(0).cast_unsigned() / 1000)
    }

    /// Notes a backup of the catalogue as of a generation, so that receipts of later deletions name it.
    ///
    /// # Errors
    /// The catalogue cannot write.
    pub fn note_backup(&self, path: String, generation: u64) -> Result<(), RetrieverError> {
        self.inner.note_backup(path, generation)
    }

    /// Searches everything for what is left of a deleted document: tables, snapshots, and every file of the data folder, for
    /// pieces of its text by their digests and for `phrases` as they are.
    ///
    /// # Errors
    /// A phrase breaks a limit, or something cannot be read.
    pub fn verify_erased(
        &self,
        id: &DocumentId,
        phrases: &[String],
    ) -> Result<ErasureReport, RetrieverError> {
        self.inner.verify_erased(id, phrases)
    }

    /// A document without its text.
    ///
    /// # Errors
    /// `NotFound` when there is none, when the caller may not see it, and before it takes effect unless the caller is `admin`.
    pub fn document(&self, id: &DocumentId, access: &Access) -> Result<Document, RetrieverError> {
        let published = self.inner.current.load();
        let now = Timestamp::now();
        match published.roster.get(id).map(|entry| &entry.document) {
            Some(document) if access.may_see(&document.acl, document.effective_from, now) => {
                Ok(document.clone())
            }
            _ => Err(RetrieverError::NotFound(id.clone())),
        }
    }

    /// Whether a writer may put a document under an id: nothing is there, or what the writer may read, be it in effect or not.
    #[must_use]
    pub fn may_replace(&self, id: &DocumentId, writer: &Access) -> bool {
        let published = self.inner.current.load();
        published
            .roster
            .get(id)
            .is_none_or(|entry| writer.may_read(&entry.document.acl))
    }

    /// A document's clean text, to which all offsets refer.
    ///
    /// # Errors
    /// `NotFound` as for [`Retriever::document`]; or the catalogue cannot be read.
    pub fn text(&self, id: &DocumentId, access: &Access) -> Result<String, RetrieverError> {
        let now = Timestamp::now();
        let may_see = |acl: &AccessList, from| access.may_see(acl, from, now);
        let stored = self.inner.catalogue.text(id, may_see)?;
        stored
            .map(|stored| stored.text)
            .ok_or_else(|| RetrieverError::NotFound(id.clone()))
    }

    /// The documents that the caller may read, in order of their ids; those that take effect later are listed to `admin` alone.
    ///
    /// # Errors
    /// None at present.
    pub fn documents(&self, access: &Access, page: &Page) -> Result<Vec<Document>, RetrieverError> {
        let published = self.inner.current.load();
        let now = Timestamp::now();
        Ok(published
            .roster
            .after(page.after.as_ref())
            .map(|entry| &entry.document)
            .filter(|document| access.may_see(&document.acl, document.effective_from, now))
            .take(page.limit)
            .cloned()
            .collect())
    }

    /// Finds passages. The same request on the same generation gives the same hits.
    ///
    /// # Errors
    /// The request breaks a limit, or an index or the catalogue cannot be read.
    pub fn search(
        &self,
        request: &SearchRequest,
        access: &Access,
    ) -> Result<SearchResult, RetrieverError> {
        self.inner.search(request, access)
    }

    /// The passages that stand right before and after `hits` in their documents, in the order of the hits, none twice and none that
    /// is a hit itself. Their scores are 0: nothing ranked them. A document that has changed since it was found has none.
    ///
    /// # Errors
    /// The catalogue cannot be read.
    pub fn neighbours(&self, hits: &[Hit], access: &Access) -> Result<Vec<Hit>, RetrieverError> {
        self.inner.neighbours(hits, access)
    }

    /// Where a piece of a document, in code points, stands in each stage of a search that `access` makes.
    ///
    /// # Errors
    /// The request breaks a limit, or an index or the catalogue cannot be read.
    pub fn whereabouts(
        &self,
        request: &SearchRequest,
        document: &DocumentId,
        piece: &Range<usize>,
        access: &Access,
    ) -> Result<Whereabouts, RetrieverError> {
        self.inner.whereabouts(request, document, piece, access)
    }

    /// What every stage makes of a query, by document, for evaluation.
    ///
    /// # Errors
    /// An index or the catalogue cannot be read.
    pub fn rankings(
        &self,
        query: &str,
        depth: usize,
        access: &Access,
    ) -> Result<StageRankings, RetrieverError> {
        self.inner.rankings(query, depth, access)
    }

    /// The generation that searches see.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.inner.current.load().generation
    }

    /// How much there is.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let published = self.inner.current.load();
        Statistics {
            documents: published.roster.documents(),
            passages: published.roster.live().len(),
            generation: published.generation,
            snapshot: published.base.as_ref().map(|base| base.manifest.generation),
            delta_passages: published.delta.keys.len(),
            dead_passages: published.dead_passages(),
            pipeline: published.pipeline.fingerprint.clone(),
            building: self.inner.building(&published),
        }
    }

    /// Unit vectors of texts; all zeros for a text of which the embedder knows nothing.
    ///
    /// # Errors
    /// The embedder fails.
    pub fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, RetrieverError> {
        let embedder = Arc::clone(&self.inner.current.load().pipeline.embedder);
        vectors_of(embedder.as_ref(), texts)
    }

    /// The embedder's name and fingerprint.
    #[must_use]
    pub fn embedder(&self) -> String {
        let published = self.inner.current.load();
        published.pipeline.embedder.fingerprint().to_owned()
    }

    /// Unit vectors of texts by the table in the binary, whatever the embedder is: hundreds of sentences in a millisecond, to
    /// compare them with each other.
    ///
    /// # Errors
    /// The files in the binary do not fit together.
    pub fn embed_quickly(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, RetrieverError> {
        vectors_of(embed::bundled()?.as_ref(), texts)
    }

    /// One score a text, a higher one for a better match; zeros where reranking is off. Words count for as much as they are rare
    /// among what the caller may read.
    ///
    /// # Errors
    /// An index cannot be read, or a model fails.
    pub fn rerank(
        &self,
        query: &str,
        texts: &[String],
        access: &Access,
    ) -> Result<Vec<f32>, RetrieverError> {
        let published = self.inner.current.load();
        let pipeline = &published.pipeline;
        let Some(reranker) = &pipeline.reranker else {
            return Ok(vec![0.0; texts.len()]);
        };
        let readable = published.readable(access, Timestamp::now())?;
        let mut weighted = published.weigh(query, &readable);
        if reranker.reads() == Reads::TokenVectors {
            weighted.tokens = pipeline.embedder.embed_query_and_tokens(query)?.tokens;
        }
        let candidates = rerank::candidates(reranker.reads(), pipeline.embedder.as_ref(), texts)?;
        Ok(reranker.score(&weighted, &candidates))
    }

    /// The snapshots that are kept, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn generations(&self) -> Result<Vec<GenerationInfo>, RetrieverError> {
        self.inner.generations()
    }

    /// Writes a new snapshot of the catalogue and serves from it. Searches and writes go on meanwhile. After it no file holds a
    /// text that was replaced, unless a search just reads; single words of it leave with the snapshots that were kept before.
    ///
    /// # Errors
    /// It cannot be written; what serves stays.
    pub fn rebuild(&self) -> Result<GenerationInfo, RetrieverError> {
        self.inner.rebuild()
    }

    /// Serves from an older or newer snapshot that is kept. Documents, deletions and access lists stay as they are: what the
    /// snapshot lacks is searched beside it.
    ///
    /// # Errors
    /// It is not kept, or is damaged, or was made by another pipeline; what serves stays.
    pub fn activate(&self, number: u64) -> Result<GenerationInfo, RetrieverError> {
        self.inner.activate(number)
    }

    /// Serves from the snapshot before the present one.
    ///
    /// # Errors
    /// There is none: a deletion removes all that were written before it.
    pub fn rollback(&self) -> Result<GenerationInfo, RetrieverError> {
        self.inner.rollback()
    }

    /// Holds the catalogue against itself, every file of the snapshots against its digest, the words and vectors of every passage
    /// in both indexes against the catalogue, and what is served against what is stored. Searches and writes go on meanwhile.
    ///
    /// # Errors
    /// Something cannot be read at all; what can be read and is wrong is in the report.
    pub fn verify(&self) -> Result<VerifyReport, RetrieverError> {
        self.inner.verify()
    }

    /// Checks as [`Retriever::verify`] does, and rebuilds the snapshots that are damaged. What is damaged in the catalogue itself
    /// stays in `problems`: nothing else holds it, so it is put again, or comes from a backup.
    ///
    /// # Errors
    /// As [`Retriever::verify`], or a damaged snapshot cannot be removed.
    pub fn repair(&self) -> Result<VerifyReport, RetrieverError> {
        self.inner.repair()
    }

    /// Waits until no background work is due or running.
    pub fn settle(&self) {
        self.maintenance.settle();
    }
}

fn vectors_of(embedder: &dyn Embedder, texts: &[String]) -> Result<Vec<Vec<f32>>, RetrieverError> {
    let tokens: Vec<Vec<u32>> = texts
        .iter()
        .map(|text| embed::ids(&embedder.tokenize(text)))
        .collect();
    embedder.embed_passages(&tokens)
}
