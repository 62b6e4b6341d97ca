//! Sentences: the units that answers point at and quote.
//!
//! Unicode's sentence boundaries, mended where they are known to fail: abbreviations, initials and wrapped lines do not
//! end a sentence; a heading, a list item, a table row and a line of code are one each.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::read::trimmed;

/// Words that end in a full stop without ending a sentence, lower-case, without that stop.
const ABBREVIATIONS: [&str; 52] = [
    "no", "nos", "nr", "fig", "figs", "eq", "eqs", "sec", "secs", "ch", "vol", "vols", "pp", "p",
    "ed", "eds", "al", "e.g", "i.e", "eg", "ie", "cf", "vs", "ca", "approx", "incl", "excl", "dr",
    "mr", "mrs", "ms", "prof", "st", "jr", "sr", "inc", "ltd", "co", "corp", "dept", "jan", "feb",
    "mar", "apr", "jun", "jul", "aug", "sept", "sep", "oct", "nov", "dec",
];
/// Abbreviations that end a sentence unless a small letter follows.
const MAY_END: [&str; 8] = ["inc", "ltd", "co", "corp", "al", "p", "no", "etc"];
/// A line at least this long, in characters, that ends without a stop is taken to go on in the next.
const WRAPPED_LINE_CHARS: usize = 45;

/// Cuts a text into sentences: byte ranges in order, without white space at their ends, that together hold all that is
/// not white space.
#[must_use]
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut lines = Lines::default();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let range = offset..offset + line.len();
        offset = range.end;
        match lines.kind(line) {
            LineKind::Blank => end_paragraph(text, &mut lines.paragraph, &mut found),
            LineKind::Alone => {
                end_paragraph(text, &mut lines.paragraph, &mut found);
                found.extend(trimmed(text, range));
            }
            LineKind::Starts => {
                end_paragraph(text, &mut lines.paragraph, &mut found);
                lines.paragraph = Some(range);
            }
            LineKind::Continues => match &mut lines.paragraph {
                Some(paragraph) => paragraph.end = range.end,
                none => *none = Some(range),
            },
        }
    }
    end_paragraph(text, &mut lines.paragraph, &mut found);
    found
}

enum LineKind {
    Blank,
    /// A heading, a table row, a line of code.
    Alone,
    /// The first line of a list item.
    Starts,
    Continues,
}

#[derive(Default)]
struct Lines {
    paragraph: Option<Range<usize>>,
    fence: Option<&'static str>,
    indented_code: bool,
}

impl Lines {
    fn kind(&mut self, line: &str) -> LineKind {
        let words = line.trim();
        if let Some(fence) = self.fence {
            if words.starts_with(fence) {
                self.fence = None;
            }
            return if words.is_empty() {
                LineKind::Blank
            } else {
                LineKind::Alone
            };
        }
        if words.is_empty() {
            return LineKind::Blank;
        }
        for fence in ["```", "~~~"] {
            if words.starts_with(fence) {
                self.fence = Some(fence);
                return LineKind::Alone;
            }
        }
        let starts_item = is_list_item(words);
        let indented = line.starts_with("    ") || line.starts_with('\t');
        self.indented_code = indented
            && !starts_item
            && (self.indented_code || (self.paragraph.is_none() && !is_prose(words)));
        let hashes = words.bytes().take_while(|byte| *byte == b'#').count();
        let heading = (1..=6).contains(&hashes) && words[hashes..].starts_with(' ');
        let row = words.starts_with('|') || words.contains(" | ");
        if self.indented_code || heading || row {
            LineKind::Alone
        } else if starts_item {
            LineKind::Starts
        } else {
            LineKind::Continues
        }
    }
}

/// Whether an indented line reads as words rather than as code: several words, and hardly any other signs.
fn is_prose(words: &str) -> bool {
    let signs = words
        .chars()
        .filter(|c| !c.is_alphanumeric() && !c.is_whitespace() && !",.'\"-:;()?!’“”".contains(*c));
    let ends_as_code = words.ends_with([';', '{', '}', '(', ')']) || words.contains("()");
    words.split_whitespace().count() >= 5 && signs.count() == 0 && !ends_as_code
}

fn is_list_item(words: &str) -> bool {
    let digits = words.bytes().take_while(u8::is_ascii_digit).count();
    let marker = if digits == 0 {
        words.starts_with(['-', '*', '+', '•'])
    } else {
        digits <= 3 && words[digits..].starts_with(['.', ')'])
    };
    let rest = words[digits..].chars().nth(1);
    marker && rest.is_none_or(char::is_whitespace)
}

fn end_paragraph(text: &str, paragraph: &mut Option<Range<usize>>, found: &mut Vec<Range<usize>>) {
    let Some(range) = paragraph.take() else {
        return;
    };
    let slice = &text[range.clone()];
    let mut start = 0;
    for (bound, part) in slice.split_sentence_bound_indices() {
        let end = bound + part.len();
        if end < slice.len() && goes_on(&slice[start..end], &slice[end..]) {
            continue;
        }
        found.extend(trimmed(text, range.start + start..range.start + end));
        start = end;
    }
    found.extend(trimmed(text, range.start + start..range.end));
}

/// Whether a sentence goes on where Unicode would end it.
fn goes_on(before: &str, after: &str) -> bool {
    let words = before.trim_end();
    let next = after.trim_start().chars().next();
    let Some(next) = next else { return false };
    let stop = words.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»']);
    if stop.ends_with('.') && !stop.ends_with("..") {
        return after_stop(stop, next);
    }
    if stop.ends_with(['!', '?', '。', '！', '？', '…', '؟', '।', ':']) {
        return false;
    }
    // No stop: Unicode ended it at a line break.
    let last_line = words.rsplit('\n').next().unwrap_or(words);
    next.is_lowercase() || last_line.chars().count() >= WRAPPED_LINE_CHARS
}

fn after_stop(stop: &str, next: char) -> bool {
    let body = &stop[..stop.len() - 1];
    let word = body
        .rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“'))
        .next()
        .unwrap_or(body);
    let lower = word.to_lowercase();
    // A list item's number, such as `12.` at the start.
    if word.len() == body.trim_start().len()
        && word.len() <= 3
        && word.bytes().all(|b| b.is_ascii_digit())
    {
        return true;
    }
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    if next.is_lowercase() || initial {
        return true;
    }
    let before_number =
        matches!(lower.as_str(), "no" | "nos" | "nr" | "p" | "pp") && next.is_numeric();
    before_number || (ABBREVIATIONS.contains(&lower.as_str()) && !MAY_END.contains(&lower.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_indented_paragraph_of_words_is_no_code() {
        let text = "You must:\n\n    a) give notice that you changed the files and the date of\n    any change.\n\n    \
            The work must carry prominent notices that say who has\n    modified it. They stay.\n\n    let x = f(y);\n    g(x);\n";
        let found: Vec<&str> = sentences(text).into_iter().map(|r| &text[r]).collect();
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(found[2].ends_with("modified it."));
        assert_eq!(found[5], "g(x);");
    }

    fn cut(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn abbreviations_initials_and_decimals_do_not_end_a_sentence() {
        assert_eq!(
            cut(
                "See Fig. 3 and Nos. 4 to 6. It costs 3.50 euro, e.g. Today. J. Smith agreed. No. 5 is out."
            ),
            [
                "See Fig. 3 and Nos. 4 to 6.",
                "It costs 3.50 euro, e.g. Today.",
                "J. Smith agreed.",
                "No. 5 is out."
            ]
        );
    }

    #[test]
    fn wrapped_lines_are_one_sentence() {
        assert_eq!(
            cut("A sentence that someone has wrapped at some column\nBefore it was over. Next"),
            [
                "A sentence that someone has wrapped at some column\nBefore it was over.",
                "Next"
            ]
        );
    }

    #[test]
    fn items_rows_headings_and_lines_of_code_are_one_each() {
        let text = "# Head\n- one thing\n  goes on\n- two\n1. first\n\n| a | b |\n|---|---|\n| 1. x | 2 |\n\n```\nlet a = 1;\nlet b = 2;\n```\nEnd.";
        assert_eq!(
            cut(text),
            [
                "# Head",
                "- one thing\n  goes on",
                "- two",
                "1. first",
                "| a | b |",
                "|---|---|",
                "| 1. x | 2 |",
                "```",
                "let a = 1;",
                "let b = 2;",
                "```",
                "End."
            ]
        );
    }

    #[test]
    fn other_scripts_have_their_own_stops() {
        assert_eq!(
            cut("猫です。犬ですか？はい。"),
            ["猫です。", "犬ですか？", "はい。"]
        );
    }

    proptest! {
        #[test]
        fn sentences_hold_all_that_is_not_white_space(text in any::<String>()) {
            let mut end = 0;
            for range in sentences(&text) {
                prop_assert!(text[end..range.start].trim().is_empty());
                prop_assert_eq!(text[range.clone()].trim(), &text[range.clone()]);
                prop_assert!(!range.is_empty());
                end = range.end;
            }
            prop_assert!(text[end..].trim().is_empty());
        }
    }
}
