//! The text index: tantivy, with one field of words and the passage's key.
//!
//! A query is built from terms, never parsed. Base and delta are scored with one set of statistics, so that a score does not
//! depend on where a passage happens to lie.

mod contents;
mod segment;
mod statistics;
mod walk;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::index::SegmentId;
use tantivy::query::Bm25Weight;
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::TokenizerManager;
use tantivy::{
    Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, SegmentReader, TantivyDocument, Term,
};

pub(crate) use self::contents::Terms;
use self::segment::{Passages, each_with};
use self::statistics::Counted;
pub(crate) use self::statistics::Statistics;
use self::walk::{Among, walk};
use super::{Best, Scored, analysis};
use crate::RetrieverError;

const ANALYSER: &str = "quoin";
/// tantivy asks for 15 MB a thread at least.
const DELTA_MEMORY_BYTES: usize = 15 << 20;
const SNAPSHOT_MEMORY_BYTES: usize = 96 << 20;
/// When the words occur so many times as often as passages are allowed, each allowed passage is looked up; else the words'
/// lists are walked.
const OCCURRENCES_PER_ALLOWED: u64 = 64;
/// Where fewer than one in so many passages is allowed, those are looked at after a walk, instead of all.
const FEW: u64 = 16;

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
    /// Of the segments of the last view.
    passages: HashMap<SegmentId, Arc<Passages>>,
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
            passages: HashMap::new(),
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
        let view = TextView::new(self.reader.searcher(), self.fields, &self.passages);
        let view = view.map_err(&failed)?;
        let segments = view.searcher.segment_readers().iter();
        self.passages = segments
            .map(SegmentReader::segment_id)
            .zip(view.passages.iter().cloned())
            .collect();
        Ok(view)
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
    /// Of each segment.
    passages: Vec<Arc<Passages>>,
}

impl TextView {
    fn new(
        searcher: Searcher,
        fields: Fields,
        known: &HashMap<SegmentId, Arc<Passages>>,
    ) -> tantivy::Result<Self> {
        let passages = searcher.segment_readers().iter();
        let passages = passages
            .map(|segment| match known.get(&segment.segment_id()) {
                Some(known) => Ok(Arc::clone(known)),
                None => Passages::read(segment, fields.words),
            })
            .collect::<tantivy::Result<_>>()?;
        Ok(Self {
            searcher,
            fields,
            passages,
        })
    }

    fn segments(&self) -> impl Iterator<Item = (&SegmentReader, &Arc<Passages>)> {
        self.searcher.segment_readers().iter().zip(&self.passages)
    }

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
            .map_err(&failed)?;
        Self::new(reader.searcher(), fields, &HashMap::new()).map_err(failed)
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

/// Which of the terms a passage has.
pub(crate) fn having(
    views: &[&TextView],
    terms: &[String],
    key: u32,
) -> Result<Vec<bool>, RetrieverError> {
    let failed = RetrieverError::text_index("looking a passage up");
    let this = RoaringBitmap::from_iter([key]);
    let mut having = vec![false; terms.len()];
    for view in views {
        for (segment, passages) in view.segments() {
            let documents = passages.among(&this);
            if documents.is_empty() {
                continue;
            }
            for (term, has) in terms.iter().zip(&mut having) {
                let term = Term::from_field_text(view.fields.words, term);
                each_with(segment, &term, &documents, |_, _| *has = true).map_err(&failed)?;
            }
        }
    }
    Ok(having)
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
    let field = view.fields.words;
    let terms: Vec<Term> = terms
        .iter()
        .map(|term| Term::from_field_text(field, term))
        .collect();
    for (segment, passages) in view.segments() {
        let some = passages.all.intersection_len(allowed);
        if some == 0 {
            continue;
        }
        let index = segment.inverted_index(field)?;
        let mut occurrences = 0;
        for term in &terms {
            occurrences += u64::from(index.doc_freq(term)?);
        }
        if some * OCCURRENCES_PER_ALLOWED < occurrences {
            look_up((segment, passages), counted, &terms, allowed, best)?;
            continue;
        }
        let all_allowed = some == passages.all.len();
        let these = (some * FEW < passages.all.len()).then(|| passages.among(allowed));
        let among = these.as_deref().map_or(Among::All, Among::These);
        let floor = best.floor().unwrap_or(0.0);
        walk(
            segment,
            counted,
            &terms,
            &among,
            floor,
            |document, score| {
                let key = passages.key(document);
                if all_allowed || allowed.contains(key) {
                    best.push((key, score));
                }
                best.floor().unwrap_or(0.0)
            },
        )?;
    }
    Ok(())
}

/// BM25 of every allowed passage of a segment that has a term.
fn look_up(
    (segment, passages): (&SegmentReader, &Passages),
    counted: &Counted<'_>,
    terms: &[Term],
    allowed: &RoaringBitmap,
    best: &mut Best,
) -> tantivy::Result<()> {
    let documents = passages.among(allowed);
    let mut scores = vec![0.0_f32; documents.len()];
    for term in terms {
        let weight = Bm25Weight::for_terms(counted, std::slice::from_ref(term))?;
        let lengths = segment.get_fieldnorms_reader(term.field())?;
        each_with(segment, term, &documents, |place, times| {
            scores[place] += weight.score(lengths.fieldnorm_id(documents[place]), times);
        })?;
    }
    for (document, score) in documents.into_iter().zip(scores) {
        if score > 0.0 {
            best.push((passages.key(document), score));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::best_first;

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
    fn few_allowed_passages_are_looked_up_with_the_scores_of_a_walk_over_all() {
        let words = |key: u32| {
            format!(
                "pump {}reset number {key}",
                "pump ".repeat(key as usize % 5)
            )
        };
        let mut writer = TextWriter::in_memory().unwrap();
        for key in 0..2000 {
            writer.add(key * 3, &words(key)).unwrap();
        }
        let whole = writer.commit().unwrap();
        let all: RoaringBitmap = (0..6000).collect();
        let statistics = Statistics::over(&[&whole], &all).unwrap();
        let terms = analysis::query_terms("pump reset 17 unknown", 16);
        let few: RoaringBitmap = (0..6000).step_by(40).chain([51]).collect();
        let walked = search(&[&whole], &statistics, &terms, &all, 10_000).unwrap();
        let looked_up = search(&[&whole], &statistics, &terms, &few, 10_000).unwrap();
        assert_eq!(looked_up.len(), 51);
        assert_eq!(looked_up[0].0, 51);
        for (key, score) in looked_up {
            let (_, want) = walked.iter().find(|scored| scored.0 == key).unwrap();
            assert!((score - want).abs() < 1e-5, "{key}");
        }
    }

    #[test]
    fn every_way_to_score_gives_the_same_scores_over_many_windows() {
        let mut writer = TextWriter::in_memory().unwrap();
        for key in 0..10_000_u32 {
            let pumps = "pump ".repeat((key % 7) as usize);
            let padding = "padding ".repeat((key % 11) as usize);
            let reset = if key % 3 == 0 { "reset" } else { "" };
            writer
                .add(key * 2, &format!("{pumps}{padding}{reset} {key}"))
                .unwrap();
        }
        let whole = writer.commit().unwrap();
        let all: RoaringBitmap = (0..20_000).collect();
        let statistics = Statistics::over(&[&whole], &all).unwrap();
        let terms = analysis::query_terms("pump reset 9999", 16);
        let scores = |allowed: &RoaringBitmap, limit| {
            search(&[&whole], &statistics, &terms, allowed, limit).unwrap()
        };
        let walked: HashMap<u32, f32> = scores(&all, 20_000).into_iter().collect();
        assert!(walked.len() > 8000 && walked.contains_key(&19_998));
        // All that are allowed are walked by, some of them are, and few are looked up.
        for every in [2, 6, 40, 2000] {
            let some: RoaringBitmap = all.iter().filter(|key| key % every == 0).collect();
            let mut want: Vec<Scored> = walked
                .iter()
                .filter(|(key, _)| some.contains(**key))
                .map(|(key, score)| (*key, *score))
                .collect();
            want.sort_unstable_by(best_first);
            assert_eq!(scores(&some, 20_000), want, "{every}");
            want.truncate(37);
            assert_eq!(scores(&some, 37), want, "{every}");
        }
    }

    #[test]
    fn a_passage_has_the_terms_of_its_words_wherever_it_lies() {
        let terms = analysis::query_terms("pump rain error unknown", 16);
        let (base, delta) = (view(0..4), view(4..8));
        for (key, want) in [
            (0, [true, false, true, false]),
            (2, [false; 4]),
            (6, [false, true, false, false]),
            (9, [false; 4]),
        ] {
            assert_eq!(having(&[&base, &delta], &terms, key).unwrap(), want);
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
