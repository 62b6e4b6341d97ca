//! What a text index holds of each passage, as one number: to be compared with the words that the passage was indexed by.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tantivy::postings::Postings as _;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet as _, TERMINATED};

use super::TextView;
use crate::RetrieverError;
use crate::index::analysis;

/// The sum of a hash of each different term with how often the passage has it; the order of the terms does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms(u64);

impl Terms {
    /// Of words as they are given to the index.
    pub(crate) fn of_words(words: &str) -> Self {
        let mut counts: HashMap<String, u32> = HashMap::new();
        let mut analyser = analysis::analyser();
        let mut stream = analyser.token_stream(words);
        stream.process(&mut |token| *counts.entry(token.text.clone()).or_default() += 1);
        let mut terms = Self::default();
        for (term, count) in counts {
            terms.add(term.as_bytes(), count);
        }
        terms
    }

    fn add(&mut self, term: &[u8], count: u32) {
        let mut hasher = DefaultHasher::new();
        (term, count).hash(&mut hasher);
        self.0 = self.0.wrapping_add(hasher.finish());
    }
}

impl TextView {
    /// The terms of every passage, by key. Reads the whole index.
    ///
    /// # Errors
    /// The index cannot be read, or holds a passage twice.
    pub(crate) fn contents(&self) -> Result<HashMap<u32, Terms>, RetrieverError> {
        let mut contents = HashMap::new();
        let twice = self
            .add_contents(&mut contents)
            .map_err(RetrieverError::text_index("comparing its words"))?;
        match twice {
            None => Ok(contents),
            Some(key) => Err(RetrieverError::text_index("comparing its words")(
                tantivy::TantivyError::InternalError(format!("passage {key} stands in it twice")),
            )),
        }
    }

    fn add_contents(&self, contents: &mut HashMap<u32, Terms>) -> tantivy::Result<Option<u32>> {
        for segment in self.searcher.segment_readers() {
            let column = segment.fast_fields().u64("key")?;
            let key = |document| {
                column
                    .first(document)
                    .and_then(|key| u32::try_from(key).ok())
            };
            let keys: Vec<u32> = (0..segment.max_doc()).filter_map(key).collect();
            let mut terms = vec![Terms::default(); segment.max_doc() as usize];
            let words = segment.inverted_index(self.fields.words)?;
            let mut stream = words.terms().stream()?;
            while let Some((term, info)) = stream.next() {
                let mut postings =
                    words.read_postings_from_terminfo(info, IndexRecordOption::WithFreqs)?;
                while postings.doc() != TERMINATED {
                    terms[postings.doc() as usize].add(term, postings.term_freq());
                    postings.advance();
                }
            }
            for (key, terms) in keys.into_iter().zip(terms) {
                if contents.insert(key, terms).is_some() {
                    return Ok(Some(key));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TextWriter;
    use super::Terms;

    #[test]
    fn an_index_has_the_terms_of_the_words_that_it_was_given() {
        let texts = [
            "the pump resets after error ERR-4012",
            "a pump is a pump is a pump",
            "",
            "ポンプを再起動する max_num_seqs",
        ];
        let mut writer = TextWriter::in_memory().unwrap();
        for (key, text) in (7_u32..).zip(texts) {
            writer.add(key, text).unwrap();
        }
        let contents = writer.commit().unwrap().contents().unwrap();
        assert_eq!(contents.len(), texts.len());
        for (key, text) in (7_u32..).zip(texts) {
            assert_eq!(contents[&key], Terms::of_words(text), "{text}");
            assert_ne!(contents[&key], Terms::of_words(&format!("{text} pump")));
        }
    }
}
