//! Near-duplicates: passages that say the same to a question.
//!
//! Two passages are near-duplicates when their texts resemble each other, `|A ∩ B| / |A ∪ B| ≥ 0.85` over runs of three words
//! (Broder, 1997), both have the same numbers, identifiers and negations, and the worse one, with its title and headings, has no
//! word of the question that the better one lacks. So pages that differ in a price, a model, a `not` or the city that was asked
//! for are never taken for one another.

use std::collections::HashMap;

use crate::index::analysis::is_unspaced;

/// Words in a run.
const RUN: usize = 3;

/// Least resemblance, in hundredths: one changed word of fifty is below .9.
const LEAST_RESEMBLANCE: usize = 85;

/// Words that turn a sentence into its opposite.
const NEGATIONS: [&str; 14] = [
    "not",
    "no",
    "never",
    "none",
    "nor",
    "neither",
    "without",
    "except",
    "unless",
    "only",
    "cannot",
    "forbidden",
    "excluded",
    "t",
];

/// Passages are compared when they share one of so many of their smallest runs: at a resemblance of .85 all but one in 2,000 do.
const SMALLEST: usize = 4;

/// What is compared of a passage. All lists are sorted, without repeats.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    runs: Vec<u64>,
    /// Numbers, identifiers and negations.
    decisive: Vec<u64>,
    /// Words of the question in text, title or headings.
    asked: Vec<u64>,
}

/// The words of a question, for [`Sketch::new`].
pub(super) fn words_asked(question: &str) -> Vec<u64> {
    sorted(words(question).map(|word| word.hash).collect())
}

impl Sketch {
    /// `around` is what else names the passage: its title and headings.
    pub(super) fn new<'a>(
        text: &str,
        around: impl Iterator<Item = &'a str>,
        asked: &[u64],
    ) -> Self {
        let mut hashes = Vec::new();
        let mut decisive = Vec::new();
        for word in words(text) {
            hashes.push(word.hash);
            if word.is_decisive {
                decisive.push(word.hash);
            }
        }
        let runs = match hashes.len() {
            0 => Vec::new(),
            1..RUN => vec![joined(hashes.iter().copied())],
            _ => hashes
                .windows(RUN)
                .map(|run| joined(run.iter().copied()))
                .collect(),
        };
        hashes.extend(around.flat_map(words).map(|word| word.hash));
        hashes.retain(|hash| asked.binary_search(hash).is_ok());
        Self {
            runs: sorted(runs),
            decisive: sorted(decisive),
            asked: sorted(hashes),
        }
    }

    /// Whether a question that is shown `self` has no use for `worse`.
    fn says_all_of(&self, worse: &Self) -> bool {
        let shared = shared(&self.runs, &worse.runs);
        let all = self.runs.len() + worse.runs.len() - shared;
        shared > 0
            && shared * 100 >= all * LEAST_RESEMBLANCE
            && self.decisive == worse.decisive
            && worse
                .asked
                .iter()
                .all(|word| self.asked.binary_search(word).is_ok())
    }
}

/// Passages seen so far, by their smallest runs.
#[derive(Default)]
pub(super) struct Seen {
    sketches: Vec<Sketch>,
    by_run: HashMap<u64, Vec<usize>>,
}

impl Seen {
    /// The first of the passages seen that says all that this one says; where there is none, this one is seen from now on.
    pub(super) fn or_add(&mut self, sketch: Sketch) -> Option<usize> {
        let smallest = &sketch.runs[..sketch.runs.len().min(SMALLEST)];
        let candidates = smallest
            .iter()
            .filter_map(|run| self.by_run.get(run))
            .flatten();
        let found = candidates
            .copied()
            .filter(|seen| self.sketches[*seen].says_all_of(&sketch))
            .min();
        if found.is_none() {
            for run in smallest {
                self.by_run
                    .entry(*run)
                    .or_default()
                    .push(self.sketches.len());
            }
            self.sketches.push(sketch);
        }
        found
    }
}

struct Word {
    hash: u64,
    is_decisive: bool,
}

/// Runs of letters and digits in lower case; of scripts without spaces, single characters.
fn words(text: &str) -> impl Iterator<Item = Word> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(char::is_alphanumeric)?;
        rest = &rest[start..];
        let first = rest.chars().next()?;
        let end = if is_unspaced(first) {
            first.len_utf8()
        } else {
            rest.find(|c: char| !c.is_alphanumeric() || is_unspaced(c))
                .unwrap_or(rest.len())
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(Word {
            hash: hashed(word),
            is_decisive: is_number(word) || is_negation(word),
        })
    })
}

fn is_number(word: &str) -> bool {
    if word.is_ascii() {
        return word.bytes().any(|byte| byte.is_ascii_digit());
    }
    word.chars().any(char::is_numeric)
}

fn is_negation(word: &str) -> bool {
    NEGATIONS
        .iter()
        .any(|negation| negation.eq_ignore_ascii_case(word))
}

/// Of the letters in lower case.
fn hashed(word: &str) -> u64 {
    if word.is_ascii() {
        let letters = word.bytes().map(|byte| byte.to_ascii_lowercase());
        return joined(letters.map(u64::from));
    }
    joined(word.chars().flat_map(char::to_lowercase).map(u64::from))
}

fn joined(parts: impl Iterator<Item = u64>) -> u64 {
    parts.fold(1, |all: u64, part| {
        (all.rotate_left(5) ^ part).wrapping_mul(0x517c_c1b7_2722_0a95)
    })
}

fn sorted(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

fn shared(left: &[u64], right: &[u64]) -> usize {
    let (mut l, mut r, mut count) = (0, 0, 0);
    while l < left.len() && r < right.len() {
        match left[l].cmp(&right[r]) {
            std::cmp::Ordering::Less => l += 1,
            std::cmp::Ordering::Greater => r += 1,
            std::cmp::Ordering::Equal => {
                count += 1;
                l += 1;
                r += 1;
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "Employees book trains rather than flights. Hotels cost at most 120 euro a night, breakfast \
        included. Whoever travels for more than a week may take one weekend flight home, which the manager approves before \
        the journey. Receipts are handed in within thirty days.";

    fn duplicates(question: &str, pages: &[(&str, &str)]) -> Vec<Option<usize>> {
        let asked = words_asked(question);
        let mut seen = Seen::default();
        let sketch = |(title, text): &(&str, &str)| Sketch::new(text, [*title].into_iter(), &asked);
        pages.iter().map(|page| seen.or_add(sketch(page))).collect()
    }

    #[test]
    fn the_same_text_in_other_case_and_spacing_is_a_duplicate() {
        let other = PAGE.to_uppercase().replace(' ', "  ");
        let pages = [
            ("Travel", PAGE),
            ("Copy of travel", &*other),
            ("Pay", "Monthly."),
        ];
        assert_eq!(duplicates("hotels", &pages), [None, Some(0), None]);
    }

    #[test]
    fn one_changed_word_of_many_is_a_duplicate_and_a_changed_number_is_not() {
        let word = PAGE.replace("approves", "allows");
        let number = PAGE.replace("120", "130");
        let pages = [("Travel", PAGE), ("Travel", &*word), ("Travel", &*number)];
        assert_eq!(duplicates("hotels", &pages), [None, Some(0), None]);
    }

    #[test]
    fn a_page_that_says_the_opposite_is_no_duplicate() {
        for opposite in [
            PAGE.replace("may take", "may not take"),
            PAGE.replace("breakfast included", "no breakfast included"),
        ] {
            let pages = [("Travel", PAGE), ("Travel", &*opposite)];
            assert_eq!(duplicates("hotels", &pages), [None, None], "{opposite}");
        }
    }

    #[test]
    fn what_the_question_names_tells_pages_apart() {
        let pages = [("Travel in Spain", PAGE), ("Travel in France", PAGE)];
        assert_eq!(duplicates("hotels", &pages), [None, Some(0)]);
        assert_eq!(duplicates("hotels in France", &pages), [None, None]);
        assert_eq!(duplicates("hotels in Spain", &pages), [None, Some(0)]);
    }

    #[test]
    fn short_and_empty_texts_are_compared_too() {
        let pages = [
            ("", "Yes."),
            ("", "yes"),
            ("", "No."),
            ("", ""),
            ("", "?"),
            ("", "休暇です"),
            ("", "休暇です。"),
        ];
        let got = duplicates("", &pages);
        assert_eq!(got, [None, Some(0), None, None, None, None, Some(4)]);
    }
}
