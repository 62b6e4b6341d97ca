//! What the model wrote, read back: citations and an answer, or an abstention. Also while it is still writing.

use serde::Deserialize;
use serde_json::Value;

use crate::config::Citing;

/// One citation as the model made it; nothing here is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cited {
    /// The sentence with this marker.
    Marker(usize),
    /// Words copied from the passage with this number.
    Quote {
        /// From 1, in the order of the prompt.
        passage: usize,
        /// The words.
        quote: String,
    },
}

/// What the model wrote.
#[derive(Clone, Debug, PartialEq)]
pub enum Draft {
    /// Nothing answers.
    Abstained,
    /// Citations, and the answer when the grammar asked for one.
    Answered {
        /// In the order the model gave them.
        cited: Vec<Cited>,
        /// `None` when the citations are the answer.
        answer: Option<Value>,
    },
}

/// The output did not have the form that its grammar allows: a defect of the engine, or an output cut off.
#[derive(Debug, thiserror::Error)]
#[error("the model's output is not what its grammar allows")]
pub struct MalformedDraft(#[source] Option<serde_json::Error>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pointed {
    cite: String,
    #[serde(default, deserialize_with = "present")]
    answer: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Quoted {
    quotes: Vec<QuotedPassage>,
    #[serde(default, deserialize_with = "present")]
    answer: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotedPassage {
    passage: usize,
    quote: String,
}

/// Keeps `null` apart from a field that is not there.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Draft {
    /// Reads a whole output.
    ///
    /// # Errors
    /// [`MalformedDraft`] when it is not JSON of the form that the grammar allows.
    pub fn parse(citing: Citing, output: &str) -> Result<Self, MalformedDraft> {
        let malformed = |error| MalformedDraft(Some(error));
        let (cited, answer) = match citing {
            Citing::Point => {
                let pointed: Pointed = serde_json::from_str(output.trim()).map_err(malformed)?;
                (markers(&pointed.cite)?, pointed.answer)
            }
            Citing::Quote => {
                let quoted: Quoted = serde_json::from_str(output.trim()).map_err(malformed)?;
                let cited = quoted
                    .quotes
                    .into_iter()
                    .map(|QuotedPassage { passage, quote }| Cited::Quote { passage, quote })
                    .collect();
                (cited, quoted.answer)
            }
        };
        if cited.is_empty() || cited == [Cited::Marker(0)] {
            return Ok(Self::Abstained);
        }
        Ok(Self::Answered { cited, answer })
    }
}

/// `[[2]][[5]]`, each marker once.
fn markers(cite: &str) -> Result<Vec<Cited>, MalformedDraft> {
    let mut found = Vec::new();
    for piece in cite.split_inclusive("]]") {
        let number = piece
            .strip_prefix("[[")
            .and_then(|rest| rest.strip_suffix("]]"))
            .and_then(|digits| digits.parse().ok())
            .ok_or(MalformedDraft(None))?;
        let marker = Cited::Marker(number);
        if !found.contains(&marker) {
            found.push(marker);
        }
    }
    Ok(found)
}

/// Follows an output while it grows: where the citations end, and what can already be shown of the answer.
pub struct DraftStream {
    citing: Citing,
    text: String,
    answer_at: Option<usize>,
    shown: usize,
}

impl DraftStream {
    /// At the start of an output.
    #[must_use]
    pub const fn new(citing: Citing) -> Self {
        Self {
            citing,
            text: String::new(),
            answer_at: None,
            shown: 0,
        }
    }

    /// Takes more output. Returns the citations once, when they are complete and an answer follows.
    ///
    /// # Errors
    /// [`MalformedDraft`] when what stands before the answer cannot be read.
    pub fn push(&mut self, delta: &str) -> Result<Option<Draft>, MalformedDraft> {
        self.text.push_str(delta);
        if self.answer_at.is_some() {
            return Ok(None);
        }
        // Neither can stand inside a string: there, a quotation mark follows a backslash.
        let (seam, close) = match self.citing {
            Citing::Point => ("\",\"answer\":", "\"}"),
            Citing::Quote => ("],\"answer\":", "]}"),
        };
        let Some(position) = self.text.find(seam) else {
            return Ok(None);
        };
        self.answer_at = Some(position + seam.len());
        Draft::parse(self.citing, &format!("{}{close}", &self.text[..position])).map(Some)
    }

    /// Whether the answer that has begun is a string.
    #[must_use]
    pub fn is_string(&self) -> bool {
        self.answer_at
            .is_some_and(|start| self.text[start..].starts_with('"'))
    }

    /// What can be shown of the answer that was not shown before: decoded text of a string, JSON of anything else.
    pub fn take_shown(&mut self) -> String {
        let Some(start) = self.answer_at else {
            return String::new();
        };
        let raw = &self.text[start..];
        let visible = if let Some(inside) = raw.strip_prefix('"') {
            decoded_prefix(inside)
        } else {
            // The last character may be the brace that closes the draft.
            let end = raw.char_indices().next_back().map_or(0, |(index, _)| index);
            raw[..end].to_owned()
        };
        let new = visible.get(self.shown..).unwrap_or_default().to_owned();
        self.shown = self.shown.max(visible.len());
        new
    }
}

/// The longest prefix of a JSON string's inside that is complete, decoded.
fn decoded_prefix(inside: &str) -> String {
    let mut end = 0;
    let mut rest = inside;
    while let Some(first) = rest.chars().next() {
        let width = match first {
            '"' => break,
            '\\' => match escape_width(rest) {
                Some(width) => width,
                None => break,
            },
            other => other.len_utf8(),
        };
        end += width;
        rest = &rest[width..];
    }
    serde_json::from_str(&format!("\"{}\"", &inside[..end])).unwrap_or_default()
}

/// Bytes of the escape sequence at the start, both halves of a surrogate pair together; `None` while incomplete.
fn escape_width(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if *bytes.get(1)? != b'u' {
        return Some(2);
    }
    let unit = u16::from_str_radix(text.get(2..6)?, 16).ok()?;
    if !(0xD800..0xDC00).contains(&unit) {
        return Some(6);
    }
    text.get(6..12).map(|_| 12)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn markers_are_read_in_order_and_once() {
        let draft = Draft::parse(Citing::Point, r#"{"cite":"[[7]][[2]][[7]]"}"#).unwrap();
        assert_eq!(
            draft,
            Draft::Answered {
                cited: vec![Cited::Marker(7), Cited::Marker(2)],
                answer: None
            }
        );
    }

    #[test]
    fn both_ways_of_citing_can_abstain() {
        assert_eq!(
            Draft::parse(Citing::Point, r#"{"cite":"[[0]]"}"#).unwrap(),
            Draft::Abstained
        );
        assert_eq!(
            Draft::parse(Citing::Quote, r#"{"quotes":[]}"#).unwrap(),
            Draft::Abstained
        );
    }

    #[test]
    fn a_null_answer_is_an_answer() {
        let draft = Draft::parse(Citing::Point, r#"{"cite":"[[1]]","answer":null}"#).unwrap();
        assert_eq!(
            draft,
            Draft::Answered {
                cited: vec![Cited::Marker(1)],
                answer: Some(Value::Null)
            }
        );
    }

    #[test]
    fn an_output_that_was_cut_off_is_refused() {
        assert!(Draft::parse(Citing::Quote, r#"{"quotes":[{"passage":1,"quote":"half"#).is_err());
    }

    #[test]
    fn a_stream_shows_a_string_answer_decoded_and_never_half_an_escape() {
        let output = r#"{"quotes":[{"passage":1,"quote":"a ],\"answer\": b"}],"answer":"tab\t\"q\" \ud83d\ude00 end"}"#;
        let mut stream = DraftStream::new(Citing::Quote);
        let mut shown = String::new();
        let mut citations = 0;
        for character in output.chars() {
            if let Some(Draft::Answered { cited, .. }) =
                stream.push(&character.to_string()).unwrap()
            {
                assert_eq!(
                    cited,
                    [Cited::Quote {
                        passage: 1,
                        quote: "a ],\"answer\": b".to_owned()
                    }]
                );
                citations += 1;
            }
            shown.push_str(&stream.take_shown());
        }
        assert_eq!((shown.as_str(), citations), ("tab\t\"q\" \u{1F600} end", 1));
    }

    #[test]
    fn a_stream_shows_a_structured_answer_as_json() {
        let mut stream = DraftStream::new(Citing::Point);
        let mut shown = String::new();
        for piece in [r#"{"cite":"[[3]]","#, r#""answer":{"days":"#, r"26}", "}"] {
            stream.push(piece).unwrap();
            shown.push_str(&stream.take_shown());
        }
        assert_eq!(
            serde_json::from_str::<Value>(&shown).unwrap(),
            json!({"days": 26})
        );
    }
}
