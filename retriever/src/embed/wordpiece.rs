//! BERT's tokenizer: lower-casing and stripping of accents where the vocabulary is so, punctuation apart, then the longest known
//! piece first.
//!
//! Ten times as fast as the general library, which ingestion needs, and equal to it (a test compares the two). Words such
//! as `[MASK]` in a text are text here, never special tokens.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::Deserialize;
use unicode_categories::UnicodeCategories;
use unicode_normalization::UnicodeNormalization;

use crate::RetrieverError;
use crate::passage::Token;

/// Longer words are one unknown token.
const MAX_WORD_CHARS: usize = 100;

#[derive(Deserialize)]
struct TokenizerFile {
    model: Model,
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<PreTokenizer>,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    clean_text: bool,
    #[serde(default)]
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    #[serde(default)]
    lowercase: bool,
}

#[derive(Deserialize)]
struct PreTokenizer {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: Option<usize>,
    vocab: HashMap<String, u32>,
}

/// FNV-1a: words are short.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

type Pieces = HashMap<Box<str>, u32, BuildHasherDefault<Fnv>>;

pub(crate) struct WordPiece {
    starts: Pieces,
    continuations: Pieces,
    lowercase: bool,
    strip_accents: bool,
    longest: usize,
    unknown: u32,
    largest_id: u32,
}

impl WordPiece {
    /// # Errors
    /// It is no `tokenizer.json`, or one that does something else.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, RetrieverError> {
        let wrong = |problem: String| RetrieverError::Embedder { problem };
        let file: TokenizerFile = serde_json::from_slice(json)
            .map_err(|error| wrong(format!("tokenizer.json: {error}")))?;
        let model = file.model;
        if model
            .kind
            .as_deref()
            .is_some_and(|kind| kind != "WordPiece")
        {
            return Err(wrong("tokenizer.json: the model is not WordPiece".into()));
        }
        let normalizer = file.normalizer.filter(|normalizer| {
            let usual = normalizer.clean_text && normalizer.handle_chinese_chars;
            normalizer.kind == "BertNormalizer" && usual
        });
        let splits = file
            .pre_tokenizer
            .is_some_and(|splits| splits.kind == "BertPreTokenizer");
        let longest_word = model.max_input_chars_per_word.unwrap_or(MAX_WORD_CHARS);
        let Some(normalizer) = normalizer.filter(|_| splits && longest_word == MAX_WORD_CHARS)
        else {
            let problem = "tokenizer.json: it does not split and normalise as BERT does";
            return Err(wrong(problem.into()));
        };
        let unknown = *model
            .vocab
            .get(&model.unk_token)
            .ok_or_else(|| wrong(format!("tokenizer.json: no `{}`", model.unk_token)))?;
        let mut tokenizer = Self {
            starts: Pieces::default(),
            continuations: Pieces::default(),
            lowercase: normalizer.lowercase,
            strip_accents: normalizer.strip_accents.unwrap_or(normalizer.lowercase),
            longest: 0,
            unknown,
            largest_id: 0,
        };
        for (piece, id) in model.vocab {
            tokenizer.largest_id = tokenizer.largest_id.max(id);
            tokenizer.longest = tokenizer.longest.max(piece.len());
            match piece.strip_prefix(&model.continuing_subword_prefix) {
                Some(rest) if !rest.is_empty() => {
                    tokenizer.continuations.insert(rest.into(), id);
                }
                _ => {
                    tokenizer.starts.insert(piece.into(), id);
                }
            }
        }
        Ok(tokenizer)
    }

    pub(crate) fn largest_id(&self) -> u32 {
        self.largest_id
    }

    /// The id of a piece that starts a word, such as `[CLS]`.
    pub(crate) fn id(&self, piece: &str) -> Option<u32> {
        self.starts.get(piece).copied()
    }

    /// The tokens of a text, in order. Texts of 4 GiB and more are not supported: limits keep them out.
    pub(crate) fn tokenize(&self, text: &str) -> Vec<Token> {
        let mut word = Word::default();
        let mut tokens = Vec::with_capacity(text.len() / 4);
        for (offset, character) in text.char_indices() {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            if character.is_ascii_alphanumeric() {
                let folded = if self.lowercase {
                    character.to_ascii_lowercase()
                } else {
                    character
                };
                word.push(folded, offset);
            } else if character.is_ascii() {
                if character.is_ascii_punctuation() {
                    self.end(&mut word, &mut tokens);
                    word.push(character, offset);
                    self.end(&mut word, &mut tokens);
                } else if matches!(character, ' ' | '\t' | '\n' | '\r') {
                    self.end(&mut word, &mut tokens);
                }
                // Control characters are dropped without ending the word.
            } else {
                self.other(character, offset, &mut word, &mut tokens);
            }
        }
        self.end(&mut word, &mut tokens);
        tokens
    }

    fn other(&self, character: char, offset: u32, word: &mut Word, tokens: &mut Vec<Token>) {
        if character == '\u{fffd}' || character.is_other() {
            return;
        }
        if character.is_whitespace() {
            self.end(word, tokens);
            return;
        }
        let alone = is_chinese(character);
        if alone {
            self.end(word, tokens);
        }
        if self.strip_accents {
            let parts = std::iter::once(character).nfd();
            for part in parts.filter(|part| !part.is_mark_nonspacing()) {
                self.folded(part, offset, word, tokens);
            }
        } else {
            self.folded(character, offset, word, tokens);
        }
        if alone {
            self.end(word, tokens);
        }
    }

    fn folded(&self, character: char, offset: u32, word: &mut Word, tokens: &mut Vec<Token>) {
        if self.lowercase {
            for lower in character.to_lowercase() {
                self.take(lower, offset, word, tokens);
            }
        } else {
            self.take(character, offset, word, tokens);
        }
    }

    fn take(&self, character: char, offset: u32, word: &mut Word, tokens: &mut Vec<Token>) {
        if character.is_whitespace() {
            self.end(word, tokens);
        } else if character.is_ascii_punctuation() || character.is_punctuation() {
            self.end(word, tokens);
            word.push(character, offset);
            self.end(word, tokens);
        } else {
            word.push(character, offset);
        }
    }

    /// Cuts the word into its longest known pieces; a word with a part that none fits is one unknown token.
    fn end(&self, word: &mut Word, tokens: &mut Vec<Token>) {
        if word.text.is_empty() {
            return;
        }
        let first = tokens.len();
        let unknown = Token {
            id: self.unknown,
            start: word.offsets[0].1,
        };
        if word.offsets.len() > MAX_WORD_CHARS {
            tokens.push(unknown);
            word.clear();
            return;
        }
        let mut start = 0;
        while start < word.text.len() {
            let pieces = if start == 0 {
                &self.starts
            } else {
                &self.continuations
            };
            let mut end = word.text.floor_char_boundary(start + self.longest);
            let piece = loop {
                if end <= start {
                    break None;
                }
                if let Some(id) = pieces.get(&word.text[start..end]) {
                    break Some(*id);
                }
                end = word.text.floor_char_boundary(end - 1);
            };
            let Some(id) = piece else {
                tokens.truncate(first);
                tokens.push(unknown);
                break;
            };
            tokens.push(Token {
                id,
                start: word.source_of(start),
            });
            start = end;
        }
        word.clear();
    }
}

/// A word being read: its normalised text, and for each of its characters where it is there and in the source.
#[derive(Default)]
struct Word {
    text: String,
    offsets: Vec<(u32, u32)>,
}

impl Word {
    fn push(&mut self, character: char, source: u32) {
        // Beyond the longest word only the count matters.
        if self.offsets.len() <= MAX_WORD_CHARS {
            let at = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
            self.offsets.push((at, source));
            self.text.push(character);
        }
    }

    fn source_of(&self, byte: usize) -> u32 {
        let position = self
            .offsets
            .partition_point(|(at, _)| (*at as usize) < byte);
        self.offsets.get(position).map_or(0, |(_, source)| *source)
    }

    fn clear(&mut self) {
        self.text.clear();
        self.offsets.clear();
    }
}

fn is_chinese(character: char) -> bool {
    matches!(u32::from(character),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F
        | 0x2B740..=0x2B81F | 0x2B920..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &[u8] = include_bytes!("../../bundled/static/tokenizer.json");

    fn equal(ours: &WordPiece, library: &tokenizers::Tokenizer, text: &str) {
        let want = library.encode(text, false).unwrap();
        let got: Vec<u32> = ours.tokenize(text).iter().map(|token| token.id).collect();
        assert_eq!(got, want.get_ids(), "{text:?}");
    }

    #[test]
    fn ids_equal_those_of_the_general_library() {
        let ours = WordPiece::from_json(JSON).unwrap();
        let library = tokenizers::Tokenizer::from_bytes(JSON).unwrap();
        let long = "x".repeat(101);
        for text in [
            "Hello, World! it's 3.5% of max_num_seqs (ERR-4012).",
            "Ünïcödé ÀÉÎ straße ǅ İstanbul ﬁ",
            "日本語のテキスト 한국어 中文",
            "שלום עולם مرحبا",
            "👩‍🚀 a\u{200d}b \u{0}x\u{fffd}y\tz\u{a0}w\u{b}v\u{c}u",
            &long,
            &long[..100],
        ] {
            equal(&ours, &library, text);
        }
        let mut runner = proptest::test_runner::TestRunner::default();
        runner
            .run(&r"([a-zA-Z0-9.,'\-_ \n]|[äöüßéèñçøåÀÉ]|[א-ת]|[ぁ-ん]|[一-龥]|[Α-ω]|[а-яЁ]|[가-힣]){0,80}", |text| {
                equal(&ours, &library, &text);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn tokens_know_where_they_start() {
        let ours = WordPiece::from_json(JSON).unwrap();
        let text = "Ü unbelievably";
        let starts: Vec<_> = ours
            .tokenize(text)
            .iter()
            .map(|token| &text[token.start as usize..])
            .collect();
        assert_eq!(starts[0], text);
        assert_eq!(starts[1], "unbelievably");
        assert!(starts.len() > 2);
    }
}
