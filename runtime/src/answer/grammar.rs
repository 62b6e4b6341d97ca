//! Answer schema and passages in, one decoding constraint out: an llguidance Lark grammar.
//!
//! *Point*: `{"cite":"[[2]][[5]]","answer":…}`, where only markers that stand in the prompt can be decoded.
//! *Quote*: `{"quotes":[{"passage":1,"quote":"…"}],"answer":…}`, where only substrings of the named passage can be.
//! Either may abstain instead (`{"cite":"[[0]]"}`, `{"quotes":[]}`), and then holds no answer.

use std::fmt::Write as _;

use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::answer::prompt::PromptPassage;
use crate::config::Citing;

/// Shortest quote, characters, in a passage that has as many.
const QUOTE_MIN: usize = 20;
/// Longest quote, characters as JSON writes them.
const QUOTE_MAX: usize = 400;

/// What the answer part of the grammar is.
#[derive(Clone, Debug)]
pub enum AnswerPart {
    /// Decoded under this schema.
    Schema(Value),
    /// Nothing: the cited sentences are the answer.
    Citations,
}

/// The grammar of one request.
///
/// `passages` must not be empty. `max_citations` is at least 1.
#[must_use]
pub fn grammar(
    citing: Citing,
    passages: &[PromptPassage],
    answer: &AnswerPart,
    max_citations: usize,
) -> String {
    match citing {
        Citing::Point => pointing(passages, answer, max_citations),
        Citing::Quote => quoting(passages, answer, max_citations),
    }
}

/// The grammar of an answer without citations: the schema alone.
#[must_use]
pub fn closed_book(schema: &Value) -> String {
    format!("start: answer\nanswer: %json {schema}\n")
}

/// A Lark literal: Lark reads strings as JSON does.
fn literal(text: &str) -> String {
    Value::from(text).to_string()
}

fn pointing(passages: &[PromptPassage], answer: &AnswerPart, max_citations: usize) -> String {
    let markers: Vec<String> = passages
        .iter()
        .flat_map(|passage| &passage.sentences)
        .map(|sentence| literal(&format!("[[{}]]", sentence.marker)))
        .collect();
    let end = match answer {
        AnswerPart::Schema(_) => format!("{} answer {}", literal("\",\"answer\":"), literal("}")),
        AnswerPart::Citations => literal("\"}"),
    };
    let mut lark = format!(
        "start: {open} ( {abstain} | MARKERS {end} )\nMARKERS: MARKER{{1,{max_citations}}}\nMARKER: {markers}\n",
        open = literal("{\"cite\":\""),
        abstain = literal("[[0]]\"}"),
        markers = markers.join(" | "),
    );
    push_answer(&mut lark, answer);
    lark
}

fn quoting(passages: &[PromptPassage], answer: &AnswerPart, max_citations: usize) -> String {
    let quotable: Vec<&PromptPassage> = passages
        .iter()
        .filter(|passage| !passage.hit.text.trim().is_empty())
        .collect();
    let alternatives: Vec<String> = quotable
        .iter()
        .map(|passage| format!("quote_{}", passage.number))
        .collect();
    let end = match answer {
        AnswerPart::Schema(_) => format!("{} answer {}", literal("],\"answer\":"), literal("}")),
        AnswerPart::Citations => literal("]}"),
    };
    // Lark knows no repetition of zero times.
    let quotes = match max_citations.saturating_sub(1) {
        0 => "quotes: quote".to_owned(),
        further => format!("quotes: quote more{{0,{further}}}\nmore: \",\" quote"),
    };
    let mut lark = format!(
        "start: {open} ( {abstain} | quotes {end} )\n{quotes}\nquote: {alternatives}\n",
        open = literal("{\"quotes\":["),
        abstain = literal("]}"),
        alternatives = alternatives.join(" | "),
    );
    for passage in quotable {
        let number = passage.number;
        let chunks = chunks(&passage.hit.text);
        let available: usize = chunks.iter().map(|chunk| chunk.chars().count()).sum();
        let least = QUOTE_MIN.min(available);
        let _ = writeln!(
            lark,
            "quote_{number}: {open} QUOTE_{number} {close}\nQUOTE_{number}: SLICE_{number} & /(?s:.{{{least},{QUOTE_MAX}}})/\nSLICE_{number}: %regex {slices}",
            open = literal(&format!("{{\"passage\":{number},\"quote\":\"")),
            close = literal("\"}"),
            slices = json!({"substring_chunks": chunks}),
        );
    }
    push_answer(&mut lark, answer);
    lark
}

fn push_answer(lark: &mut String, answer: &AnswerPart) {
    if let AnswerPart::Schema(schema) = answer {
        let _ = writeln!(lark, "answer: %json {schema}");
    }
}

/// The passage as pieces that a quote may not cut: words, and each escape sequence as a whole.
///
/// Each piece is escaped as inside a JSON string, so a slice of pieces is always a slice of the passage.
fn chunks(text: &str) -> Vec<String> {
    text.trim()
        .split_word_bounds()
        .map(|word| {
            let quoted = literal(word);
            quoted[1..quoted.len() - 1].to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests;
