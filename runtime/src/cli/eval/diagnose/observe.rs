//! What there is to know of one question: where its gold evidence is, how far it came in the search, and what was answered.

use std::ops::Range;
use std::sync::Arc;

use quoin_eval::Question;
use quoin_eval::diagnose::{
    Context, GoldDocument, GoldText, Listing, Observation, Outcome, Status, Trace, Validity,
};
use quoin_retriever::{
    Document, DocumentId, Hit, RetrieverError, SearchRequest, Stage, Timestamp, Whereabouts,
};

use super::Cells;
use crate::answer::types::{self, AnswerRequest, Mode};
use crate::caller::Caller;
use crate::cli::eval::asking::Asked;
use crate::cli::eval::scoring::{Texts, admits_gold, in_words, score};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::transport::Client;
use crate::service::Quoin;

/// Looks at the documents of an evaluation as their owner, and at searches as whoever asks.
pub(super) struct Observer {
    quoin: Arc<Quoin>,
    texts: Texts,
}

/// A gold text with the place where it stands; without one, the document does not say so.
struct Gold {
    text: GoldText,
    place: Option<Range<usize>>,
}

impl Observer {
    pub(super) fn new(quoin: &Arc<Quoin>) -> Self {
        Self {
            quoin: Arc::clone(quoin),
            texts: Texts::new(Arc::new(Client::within(Arc::clone(quoin)))),
        }
    }

    pub(super) fn quoin(&self) -> &Arc<Quoin> {
        &self.quoin
    }

    pub(super) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Asks with the passages that hold the gold texts, and nothing else.
    pub(super) async fn ask_with_gold(
        &self,
        questions: &[Question],
        model: &str,
        mode: Mode,
        output: Output,
    ) -> Result<Vec<Asked>, Failure> {
        let bar = output.progress(questions.len() as u64, "asking");
        let mut all = Vec::with_capacity(questions.len());
        for question in questions {
            let caller = asked_as(question);
            let mut hits: Vec<Hit> = Vec::new();
            for gold in self.gold(question).await? {
                let Some(place) = &gold.place else { continue };
                for hit in self.whereabouts(question, &gold, place)?.passages {
                    if !hits.iter().any(|other| other.passage == hit.passage) {
                        hits.push(hit);
                    }
                }
            }
            let request = AnswerRequest {
                schema: question.schema.clone(),
                mode,
                model: Some(model.to_owned()),
                ..AnswerRequest::asking(&question.question)
            };
            let came = self.quoin.answer_from(&caller, request, hits).await;
            let answer = came.map_err(|error| Failure::from(error).in_one_line());
            let scored = score(question, &answer, &self.texts).await?;
            all.push(Asked { scored, answer });
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(all)
    }

    /// All that is known of one question.
    pub(super) async fn observe(
        &self,
        question: &Question,
        index: usize,
        cells: &Cells,
    ) -> Result<Observation, Failure> {
        let golds = self.gold(question).await?;
        let mut documents = Vec::new();
        for id in &question.documents {
            documents.push(self.document(id, question)?);
        }
        let (mut texts, mut found) = (Vec::new(), Vec::new());
        for gold in golds {
            let mut text = gold.text.clone();
            if let Some(place) = &gold.place {
                let whereabouts = self.whereabouts(question, &gold, place)?;
                text.in_one_passage = whereabouts.in_one_passage;
                found.push((whereabouts, gold.text.document.clone(), place.clone()));
            }
            texts.push(text);
        }
        let has_gold = !found.is_empty();
        let outcomes = cells.iter().filter_map(|(cell, asked)| {
            // Without gold there was nothing to give.
            let asked = asked
                .get(index)
                .filter(|_| has_gold || cell.context() != Context::Gold)?;
            Some((*cell, outcome(asked)))
        });
        let cells_of_question = outcomes.collect();
        let trace = self.trace(question, &found, index, cells);
        Ok(Observation {
            id: question.id.clone(),
            question: question.question.clone(),
            kind: question.kind.clone(),
            tokens: question.tokens.clone(),
            answers: question.answers.clone(),
            is_impossible: question.is_impossible,
            schema_admits_gold: admits_gold(question),
            documents,
            texts,
            trace: Some(trace),
            cells: cells_of_question,
        })
    }

    /// The gold quotes, or, where the data set has none, each answer in each gold document that says it.
    async fn gold(&self, question: &Question) -> Result<Vec<Gold>, Failure> {
        let mut golds = Vec::new();
        let quotes = question.gold.iter();
        let mut wanted: Vec<(&String, &String)> =
            quotes.map(|gold| (&gold.document, &gold.quote)).collect();
        let has_quotes = !wanted.is_empty();
        if !has_quotes {
            let pairs = question.documents.iter();
            wanted.extend(pairs.flat_map(|id| question.answers.iter().map(move |text| (id, text))));
        }
        for (document, words) in wanted {
            let text = self.texts.of(document).await?;
            let place = text.and_then(|text| text.find(words));
            // An answer in other words than the document's is no sign of anything.
            if place.is_none() && !has_quotes {
                continue;
            }
            golds.push(Gold {
                text: GoldText {
                    document: document.clone(),
                    text: words.clone(),
                    in_document: place.is_some(),
                    in_one_passage: false,
                },
                place,
            });
        }
        Ok(golds)
    }

    fn document(&self, id: &str, question: &Question) -> Result<GoldDocument, Failure> {
        let absent = GoldDocument {
            id: id.to_owned(),
            in_corpus: false,
            visible: false,
            validity: Validity::Current,
        };
        let Ok(name) = DocumentId::new(id) else {
            return Ok(absent);
        };
        let stored = match self
            .quoin
            .retriever()
            .document(&name, &Caller::local().access)
        {
            Ok(stored) => stored,
            Err(RetrieverError::NotFound(_)) => return Ok(absent),
            Err(error) => return Err(error.into()),
        };
        let access = asked_as(question).access;
        Ok(GoldDocument {
            in_corpus: true,
            visible: access.may_read(&stored.acl),
            validity: self.validity(&stored)?,
            ..absent
        })
    }

    /// A document that is in effect by its dates and has no passage that a search may find was superseded.
    fn validity(&self, document: &Document) -> Result<Validity, Failure> {
        let now = Timestamp::now();
        if document.effective_from.is_some_and(|from| from > now) {
            return Ok(Validity::NotYetEffective);
        }
        if document.effective_until.is_some_and(|until| until <= now) {
            return Ok(Validity::Expired);
        }
        let request = SearchRequest::new(&*document.id.to_string(), 1);
        let owner = Caller::local().access;
        let everything = 0..usize::MAX;
        let found =
            self.quoin
                .retriever()
                .whereabouts(&request, &document.id, &everything, &owner)?;
        Ok(if found.passages.is_empty() {
            Validity::Superseded
        } else {
            Validity::Current
        })
    }

    fn whereabouts(
        &self,
        question: &Question,
        gold: &Gold,
        place: &Range<usize>,
    ) -> Result<Whereabouts, Failure> {
        let top_k = self.quoin.config().answers.top_k;
        let request = SearchRequest::new(&question.question, top_k);
        let document = DocumentId::new(&gold.text.document)?;
        let access = asked_as(question).access;
        Ok(self
            .quoin
            .retriever()
            .whereabouts(&request, &document, place, &access)?)
    }

    /// Of several gold texts the one that came least far, where the question needs them all; else the best.
    fn trace(
        &self,
        question: &Question,
        found: &[(Whereabouts, String, Range<usize>)],
        index: usize,
        cells: &Cells,
    ) -> Trace {
        let needs_all = question.gold.len() > 1;
        let last = |whereabouts: &Whereabouts| {
            let listings = listings(whereabouts);
            listings
                .reranked
                .rank
                .or(listings.fused.rank)
                .unwrap_or(usize::MAX)
        };
        let chosen = if needs_all {
            found
                .iter()
                .max_by_key(|(whereabouts, ..)| last(whereabouts))
        } else {
            found
                .iter()
                .min_by_key(|(whereabouts, ..)| last(whereabouts))
        };
        let terms = self.quoin.retriever().terms(&question.question).len();
        let mut trace = Trace {
            cut: self.quoin.config().answers.top_k,
            question_terms: Some(terms),
            ..Trace::default()
        };
        if let Some((whereabouts, document, place)) = chosen {
            let Listings {
                bm25,
                vector,
                fused,
                reranked,
            } = listings(whereabouts);
            trace.bm25 = bm25;
            trace.vector = vector;
            trace.fused = fused;
            trace.reranked = reranked;
            trace.shared_terms = Some(whereabouts.shared_terms);
            trace.in_prompt = in_prompt(document, place, index, cells);
        }
        trace
    }
}

struct Listings {
    bm25: Listing,
    vector: Listing,
    fused: Listing,
    reranked: Listing,
}

/// The best place that any of the passages has in each list.
fn listings(whereabouts: &Whereabouts) -> Listings {
    let best = |stage: fn(&Hit) -> Option<Stage>| {
        let ranks = whereabouts.passages.iter().filter_map(stage);
        ranks.map(|stage| stage.rank).min()
    };
    let listed = whereabouts.listed;
    let listing = |rank, listed| Listing { rank, listed };
    Listings {
        bm25: listing(best(|hit| hit.stages.bm25), listed.bm25),
        vector: listing(best(|hit| hit.stages.vector), listed.vector),
        fused: listing(best(|hit| hit.stages.fused), listed.fused),
        reranked: listing(best(|hit| hit.stages.rerank), listed.rerank.unwrap_or(0)),
    }
}

/// Whether the passages that the model was shown hold the place whole; none where no trace was kept.
fn in_prompt(document: &str, place: &Range<usize>, index: usize, cells: &Cells) -> Option<bool> {
    let mut retrieved = cells
        .iter()
        .filter(|(cell, _)| cell.context() == Context::Retrieved)
        .map(|(_, asked)| asked);
    let asked = retrieved.next_back()?.get(index)?;
    let trace = asked.answer.as_ref().ok()?.trace.as_ref()?;
    let mut covered: Vec<Range<usize>> = trace
        .passages
        .iter()
        .filter(|passage| passage.document == document)
        .map(|passage| passage.start..passage.end)
        .collect();
    covered.sort_by_key(|passage| passage.start);
    let mut reached = place.start;
    for passage in covered {
        if passage.start <= reached {
            reached = reached.max(passage.end);
        }
    }
    Some(reached >= place.end)
}

fn asked_as(question: &Question) -> Caller {
    Caller::local().reading_as(&question.tokens)
}

fn outcome(asked: &Asked) -> Outcome {
    let record = &asked.scored.record;
    let metric = |name: &str| record.metrics.get(name).copied();
    let by_fields = metric("field_f1");
    let mut outcome = Outcome {
        status: Status::Failed,
        answer: None,
        written: None,
        exact: metric("exact").filter(|_| by_fields.is_none()),
        f1: by_fields.or_else(|| metric("f1")),
        cites_gold: asked.scored.outcome.cites_source(),
        quote_verbatim: metric("quote_verbatim").map(|share| share >= 1.0),
        schema_valid: metric("schema_valid").map(|share| share >= 1.0),
        confidence: metric("confidence"),
        error: record.error.clone(),
    };
    if let Ok(answer) = &asked.answer {
        outcome.status = match answer.status {
            types::Status::Answered => Status::Answered,
            types::Status::Abstained => Status::Abstained,
        };
        outcome.answer = (outcome.status == Status::Answered).then(|| in_words(&answer.answer));
    }
    outcome
}
