//! What stands around a sentence and counts for it: headings, the line that leads to it, the rest of its passage.

use std::collections::HashSet;
use std::ops::Range;

use quoin_retriever::{Hit, Retriever};

/// Share that a term in the title or headings counts.
const HEADING_SHARE: f32 = 0.6;
/// Share that a term elsewhere in the passage counts.
const PASSAGE_SHARE: f32 = 0.35;

/// Whether a sentence leads to others: it asks, announces, or is a title or heading of its passage.
pub(super) fn leads(hit: &Hit, bytes: &Range<usize>) -> bool {
    let bare = |text: &str| {
        let signs = |c: char| !c.is_alphanumeric();
        text.trim_matches(signs).to_lowercase()
    };
    let text = hit.text[bytes.clone()].trim_end_matches(['*', '_', ' ']);
    let follows = hit.text[bytes.end..].contains(char::is_alphanumeric);
    let mut titles = hit.title.iter().chain(&hit.heading);
    let own = bare(text);
    (follows && text.ends_with([':', '?'])) || titles.any(|title| bare(title) == own)
}

/// Whether what a line leads to is over: a second paragraph has begun.
pub(super) fn has_ended(between: &str) -> bool {
    let blank = between
        .lines()
        .skip(1)
        .filter(|line| line.trim().is_empty());
    between.contains(char::is_alphanumeric) && blank.count() > 1
}

/// The terms around a sentence.
pub(super) struct Frame {
    headings: HashSet<String>,
    passage: HashSet<String>,
}

impl Frame {
    pub(super) fn of(retriever: &Retriever, hit: &Hit) -> Self {
        let mut headings: HashSet<String> = hit
            .title
            .iter()
            .flat_map(|title| retriever.terms(title))
            .collect();
        headings.extend(
            hit.heading
                .iter()
                .flat_map(|heading| retriever.terms(heading)),
        );
        Self {
            headings,
            passage: retriever.terms(&hit.text).into_iter().collect(),
        }
    }

    /// The weighted share of the question's terms that the sentence, its headings, the line that leads to it or its passage hold,
    /// 0 to 1.
    pub(super) fn overlap(
        &self,
        weights: &[(String, f32)],
        total: f32,
        sentence: &HashSet<String>,
        line: Option<&HashSet<String>>,
    ) -> f32 {
        if total <= 0.0 {
            return 0.0;
        }
        let held: f32 = weights
            .iter()
            .map(|(term, weight)| {
                let share = if sentence.contains(term) {
                    1.0
                } else if self.headings.contains(term) || line.is_some_and(|l| l.contains(term)) {
                    HEADING_SHARE
                } else if self.passage.contains(term) {
                    PASSAGE_SHARE
                } else {
                    0.0
                };
                share * weight
            })
            .sum();
        held / total
    }
}

#[cfg(test)]
mod tests {
    use super::{has_ended, leads};
    use crate::answer::citable::citable;
    use crate::answer::prompt::tests::hit;

    #[test]
    fn lines_that_lead_to_others_are_known() {
        let mut hit = hit(
            "a.md",
            "The Borrow Checker\n\nIt compares scopes. **Can I turn it off?** No.\n\nModes are:\n\n- fast\n- slow\n\nWhy?",
        );
        hit.heading = vec!["The borrow checker".to_owned()];
        let leading: Vec<&str> = citable(&hit.text)
            .into_iter()
            .filter(|bytes| leads(&hit, bytes))
            .map(|bytes| &hit.text[bytes])
            .collect();
        let last = "Why?";
        assert!(!leading.contains(&last), "nothing follows it");
        assert_eq!(leading[0], "The Borrow Checker");
        assert!(
            leading.contains(&"Modes are:") && leading.len() == 3,
            "{leading:?}"
        );
        for (between, ended) in [
            ("\n", false),
            ("\n\n- fast\n", false),
            ("\n\nOne paragraph.\n\n", true),
        ] {
            assert_eq!(has_ended(between), ended, "{between:?}");
        }
    }
}
