//! BM25 of all passages of a segment that have a word of a query: the words' lists are added up, window by window.
//!
//! A window's sums lie in the processor's nearest cache, so a list entry costs a few nanoseconds. On passages and with as many
//! candidates as a reranker wants, that is faster than leaving out what cannot be among the best (block-max WAND), and it takes
//! the same time for every query of so many words. Each passage's sum is made in the order of the query's words, as where
//! passages are looked up one by one: the scores are the same to the bit.

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::BlockSegmentPostings;
use tantivy::query::Bm25Weight;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, InvertedIndexReader, SegmentReader, TERMINATED, Term};

use super::statistics::Counted;

/// Passages of a window.
const WINDOW: usize = 4096;

/// Sums that are compared with the floor at a time.
const CHUNK: usize = 16;

/// A word's list, and how far it is walked.
struct Walked {
    postings: BlockSegmentPostings,
    /// Entries of the present block that are behind.
    taken: usize,
    weight: Bm25Weight,
}

impl Walked {
    fn open(
        index: &InvertedIndexReader,
        counted: &Counted<'_>,
        term: &Term,
    ) -> tantivy::Result<Option<Self>> {
        let Some(postings) = index.read_block_postings(term, IndexRecordOption::WithFreqs)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            postings,
            taken: 0,
            weight: Bm25Weight::for_terms(counted, std::slice::from_ref(term))?,
        }))
    }

    /// Adds to the sums what the entries before `start + WINDOW` are worth; `sums[0]` belongs to `start`.
    fn add(&mut self, start: DocId, sums: &mut [f32; WINDOW], lengths: &FieldNormReader) {
        loop {
            let documents = &self.postings.docs()[self.taken..];
            let Some(last) = documents.last().filter(|_| documents[0] < TERMINATED) else {
                return;
            };
            let all = ((last - start) as usize) < WINDOW;
            let within = if all {
                documents.len()
            } else {
                documents.partition_point(|document| ((document - start) as usize) < WINDOW)
            };
            let times = &self.postings.freqs()[self.taken..];
            for (document, times) in documents[..within].iter().zip(times) {
                let worth = self.weight.score(lengths.fieldnorm_id(*document), *times);
                sums[(document - start) as usize] += worth;
            }
            if !all {
                self.taken += within;
                return;
            }
            self.postings.advance();
            self.taken = 0;
        }
    }
}

/// Which passages of a segment are looked at once their sums are made.
pub(super) enum Among<'a> {
    All,
    /// Their numbers, ascending: better than all where they are few of them.
    These(&'a [DocId]),
}

/// Calls `take` with the number and score of every passage among those that has a term and whose score is not below the floor;
/// `take` gives the next floor.
pub(super) fn walk(
    segment: &SegmentReader,
    counted: &Counted<'_>,
    terms: &[Term],
    among: &Among<'_>,
    mut floor: f32,
    mut take: impl FnMut(DocId, f32) -> f32,
) -> tantivy::Result<()> {
    let Some(field) = terms.first().map(Term::field) else {
        return Ok(());
    };
    let index = segment.inverted_index(field)?;
    let lengths = segment.get_fieldnorms_reader(field)?;
    let mut lists = Vec::with_capacity(terms.len());
    for term in terms {
        lists.extend(Walked::open(&index, counted, term)?);
    }
    let mut these = match among {
        Among::All => [].iter(),
        Among::These(these) => these.iter(),
    }
    .peekable();
    let mut sums = [0.0_f32; WINDOW];
    for start in (0..segment.max_doc()).step_by(WINDOW) {
        sums.fill(0.0);
        for list in &mut lists {
            list.add(start, &mut sums, &lengths);
        }
        if matches!(among, Among::These(_)) {
            let within = |document: &&DocId| ((**document - start) as usize) < WINDOW;
            while let Some(document) = these.next_if(within) {
                let sum = sums[(document - start) as usize];
                if sum >= floor && sum > 0.0 {
                    floor = take(*document, sum);
                }
            }
            continue;
        }
        for (chunk, first) in sums.chunks_exact(CHUNK).zip((start..).step_by(CHUNK)) {
            if !chunk.iter().any(|sum| *sum >= floor) {
                continue;
            }
            for (document, sum) in (first..).zip(chunk) {
                if *sum >= floor && *sum > 0.0 {
                    floor = take(document, *sum);
                }
            }
        }
    }
    Ok(())
}
