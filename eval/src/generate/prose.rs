//! Questions from sentences: definitions, numbers with units, and headings that are questions or name a quantity.

use super::SourceDocument;
use super::amounts::{amounts, leading_amount};
use super::candidates::Candidate;
use super::words::{Lexicon, content_words, quoted_place};
use crate::dataset::GoldQuote;

const SENTENCE_WORDS_MAX: usize = 45;
const SENTENCE_WORDS_MIN: usize = 4;
/// A sentence that starts with one of these speaks of the sentence before, or of no one thing.
const NOT_SUBJECTS: [&str; 40] = [
    "a", "after", "all", "although", "any", "as", "at", "because", "before", "both", "by", "each",
    "every", "for", "from", "he", "here", "however", "i", "if", "in", "it", "its", "on", "one",
    "our", "she", "some", "that", "their", "there", "these", "they", "this", "those", "to", "we",
    "when", "where", "you",
];
const MODALS: [&str; 5] = ["must", "may", "can", "should", "will"];
const QUANTITIES: [&str; 18] = [
    "period",
    "limit",
    "fee",
    "rate",
    "deadline",
    "allowance",
    "price",
    "age",
    "length",
    "duration",
    "cost",
    "size",
    "number",
    "amount",
    "salary",
    "budget",
    "charge",
    "notice",
];

pub(super) fn candidates(
    index: usize,
    document: &SourceDocument,
    lexicon: &Lexicon,
) -> Vec<Candidate> {
    let mut made = Vec::new();
    for passage in &document.passages {
        if !document.text.contains(passage.text.as_str()) {
            continue;
        }
        let heading = passage.heading.last().map_or("", String::as_str);
        let mut is_first = true;
        for line in passage.text.lines() {
            let line = line.trim_start_matches(['-', '*', '•', ' ']).trim_end();
            if line.contains(" | ") || line.starts_with(['|', '#', '>', '`']) || line == heading {
                continue;
            }
            for sentence in sentences(line) {
                let count = sentence.split_whitespace().count();
                if !(SENTENCE_WORDS_MIN..=SENTENCE_WORDS_MAX).contains(&count) {
                    continue;
                }
                let source = Source {
                    index,
                    document,
                    heading,
                    sentence,
                    lexicon,
                };
                made.extend(source.questions(is_first));
                is_first = false;
            }
        }
    }
    made
}

/// Sentences of a line that end in a full stop. One that is cut elsewhere has no end, and is no sentence.
fn sentences(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, _) in line.match_indices('.') {
        let before = line[start..at].rsplit(' ').next().unwrap_or("");
        let is_short = before.chars().count() <= 1
            || matches!(
                before.to_lowercase().as_str(),
                "e.g" | "i.e" | "no" | "mr" | "dr" | "inc" | "ltd" | "corp" | "vs"
            );
        let after = &line[at + 1..];
        let is_end = after.is_empty()
            || after
                .strip_prefix(' ')
                .is_some_and(|rest| rest.starts_with(char::is_uppercase));
        if is_end && (after.is_empty() || !is_short) {
            found.push(line[start..=at].trim());
            start = at + 1;
        }
    }
    found
}

struct Source<'a> {
    index: usize,
    document: &'a SourceDocument,
    heading: &'a str,
    /// With its full stop.
    sentence: &'a str,
    lexicon: &'a Lexicon,
}

impl Source<'_> {
    fn questions(&self, is_first: bool) -> Vec<Candidate> {
        let body = self.sentence.trim_end_matches('.');
        let mut made = Vec::new();
        if is_first && self.heading.ends_with('?') {
            let stem = self.heading.trim_end_matches('?');
            made.extend(self.candidate("generated/heading", stem, body.to_owned()));
        } else if is_first && let Some((stem, answer)) = quantity(self.heading, body, self.lexicon)
        {
            made.extend(self.candidate("generated/heading", &stem, answer));
        }
        if let Some((stem, answer)) = definition(body) {
            made.extend(self.candidate("generated/definition", &stem, answer));
        } else if let Some((stem, answer)) = number(body, self.lexicon) {
            made.extend(self.candidate("generated/number", &stem, answer));
        }
        made
    }

    fn candidate(&self, kind: &'static str, stem: &str, answer: String) -> Option<Candidate> {
        let place = if self.document.title.is_empty() {
            self.heading
        } else {
            &self.document.title
        };
        let located = quoted_place(place).map(|place| format!("{stem} {place}?"));
        let is_clear = kind == "generated/definition" || content_words(stem).len() >= 3;
        if !is_clear && located.is_none() {
            return None;
        }
        let question = match &located {
            Some(located) if !is_clear => located.clone(),
            _ => format!("{stem}?"),
        };
        Some(Candidate {
            kind,
            document: self.index,
            located: located.filter(|located| *located != question),
            question,
            answer: Some(answer),
            gold: vec![GoldQuote {
                document: self.document.id.clone(),
                quote: self.sentence.to_owned(),
            }],
        })
    }
}

/// “A golden unit is a reference instrument …”, “RMA means …”.
fn definition(body: &str) -> Option<(String, String)> {
    for (verb, is_loose) in [
        (" means ", true),
        (" refers to ", true),
        (" stands for ", true),
        (" is a ", false),
        (" is an ", false),
    ] {
        let Some((subject, rest)) = body.split_once(verb) else {
            continue;
        };
        let bare = ["A ", "An ", "The "]
            .iter()
            .find_map(|article| subject.strip_prefix(article))
            .unwrap_or(subject);
        let is_term = (1..=5).contains(&bare.split_whitespace().count())
            && !NOT_SUBJECTS
                .contains(&bare.split(' ').next().unwrap_or("").to_lowercase().as_str())
            && !bare.contains([',', ';', '(', ':', '“', '"'])
            && !bare.ends_with("below")
            && !bare.ends_with("above")
            && bare
                .split(' ')
                .all(|word| word.starts_with(char::is_alphanumeric))
            && !bare
                .split(' ')
                .any(|word| word.ends_with("ed") || word.ends_with("ing") || word == "of");
        let says_little = rest.starts_with("that ") || rest.starts_with("party ");
        if !is_term || says_little || rest.split_whitespace().count() < 3 {
            return None;
        }
        // What follows the definition in the sentence is no part of it.
        let rest = rest.split(", and ").next().unwrap_or(rest);
        let answer = if is_loose {
            rest.to_owned()
        } else {
            format!("{}{rest}", &verb[4..])
        };
        let is_named = bare == subject;
        let stem = if is_loose {
            format!("What does “{bare}” mean")
        } else if is_named {
            format!("What is {bare}")
        } else {
            format!(
                "What is {} {bare}",
                if subject.starts_with("The ") {
                    "the"
                } else {
                    article(bare)
                }
            )
        };
        return Some((stem, answer));
    }
    None
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) {
        "an"
    } else {
        "a"
    }
}

/// “Claims must be submitted within 60 days of the purchase”, “The notice period is three months”.
fn number(body: &str, lexicon: &Lexicon) -> Option<(String, String)> {
    if amounts(body).len() != 1 || body.contains([';', ':', '(', '“']) {
        return None;
    }
    within(body, lexicon).or_else(|| is_amount(body, lexicon))
}

fn within(body: &str, lexicon: &Lexicon) -> Option<(String, String)> {
    let (before, after) = body.split_once(" within ")?;
    let (amount, rest) = leading_amount(after)?;
    let unit = amount.split_once(' ')?.1;
    let words: Vec<&str> = before.split(' ').collect();
    let at = words.iter().position(|word| MODALS.contains(word))?;
    let subject = subject(&words[..at], lexicon)?;
    let predicate = words.get(at + 1..)?.join(" ");
    if predicate.is_empty()
        || points_back(&predicate)
        || before.contains(',')
        || rest.contains(',')
        || rest.contains(" and ")
    {
        return None;
    }
    let plural = if unit.ends_with('s') || unit == "per cent" {
        unit.to_owned()
    } else {
        format!("{unit}s")
    };
    // “of the purchase” belongs to the days, the rest to what must be done.
    let (near, far) = if [" of ", " after ", " from "]
        .iter()
        .any(|word| rest.starts_with(word))
    {
        (rest, "")
    } else {
        ("", rest)
    };
    let stem = format!(
        "Within how many {plural}{near} {} {subject} {predicate}{far}",
        words[at]
    );
    Some((stem, amount))
}

fn is_amount(body: &str, lexicon: &Lexicon) -> Option<(String, String)> {
    for (verb, asked) in [
        (" is ", "What is"),
        (" are ", "What are"),
        (" costs ", "How much does"),
        (" lasts ", "How long does"),
        (" takes ", "How long does"),
    ] {
        let Some((before, after)) = body.split_once(verb) else {
            continue;
        };
        let (amount, rest) = leading_amount(after)?;
        let words: Vec<&str> = before.split(' ').collect();
        if words.len() > 10
            || before.contains(',')
            || !(rest.is_empty() || rest.starts_with(" per ") || rest.starts_with(" a "))
        {
            return None;
        }
        let subject = subject(&words, lexicon)?;
        let answer = format!("{amount}{rest}");
        return Some(match verb.trim() {
            "costs" => (format!("{asked} {subject} cost"), answer),
            "lasts" => (format!("{asked} {subject} last"), answer),
            "takes" => (format!("{asked} {subject} take"), answer),
            _ => (format!("{asked} {subject}"), answer),
        });
    }
    None
}

/// “Notice period” above “The period is three months …”.
fn quantity(heading: &str, body: &str, lexicon: &Lexicon) -> Option<(String, String)> {
    let last = heading.rsplit(' ').next()?.to_lowercase();
    let amounts = amounts(body);
    if !QUANTITIES.contains(&last.as_str())
        || heading.contains(" and ")
        || amounts.len() != 1
        || heading.split(' ').count() > 5
    {
        return None;
    }
    Some((
        format!("What is the {}", lexicon.lower_first(heading)),
        amounts.into_iter().next()?,
    ))
}

/// Ends in a word that stands for something said before.
fn points_back(text: &str) -> bool {
    let last = text.rsplit(' ').next().unwrap_or("");
    matches!(last, "it" | "them" | "this" | "that" | "these" | "those")
}

/// The beginning of a sentence as it stands in the middle of one, unless it points elsewhere.
fn subject(words: &[&str], lexicon: &Lexicon) -> Option<String> {
    let first = words.first()?.to_lowercase();
    let is_article = first == "a" && words.len() > 1;
    if NOT_SUBJECTS.contains(&first.as_str()) && !is_article || words.contains(&"which") {
        return None;
    }
    Some(lexicon.lower_first(&words.join(" ")))
}
