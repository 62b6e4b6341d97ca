//! The decision list: the first rule that holds names the class. It is data, so that the report shows the list that decided.

use super::class::{Class, Stage};
use super::observation::{
    Cell, Context, GoldDocument, Observation, Outcome, Status, Trace, Validity,
};
use super::right::{RightRule, has_broken_form};

/// A question under one rule of what is right, and the cell that is served.
#[derive(Clone, Copy)]
pub(super) struct Case<'data> {
    pub observation: &'data Observation,
    pub rule: &'data RightRule,
    pub served: Cell,
}

/// One line of the list.
pub(super) struct Rule {
    pub when: &'static str,
    pub class: Class,
    holds: fn(&Case<'_>) -> bool,
}

const fn rule(when: &'static str, class: Class, holds: fn(&Case<'_>) -> bool) -> Rule {
    Rule { when, class, holds }
}

/// In order; the last always holds.
pub(super) const RULES: &[Rule] = &[
    rule(
        "the question has no outcome, or failed before anything was written",
        Class::Undetermined,
        |case| {
            case.outcome().is_none_or(|outcome| {
                outcome.status == Status::Failed
                    && outcome.written.is_none()
                    && !case.observation.excludes_gold()
            })
        },
    ),
    rule("the outcome is right", Class::Right, |case| {
        case.is_right(case.served)
    }),
    rule(
        "there is no answer for this caller, and one was given",
        Class::ShouldHaveAbstained,
        |case| case.observation.is_impossible,
    ),
    rule(
        "gold was in the prompt, and the schema has no room for the right answer",
        Class::RightWrongForm,
        |case| case.observation.excludes_gold() && case.in_prompt(),
    ),
    rule(
        "the text carries the answer; schema, quote or length is wrong",
        Class::RightWrongForm,
        |case| {
            case.carries_answer()
                && case.outcome().is_some_and(|outcome| {
                    outcome.status != Status::Abstained || has_broken_form(outcome)
                })
        },
    ),
    rule(
        "the prompt lacked gold, and the data set names no gold document",
        Class::Undetermined,
        |case| !case.in_prompt() && case.observation.documents.is_empty(),
    ),
    rule(
        "no gold document is in the corpus with the gold text in it",
        Class::NotInCorpus,
        |case| !case.in_prompt() && !case.reach(|_| true),
    ),
    rule(
        "this caller may read none of those that are",
        Class::NotRetrieved(Stage::Permission),
        |case| !case.in_prompt() && !case.reach(|document| document.visible),
    ),
    rule(
        "none of those is current",
        Class::NotRetrieved(Stage::Freshness),
        |case| !case.in_prompt() && !case.reach(is_reachable),
    ),
    rule(
        "no single passage holds a gold text whole",
        Class::NotRetrieved(Stage::PassageBoundary),
        |case| !case.in_prompt() && case.is_cut(),
    ),
    rule(
        "it was not recorded what search found",
        Class::Undetermined,
        |case| !case.in_prompt() && case.observation.trace.is_none(),
    ),
    rule(
        "the last list has it within the cut, and it did not fit the prompt",
        Class::NotRetrieved(Stage::Budget),
        |case| case.lost(|trace| trace.last().is_within(trace.cut)),
    ),
    rule(
        "fusion had it within the cut, reranking did not",
        Class::NotRetrieved(Stage::Reranking),
        |case| case.lost(|trace| trace.fused.is_within(trace.cut)),
    ),
    rule(
        "BM25 or vectors had it within the cut, fusion did not",
        Class::NotRetrieved(Stage::Fusion),
        |case| {
            case.lost(|trace| trace.bm25.is_within(trace.cut) || trace.vector.is_within(trace.cut))
        },
    ),
    rule(
        "BM25 listed nothing, though question and passage share terms",
        Class::NotRetrieved(Stage::Bm25),
        |case| case.lost(|trace| trace.bm25.is_empty() && trace.shared_terms != Some(0)),
    ),
    rule(
        "vector search listed nothing",
        Class::NotRetrieved(Stage::Vector),
        |case| case.lost(|trace| trace.vector.is_empty()),
    ),
    rule(
        "question and passage share no term after analysis",
        Class::NotRetrieved(Stage::Analysis),
        |case| case.lost(|trace| trace.shared_terms == Some(0)),
    ),
    rule(
        "it was among the candidates of reranking, and stayed beyond the cut",
        Class::NotRetrieved(Stage::Reranking),
        |case| case.lost(|trace| trace.reranked.rank.is_some()),
    ),
    rule(
        "the passage has half of the question's terms or more: BM25 had the words",
        Class::NotRetrieved(Stage::Bm25),
        |case| case.lost(has_the_words),
    ),
    rule(
        "it has fewer: only the meaning could find it",
        Class::NotRetrieved(Stage::Vector),
        |case| case.lost(|_| true),
    ),
    rule(
        "it abstained, and what it withheld carries the answer",
        Class::ShouldNotHaveAbstained,
        |case| case.abstained() && case.carries_answer(),
    ),
    rule(
        "it abstained, and with gold alone it is right (or that was not run)",
        Class::ShouldNotHaveAbstained,
        |case| case.abstained() && case.gold_alone() != Some(false),
    ),
    rule(
        "it abstained, and with gold alone it is not right either",
        Class::RetrievedNotUsed,
        |case| case.abstained() && case.gold_alone() == Some(false),
    ),
    rule("it cites gold, and is wrong", Class::UsedWrong, |case| {
        case.cites_gold() == Some(true)
    }),
    rule(
        "it cites something else, or nothing",
        Class::RetrievedNotUsed,
        |case| case.cites_gold() == Some(false),
    ),
    rule(
        "with gold alone it is right: the other passages drew it away",
        Class::RetrievedNotUsed,
        |case| case.gold_alone() == Some(true),
    ),
    rule(
        "it is wrong, with gold in the prompt",
        Class::UsedWrong,
        |_| true,
    ),
];

/// The index of the rule that decided, and its class.
pub(super) fn decide(case: &Case<'_>) -> (usize, Class) {
    let found = RULES.iter().position(|rule| (rule.holds)(case));
    let index = found.unwrap_or(RULES.len() - 1);
    (index, RULES[index].class)
}

fn is_reachable(document: &GoldDocument) -> bool {
    document.visible && document.validity == Validity::Current
}

/// Without counts of terms, the stage that ranks it lower is named.
fn has_the_words(trace: &Trace) -> bool {
    if let (Some(shared), Some(terms)) = (trace.shared_terms, trace.question_terms) {
        return shared.saturating_mul(2) >= terms;
    }
    let place = |rank: Option<usize>| rank.unwrap_or(usize::MAX);
    place(trace.bm25.rank) >= place(trace.vector.rank)
}

impl<'data> Case<'data> {
    pub fn outcome(&self) -> Option<&'data Outcome> {
        self.observation.cells.get(&self.served)
    }

    pub fn is_right(&self, cell: Cell) -> bool {
        let outcome = self.observation.cells.get(&cell);
        outcome.is_some_and(|outcome| self.rule.is_right(self.observation, outcome))
    }

    /// Whether this context, with the adapter as served, is right; none when it was not run.
    pub fn under(&self, context: Context) -> Option<bool> {
        let cell = Cell::of(context, self.served.has_adapter());
        let was_run = self.observation.cells.contains_key(&cell);
        was_run.then(|| self.is_right(cell))
    }

    pub fn gold_alone(&self) -> Option<bool> {
        self.under(Context::Gold)
    }

    /// As recorded; else as the last list says.
    pub fn in_prompt(&self) -> bool {
        self.observation.trace.as_ref().is_some_and(|trace| {
            trace
                .in_prompt
                .unwrap_or_else(|| trace.last().is_within(trace.cut))
        })
    }

    pub fn carries_answer(&self) -> bool {
        self.outcome()
            .is_some_and(|outcome| self.rule.carries_answer(self.observation, outcome))
    }

    fn abstained(&self) -> bool {
        self.outcome()
            .is_some_and(|outcome| outcome.status == Status::Abstained)
    }

    fn cites_gold(&self) -> Option<bool> {
        self.outcome().and_then(|outcome| outcome.cites_gold)
    }

    fn lost(&self, at: fn(&Trace) -> bool) -> bool {
        !self.in_prompt() && self.observation.trace.as_ref().is_some_and(at)
    }

    /// Whether a gold document is in the corpus, says so, and passes.
    fn reach(&self, passes: fn(&GoldDocument) -> bool) -> bool {
        self.observation.documents.iter().any(|document| {
            let mut texts = self
                .observation
                .texts
                .iter()
                .filter(|text| text.document == document.id)
                .peekable();
            document.in_corpus
                && (texts.peek().is_none() || texts.any(|text| text.in_document))
                && passes(document)
        })
    }

    fn is_cut(&self) -> bool {
        let reachable = |id: &str| {
            let mut documents = self.observation.documents.iter();
            documents
                .any(|document| document.id == id && document.in_corpus && is_reachable(document))
        };
        let mut texts = self
            .observation
            .texts
            .iter()
            .filter(|text| text.in_document && reachable(&text.document))
            .peekable();
        texts.peek().is_some() && texts.all(|text| !text.in_one_passage)
    }
}
