//! Which sentences of a passage say something: the others frame them and answer nothing.

use std::ops::Range;

use quoin_retriever::sentences;

/// Byte ranges of the sentences that can be cited, in order.
#[must_use]
pub fn citable(text: &str) -> Vec<Range<usize>> {
    sentences(text)
        .into_iter()
        .filter(|bytes| !is_frame(&text[bytes.clone()]))
        .collect()
}

/// Headings and the rules under table headers.
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
    fn headings_and_rules_of_tables_are_left_out() {
        let text =
            "## Leave\n\n| Site | Days |\n|---|---|\n| Kobe | 24 |\n\n#1 is a number. It stays.\n";
        let cited: Vec<&str> = citable(text)
            .into_iter()
            .map(|bytes| &text[bytes])
            .collect();
        assert_eq!(
            cited,
            [
                "| Site | Days |",
                "| Kobe | 24 |",
                "#1 is a number.",
                "It stays."
            ]
        );
    }
}
