//! The classes that a question can fall into.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What became of a question. `not_retrieved/bm25` and so on in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Class {
    Right,
    NotInCorpus,
    /// In the corpus, and lost at this stage before the model could see it.
    NotRetrieved(Stage),
    /// In the prompt, and left there.
    RetrievedNotUsed,
    UsedWrong,
    RightWrongForm,
    ShouldHaveAbstained,
    ShouldNotHaveAbstained,
    /// The observation lacks what tells the classes apart; never the class of a whole observation.
    Undetermined,
}

/// Where a passage that is in the corpus was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Permission,
    Freshness,
    PassageBoundary,
    Analysis,
    Bm25,
    Vector,
    Fusion,
    Reranking,
    Budget,
}

/// What a failure is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The model was not given what it needed.
    Knowledge,
    /// It was, and did not do the right thing with it.
    Behaviour,
}

impl Stage {
    /// In the order in which a passage meets them.
    pub const ALL: [Self; 9] = [
        Self::Permission,
        Self::Freshness,
        Self::PassageBoundary,
        Self::Analysis,
        Self::Bm25,
        Self::Vector,
        Self::Fusion,
        Self::Reranking,
        Self::Budget,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Freshness => "freshness",
            Self::PassageBoundary => "passage_boundary",
            Self::Analysis => "analysis",
            Self::Bm25 => "bm25",
            Self::Vector => "vector",
            Self::Fusion => "fusion",
            Self::Reranking => "reranking",
            Self::Budget => "budget",
        }
    }
}

impl Class {
    /// In the order in which a question can meet them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut classes = vec![Self::Right, Self::NotInCorpus];
        classes.extend(Stage::ALL.map(Self::NotRetrieved));
        classes.extend([
            Self::RetrievedNotUsed,
            Self::UsedWrong,
            Self::RightWrongForm,
            Self::ShouldHaveAbstained,
            Self::ShouldNotHaveAbstained,
            Self::Undetermined,
        ]);
        classes
    }

    /// Of `Right` and `Undetermined`, neither.
    #[must_use]
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Right | Self::Undetermined => None,
            Self::NotInCorpus | Self::NotRetrieved(_) => Some(Side::Knowledge),
            _ => Some(Side::Behaviour),
        }
    }

    #[must_use]
    pub fn is_failure(self) -> bool {
        self.side().is_some()
    }

    /// In words, for a person.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::NotInCorpus => "not in the corpus",
            Self::NotRetrieved(stage) => match stage {
                Stage::Permission => "lost to permission",
                Stage::Freshness => "lost to freshness",
                Stage::PassageBoundary => "lost at a passage boundary",
                Stage::Analysis => "lost in analysis",
                Stage::Bm25 => "lost in BM25",
                Stage::Vector => "lost in vector search",
                Stage::Fusion => "lost in fusion",
                Stage::Reranking => "lost in reranking",
                Stage::Budget => "lost to the prompt's budget",
            },
            Self::RetrievedNotUsed => "retrieved, not used",
            Self::UsedWrong => "used, wrong",
            Self::RightWrongForm => "right, wrong form",
            Self::ShouldHaveAbstained => "should have abstained",
            Self::ShouldNotHaveAbstained => "should not have abstained",
            Self::Undetermined => "undetermined",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Right => "right",
            Self::NotInCorpus => "not_in_corpus",
            Self::NotRetrieved(stage) => {
                return write!(formatter, "not_retrieved/{}", stage.name());
            }
            Self::RetrievedNotUsed => "retrieved_not_used",
            Self::UsedWrong => "used_wrong",
            Self::RightWrongForm => "right_wrong_form",
            Self::ShouldHaveAbstained => "should_have_abstained",
            Self::ShouldNotHaveAbstained => "should_not_have_abstained",
            Self::Undetermined => "undetermined",
        };
        formatter.write_str(name)
    }
}

impl From<Class> for String {
    fn from(class: Class) -> Self {
        class.to_string()
    }
}

impl TryFrom<String> for Class {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::all()
            .into_iter()
            .find(|class| class.to_string() == name);
        known.ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            format!("`{shown}` is no class of a diagnosis")
        })
    }
}
