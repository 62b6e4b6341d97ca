//! What a pointing model is shown, word for word, and that it stays within its tokens.
#![allow(clippy::unwrap_used, reason = "tests")]

use quoin_engine::scripted::ScriptedGenerator;
use quoin_engine::{Generator, Part};
use quoin_retriever::{DocumentId, Hit, PassageId, Stages};

use super::{Prompt, PromptInput, PromptStyle};
use crate::answer::citable::citable;
use crate::answer::sentences::{ScoredSentence, ScoredSentences};
use crate::answer::types::AnswerRequest;
use crate::config::Citing;

/// A passage that is a whole document.
pub(crate) fn hit(document: &str, text: &str) -> Hit {
    let document = DocumentId::new(document).unwrap();
    Hit {
        passage: PassageId::new(&document, 0),
        document,
        version: 1,
        title: Some("Notes".to_owned()),
        uri: None,
        heading: Vec::new(),
        text: text.to_owned(),
        start: 0,
        end: text.chars().count(),
        page: None,
        position: 0,
        score: 1.0,
        stages: Stages::default(),
        duplicates: Vec::new(),
        duplicate_of: None,
    }
}

/// The sentences of the hits, in order, with these scores.
fn scored(hits: &[Hit], scores: &[f32]) -> ScoredSentences {
    let sentences = hits.iter().enumerate().flat_map(|(hit, passage)| {
        let ranges = citable(&passage.text).into_iter();
        ranges.map(move |bytes| (hit, bytes))
    });
    ScoredSentences {
        sentences: sentences
            .zip(scores)
            .map(|((hit, bytes), &score)| ScoredSentence::scored(hit, bytes, score))
            .collect(),
        weights: Vec::new(),
    }
}

fn fit(hits: &[Hit], scores: &[f32], context_length: usize) -> (Prompt, usize) {
    let generator = ScriptedGenerator::saying([""]).with_context_length(context_length);
    let request = AnswerRequest::asking("What is two?");
    let input = PromptInput {
        request: &request,
        standalone: "What is two?",
        hits,
        scored: Some(scored(hits, scores)),
        schema: None,
        style: PromptStyle::Pointer,
        citing: Citing::Point,
        max_tokens: 8,
    };
    let prompt = Prompt::fit(&generator, &input).unwrap();
    let tokens = prompt
        .messages
        .iter()
        .map(|message| generator.count_tokens(&message.parts))
        .sum();
    (prompt, tokens)
}

fn text(prompt: &Prompt) -> String {
    let parts = prompt.messages.iter().flat_map(|message| &message.parts);
    parts
        .map(|part| match part {
            Part::Trusted(text) | Part::Data(text) => text.as_str(),
        })
        .collect()
}

#[test]
fn a_shortlist_stands_behind_the_question_best_last_with_its_scores_in_tenths() {
    let hits = [
        hit("b.md", "Two is two. Three is three."),
        hit("a.md", "One is one."),
    ];
    let (prompt, _) = fit(&hits, &[0.89, 0.31, 1.4], 200);
    assert_eq!(
        text(&prompt),
        "[[P]]Notes[[1]] One is one.[[P]]Notes[[2]] Two is two.[[3]] Three is three.\
         Question: What is two?[[3]]3[[2]]8[[1]]9"
    );
}

#[test]
fn a_shortlist_names_the_six_best_alone() {
    let hits = [hit(
        "a.md",
        "A is a. B is b. C is c. D is d. E is e. F is f. G is g. H is h.",
    )];
    let (prompt, _) = fit(&hits, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 400);
    assert!(
        text(&prompt).ends_with("?[[3]]3[[4]]4[[5]]5[[6]]6[[7]]7[[8]]8"),
        "{}",
        text(&prompt)
    );
}

#[test]
fn without_room_for_all_the_sentences_that_score_best_are_shown() {
    let long = "Some words that say nothing stand here in this long sentence too. ".repeat(30);
    let hits = [
        hit("a.md", &format!("{long}The first answer is here.")),
        hit("b.md", &format!("The second answer is there. {long}")),
    ];
    let mut scores = vec![0.2; 62];
    (scores[30], scores[31]) = (0.9, 0.8);
    for context_length in [60, 90, 150] {
        let (prompt, tokens) = fit(&hits, &scores, context_length);
        assert!(tokens + 8 <= context_length, "{tokens} of {context_length}");
        let shown = text(&prompt);
        assert!(shown.contains("The first answer is here."), "{shown}");
        assert!(shown.contains("The second answer is there."), "{shown}");
        assert_eq!(prompt.passages.len(), 2);
    }
}
