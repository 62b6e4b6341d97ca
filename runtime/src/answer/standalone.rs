//! A question of a conversation becomes one that stands alone: what it leaves out is in what was said before it.
//!
//! By words, in microseconds, for English; a question that stands alone stays as it is. `rewriting.rs` has a model do it.

use crate::answer::types::{Turn, TurnRole};

/// How much of an earlier turn takes part, bytes.
const MAX_EARLIER_BYTES: usize = 4096;
/// How many of the user's earlier turns are looked at.
const MAX_EARLIER_TURNS: usize = 6;
/// Names that are taken over from what the assistant said.
const MAX_NAMES: usize = 6;

const GOES_ON: [&str; 8] = [
    "and",
    "but",
    "or",
    "also",
    "so",
    "then",
    "else",
    "otherwise",
];
const POINTS_BACK: [&str; 19] = [
    "it", "its", "they", "them", "their", "theirs", "he", "him", "his", "she", "her", "hers",
    "this", "that", "these", "those", "same", "such", "former",
];
/// Words before a name that says where, when or for whom: the new one takes the place of the old one.
const PREPOSITIONS: [&str; 8] = ["in", "at", "for", "on", "from", "to", "during", "with"];

/// The question, led by what it leans on: the user's last question that stood alone, those between that name something new, and
/// the names in the last answer where the question points back.
#[must_use]
pub fn standalone(question: &str, history: &[Turn]) -> String {
    let question = question.trim();
    if !leans(question) {
        return question.to_owned();
    }
    let mut before = Vec::new();
    for turn in history
        .iter()
        .rev()
        .filter(|turn| turn.role == TurnRole::User)
    {
        let said = beginning(&turn.content);
        before.push(said);
        if !leans(said) || before.len() == MAX_EARLIER_TURNS {
            break;
        }
    }
    let mut parts: Vec<String> = Vec::new();
    // Oldest first, so that each replaces the names of those before it.
    for said in before.into_iter().rev().chain([question]) {
        for earlier in &mut parts {
            *earlier = without_what_is_replaced(earlier, said);
        }
        parts.push(said.to_owned());
    }
    if points_back(question) {
        parts.extend(names_of_the_last_answer(history, &parts.join(" ")));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

fn beginning(text: &str) -> &str {
    text[..text.floor_char_boundary(MAX_EARLIER_BYTES)].trim()
}

/// Whether a question is unlikely to stand alone: it is very short, begins as if it went on, or points back. A question without
/// spaces counts as short.
fn leans(question: &str) -> bool {
    let words: Vec<String> = words(question).map(str::to_lowercase).collect();
    words.len() <= 3
        || GOES_ON.contains(&words[0].as_str())
        || matches!(words[0].as_str(), "what" | "how") && words[1] == "about"
        || points_back(question)
}

fn points_back(question: &str) -> bool {
    words(question).any(|word| POINTS_BACK.contains(&word.to_lowercase().as_str()))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| {
        !character.is_alphanumeric() && !matches!(character, '\'' | '-' | '_')
    })
    .filter(|word| !word.is_empty())
}

/// `How much is a night in Kobe?` before `And in London?` loses `in Kobe`: a preposition with names in both.
fn without_what_is_replaced(earlier: &str, later: &str) -> String {
    let replaced: Vec<&str> = phrases(later).map(|(preposition, _)| preposition).collect();
    let mut kept = earlier.to_owned();
    for (preposition, names) in phrases(earlier) {
        if replaced
            .iter()
            .any(|other| other.eq_ignore_ascii_case(preposition))
        {
            // The last name may end the sentence: its full stop or question mark stays.
            let phrase = format!(" {preposition} {names}");
            kept = kept.replacen(&phrase, "", 1);
        }
    }
    kept
}

/// Prepositions that stand before names, each with those names as they are written.
fn phrases(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let word_start = rest.find(char::is_alphanumeric)?;
            rest = &rest[word_start..];
            let end = rest.find(' ')?;
            let word = &rest[..end];
            let after = &rest[end + 1..];
            rest = after;
            let is_preposition = PREPOSITIONS
                .iter()
                .any(|one| one.eq_ignore_ascii_case(word));
            let length = names_at(after);
            if is_preposition && length > 0 {
                return Some((word, &after[..length]));
            }
        }
    })
}

/// How many bytes of names a text begins with: words with a capital letter or a digit, one space between them.
fn names_at(text: &str) -> usize {
    let mut end = 0;
    for word in text.split(' ') {
        let bare = word.trim_end_matches(|character: char| !character.is_alphanumeric());
        if !is_name(bare) {
            break;
        }
        let start = if end == 0 { 0 } else { end + 1 };
        end = start + bare.len();
        if bare.len() < word.len() {
            break;
        }
    }
    end
}

fn is_name(word: &str) -> bool {
    word.starts_with(char::is_uppercase) || word.contains(char::is_numeric)
}

/// Names and identifiers of the assistant's last words that nobody has named yet: `he` may be one of them. A sentence's first
/// word is written large for that alone.
fn names_of_the_last_answer(history: &[Turn], said: &str) -> Vec<String> {
    let answer = history
        .iter()
        .rev()
        .find(|turn| turn.role == TurnRole::Assistant);
    let answer = answer.map_or("", |turn| beginning(&turn.content));
    let known: Vec<String> = words(said).map(str::to_lowercase).collect();
    let mut names: Vec<String> = Vec::new();
    for sentence in answer.split(['.', '!', '?', '\n', ':']) {
        for word in words(sentence)
            .skip(1)
            .filter(|word| is_name(word) && word.contains(char::is_alphabetic))
        {
            let is_known = known.contains(&word.to_lowercase());
            if !is_known && !names.iter().any(|name| name == word) && names.len() < MAX_NAMES {
                names.push(word.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(turns: &[(TurnRole, &str)]) -> Vec<Turn> {
        let turn = |(role, content): &(TurnRole, &str)| Turn {
            role: *role,
            content: (*content).to_owned(),
        };
        turns.iter().map(turn).collect()
    }

    #[test]
    fn a_question_that_stands_alone_is_searched_for_alone() {
        let history = talk(&[(TurnRole::User, "How many holidays are there?")]);
        for question in [
            "How long is the warranty?",
            "What does a hotel night in London cost at most?",
        ] {
            assert_eq!(standalone(question, &history), question);
        }
    }

    #[test]
    fn a_question_that_leans_on_what_was_said_is_led_by_it() {
        let history = talk(&[(TurnRole::User, "How long is the warranty of a printer?")]);
        for question in [
            "And for admins who work abroad?",
            "How long is it valid over there?",
            "What about the other printers here?",
            "Really?",
            "休暇は何日ですか",
        ] {
            let expected = format!("How long is the warranty of a printer? {question}");
            assert_eq!(standalone(question, &history), expected);
        }
        assert_eq!(standalone("Really?", &[]), "Really?");
        assert_eq!(
            standalone("", &history),
            "How long is the warranty of a printer?"
        );
    }

    #[test]
    fn several_turns_that_lean_on_each_other_reach_back_to_one_that_stands_alone() {
        let history = talk(&[
            (TurnRole::User, "Where is the archive?"),
            (TurnRole::Assistant, "In the cellar."),
            (TurnRole::User, "How long is parental leave at the firm?"),
            (TurnRole::Assistant, "It is 20 weeks."),
            (TurnRole::User, "And for part-timers?"),
        ]);
        assert_eq!(
            standalone("Who approves it?", &history),
            "How long is parental leave at the firm? And for part-timers? Who approves it?"
        );
    }

    #[test]
    fn a_new_place_or_time_takes_the_place_of_the_old_one() {
        let history = talk(&[(
            TurnRole::User,
            "What does a hotel night in Kobe cost at most?",
        )]);
        assert_eq!(
            standalone("And in London?", &history),
            "What does a hotel night cost at most? And in London?"
        );
        let history = talk(&[(TurnRole::User, "How big was the budget for 2025?")]);
        assert_eq!(
            standalone("And for 2026?", &history),
            "How big was the budget? And for 2026?"
        );
    }

    #[test]
    fn names_of_the_last_answer_are_taken_over_where_the_question_points_back() {
        let history = talk(&[
            (
                TurnRole::User,
                "Who is the head of the repair desk in Kobe?",
            ),
            (
                TurnRole::Assistant,
                "The head of the repair desk is Aiko Tanaka. ERR-4012 is her ticket.",
            ),
        ]);
        assert_eq!(
            standalone("What is her telephone number?", &history),
            "Who is the head of the repair desk in Kobe? What is her telephone number? Aiko Tanaka"
        );
        assert_eq!(
            standalone("And the deputy?", &history),
            "Who is the head of the repair desk in Kobe? And the deputy?"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_conversation_is_rewritten_within_bounds(question in ".{0,80}", said in proptest::collection::vec(".{0,80}", 0..8)) {
            let history: Vec<Turn> = said
                .iter()
                .enumerate()
                .map(|(index, content)| Turn {
                    role: if index % 2 == 0 { TurnRole::User } else { TurnRole::Assistant },
                    content: content.clone(),
                })
                .collect();
            let rewritten = standalone(&question, &history);
            proptest::prop_assert!(rewritten.contains(question.trim()));
        }
    }
}
