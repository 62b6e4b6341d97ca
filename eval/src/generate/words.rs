//! Words: which are names, which carry meaning, and how a place is named.

use std::collections::BTreeSet;

use super::SourceDocument;

const STOP_WORDS: [&str; 39] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "do", "does", "for", "from", "has", "have",
    "how", "in", "is", "it", "its", "many", "mean", "must", "not", "of", "on", "or", "that", "the",
    "to", "was", "were", "what", "when", "where", "which", "who", "will", "with", "figure",
];

/// The words that documents write small somewhere: what is never written small is a name.
pub(super) struct Lexicon {
    small: BTreeSet<String>,
    /// Written with a capital after a small word, as in “in Kobe”.
    names: BTreeSet<String>,
}

impl Lexicon {
    pub(super) fn of(documents: &[SourceDocument]) -> Self {
        let (mut small, mut names) = (BTreeSet::new(), BTreeSet::new());
        for document in documents {
            let mut follows_small = false;
            for token in document.text.split_whitespace() {
                let is_small = token.starts_with(char::is_lowercase);
                let word = letters(token);
                if follows_small && word.starts_with(char::is_uppercase) {
                    names.insert(word.to_owned());
                }
                for part in token.split(|character: char| !character.is_alphanumeric()) {
                    if part.starts_with(char::is_lowercase) && !small.contains(part) {
                        small.insert(part.to_owned());
                    }
                }
                follows_small = is_small && token.ends_with(char::is_alphanumeric);
            }
        }
        Self { small, names }
    }

    /// Whether every word is a name in the documents.
    pub(super) fn is_name(&self, text: &str) -> bool {
        text.split(' ').all(|word| {
            let word = letters(word);
            self.names.contains(word) && !self.small.contains(&word.to_lowercase())
        })
    }

    /// The header of a column in the middle of a sentence: a lone word is small unless it is a name.
    pub(super) fn lower_header(&self, text: &str) -> String {
        let is_word = text.chars().skip(1).all(char::is_lowercase) && text.chars().count() > 1;
        if is_word && !self.names.contains(text) {
            return text.to_lowercase();
        }
        self.lower_first(text)
    }

    /// As in the middle of a sentence: names stay as they are. A single word that is never written small may be one.
    pub(super) fn lower_first(&self, text: &str) -> String {
        let mut words = text.split(' ');
        let first = letters(words.next().unwrap_or(""));
        let second = words.next();
        let is_article = matches!(first, "A" | "An" | "The");
        let is_small = self.small.contains(&first.to_lowercase());
        let leads_small = second.is_some_and(|word| word.starts_with(char::is_lowercase));
        let is_word = first.chars().skip(1).all(char::is_lowercase)
            && text.starts_with(first)
            && (is_article || first.chars().count() > 1);
        let is_lowered = match second {
            None => is_small && !self.names.contains(first),
            Some(_) if is_article => true,
            Some(word) if word.starts_with(char::is_uppercase) => false,
            Some(_) => is_small || leads_small && !self.names.contains(first),
        };
        if !is_word || !is_lowered {
            return text.to_owned();
        }
        let mut characters = text.chars();
        characters.next().map_or_else(String::new, |initial| {
            initial.to_lowercase().chain(characters).collect()
        })
    }
}

/// A token's first run of letters and digits.
fn letters(token: &str) -> &str {
    token
        .split(|character: char| !character.is_alphanumeric())
        .find(|part| !part.is_empty())
        .unwrap_or("")
}

/// `according to “Travel policy 2026”`
pub(super) fn quoted_place(place: &str) -> Option<String> {
    let place = place.trim();
    (!place.is_empty() && place.chars().count() <= 100).then(|| format!("according to “{place}”"))
}

/// Words that carry meaning, small, without the plural's s.
pub(super) fn content_words(text: &str) -> BTreeSet<String> {
    text.to_lowercase()
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty() && !STOP_WORDS.contains(word))
        .map(|word| match word.strip_suffix('s') {
            Some(stem) if stem.len() > 2 => stem.to_owned(),
            _ => word.to_owned(),
        })
        .collect()
}
