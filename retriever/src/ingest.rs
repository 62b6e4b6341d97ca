//! From a document as it comes to what the catalogue stores: checked, read, cut and embedded.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::catalogue::NewPassage;
use crate::document::{Document, DocumentInput};
use crate::embed::{Embedder, PassageVectors, ids};
use crate::index::vector::Vector;
use crate::neural::PROJECTION;
use crate::passage::{self, Token};
use crate::pipeline::Pipeline;
use crate::read::{self, Block};
use crate::settings::{Limits, PassageSettings, RetrieverSettings};
use crate::{Access, AccessList, RetrieverError, Timestamp, check_token};

/// Changes whenever [`words`] or what is embedded would differ for the same passage.
pub(crate) const VERSION: &str = "words-1";

const MAX_TITLE_BYTES: usize = 1024;
const MAX_URI_BYTES: usize = 4096;
const MAX_SOURCE_BYTES: usize = 512;

/// A document that is read but not yet cut: often that is enough to see that nothing has changed.
#[derive(Debug)]
pub(crate) struct Draft {
    /// With version, generation and passages still to be filled in.
    pub document: Document,
    pub text: String,
    pub outline: Vec<Block>,
    pub content_hash: Vec<u8>,
}

/// Checks and reads a document.
pub(crate) fn draft(
    input: DocumentInput,
    settings: &RetrieverSettings,
) -> Result<Draft, RetrieverError> {
    check_bytes("title", input.title.as_deref(), MAX_TITLE_BYTES)?;
    check_metadata(&input.metadata, settings)?;
    // Also where it is not needed: the next document of the batch may need it.
    for token in input.default_acl.iter().flatten() {
        check_token("default_acl", token)?;
    }
    let (format, read) = read::read(
        input.content,
        &settings.limits,
        settings.reader_command.as_deref(),
    )?;
    let stated = read.stated;
    let mut metadata = stated.metadata;
    metadata.extend(input.metadata);
    let acl = input
        .acl
        .or(stated.acl)
        .or(input.default_acl)
        .or_else(|| settings.default_acl.clone());
    // A title that was found in the text is only too long, not wrong.
    let title = input.title.or(stated.title).map(|mut title| {
        title.truncate(title.floor_char_boundary(MAX_TITLE_BYTES));
        title
    });
    let document = Document {
        version: 0,
        title: title.filter(|title| !title.trim().is_empty()),
        uri: input.uri.or(stated.uri),
        source: input.source,
        format,
        acl: AccessList::new(acl.unwrap_or_default())?,
        metadata,
        effective_from: input.effective_from.or(stated.effective_from),
        effective_until: input.effective_until.or(stated.effective_until),
        supersedes: input.supersedes.or(stated.supersedes),
        supersedes_as: Access::admin(),
        passages: 0,
        warnings: read.warnings,
        generation: 0,
        updated_at: Timestamp::now(),
        id: input.id,
    };
    check_said(&document, settings)?;
    let content_hash = content_hash(&document, &read.text, &read.outline);
    Ok(Draft {
        document,
        text: read.text,
        outline: read.outline,
        content_hash,
    })
}

fn check_bytes(
    field: &'static str,
    value: Option<&str>,
    limit: usize,
) -> Result<(), RetrieverError> {
    let got = value.map_or(0, str::len);
    if got > limit {
        return Err(RetrieverError::too_long(field, limit, got, "bytes"));
    }
    Ok(())
}

/// What the input said and what front matter said are held to the same rules.
pub(crate) fn check_said(
    document: &Document,
    settings: &RetrieverSettings,
) -> Result<(), RetrieverError> {
    check_bytes("title", document.title.as_deref(), MAX_TITLE_BYTES)?;
    check_bytes("uri", document.uri.as_deref(), MAX_URI_BYTES)?;
    check_bytes("source", document.source.as_deref(), MAX_SOURCE_BYTES)?;
    check_metadata(&document.metadata, settings)?;
    if let (Some(from), Some(until)) = (document.effective_from, document.effective_until)
        && from >= until
    {
        return Err(RetrieverError::invalid(
            "effective_until",
            format!("is after `effective_from`, got `{from}` to `{until}`"),
        ));
    }
    if document.supersedes.as_ref() == Some(&document.id) {
        return Err(RetrieverError::invalid(
            "supersedes",
            "names another document",
        ));
    }
    Ok(())
}

fn check_metadata(
    metadata: &crate::document::Metadata,
    settings: &RetrieverSettings,
) -> Result<(), RetrieverError> {
    let limit = settings.limits.metadata_bytes;
    let got = serde_json::to_string(metadata).map_or(0, |json| json.len());
    if got > limit {
        return Err(RetrieverError::too_long(
            "metadata",
            limit,
            got,
            "bytes of JSON",
        ));
    }
    Ok(())
}

/// Covers what passages depend on: text, outline, title and format.
pub(crate) fn content_hash(document: &Document, text: &str, outline: &[Block]) -> Vec<u8> {
    let outline = serde_json::to_string(outline).unwrap_or_default();
    let title = document.title.as_deref().unwrap_or_default();
    digest([document.format.name(), title, &outline, text].map(str::as_bytes))
}

/// Of a document's format, title, outline as JSON and text, as they are stored.
pub(crate) fn digest(parts: [&[u8]; 4]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().to_vec()
}

/// Cuts and embeds a text.
pub(crate) fn cut_and_embed(
    text: &str,
    outline: &[Block],
    title: Option<&str>,
    pipeline: &Pipeline,
    limits: &Limits,
) -> Result<Vec<NewPassage>, RetrieverError> {
    let embedder = pipeline.embedder.as_ref();
    let tokens = embedder.tokenize(text);
    let cut = passage::cut(text, outline, &tokens, &pipeline.passages);
    if cut.len() > limits.passages {
        return Err(RetrieverError::TooLarge {
            what: "a document",
            limit: limits.passages as u64,
            got: cut.len() as u64,
            unit: "passages",
        });
    }
    let title = ids(&embedder.tokenize(title.unwrap_or_default()));
    let own: Vec<Vec<u32>> = cut.iter().map(|one| ids(slice(&tokens, one))).collect();
    let whole: Vec<Vec<u32>> = cut
        .par_iter()
        .zip(&own)
        .with_min_len(16)
        .map(|(passage, own)| {
            // Without a word of its own it is not to be found by its title.
            if own.is_empty() {
                return Vec::new();
            }
            [&*title, &heading_tokens(passage, embedder), own].concat()
        })
        .collect();
    let vectors = embedded(&whole, pipeline)?;
    if vectors.len() != cut.len() {
        let problem = format!("made {} vectors of {} passages", vectors.len(), cut.len());
        return Err(RetrieverError::Embedder { problem });
    }
    let parts = cut.into_iter().zip(own).zip(vectors);
    Ok(parts
        .map(|((passage, tokens), vectors)| NewPassage {
            vector: Vector::quantise(&vectors.vector),
            token_vectors: vectors.tokens,
            tokens,
            passage,
        })
        .collect())
}

/// With vectors of tokens where the pipeline stores them.
fn embedded(
    passages: &[Vec<u32>],
    pipeline: &Pipeline,
) -> Result<Vec<PassageVectors>, RetrieverError> {
    if pipeline.token_vectors {
        return pipeline.embedder.embed_passages_and_tokens(passages);
    }
    let vectors = pipeline.embedder.embed_passages(passages)?;
    let alone = |vector| PassageVectors {
        vector,
        tokens: Vec::new(),
    };
    Ok(vectors.into_iter().map(alone).collect())
}

/// The tokens of a passage among those of its text.
fn slice<'t>(tokens: &'t [Token], passage: &passage::Passage) -> &'t [Token] {
    let before = |byte: usize| tokens.partition_point(|token| (token.start as usize) < byte);
    &tokens[before(passage.bytes.start)..before(passage.bytes.end)]
}

fn heading_tokens(passage: &passage::Passage, embedder: &dyn Embedder) -> Vec<u32> {
    let outer = passage.heading.len().saturating_sub(1);
    let words = passage.heading[..outer].join(" ");
    ids(&embedder.tokenize(&words))
}

/// What the text index reads of a passage: title, headings and table head go before its own words.
pub(crate) fn words(
    title: Option<&str>,
    heading: &[String],
    context: Option<&str>,
    text: &str,
) -> String {
    let mut words = String::with_capacity(text.len() + 64);
    let mut parts: Vec<&str> = Vec::with_capacity(heading.len() + 3);
    parts.extend(title);
    // The first heading often repeats the title.
    parts.extend(
        heading
            .iter()
            .map(String::as_str)
            .filter(|words| Some(*words) != title),
    );
    parts.extend(context);
    for part in parts {
        words.push_str(part);
        words.push('\n');
    }
    words.push_str(text);
    words
}

/// Fingerprint of everything that decides passages, vectors and words.
pub(crate) fn pipeline(
    embedder: &dyn Embedder,
    token_vectors: bool,
    settings: &PassageSettings,
) -> String {
    let PassageSettings {
        target_tokens,
        max_tokens,
        overlap_tokens,
    } = settings;
    // What was cut without overlap before there was one is still the same.
    let overlap = match overlap_tokens {
        0 => String::new(),
        tokens => format!("+{tokens}"),
    };
    let tokens = if token_vectors {
        format!("+{PROJECTION}:{}", embedder.token_dimensions())
    } else {
        String::new()
    };
    format!(
        "{}/{}:{target_tokens}-{max_tokens}{overlap}/{}{tokens}/{VERSION}/{}",
        read::VERSION,
        passage::VERSION,
        embedder.fingerprint(),
        crate::index::analysis::VERSION,
    )
}
