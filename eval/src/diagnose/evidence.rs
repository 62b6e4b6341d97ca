//! What speaks for a finding, in words and numbers, and what could not be told apart.

use std::fmt::Write as _;

use super::class::Class;
use super::decide::Case;
use super::observation::{Cell, Listing, Outcome, Status};

/// Characters that are kept of a text from outside.
pub(super) const SHOWN_CHARACTERS: usize = 400;

/// A text cut to [`SHOWN_CHARACTERS`].
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn evidence(case: &Case<'_>, class: Class, when: &str) -> Vec<String> {
    let mut lines = vec![format!("Decided by: {when}.")];
    if let Some(outcome) = case.outcome() {
        lines.push(format!("Served ({}): {}", case.served, of_outcome(outcome)));
    }
    if case.observation.excludes_gold() {
        lines.push("The schema that was asked for does not admit the right answer.".to_owned());
    }
    if class == Class::NotInCorpus || matches!(class, Class::NotRetrieved(_)) {
        lines.extend(of_gold(case));
    }
    if let Some(trace) = case
        .observation
        .trace
        .as_ref()
        .filter(|_| !case.observation.is_impossible)
    {
        let lists = [
            ("BM25", trace.bm25),
            ("vector", trace.vector),
            ("fused", trace.fused),
            ("reranked", trace.reranked),
        ];
        let places: Vec<String> = lists
            .iter()
            .map(|(name, listing)| format!("{name} {}", place(*listing)))
            .collect();
        lines.push(format!(
            "Gold passage: {}; the prompt is offered the first {}.",
            places.join(", "),
            trace.cut
        ));
        if let (Some(shared), Some(terms)) = (trace.shared_terms, trace.question_terms) {
            lines.push(format!("It has {shared} of the question's {terms} terms."));
        }
    }
    let mut others = Vec::new();
    for (cell, outcome) in case
        .observation
        .cells
        .iter()
        .filter(|(cell, _)| **cell != case.served)
    {
        let verdict = match (case.is_right(*cell), outcome.status) {
            (true, _) => "right",
            (false, Status::Answered) => "wrong",
            (false, Status::Abstained) => "abstained",
            (false, Status::Failed) => "failed",
        };
        others.push(format!("{cell}: {verdict}"));
    }
    if !others.is_empty() {
        lines.push(format!("Other cells: {}.", others.join("; ")));
    }
    lines.extend(gaps(case));
    lines
}

/// What is absent, and what it leaves open.
fn gaps(case: &Case<'_>) -> Vec<String> {
    let observation = case.observation;
    let mut gaps = Vec::new();
    if observation.is_impossible {
        return gaps;
    }
    let gold = Cell::of(super::observation::Context::Gold, case.served.has_adapter());
    if !observation.cells.contains_key(&gold) {
        gaps.push("Not told apart: the gold passages alone were not tried, so what a lever recovers is an upper bound without a check.".to_owned());
    }
    if observation.texts.is_empty() && !observation.documents.is_empty() {
        gaps.push(
            "Not told apart: without a gold text, a passage boundary looks like ranking."
                .to_owned(),
        );
    }
    if observation
        .trace
        .as_ref()
        .is_some_and(|trace| trace.in_prompt.is_none())
    {
        gaps.push("Not told apart: the prompt was not recorded, so being within the cut counts as being seen.".to_owned());
    }
    gaps
}

fn of_gold(case: &Case<'_>) -> Vec<String> {
    let documents = case.observation.documents.iter().take(5).map(|document| {
        let state = match (document.in_corpus, document.visible) {
            (false, _) => "not in the corpus".to_owned(),
            (true, false) => format!(
                "not visible to {:?}",
                case.observation
                    .tokens
                    .iter()
                    .take(5)
                    .map(|token| shown(token))
                    .collect::<Vec<_>>()
            ),
            (true, true) => document.validity.to_string(),
        };
        format!("Gold document `{}`: {state}.", shown(&document.id))
    });
    let texts = case.observation.texts.iter().take(5).map(|text| {
        let state = match (text.in_document, text.in_one_passage) {
            (false, _) => "is not in the document",
            (true, false) => "is cut by the border of a passage",
            (true, true) => "is whole in one passage",
        };
        format!("Gold text “{}” {state}.", shown(&text.text))
    });
    documents.chain(texts).collect()
}

fn place(listing: Listing) -> String {
    match (listing.rank, listing.listed) {
        (_, 0) => "empty".to_owned(),
        (Some(rank), listed) => format!("rank {rank} of {listed}"),
        (None, listed) => format!("not among {listed}"),
    }
}

fn of_outcome(outcome: &Outcome) -> String {
    let mut words = match outcome.status {
        Status::Answered => "answered".to_owned(),
        Status::Abstained => "abstained".to_owned(),
        Status::Failed => "failed".to_owned(),
    };
    if let Some(text) = outcome.text() {
        let _ = write!(words, " “{}”", shown(text));
    }
    for (name, value) in [("f1", outcome.f1), ("confidence", outcome.confidence)] {
        if let Some(value) = value {
            let _ = write!(words, ", {name} {value:.2}");
        }
    }
    for (name, value) in [
        ("cites gold", outcome.cites_gold),
        ("verbatim", outcome.quote_verbatim),
        ("schema valid", outcome.schema_valid),
    ] {
        if let Some(value) = value {
            let _ = write!(words, ", {name}: {}", if value { "yes" } else { "no" });
        }
    }
    match &outcome.error {
        Some(error) => format!("{words}; {}", shown(error)),
        None => words + ".",
    }
}
