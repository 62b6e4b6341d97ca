//! A seeded choice that goes round the kinds and, within each, round the documents.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::candidates::Candidate;
use super::{GenerateOptions, SourceDocument, hex_digest};
use crate::answers::normalise;
use crate::dataset::Question;
use crate::statistics::Generator;

pub(super) fn choose(
    answerable: Vec<Candidate>,
    nowhere: Vec<Candidate>,
    documents: &[SourceDocument],
    options: &GenerateOptions,
) -> Vec<Question> {
    let mut generator = Generator::named(options.seed, "generate");
    let share = options.unanswerable.clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a count, not below 0"
    )]
    let impossible = (options.questions as f64 * share).round() as usize;
    let mut chosen = round(nowhere, impossible, &mut generator);
    let rest = options.questions.saturating_sub(chosen.len());
    let mut all = round(answerable, rest, &mut generator);
    all.append(&mut chosen);
    let mut ids = BTreeSet::new();
    let mut questions: Vec<Question> = all
        .into_iter()
        .filter_map(|candidate| {
            let id = format!("gen-{}", &hex_digest(&normalise(&candidate.question))[..16]);
            let document = documents.get(candidate.document)?;
            let is_new = ids.insert(id.clone());
            is_new.then(|| candidate.into_question(id, document))
        })
        .collect();
    questions.sort_by(|left, right| (&left.cluster, &left.id).cmp(&(&right.cluster, &right.id)));
    questions
}

/// Candidates of one kind, by document; the documents in an order of chance.
type Queue = VecDeque<Vec<Candidate>>;

fn round(candidates: Vec<Candidate>, wanted: usize, generator: &mut Generator) -> Vec<Candidate> {
    let mut kinds: BTreeMap<&str, BTreeMap<usize, Vec<Candidate>>> = BTreeMap::new();
    for candidate in candidates {
        let documents = kinds.entry(candidate.kind).or_default();
        documents
            .entry(candidate.document)
            .or_default()
            .push(candidate);
    }
    let mut queues: Vec<Queue> = Vec::new();
    for documents in kinds.into_values() {
        let mut queue: Vec<Vec<Candidate>> = documents.into_values().collect();
        for of_document in &mut queue {
            shuffle(of_document, generator);
        }
        shuffle(&mut queue, generator);
        queues.push(queue.into());
    }
    let mut chosen = Vec::new();
    while chosen.len() < wanted && !queues.is_empty() {
        for queue in &mut queues {
            if chosen.len() == wanted {
                break;
            }
            let Some(mut of_document) = queue.pop_front() else {
                continue;
            };
            chosen.extend(of_document.pop());
            if !of_document.is_empty() {
                queue.push_back(of_document);
            }
        }
        queues.retain(|queue| !queue.is_empty());
    }
    chosen
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], generator: &mut Generator) {
    for last in (1..items.len()).rev() {
        items.swap(last, generator.below(last + 1));
    }
}
