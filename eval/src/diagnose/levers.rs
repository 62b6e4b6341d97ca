//! The levers, and which of them could have recovered a failure: upper bounds, from the cells in which the question was right.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::class::{Class, Stage};
use super::decide::Case;
use super::observation::{Cell, Context};

/// What can be changed, the cheaper first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lever {
    FixPermissions,
    FixValidity,
    RaiseThreshold,
    LowerThreshold,
    ChangeFormat,
    ChangePrompt,
    DropAdapter,
    ChangePassages,
    ChangeRanking,
    AddDocuments,
    FineTune,
}

impl fmt::Display for Lever {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FixPermissions => "fix permissions",
            Self::FixValidity => "fix validity dates",
            Self::RaiseThreshold => "raise the abstention threshold",
            Self::LowerThreshold => "lower the abstention threshold",
            Self::ChangeFormat => "change schema or format",
            Self::ChangePrompt => "change prompt or budget",
            Self::DropAdapter => "serve without the adapter",
            Self::ChangePassages => "change passages",
            Self::ChangeRanking => "change ranking",
            Self::AddDocuments => "add documents",
            Self::FineTune => "fine-tune",
        })
    }
}

impl Lever {
    /// Than training a model.
    pub(super) fn is_cheaper(self) -> bool {
        self != Self::FineTune
    }

    /// Whether it is about what the model is given, not about what it does.
    pub(super) fn brings_gold(self) -> bool {
        matches!(
            self,
            Self::FixPermissions
                | Self::FixValidity
                | Self::ChangePrompt
                | Self::ChangePassages
                | Self::ChangeRanking
                | Self::AddDocuments
        )
    }
}

/// Each lever that could have recovered the question, once, in order. What gold alone does not make right, no lever that
/// brings gold into the prompt can make right; where that cell was not run, it is counted as if it could (an upper bound).
pub(super) fn levers(case: &Case<'_>, class: Class) -> Vec<Lever> {
    let mut levers = Vec::new();
    if !class.is_failure() {
        return levers;
    }
    let helps = case.gold_alone() != Some(false);
    let outcome = case.outcome();
    let has_confidence = outcome.is_some_and(|outcome| outcome.confidence.is_some());
    let mut add = |lever, applies: bool| levers.extend(applies.then_some(lever));
    match class {
        Class::NotInCorpus => add(Lever::AddDocuments, helps),
        Class::NotRetrieved(stage) => add(lever_of(stage), helps),
        Class::RetrievedNotUsed | Class::UsedWrong => add(Lever::ChangePrompt, helps),
        Class::RightWrongForm => add(Lever::ChangeFormat, true),
        Class::ShouldHaveAbstained if has_confidence => add(Lever::RaiseThreshold, true),
        Class::ShouldNotHaveAbstained if has_confidence => add(Lever::LowerThreshold, true),
        _ => add(Lever::ChangePrompt, true),
    }
    let base = Cell::of(Context::Retrieved, false);
    add(
        Lever::DropAdapter,
        case.served.has_adapter() && case.is_right(base),
    );
    add(
        Lever::FineTune,
        class.side() == Some(super::class::Side::Behaviour),
    );
    levers.sort_unstable();
    levers
}

fn lever_of(stage: Stage) -> Lever {
    match stage {
        Stage::Permission => Lever::FixPermissions,
        Stage::Freshness => Lever::FixValidity,
        Stage::PassageBoundary => Lever::ChangePassages,
        Stage::Budget => Lever::ChangePrompt,
        _ => Lever::ChangeRanking,
    }
}
