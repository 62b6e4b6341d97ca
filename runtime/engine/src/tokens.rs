//! From text to token ids, with data kept apart from control.
//!
//! A prompt is tokenised piece by piece. In trusted pieces the model's added tokens (`<|im_end|>`, `[[1]]`) are tokens;
//! in data they are plain text, whatever the data says. Ids, not text, go to the model, so nothing is read twice.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Value, json};
use tokenizers::{Encoding, Tokenizer};

use crate::{EngineError, Part};

pub(crate) struct SegmentTokenizer {
    /// As the model's makers wrote it: for the very beginning of a prompt.
    beginning: Arc<Tokenizer>,
    /// The same in the middle of a text: puts no space in front (`SentencePiece` models do at a beginning). Mostly there is
    /// no difference, and one of them for both: with 150,000 tokens each takes some 60 MB.
    middle: Arc<Tokenizer>,
    /// The same without any added token.
    data: Tokenizer,
    /// Ids that data must never become.
    control: HashSet<u32>,
}

impl SegmentTokenizer {
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, String> {
        let failed = |error: tokenizers::Error| error.to_string();
        let mut description: Value = tokenizer
            .to_string(false)
            .and_then(|text| Ok(serde_json::from_str(&text)?))
            .map_err(failed)?;
        for key in ["post_processor", "truncation", "padding"] {
            description[key] = Value::Null;
        }
        let beginning = Arc::new(parse(&description).map_err(failed)?);
        let spacing = |description: &Value| {
            ["normalizer", "pre_tokenizer"].map(|part| description[part].clone())
        };
        let at_beginning = spacing(&description);
        without_prefix_space(&mut description);
        let middle = if spacing(&description) == at_beginning {
            Arc::clone(&beginning)
        } else {
            Arc::new(parse(&description).map_err(failed)?)
        };
        let control = control_ids(tokenizer);
        description["added_tokens"] = json!([]);
        let data = parse(&description).map_err(failed)?;
        Ok(Self {
            beginning,
            middle,
            data,
            control,
        })
    }

    /// Whether no data can become this id.
    #[cfg(test)]
    pub fn is_control(&self, id: u32) -> bool {
        self.control.contains(&id)
    }

    pub fn encode(&self, part: &Part, at_beginning: bool) -> Result<Vec<u32>, EngineError> {
        match part {
            Part::Trusted(text) if at_beginning => ids(&self.beginning, text),
            Part::Trusted(text) => ids(&self.middle, text),
            Part::Data(text) => self.encode_data(text),
        }
    }

    fn encode_data(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        let tokens = self.data_tokens(text)?;
        Ok(tokens.into_iter().map(|(id, _)| id).collect())
    }

    /// Ids of a text that is data, each with the byte where it starts, in order.
    ///
    /// Without added tokens in the tokenizer, a control id can still come out of a vocabulary that lists the token as an
    /// ordinary entry (GGUF files, Unigram models). Where that happens the text is cut inside each of them and tried again.
    pub fn data_tokens(&self, text: &str) -> Result<Vec<(u32, usize)>, EngineError> {
        let mut tokens = Vec::new();
        // The last is next.
        let mut pieces = vec![(0, text)];
        while let Some((offset, mut piece)) = pieces.pop() {
            let encoding = self
                .data
                .encode(piece, false)
                .map_err(|error| tokenization_failed(&error))?;
            let cuts = self.cuts(piece, &encoding)?;
            if cuts.is_empty() {
                let found = encoding.get_ids().iter().zip(encoding.get_offsets());
                // A token of a part of a character starts with that character.
                tokens.extend(
                    found.map(|(id, (start, _))| (*id, offset + piece.floor_char_boundary(*start))),
                );
                continue;
            }
            for cut in cuts.into_iter().rev() {
                let (before, after) = piece.split_at(cut);
                pieces.push((offset + cut, after));
                piece = before;
            }
            pieces.push((offset, piece));
        }
        Ok(tokens)
    }

    /// Bytes of `text` at which each control token that came out of it is cut in two, in order.
    fn cuts(&self, text: &str, encoding: &Encoding) -> Result<Vec<usize>, EngineError> {
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        let mut cuts = Vec::new();
        for (_, &(start, end)) in tokens.filter(|(id, _)| self.control.contains(id)) {
            let covered = text.get(start..end).unwrap_or(text);
            let second = covered.char_indices().nth(1);
            let cut = second
                .map(|(offset, _)| start + offset)
                .filter(|cut| text.is_char_boundary(*cut));
            let Some(cut) = cut else {
                return Err(EngineError::InvalidRequest {
                    reason: format!("the tokenizer knows `{covered}` as a control token only"),
                });
            };
            if cuts.last().is_none_or(|last| *last < cut) {
                cuts.push(cut);
            }
        }
        Ok(cuts)
    }

    #[cfg(test)]
    pub fn decode(&self, ids: &[u32]) -> String {
        self.middle.decode(ids, false).unwrap_or_default()
    }
}

fn parse(description: &Value) -> Result<Tokenizer, tokenizers::Error> {
    Tokenizer::from_bytes(description.to_string())
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, EngineError> {
    let encoding = tokenizer
        .encode_fast(text, false)
        .map_err(|error| tokenization_failed(&error))?;
    Ok(encoding.get_ids().to_vec())
}

fn tokenization_failed(error: &tokenizers::Error) -> EngineError {
    EngineError::InvalidRequest {
        reason: format!("the text cannot be tokenised: {error}"),
    }
}

/// Added tokens, without the ones that stand for plain text: single bytes (`<0x0A>`) and the unknown token.
fn control_ids(tokenizer: &Tokenizer) -> HashSet<u32> {
    let is_byte =
        |content: &str| content.len() == 6 && content.starts_with("<0x") && content.ends_with('>');
    let is_unknown = |content: &str| matches!(content, "<unk>" | "<|unk|>" | "[UNK]");
    let added = tokenizer.get_added_tokens_decoder().into_iter();
    added
        .filter(|(_, token)| !is_byte(&token.content) && !is_unknown(&token.content))
        .map(|(id, _)| id)
        .collect()
}

/// Takes away what puts a space before the first word of every piece.
fn without_prefix_space(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key("add_prefix_space") {
                fields.insert("add_prefix_space".into(), json!(false));
            }
            if fields.contains_key("prepend_scheme") {
                fields.insert("prepend_scheme".into(), json!("never"));
            }
            for key in ["normalizer", "pre_tokenizer"] {
                if fields.get(key).is_some_and(is_prepend) {
                    fields.insert(key.into(), Value::Null);
                }
            }
            fields
                .iter_mut()
                .filter(|(key, _)| *key != "model" && *key != "decoder")
                .for_each(|(_, field)| without_prefix_space(field));
        }
        Value::Array(items) => {
            items.retain(|item| !is_prepend(item));
            items.iter_mut().for_each(without_prefix_space);
        }
        _ => {}
    }
}

fn is_prepend(value: &Value) -> bool {
    value.get("type").and_then(Value::as_str) == Some("Prepend")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    fn tokenizer(path: &str) -> Tokenizer {
        Tokenizer::from_file(path).unwrap()
    }

    fn segments(tokenizer: &Tokenizer) -> SegmentTokenizer {
        SegmentTokenizer::new(tokenizer).unwrap()
    }

    /// As a GGUF file has it: control tokens are entries of the ordinary vocabulary too.
    fn with_control_in_vocabulary() -> Tokenizer {
        let mut description: Value = serde_json::from_str(
            &tokenizer("tests/fixtures/base/tokenizer.json")
                .to_string(false)
                .unwrap(),
        )
        .unwrap();
        for token in description["added_tokens"].as_array().unwrap().clone() {
            description["model"]["vocab"][token["content"].as_str().unwrap()] = token["id"].clone();
        }
        // Looks whole words up before it merges, as Llama 3 does.
        description["model"]["ignore_merges"] = json!(true);
        description["pre_tokenizer"] = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
        parse(&description).unwrap()
    }

    static SUBJECTS: LazyLock<Vec<SegmentTokenizer>> = LazyLock::new(|| {
        let fixture = segments(&tokenizer("tests/fixtures/base/tokenizer.json"));
        let bundled = segments(&tokenizer("bundled/pointer/tokenizer.json"));
        vec![fixture, bundled, segments(&with_control_in_vocabulary())]
    });

    fn hostile_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "<|im_end|>",
                "<|im_start|>",
                "<|endoftext|>",
                "[[1]]",
                "[[P]]",
                "[[64]]",
                "Question:",
                "{\"cite\":\""
            ])
            .prop_map(ToOwned::to_owned),
            prop::sample::select(vec![
                "<|im_",
                "end|>",
                "[[",
                "]]",
                "\u{2581}",
                "\n",
                "  ",
                "\u{0}",
                "שלום",
                "日本語",
                "👩‍🚀",
                "\u{fffd}"
            ])
            .prop_map(ToOwned::to_owned),
            any::<String>(),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_data_becomes_control_and_none_is_lost(text in hostile_text()) {
            for subject in SUBJECTS.iter() {
                let ids = subject.encode(&Part::Data(text.clone()), false).unwrap();
                prop_assert!(ids.iter().all(|id| !subject.is_control(*id)));
                prop_assert_eq!(subject.decode(&ids), text.clone());
            }
        }
    }

    #[test]
    fn a_text_of_nothing_but_control_tokens_is_data_and_takes_no_stack() {
        for subject in SUBJECTS.iter() {
            let text = "<|im_end|>".repeat(20_000);
            let ids = subject.encode(&Part::Data(text.clone()), false).unwrap();
            assert!(!ids.iter().any(|id| subject.is_control(*id)));
            assert_eq!(subject.decode(&ids), text);
        }
    }

    #[test]
    fn the_same_text_is_control_when_we_wrote_it() {
        for subject in SUBJECTS.iter() {
            let trusted = subject
                .encode(&Part::Trusted("<|im_end|>".into()), false)
                .unwrap();
            assert!(trusted.len() == 1 && subject.is_control(trusted[0]));
            let data = subject
                .encode(&Part::Data("<|im_end|>".into()), false)
                .unwrap();
            assert!(data.len() > 1);
        }
    }

    #[test]
    fn a_space_is_put_before_a_prompt_only_not_before_every_piece() {
        let mut description: Value = serde_json::from_str(
            &tokenizer("tests/fixtures/base/tokenizer.json")
                .to_string(false)
                .unwrap(),
        )
        .unwrap();
        description["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"}, {"type": "NFC"}]});
        let subject = segments(&parse(&description).unwrap());
        let decoded = |part: &Part, at_beginning| {
            subject.decode(&subject.encode(part, at_beginning).unwrap())
        };
        assert_eq!(decoded(&Part::Trusted("word".into()), true), "_word");
        assert_eq!(decoded(&Part::Trusted("word".into()), false), "word");
        assert_eq!(decoded(&Part::Data("word".into()), false), "word");
    }
}
