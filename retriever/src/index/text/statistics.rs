//! What BM25 counts: passages, their lengths, and how many hold a term, among those that a caller may read and no others.
//!
//! So no score tells of a passage that is hidden, deleted or not in force, and a score does not change when the dead are cleared
//! away.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use roaring::RoaringBitmap;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet, SegmentReader, TERMINATED, Term};

use super::{Passages, TextView};
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
    /// Their numbers, ascending.
    Few(Vec<DocId>),
    /// A bit for each.
    Some(Vec<u64>),
}

/// Where fewer than one in so many is readable, a term is looked up in each instead of walked through.
const FEW: u64 = 32;

impl Statistics {
    /// Counts the passages of `views` whose keys are in `readable`: one step for each of a segment that is readable in part.
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
            let of_view = view
                .segments()
                .map(|(segment, passages)| {
                    statistics.count(segment, passages, view.fields.words, readable)
                })
                .collect::<tantivy::Result<_>>()
                .map_err(RetrieverError::text_index("counting words"))?;
            statistics.readable.push(of_view);
        }
        Ok(statistics)
    }

    fn count(
        &mut self,
        segment: &SegmentReader,
        passages: &Passages,
        words: Field,
        readable: &RoaringBitmap,
    ) -> tantivy::Result<Readable> {
        let some = passages.all.intersection_len(readable);
        self.passages += some;
        if some == 0 {
            return Ok(Readable::None);
        }
        if some == passages.all.len() {
            self.tokens += passages.tokens;
            return Ok(Readable::All);
        }
        let lengths = segment.get_fieldnorms_reader(words)?;
        if some * FEW < passages.all.len() {
            let few = passages.among(readable);
            let tokens = few.iter().map(|one| u64::from(lengths.fieldnorm(*one)));
            self.tokens += tokens.sum::<u64>();
            return Ok(Readable::Few(few));
        }
        let mut bits = vec![0_u64; segment.max_doc().div_ceil(64) as usize];
        for (document, key) in (0_u32..).zip(passages.keys()) {
            if readable.contains(*key) {
                bits[document as usize / 64] |= 1 << (document % 64);
                self.tokens += u64::from(lengths.fieldnorm(document));
            }
        }
        Ok(Readable::Some(bits))
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
            for ((segment, _), readable) in view.segments().zip(segments) {
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
        Readable::Few(few) => {
            let mut count = 0;
            super::each_with(segment, term, few, |_, _| count += 1)?;
            return Ok(count);
        }
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
