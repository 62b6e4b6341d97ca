//! The text index: tantivy, with one field of words and the passage's key.
//!
//! A query is built from terms, never parsed. Base and delta are scored with one set of statistics, so that a score does not
//! depend on where a passage happens to lie.

mod contents;
mod statistics;

use std::path::Path;

use roaring::RoaringBitmap;
use tantivy::query::{BooleanQuery, EnableScoring, Occur, Query, TermQuery};
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::TokenizerManager;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, Term};

pub(crate) use self::contents::Terms;
use self::statistics::Counted;
pub(crate) use self::statistics::Statistics;
use super::{Best, Scored, analysis};
use crate::RetrieverError;

const ANALYSER: &str = "quoin";
/// tantivy asks for 15 MB a thread at least.
const DELTA_MEMORY_BYTES: usize = 15 << 20;
const SNAPSHOT_MEMORY_BYTES: usize = 96 << 20;

#[derive(Clone, Copy)]
struct Fields {
    key: Field,
    words: Field,
}

fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let key = builder.add_u64_field("key", FAST);
    let words = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer(ANALYSER)
            .set_index_option(IndexRecordOption::WithFreqs),
    );
    let words = builder.add_text_field("words", words);
    (builder.build(), Fields { key, words })
}

fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::default();
    manager.register(ANALYSER, analysis::analyser());
    manager
}

/// Writes passages into an index, on disk or in memory.
pub(crate) struct TextWriter {
    index: Index,
    writer: IndexWriter,
    reader: IndexReader,
    fields: Fields,
}

impl TextWriter {
    pub(crate) fn in_memory() -> Result<Self, RetrieverError> {
        let failed = RetrieverError::text_index("creating the delta");
        let (schema, fields) = schema();
        let index = Index::builder()
            .schema(schema)
            .tokenizers(tokenizers())
            .create_in_ram()
            .map_err(&failed)?;
        Self::over(index, fields, DELTA_MEMORY_BYTES).map_err(failed)
    }

    /// In an empty folder.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, RetrieverError> {
        let failed = RetrieverError::text_index("creating a snapshot");
        let (schema, fields) = schema();
        let index = Index::builder()
            .schema(schema)
            .tokenizers(tokenizers())
            .create_in_dir(folder)
            .map_err(&failed)?;
        Self::over(index, fields, SNAPSHOT_MEMORY_BYTES).map_err(failed)
    }

    fn over(index: Index, fields: Fields, memory: usize) -> tantivy::Result<Self> {
        let writer = index.writer_with_num_threads(1, memory)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        Ok(Self {
            index,
            writer,
            reader,
            fields,
        })
    }

    pub(crate) fn add(&mut self, key: u32, words: &str) -> Result<(), RetrieverError> {
        let mut document = TantivyDocument::default();
        document.add_u64(self.fields.key, u64::from(key));
        document.add_text(self.fields.words, words);
        self.writer
            .add_document(document)
            .map_err(RetrieverError::text_index("adding a passage"))?;
        Ok(())
    }

    /// Makes what was added visible, and gives a view of it.
    pub(crate) fn commit(&mut self) -> Result<TextView, RetrieverError> {
        let failed = RetrieverError::text_index("committing");
        self.writer.commit().map_err(&failed)?;
        self.reader.reload().map_err(&failed)?;
        Ok(TextView {
            searcher: self.reader.searcher(),
            fields: self.fields,
        })
    }

    /// Commits and merges everything into one segment.
    pub(crate) fn finish(mut self) -> Result<(), RetrieverError> {
        let failed = RetrieverError::text_index("finishing a snapshot");
        self.writer.commit().map_err(&failed)?;
        let segments = self.index.searchable_segment_ids().map_err(&failed)?;
        if segments.len() > 1 {
            self.writer.merge(&segments).wait().map_err(&failed)?;
        }
        self.writer.wait_merging_threads().map_err(failed)
    }
}

/// An index that can be searched and does not change.
#[derive(Clone)]
pub(crate) struct TextView {
    searcher: Searcher,
    fields: Fields,
}

impl TextView {
    pub(crate) fn open(folder: &Path) -> Result<Self, RetrieverError> {
        let failed = RetrieverError::text_index("opening a snapshot");
        let mut index = Index::open_in_dir(folder).map_err(&failed)?;
        index.set_tokenizers(tokenizers());
        let (wanted, fields) = schema();
        if index.schema() != wanted {
            return Err(RetrieverError::text_index("opening a snapshot")(
                tantivy::TantivyError::SchemaError("another schema".to_owned()),
            ));
        }
        let reader: IndexReader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(failed)?;
        Ok(Self {
            searcher: reader.searcher(),
            fields,
        })
    }

    pub(crate) fn passages(&self) -> u64 {
        self.searcher.num_docs()
    }
}

/// BM25's: `ln(1 + (N − n + ½) / (n + ½))`.
pub(crate) fn inverse_frequency(frequency: u64, passages: u64) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "counts of passages")]
    let (n, all) = (frequency as f32, passages.max(frequency) as f32);
    (1.0 + (all - n + 0.5) / (n + 0.5)).ln()
}

/// BM25 over all views, the best `limit` of the allowed passages.
pub(crate) fn search(
    views: &[&TextView],
    statistics: &Statistics,
    terms: &[String],
    allowed: &RoaringBitmap,
    limit: usize,
) -> Result<Vec<Scored>, RetrieverError> {
    if terms.is_empty() || limit == 0 || allowed.is_empty() {
        return Ok(Vec::new());
    }
    let failed = RetrieverError::text_index("searching");
    let counted = statistics.of(views);
    let mut best = Best::new(limit);
    for view in views {
        search_view(view, &counted, terms, allowed, &mut best).map_err(&failed)?;
    }
    Ok(best.into_sorted())
}

fn search_view(
    view: &TextView,
    counted: &Counted<'_>,
    terms: &[String],
    allowed: &RoaringBitmap,
    best: &mut Best,
) -> tantivy::Result<()> {
    let clauses = terms
        .iter()
        .map(|term| {
            let term = Term::from_field_text(view.fields.words, term);
            let query: Box<dyn Query> =
                Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs));
            (Occur::Should, query)
        })
        .collect();
    let scoring = EnableScoring::enabled_from_statistics_provider(counted, &view.searcher);
    let weight = BooleanQuery::new(clauses).weight(scoring)?;
    for segment in view.searcher.segment_readers() {
        let keys = segment.fast_fields().u64("key")?;
        // Passages whose score is not above the floor are skipped in blocks; one step lower, so that ties are decided by key.
        let floor = |best: &Best| best.floor().map_or(f32::MIN, f32::next_down);
        weight.for_each_pruning(floor(best), segment, &mut |document, score| {
            if let Some(key) = keys.first(document).and_then(|key| u32::try_from(key).ok())
                && allowed.contains(key)
            {
                best.push((key, score));
            }
            floor(best)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 8] = [
        "the pump resets after error ERR-4012",
        "reset the pump by hand",
        "holidays are twenty days a year",
        "a pump is a pump is a pump",
        "nothing about machines",
        "error handling in the pump controller, with a long sentence that says more and more",
        "days and days of rain",
        "reset",
    ];

    fn view(keys: impl Iterator<Item = u32>) -> TextView {
        let mut writer = TextWriter::in_memory().unwrap();
        for key in keys {
            writer.add(key, TEXTS[key as usize]).unwrap();
        }
        writer.commit().unwrap()
    }

    fn found(views: &[&TextView], terms: &[String], allowed: &RoaringBitmap) -> Vec<Scored> {
        let statistics = Statistics::over(views, allowed).unwrap();
        search(views, &statistics, terms, allowed, 5).unwrap()
    }

    #[test]
    fn what_is_not_readable_changes_no_score() {
        let terms = analysis::query_terms("pump reset error days", 16);
        let readable: RoaringBitmap = [1, 3, 4, 7].into_iter().collect();
        let want = found(&[&view([1, 3, 4, 7].into_iter())], &terms, &readable);
        assert_eq!(want.len(), 3);
        for cut in 0..8 {
            let (base, delta) = (view(0..cut), view(cut..8));
            assert_eq!(found(&[&base, &delta], &terms, &readable), want, "{cut}");
        }
    }

    #[test]
    fn scores_do_not_depend_on_how_passages_are_divided() {
        let whole = view(0..8);
        let all: RoaringBitmap = (0..8).collect();
        for query in ["pump reset error", "days", "err-4012"] {
            let terms = analysis::query_terms(query, 16);
            let want = found(&[&whole], &terms, &all);
            for cut in 0..8 {
                let (base, delta) = (view(0..cut), view(cut..8));
                let got = found(&[&base, &delta], &terms, &all);
                assert_eq!(got.len(), want.len());
                for (got, want) in got.iter().zip(&want) {
                    assert_eq!(got.0, want.0, "{query} cut at {cut}");
                    assert!((got.1 - want.1).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn a_passage_that_is_not_allowed_is_not_found() {
        let whole = view(0..8);
        let terms = analysis::query_terms("pump", 16);
        let allowed: RoaringBitmap = [1, 5].into_iter().collect();
        let mut got: Vec<u32> = found(&[&whole], &terms, &allowed)
            .into_iter()
            .map(|scored| scored.0)
            .collect();
        got.sort_unstable();
        assert_eq!(got, [1, 5]);
    }
}
