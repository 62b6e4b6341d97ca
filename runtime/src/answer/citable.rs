//! Which sentences of a passage say something: the others frame them and answer nothing.

use std::ops::Range;

use quoin_retriever::sentences;

/// Byte ranges of the sentences that can be cited, in order.
#[must_use]
pub fn citable(text: &str) -> Vec<Range<usize>> {
    let all = sentences(text);
    let is_ruled = |n: usize| {
        all.get(n)
            .is_some_and(|bytes| is_rule(&text[bytes.clone()]))
    };
    all.iter()
        .enumerate()
        .filter(|(n, bytes)| {
            let sentence = &text[(*bytes).clone()];
            let is_head = sentence.contains('|') && is_ruled(n + 1);
            !is_frame(sentence) && !is_head
        })
        .map(|(_, bytes)| bytes.clone())
        .collect()
}

/// The line under a table's head.
fn is_rule(sentence: &str) -> bool {
    sentence.contains('|')
        && sentence.contains('-')
        && sentence
            .chars()
            .all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\t'))
}

/// Headings, and what holds no word.
fn is_frame(sentence: &str) -> bool {
    let sentence = sentence.trim();
    let words = sentence.trim_start_matches('#');
    (words.len() < sentence.len() && words.starts_with(' '))
        || !sentence.contains(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::citable;

    #[test]
    fn headings_and_the_heads_of_tables_are_left_out() {
        let text =
            "## Leave\n\n| Site | Days |\n|:--|---|\n| Kobe | 24 |\n\n#1 is a number. It stays.\n";
        let cited: Vec<&str> = citable(text)
            .into_iter()
            .map(|bytes| &text[bytes])
            .collect();
        assert_eq!(cited, ["| Kobe | 24 |", "#1 is a number.", "It stays."]);
    }
}
