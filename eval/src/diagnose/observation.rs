//! What was seen of one question: where its gold evidence is, how far it came, and what was answered in each cell.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One question of a data set, asked in every cell that there is. A field that is not known is absent: the diagnosis says
/// what it could not tell apart for that.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Observation {
    pub id: String,
    pub question: String,
    /// The data set's word for this sort of question (`table`, `restricted`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Access tokens that it was asked with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
    /// Every answer that counts as right. Empty where the data set has only judgements: then citations decide.
    pub answers: Vec<String>,
    /// The right answer *to this caller* is to abstain: the corpus does not say, or not to them.
    pub is_impossible: bool,
    /// Whether the schema that the answer is forced into has room for the right one; none without a schema, or where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_admits_gold: Option<bool>,
    /// The documents that hold the answer, whether or not they are in the corpus.
    pub documents: Vec<GoldDocument>,
    /// The gold quotes; where the data set has none, each gold answer beside each gold document.
    pub texts: Vec<GoldText>,
    /// How far the gold passage came; none when nothing was searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// What was answered; a cell that was not run is absent.
    pub cells: BTreeMap<Cell, Outcome>,
}

/// A document that holds the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldDocument {
    pub id: String,
    pub in_corpus: bool,
    /// Whether this question's caller may read it; not looked at unless it is in the corpus.
    pub visible: bool,
    /// Not looked at unless it is visible.
    pub validity: Validity,
}

/// Whether a search of today may find a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    Current,
    /// Another version has taken its place.
    Superseded,
    /// `effective_from` is yet to come.
    NotYetEffective,
    /// `effective_until` is past.
    Expired,
}

/// A text that shows the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldText {
    /// The id of its document, as in [`Observation::documents`].
    pub document: String,
    pub text: String,
    /// The document, as it is stored, says so.
    pub in_document: bool,
    /// One passage holds it whole; else it was cut at a passage's border. Not looked at unless it is in the document.
    pub in_one_passage: bool,
}

/// How far the gold passage came: the best of several, or, where a question needs all of them, the one that came least far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trace {
    /// How many passages of the last list are offered to the prompt (`top_k`).
    pub cut: usize,
    pub bm25: Listing,
    pub vector: Listing,
    pub fused: Listing,
    pub reranked: Listing,
    /// Different terms of the question after analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question_terms: Option<usize>,
    /// How many of them the gold passage has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_terms: Option<usize>,
    /// Whether the model saw the gold text (whole, in one or in several passages).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_prompt: Option<bool>,
}

/// The gold passage's place in one stage's list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listing {
    /// From 1; none when it is not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// How many passages were listed; 0 when the stage is off or found nothing.
    pub listed: usize,
}

/// Under what the question was asked: which context, and whether with the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// No passages, no adapter.
    ClosedBase,
    ClosedAdapter,
    /// The passages that search found, no adapter.
    RetrievedBase,
    RetrievedAdapter,
    /// The gold passages and nothing else, no adapter.
    GoldBase,
    GoldAdapter,
}

/// What the model was given beside the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    Closed,
    Retrieved,
    Gold,
}

/// What came of one question in one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub status: Status,
    /// The answer as text; none unless it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What the model wrote where that was not returned: it failed the schema, or was withheld for low confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// From 0 to 1. Where absent, they are worked out from the text by the rules of SQuAD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f1: Option<f64>,
    /// Whether a citation lies in a gold document (on a gold text, where there are any); false when nothing was cited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cites_gold: Option<bool>,
    /// Whether every quote stands in its document word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_verbatim: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_valid: Option<bool>,
    /// What the abstention threshold is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Answered,
    Abstained,
    Failed,
}

impl Cell {
    /// In the order of every table.
    pub const ALL: [Self; 6] = [
        Self::ClosedBase,
        Self::ClosedAdapter,
        Self::RetrievedBase,
        Self::RetrievedAdapter,
        Self::GoldBase,
        Self::GoldAdapter,
    ];

    #[must_use]
    pub fn of(context: Context, adapter: bool) -> Self {
        match (context, adapter) {
            (Context::Closed, false) => Self::ClosedBase,
            (Context::Closed, true) => Self::ClosedAdapter,
            (Context::Retrieved, false) => Self::RetrievedBase,
            (Context::Retrieved, true) => Self::RetrievedAdapter,
            (Context::Gold, false) => Self::GoldBase,
            (Context::Gold, true) => Self::GoldAdapter,
        }
    }

    #[must_use]
    pub fn context(self) -> Context {
        match self {
            Self::ClosedBase | Self::ClosedAdapter => Context::Closed,
            Self::RetrievedBase | Self::RetrievedAdapter => Context::Retrieved,
            Self::GoldBase | Self::GoldAdapter => Context::Gold,
        }
    }

    #[must_use]
    pub fn has_adapter(self) -> bool {
        matches!(
            self,
            Self::ClosedAdapter | Self::RetrievedAdapter | Self::GoldAdapter
        )
    }
}

impl fmt::Display for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Closed => "no passages",
            Self::Retrieved => "retrieved passages",
            Self::Gold => "gold passages alone",
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = if self.has_adapter() {
            "with"
        } else {
            "without"
        };
        write!(formatter, "{}, {with} adapter", self.context())
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Current => "current",
            Self::Superseded => "superseded",
            Self::NotYetEffective => "not yet effective",
            Self::Expired => "expired",
        })
    }
}

impl Observation {
    /// No answer that satisfies the schema can be right.
    #[must_use]
    pub fn excludes_gold(&self) -> bool {
        self.schema_admits_gold == Some(false)
    }
}

impl Listing {
    /// Whether it is among the first `cut`.
    #[must_use]
    pub fn is_within(self, cut: usize) -> bool {
        self.rank.is_some_and(|rank| rank <= cut)
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.listed == 0
    }
}

impl Trace {
    /// The list that the prompt is made from: the reranked one, or the fused one where nothing was reranked.
    #[must_use]
    pub fn last(&self) -> Listing {
        if self.reranked.is_empty() {
            self.fused
        } else {
            self.reranked
        }
    }
}

impl Outcome {
    #[must_use]
    pub fn answered(answer: impl Into<String>) -> Self {
        Self {
            answer: Some(answer.into()),
            ..Self::without_text(Status::Answered)
        }
    }

    #[must_use]
    pub fn abstained() -> Self {
        Self::without_text(Status::Abstained)
    }

    /// `error` says why nothing usable came.
    #[must_use]
    pub fn failed(error: impl Into<String>) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::without_text(Status::Failed)
        }
    }

    /// What the model wrote, returned or not.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.answer.as_deref().or(self.written.as_deref())
    }

    fn without_text(status: Status) -> Self {
        Self {
            status,
            answer: None,
            written: None,
            exact: None,
            f1: None,
            cites_gold: None,
            quote_verbatim: None,
            schema_valid: None,
            confidence: None,
            error: None,
        }
    }
}
