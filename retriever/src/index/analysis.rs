//! How text becomes the terms of the text index, and a query its terms.
//!
//! Words are lower-cased, Latin accents are folded, English endings are stemmed. Identifiers such as `max_num_seqs`,
//! `ERR-4012` and `HashMap` are found whole and in parts. Scripts without spaces become single characters and pairs. The stop
//! list applies to queries only: on the index as well it costs recall (measured on eight collections).

use std::collections::HashSet;
use std::sync::LazyLock;

use tantivy::tokenizer::{Language, Stemmer, TextAnalyzer, Token, TokenStream, Tokenizer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Changes whenever the same text would give other terms.
pub(crate) const VERSION: &str = "terms-1";

/// Longer terms are cut: nobody types them, and their beginning still finds them.
const MAX_TERM_BYTES: usize = 256;

/// Parts of an identifier that take part in what it is worth.
const MAX_TERMS_OF_WORD: usize = 8;

const STOP_WORDS: &str = "a about above after again all also am an and any are as at be because been before being below \
between both but by can could did do does doing down during each few for from further had has have having he her here \
hers him his how i if in into is it its itself just me more most my no nor not of off on once only or other our ours out \
over own same she should so some such than that the their theirs them then there these they this those through to too \
under until up very was we were what when where which while who whom whose why will with would you your yours";

/// The analyser of the index.
pub(crate) fn analyser() -> TextAnalyzer {
    TextAnalyzer::builder(Terms {
        for_query: false,
        ..Terms::default()
    })
    .filter(Stemmer::new(Language::English))
    .build()
}

static STOP: LazyLock<HashSet<&str>> = LazyLock::new(|| STOP_WORDS.split_whitespace().collect());

/// The different terms of a query, in order, at most `limit`. Stop words are left out unless nothing else is there.
pub(crate) fn query_terms(query: &str, limit: usize) -> Vec<String> {
    let words = raw_terms(query, true);
    let mut kept = without_stop_words(&words);
    if kept.is_empty() {
        kept = words.iter().collect();
    }
    stemmed(&kept, limit)
}

/// The words of a query that are on the stop list and took no part, in order.
pub(crate) fn stop_words(query: &str, terms: &[String]) -> Vec<String> {
    let mut words = raw_terms(query, true);
    let mut seen = HashSet::new();
    words.retain(|word| {
        STOP.contains(word.as_str()) && !terms.contains(word) && seen.insert(word.clone())
    });
    words
}

/// The terms of one word of a query; none for a stop word.
pub(crate) fn content_terms(word: &str) -> Vec<String> {
    stemmed(
        &without_stop_words(&raw_terms(word, true)),
        MAX_TERMS_OF_WORD,
    )
}

fn without_stop_words(words: &[String]) -> Vec<&String> {
    words
        .iter()
        .filter(|word| !STOP.contains(word.as_str()))
        .collect()
}

fn stemmed(kept: &[&String], limit: usize) -> Vec<String> {
    let mut stemmer = TextAnalyzer::builder(Given::default())
        .filter(Stemmer::new(Language::English))
        .build();
    let mut seen = HashSet::new();
    let mut terms = Vec::new();
    for word in kept {
        let mut stream = stemmer.token_stream(word);
        while stream.advance() {
            let term = &stream.token().text;
            if terms.len() < limit && seen.insert(term.clone()) {
                terms.push(term.clone());
            }
        }
    }
    terms
}

/// Terms before stemming, in order, repeats included.
fn raw_terms(text: &str, for_query: bool) -> Vec<String> {
    let mut terms = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(char::is_alphanumeric) {
        rest = &rest[start..];
        let first = rest.chars().next().unwrap_or(' ');
        let end = if is_unspaced(first) {
            rest.find(|c: char| !is_unspaced(c)).unwrap_or(rest.len())
        } else {
            compound_end(rest)
        };
        let (run, after) = rest.split_at(end);
        if is_unspaced(first) {
            pairs(run, for_query, &mut terms);
        } else {
            compound(run, &mut terms);
        }
        rest = after;
    }
    terms
}

fn is_word(c: char) -> bool {
    (c.is_alphanumeric() || is_combining_mark(c)) && !is_unspaced(c)
}

/// Words joined by single `_`, `-`, `.`, `/` or `:` signs; where the run ends.
fn compound_end(text: &str) -> usize {
    let mut end = 0;
    let mut joint = 0;
    for (offset, character) in text.char_indices() {
        if is_word(character) {
            end = offset + character.len_utf8();
            joint = 0;
        } else if matches!(character, '_' | '-' | '.' | '/' | ':') && joint < 2 {
            joint += 1;
        } else {
            break;
        }
    }
    end
}

fn compound(run: &str, terms: &mut Vec<String>) {
    let mut parts = 0;
    for part in run.split(|c| !is_word(c)).filter(|part| !part.is_empty()) {
        parts += 1;
        push(part, terms);
        camel_parts(part, terms);
    }
    // `max_num_seqs`, `ERR-4012`, `std::fs`, `v1.2`: also whole. `well-known` and `and/or` are just words.
    let identifier = run.contains('_')
        || run.contains("::")
        || (run.bytes().any(|b| b.is_ascii_digit()) && run.contains(['-', '.']));
    if parts > 1 && identifier {
        push(run, terms);
    }
}

/// The parts of `HashMap` and `parseJSONFile`, where each has two letters at least.
fn camel_parts(word: &str, terms: &mut Vec<String>) {
    if !word.is_ascii() || !word.bytes().any(|b| b.is_ascii_lowercase()) {
        return;
    }
    let bytes = word.as_bytes();
    let mut starts = vec![0];
    for at in 1..bytes.len() {
        let upper = bytes[at].is_ascii_uppercase();
        let after_lower = bytes[at - 1].is_ascii_lowercase();
        let before_lower = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        if upper && (after_lower || (bytes[at - 1].is_ascii_uppercase() && before_lower)) {
            starts.push(at);
        }
    }
    if starts.len() < 2 {
        return;
    }
    starts.push(bytes.len());
    if starts.windows(2).all(|pair| pair[1] - pair[0] >= 2) {
        for pair in starts.windows(2) {
            push(&word[pair[0]..pair[1]], terms);
        }
    }
}

/// Scripts without spaces: each character and each pair; of a query the pairs alone, where there are any.
fn pairs(run: &str, for_query: bool, terms: &mut Vec<String>) {
    let characters: Vec<char> = run.nfkc().collect();
    if !for_query || characters.len() == 1 {
        terms.extend(characters.iter().map(char::to_string));
    }
    terms.extend(
        characters
            .windows(2)
            .map(|pair| pair.iter().collect::<String>()),
    );
}

fn push(word: &str, terms: &mut Vec<String>) {
    let term = if word.is_ascii() {
        word.to_ascii_lowercase()
    } else {
        fold(word)
    };
    if !term.is_empty() {
        terms.push(match term.len() {
            ..=MAX_TERM_BYTES => term,
            _ => term[..term.floor_char_boundary(MAX_TERM_BYTES)].to_owned(),
        });
    }
}

/// Compatibility forms resolved, lower-cased, accents of Latin, Greek and Cyrillic letters dropped.
fn fold(word: &str) -> String {
    word.nfkc()
        .flat_map(char::to_lowercase)
        .nfd()
        .filter(|c| !matches!(u32::from(*c), 0x300..=0x36f))
        .nfc()
        .collect()
}

/// Letters of scripts that are written without spaces between words.
#[inline]
pub(crate) fn is_unspaced(c: char) -> bool {
    // Nearly every letter that is asked about.
    if u32::from(c) < 0x0E00 {
        return false;
    }
    matches!(u32::from(c),
        0x0E00..=0x0EFF      // Thai, Lao
        | 0x1000..=0x109F    // Myanmar
        | 0x1780..=0x17FF    // Khmer
        | 0x3040..=0x30FF | 0x31F0..=0x31FF | 0xFF66..=0xFF9F // kana
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x323AF // Han
        | 0xAC00..=0xD7AF | 0x1100..=0x11FF | 0x3130..=0x318F // Hangul
    ) && (c.is_alphanumeric() || is_combining_mark(c))
}

/// tantivy's view of [`raw_terms`].
#[derive(Clone, Default)]
struct Terms {
    for_query: bool,
    token: Token,
}

impl Tokenizer for Terms {
    type TokenStream<'a> = Stream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Stream<'a> {
        self.token.reset();
        Stream {
            terms: raw_terms(text, self.for_query).into_iter(),
            token: &mut self.token,
        }
    }
}

struct Stream<'a> {
    terms: std::vec::IntoIter<String>,
    token: &'a mut Token,
}

impl TokenStream for Stream<'_> {
    fn advance(&mut self) -> bool {
        match self.terms.next() {
            Some(term) => {
                self.token.position = self.token.position.wrapping_add(1);
                self.token.text = term;
                true
            }
            None => false,
        }
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// Hands on one word as it is.
#[derive(Clone, Default)]
struct Given {
    token: Token,
}

impl Tokenizer for Given {
    type TokenStream<'a> = Stream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Stream<'a> {
        self.token.reset();
        Stream {
            terms: vec![text.to_owned()].into_iter(),
            token: &mut self.token,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index_terms(text: &str) -> Vec<String> {
        let mut analyser = analyser();
        let mut stream = analyser.token_stream(text);
        let mut terms = Vec::new();
        while stream.advance() {
            terms.push(stream.token().text.clone());
        }
        terms
    }

    #[test]
    fn identifiers_are_found_whole_and_in_parts() {
        let terms = index_terms("Set max_num_seqs; see ERR-4012 in std::fs and HashMap.");
        for want in [
            "max_num_seq",
            "max",
            "num",
            "seq",
            "err-4012",
            "err",
            "4012",
            "std::fs",
            "hashmap",
            "hash",
            "map",
        ] {
            assert!(terms.iter().any(|term| term == want), "{want} in {terms:?}");
        }
    }

    #[test]
    fn accents_width_and_case_do_not_matter() {
        assert_eq!(index_terms("Café ＣＡＦÉ cafe"), ["cafe", "cafe", "cafe"]);
    }

    #[test]
    fn japanese_is_found_by_pairs() {
        let terms = index_terms("休暇の申請");
        for term in query_terms("申請", 10) {
            assert!(terms.contains(&term), "{term}");
        }
        assert_eq!(query_terms("猫", 10), ["猫"]);
    }

    #[test]
    fn stop_words_leave_a_query_unless_nothing_else_is_there() {
        assert_eq!(query_terms("What is the leave?", 10), ["leav"]);
        assert_eq!(query_terms("who are you", 10), ["who", "are", "you"]);
    }

    #[test]
    fn long_words_are_kept() {
        let word = "pneumonoultramicroscopicsilicovolcanoconiosis";
        assert_eq!(index_terms(word), query_terms(word, 10));
    }

    proptest! {
        #[test]
        fn a_text_always_has_the_terms_of_its_own_words(text in r"([a-zA-Z0-9_\-.:/ ]|[äéß日本ก한]){0,40}") {
            let terms = index_terms(&text);
            for term in query_terms(&text, 100) {
                prop_assert!(terms.contains(&term), "{} in {:?}", term, terms);
            }
        }

        #[test]
        fn any_text_at_all_is_analysed(text in any::<String>()) {
            index_terms(&text);
            query_terms(&text, 10);
        }
    }
}
