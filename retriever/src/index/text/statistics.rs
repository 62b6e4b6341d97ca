//! What BM25 counts: passages, their lengths, and how many hold a term, among those that a caller may read and no others.
//!
//! So no score tells of a passage that is hidden, deleted or not in force, and a score does not change when the dead are cleared
//! away.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use roaring::RoaringBitmap;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, SegmentReader, TERMINATED, Term};

use super::TextView;
use crate::RetrieverError;

/// Terms whose counts are remembered.
const REMEMBERED_TERMS: usize = 4096;

/// Of the readable passages of some views.
pub(crate) struct Statistics {
    passages: u64,
    tokens: u64,
    /// For each view, for each of its segments.
    readable: Vec<Vec<Readable>>,
    frequencies: Mutex<HashMap<Term, u64>>,
}

/// Which passages of a segment may be counted.
enum Readable {
    All,
    None,
    /// A bit for each.
    Some(Vec<u64>),
}

impl Statistics {
    /// Counts the passages of `views` whose keys are in `readable`: one step for each passage of the views.
    ///
    /// # Errors
    /// An index cannot be read.
    pub(crate) fn over(
        views: &[&TextView],
        readable: &RoaringBitmap,
    ) -> Result<Self, RetrieverError> {
        let mut statistics = Self {
            passages: 0,
            tokens: 0,
            readable: Vec::with_capacity(views.len()),
            frequencies: Mutex::default(),
        };
        for view in views {
            let segments = view.searcher.segment_readers().iter();
            let of_view = segments
                .map(|segment| statistics.count(segment, view.fields.words, readable))
                .collect::<tantivy::Result<_>>()
                .map_err(RetrieverError::text_index("counting words"))?;
            statistics.readable.push(of_view);
        }
        Ok(statistics)
    }

    fn count(
        &mut self,
        segment: &SegmentReader,
        words: Field,
        readable: &RoaringBitmap,
    ) -> tantivy::Result<Readable> {
        let keys = segment.fast_fields().u64("key")?;
        let lengths = segment.get_fieldnorms_reader(words)?;
        let mut bits = vec![0_u64; segment.max_doc().div_ceil(64) as usize];
        let mut passages = 0;
        for document in 0..segment.max_doc() {
            let key = keys.first(document).and_then(|key| u32::try_from(key).ok());
            if key.is_some_and(|key| readable.contains(key)) {
                bits[document as usize / 64] |= 1 << (document % 64);
                passages += 1;
                self.tokens += u64::from(lengths.fieldnorm(document));
            }
        }
        self.passages += u64::from(passages);
        Ok(match passages {
            0 => Readable::None,
            _ if passages == segment.max_doc() => Readable::All,
            _ => Readable::Some(bits),
        })
    }

    /// How many there are.
    pub(crate) fn passages(&self) -> u64 {
        self.passages
    }

    /// The same views again, to count terms in.
    pub(super) fn of<'a>(&'a self, views: &'a [&'a TextView]) -> Counted<'a> {
        Counted {
            statistics: self,
            views,
        }
    }

    /// In how many readable passages each term occurs; a term that cannot be counted is in none.
    pub(crate) fn frequencies(&self, views: &[&TextView], terms: &[String]) -> Vec<u64> {
        let counted = self.of(views);
        let words = views.first().map(|view| view.fields.words);
        let count = |term: &String| {
            words.map_or(0, |words| {
                let term = Term::from_field_text(words, term);
                counted.doc_freq(&term).unwrap_or(0)
            })
        };
        terms.iter().map(count).collect()
    }
}

/// Statistics beside the views that they are of.
pub(super) struct Counted<'a> {
    statistics: &'a Statistics,
    views: &'a [&'a TextView],
}

impl Counted<'_> {
    fn count(&self, term: &Term) -> tantivy::Result<u64> {
        let mut sum = 0;
        for (view, segments) in self.views.iter().zip(&self.statistics.readable) {
            for (segment, readable) in view.searcher.segment_readers().iter().zip(segments) {
                sum += occurrences(segment, readable, term)?;
            }
        }
        Ok(sum)
    }
}

fn occurrences(segment: &SegmentReader, readable: &Readable, term: &Term) -> tantivy::Result<u64> {
    let index = segment.inverted_index(term.field())?;
    let bits = match readable {
        Readable::None => return Ok(0),
        Readable::All => return Ok(u64::from(index.doc_freq(term)?)),
        Readable::Some(bits) => bits,
    };
    let Some(mut postings) = index.read_postings(term, IndexRecordOption::Basic)? else {
        return Ok(0);
    };
    let mut count = 0;
    let mut document = postings.doc();
    while document != TERMINATED {
        count += bits[document as usize / 64] >> (document % 64) & 1;
        document = postings.advance();
    }
    Ok(count)
}

impl Bm25StatisticsProvider for Counted<'_> {
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        Ok(self.statistics.tokens)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.statistics.passages)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let remembered = || {
            let frequencies = self.statistics.frequencies.lock();
            frequencies.unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(known) = remembered().get(term) {
            return Ok(*known);
        }
        let count = self.count(term)?;
        let mut frequencies = remembered();
        if frequencies.len() < REMEMBERED_TERMS {
            frequencies.insert(term.clone(), count);
        }
        Ok(count)
    }
}
