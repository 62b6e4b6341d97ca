//! A question before it is chosen, and which of those that look alike can stand.

use std::collections::BTreeMap;

use super::SourceDocument;
use crate::answers::normalise;
use crate::dataset::{GoldQuote, Question};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub kind: &'static str,
    /// Index of the document it is of.
    pub document: usize,
    pub question: String,
    /// The same, with where it is asked of: for when the question alone has two answers.
    pub located: Option<String>,
    /// None: the documents do not say.
    pub answer: Option<String>,
    pub gold: Vec<GoldQuote>,
}

impl Candidate {
    pub(super) fn into_question(self, id: String, document: &SourceDocument) -> Question {
        let mut documents: Vec<String> = Vec::new();
        for gold in &self.gold {
            if !documents.contains(&gold.document) {
                documents.push(gold.document.clone());
            }
        }
        Question {
            id,
            question: self.question,
            is_impossible: self.answer.is_none(),
            answers: self.answer.into_iter().collect(),
            documents,
            gold: self.gold,
            kind: Some(self.kind.to_owned()),
            cluster: Some(document.id.clone()),
            tokens: document.acl.clone(),
            ..Question::default()
        }
    }
}

/// One of each question: those of one answer are merged, those of several are asked with their place, and left out when that
/// does not tell them apart. With how many were left out, and how many merged.
pub(super) fn settle(
    candidates: Vec<Candidate>,
    documents: &[SourceDocument],
) -> (Vec<Candidate>, usize, usize) {
    let mut merged = 0;
    let (mut kept, clashing) = one_answer_each(candidates, documents, &mut merged);
    let mut ambiguous = 0;
    let mut located = Vec::new();
    for mut candidate in clashing {
        match candidate.located.take() {
            Some(question) => {
                candidate.question = question;
                located.push(candidate);
            }
            None => ambiguous += 1,
        }
    }
    let (told_apart, still) = one_answer_each(located, documents, &mut merged);
    ambiguous += still.len();
    kept.extend(told_apart);
    (kept, ambiguous, merged)
}

type Split = (Vec<Candidate>, Vec<Candidate>);

fn one_answer_each(
    candidates: Vec<Candidate>,
    documents: &[SourceDocument],
    merged: &mut usize,
) -> Split {
    let mut groups: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let key = normalise(&candidate.question);
        groups.entry(key).or_default().push(candidate);
    }
    let (mut single, mut clashing) = (Vec::new(), Vec::new());
    for group in groups.into_values() {
        let answer = |candidate: &Candidate| candidate.answer.as_deref().map(normalise);
        let first = group.first().and_then(answer);
        if group.iter().any(|other| answer(other) != first) {
            clashing.extend(group);
            continue;
        }
        *merged += group.len() - 1;
        let mut rest = group.into_iter();
        let Some(mut one) = rest.next() else { continue };
        for other in rest {
            // Who may see one of the documents may see the other, too.
            if documents[other.document].acl == documents[one.document].acl {
                let new = other.gold.into_iter();
                let fresh: Vec<GoldQuote> = new.filter(|gold| !one.gold.contains(gold)).collect();
                one.gold.extend(fresh);
            }
        }
        single.push(one);
    }
    (single, clashing)
}
