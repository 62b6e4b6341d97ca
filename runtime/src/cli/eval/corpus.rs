//! The documents of a data set: as inputs for a retriever, and as a service of their own in a temporary folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quoin_eval::{CorpusDocument, Dataset};
use quoin_retriever::{
    Access, Content, Document, DocumentId, DocumentInput, PUBLIC, Page, Retriever, Timestamp,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::cli::failure::{Context as _, Failure};
use crate::cli::ingest::largest_file;
use crate::cli::output::Output;
use crate::cli::walk::{self, Found};
use crate::config::{Config, DataFolder};
use crate::service::{Load, OpenOptions, Quoin};

/// Documents written at once.
const BATCH_DOCUMENTS: usize = 256;
/// Documents listed at once.
const PAGE_DOCUMENTS: usize = 1000;

pub(super) type Documents = Box<dyn Iterator<Item = Result<DocumentInput, Failure>> + Send>;

/// The documents one by one: lines of `corpus.jsonl`, or the files of the folder that the data set names, read as `quoin ingest`
/// reads them. One that does not say who may read it is public.
///
/// # Errors
/// The corpus cannot be opened; an item is an error where a document cannot be read.
pub(super) fn documents(dataset: &Dataset) -> Result<Documents, Failure> {
    if let Some(folder) = dataset.documents() {
        return below(&[folder]);
    }
    let lines = dataset.corpus()?;
    Ok(Box::new(lines.map(|line| of_line(line?))))
}

/// The files of folders, read as `quoin ingest` reads them.
///
/// # Errors
/// As [`documents`].
pub(super) fn below(folders: &[PathBuf]) -> Result<Documents, Failure> {
    let limit = largest_file(Config::default().server.max_document_bytes);
    let seen = walk::walk(folders, None, limit)?;
    if let Some(failed) = seen.failed.first() {
        let path = failed.path.display();
        return Err(Failure::new(format!(
            "cannot read `{path}`: {}",
            failed.reason
        )));
    }
    Ok(Box::new(seen.found.into_iter().map(|file| of_file(&file))))
}

fn of_file(file: &Found) -> Result<DocumentInput, Failure> {
    let bytes =
        std::fs::read(&file.path).context(|| format!("cannot read `{}`", file.path.display()))?;
    let content = Content::Bytes {
        bytes,
        content_type: file.format.media_type().to_owned(),
    };
    Ok(DocumentInput {
        default_acl: Some(vec![PUBLIC.to_owned()]),
        ..DocumentInput::new(DocumentId::new(&file.id)?, content)
    })
}

/// What a line does not say itself, its metadata may.
fn of_line(mut line: CorpusDocument) -> Result<DocumentInput, Failure> {
    if line.acl.is_none() {
        line.acl = taken(&mut line.metadata, "acl")?;
    }
    if line.effective_from.is_none() {
        line.effective_from = taken(&mut line.metadata, "effective_from")?;
    }
    if line.effective_until.is_none() {
        line.effective_until = taken(&mut line.metadata, "effective_until")?;
    }
    let supersedes: Option<String> = taken(&mut line.metadata, "supersedes")?;
    let id = DocumentId::new(&line.id)?;
    let instant = |text: Option<String>| -> Result<Option<Timestamp>, Failure> {
        let parsed = text.map(|text| text.parse::<Timestamp>()).transpose();
        parsed.map_err(|error| Failure::from(error).during(format!("document `{}`", line.id)))
    };
    let (effective_from, effective_until) = (
        instant(line.effective_from)?,
        instant(line.effective_until)?,
    );
    let content = match line.content_type {
        Some(content_type) => Content::Bytes {
            bytes: line.text.into_bytes(),
            content_type,
        },
        None => Content::text(line.text),
    };
    Ok(DocumentInput {
        title: Some(line.title).filter(|title| !title.trim().is_empty()),
        acl: line.acl,
        default_acl: Some(vec![PUBLIC.to_owned()]),
        metadata: line.metadata.into_iter().collect(),
        effective_from,
        effective_until,
        supersedes: supersedes.map(|id| DocumentId::new(&id)).transpose()?,
        ..DocumentInput::new(id, content)
    })
}

/// A field out of the metadata, where it stands there.
fn taken<T: DeserializeOwned>(
    metadata: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, Failure> {
    let value = metadata.remove(name);
    Ok(value.map(serde_json::from_value).transpose()?)
}

/// Every document that is there, by id.
///
/// # Errors
/// The catalogue cannot be read.
pub(super) fn stored(retriever: &Retriever) -> Result<Vec<Document>, Failure> {
    let mut page = Page {
        after: None,
        limit: PAGE_DOCUMENTS,
    };
    let mut all: Vec<Document> = Vec::new();
    loop {
        let listed = retriever.documents(&Access::admin(), &page)?;
        let Some(last) = listed.last() else {
            return Ok(all);
        };
        page.after = Some(last.id.clone());
        all.extend(listed);
    }
}

/// A service with the documents of a data set and nothing else. Its folder goes with it.
pub(super) struct Corpus {
    pub(super) quoin: Arc<Quoin>,
    _folder: TempDir,
}

impl Corpus {
    /// Under the settings of `config`, with the models and adapters of its data folder.
    ///
    /// # Errors
    /// The folder cannot be made, or the documents cannot be read.
    pub(super) async fn open(
        documents: Documents,
        config: &Config,
        output: Output,
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().context(|| "cannot make a temporary folder".to_owned())?;
        let data = folder.path().join("data");
        lend(config.data(), &data)?;
        let mut config = config.clone();
        config.data = DataFolder(data);
        config.server.samples = false;
        config.sources.clear();
        let options = OpenOptions {
            load: Load::OnDemand,
            ..OpenOptions::default()
        };
        let quoin = Quoin::open_with(config, options).await?;
        let retriever = Arc::clone(&quoin);
        tokio::task::spawn_blocking(move || ingest(&retriever, documents, output)).await??;
        Ok(Self {
            quoin,
            _folder: folder,
        })
    }

    /// Waits for what is still to be written.
    pub(super) async fn close(self) {
        self.quoin.storage().close().await;
    }
}

/// Models and adapters are used where they lie.
fn lend(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to).context(|| format!("cannot create `{}`", to.display()))?;
    for name in ["models", "adapters"] {
        let lent = from.join(name);
        std::fs::create_dir_all(&lent).context(|| format!("cannot create `{}`", lent.display()))?;
        let lent = std::path::absolute(&lent)?;
        std::os::unix::fs::symlink(&lent, to.join(name))
            .context(|| format!("cannot use `{}`", lent.display()))?;
    }
    Ok(())
}

fn ingest(quoin: &Quoin, mut documents: Documents, output: Output) -> Result<(), Failure> {
    loop {
        let batch: Vec<DocumentInput> = documents
            .by_ref()
            .take(BATCH_DOCUMENTS)
            .collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        for error in quoin
            .retriever()
            .put_batch(batch)?
            .into_iter()
            .filter_map(Result::err)
        {
            output.warn(error.to_string());
        }
    }
    // One snapshot of everything, as a server would have it after a while.
    quoin.retriever().rebuild()?;
    quoin.retriever().settle();
    Ok(())
}
