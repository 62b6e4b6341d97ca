//! A model's tokenizer, without its padding, its truncation and its special tokens: texts are passages or queries, and what
//! looks like `[SEP]` or `</s>` in them is text.

use serde_json::Value;

use super::wrong;
use crate::RetrieverError;
use crate::embed::wordpiece::WordPiece;
use crate::passage::Token;

/// Longest piece of a text that the general library is given at once, bytes.
const PIECE_BYTES: usize = 64 << 10;

enum Kind {
    WordPiece(WordPiece),
    General(Box<tokenizers::Tokenizer>),
}

pub(super) struct Tokenizer {
    kind: Kind,
    /// `[CLS]` or `<s>`.
    pub first: u32,
    /// `[SEP]` or `</s>`.
    pub last: u32,
    /// Stands between the two texts of a pair.
    between: Vec<u32>,
}

impl Tokenizer {
    /// # Errors
    /// It is no `tokenizer.json`, or has no special tokens that a sequence starts and ends with.
    pub(super) fn from_json(json: &[u8], vocabulary: usize) -> Result<Self, RetrieverError> {
        let tokenizer = match WordPiece::from_json(json) {
            Ok(wordpiece) => {
                let id = |piece: &str| wordpiece.id(piece).ok_or_else(|| lacks(piece));
                let (first, last) = (id("[CLS]")?, id("[SEP]")?);
                check_ids(wordpiece.largest_id() as usize, vocabulary)?;
                Self {
                    kind: Kind::WordPiece(wordpiece),
                    first,
                    last,
                    between: vec![last],
                }
            }
            Err(_) => Self::general(json, vocabulary)?,
        };
        Ok(tokenizer)
    }

    fn general(json: &[u8], vocabulary: usize) -> Result<Self, RetrieverError> {
        let read = |json: &[u8]| {
            tokenizers::Tokenizer::from_bytes(json)
                .map_err(|error| wrong(format!("tokenizer.json: {error}")))
        };
        let whole = read(json)?;
        let id = |piece: &str| whole.token_to_id(piece);
        let ends = id("[CLS]").zip(id("[SEP]"));
        let (first, last, apart) = if let Some((first, last)) = ends {
            (first, last, 1)
        } else {
            let ends = id("<s>").zip(id("</s>"));
            let (first, last) = ends.ok_or_else(|| lacks("<s>"))?;
            (first, last, 2)
        };
        let largest = whole
            .get_vocab(true)
            .into_values()
            .max()
            .unwrap_or_default();
        check_ids(largest as usize, vocabulary)?;
        let mut plain: Value = serde_json::from_slice(json)
            .map_err(|error| wrong(format!("tokenizer.json: {error}")))?;
        hide_special_tokens(&mut plain);
        let plain = serde_json::to_vec(&plain).unwrap_or_default();
        Ok(Self {
            kind: Kind::General(Box::new(read(&plain)?)),
            first,
            last,
            between: vec![last; apart],
        })
    }

    /// Special tokens around one text, or around two.
    pub(super) fn special(&self, pair: bool) -> usize {
        2 + if pair { self.between.len() } else { 0 }
    }

    pub(super) fn between(&self) -> &[u32] {
        &self.between
    }

    /// In linear time for `WordPiece`; for others in pieces, which end at white space where there is some.
    pub(super) fn tokenize(&self, text: &str) -> Vec<Token> {
        match &self.kind {
            Kind::WordPiece(wordpiece) => wordpiece.tokenize(text),
            Kind::General(tokenizer) => {
                let mut tokens = Vec::with_capacity(text.len() / 4);
                let mut start = 0;
                while start < text.len() {
                    let end = piece_end(text, start);
                    add_tokens(tokenizer, &text[start..end], start, &mut tokens);
                    start = end;
                }
                tokens
            }
        }
    }
}

/// Where the piece that starts at `start` ends: before white space, unless there is none in the second half.
fn piece_end(text: &str, start: usize) -> usize {
    if text.len() - start <= PIECE_BYTES {
        return text.len();
    }
    let end = text.floor_char_boundary(start + PIECE_BYTES);
    let half = text.floor_char_boundary(start + PIECE_BYTES / 2);
    text[half..end]
        .rfind(char::is_whitespace)
        .map_or(end, |at| half + at)
}

fn add_tokens(
    tokenizer: &tokenizers::Tokenizer,
    text: &str,
    start: usize,
    tokens: &mut Vec<Token>,
) {
    // The library fails on no text: only its models for training do.
    let Ok(encoding) = tokenizer.encode(text, false) else {
        return;
    };
    let mut least = 0;
    for (id, (from, _)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
        // Normalisers may give a character's parts offsets inside of it.
        least = text.floor_char_boundary(*from).max(least);
        let start = u32::try_from(start + least).unwrap_or(u32::MAX);
        tokens.push(Token { id: *id, start });
    }
}

/// Without special tokens that texts are searched for, and with those of a Unigram vocabulary under names that no text has.
fn hide_special_tokens(tokenizer: &mut Value) {
    let names: Vec<Value> = tokenizer["added_tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|token| token["content"].clone())
        .collect();
    for key in ["added_tokens", "post_processor", "truncation", "padding"] {
        tokenizer[key] = Value::Null;
    }
    tokenizer["added_tokens"] = Value::Array(Vec::new());
    let unknown = tokenizer["model"]["unk_id"].as_u64();
    if let Some(pieces) = tokenizer["model"]["vocab"].as_array_mut() {
        for (at, piece) in pieces.iter_mut().enumerate() {
            if names.contains(&piece[0]) && Some(at as u64) != unknown {
                piece[0] = Value::String(format!("\u{0}{at}"));
            }
        }
    }
}

fn check_ids(largest: usize, vocabulary: usize) -> Result<(), RetrieverError> {
    if largest >= vocabulary {
        return Err(wrong(format!(
            "tokenizer.json has ids up to {largest}, config.json says `vocab_size` {vocabulary}"
        )));
    }
    Ok(())
}

fn lacks(piece: &str) -> RetrieverError {
    wrong(format!("tokenizer.json has no `{piece}`"))
}
