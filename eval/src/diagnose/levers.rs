//! The levers, which of them could have recovered a failure, and what they would cost: from the cells in which the question was
//! right, and from a threshold that other questions chose.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::abstention::Moved;
use super::class::{Class, Side, Stage};
use super::decide::Case;
use super::diagnosis::Finding;
use super::observation::{Cell, Context};
use super::statistics::{Share, mcnemar_exact};

/// An adapter does harm where so lopsided a split of the questions comes by chance at most this often.
const HARM_P_MAX: f64 = 0.05;

/// What can be changed, the cheaper first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lever {
    DropAdapter,
    FixPermissions,
    FixValidity,
    RaiseThreshold,
    LowerThreshold,
    ChangeFormat,
    ChangePrompt,
    ChangePassages,
    ChangeRanking,
    AddDocuments,
    FineTune,
}

/// What a lever could recover at most, and what its number means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeverBound {
    pub lever: Lever,
    /// Of the failures.
    pub at_most: Share,
    /// Of these, questions that no other lever could recover.
    pub alone: usize,
    /// Of these, questions of which nothing was tried that could have refuted it.
    pub unchecked: usize,
    /// Questions that are right and that it would make wrong, as far as the cells and the confidence tell.
    pub costs: usize,
    /// What was counted.
    pub meaning: String,
}

/// The failures of behaviour, each counted once, at the first that holds. Fine-tuning is bounded by the last two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BehaviourSplit {
    /// Right without the adapter.
    pub base_is_right: usize,
    /// Right at a threshold that other questions chose.
    pub right_at_threshold: usize,
    /// The content is right.
    pub only_form: usize,
    /// Right with the gold passages alone: other passages crowd the answer out.
    pub right_with_gold_alone: usize,
    /// Nothing cheaper was tried on it.
    pub not_tried: usize,
    /// Wrong with the gold passages alone too, or answered at every such threshold where there is no answer.
    pub wrong_with_gold: usize,
}

/// Where a failure of behaviour is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    BaseIsRight,
    AtThreshold,
    Form,
    GoldAlone,
    NotTried,
    WrongWithGold,
}

/// What is known beside the cells of a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    /// Whether it would be answered at a threshold that other questions chose.
    pub answered: Option<bool>,
    /// Over all questions, the adapter makes more wrong than right, and not by chance.
    pub adapter_harms: bool,
}

/// Failures that the base has right, and questions that are right with the adapter and wrong without.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AdapterEffect {
    pub base_is_right: usize,
    pub gains: usize,
}

impl fmt::Display for Lever {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::DropAdapter => "serve without the adapter",
            Self::FixPermissions => "fix permissions",
            Self::FixValidity => "fix validity dates",
            Self::RaiseThreshold => "raise the abstention threshold",
            Self::LowerThreshold => "lower the abstention threshold",
            Self::ChangeFormat => "change schema or format",
            Self::ChangePrompt => "change prompt or budget",
            Self::ChangePassages => "change passages",
            Self::ChangeRanking => "change ranking",
            Self::AddDocuments => "add documents",
            Self::FineTune => "fine-tune",
        })
    }
}

impl Lever {
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

    fn meaning(self) -> &'static str {
        match self {
            Self::DropAdapter => "measured: right without the adapter, given the same passages",
            Self::FixPermissions => "no gold document may be read by who asks",
            Self::FixValidity => "the gold document is out of date or not yet in force",
            Self::RaiseThreshold => {
                "answered where there is no answer; withheld at a threshold that other questions chose"
            }
            Self::LowerThreshold => {
                "withheld or refused; given at a threshold that other questions chose"
            }
            Self::ChangeFormat => "the content is right, its form is not",
            Self::ChangePrompt => {
                "gold did not fit, or did not count beside others: right with the gold passages alone"
            }
            Self::ChangePassages => {
                "no passage holds the gold text whole; right with the gold passages alone"
            }
            Self::ChangeRanking => "found too low or not; right with the gold passages alone",
            Self::AddDocuments => "no document says it; right where it is given",
            Self::FineTune => {
                "behaviour that no cheaper lever was shown to recover: wrong with the gold passages alone, or that was not tried"
            }
        }
    }
}

impl AdapterEffect {
    pub fn of(cases: &[Case<'_>], failures: &[Class]) -> Self {
        let base = Cell::of(Context::Retrieved, false);
        let mut effect = Self::default();
        for (case, class) in cases.iter().zip(failures) {
            let was_run = case.observation.cells.contains_key(&base);
            if !case.served.has_adapter() || !was_run {
                continue;
            }
            effect.base_is_right += usize::from(class.is_failure() && case.is_right(base));
            effect.gains += usize::from(case.is_right(case.served) && !case.is_right(base));
        }
        effect
    }

    pub fn p(self) -> f64 {
        mcnemar_exact(self.base_is_right, self.gains)
    }

    pub fn harms(self) -> bool {
        self.base_is_right > self.gains && self.p() <= HARM_P_MAX
    }
}

/// Each lever that could have recovered the question, once, in order. What gold alone does not make right, no lever that
/// brings gold into the prompt can make right; where that cell was not run, it is counted as if it could (an upper bound).
/// Where the adapter does harm, what the base has right is for that lever alone.
pub(super) fn levers(case: &Case<'_>, class: Class, trial: Trial) -> Vec<Lever> {
    let mut levers = Vec::new();
    if !class.is_failure() {
        return levers;
    }
    let base_is_right = base_is_right(case);
    if base_is_right && trial.adapter_harms {
        return vec![Lever::DropAdapter];
    }
    let helps = case.gold_alone() != Some(false);
    let has_confidence = has_confidence(case);
    let mut add = |lever, applies: bool| levers.extend(applies.then_some(lever));
    match class {
        Class::NotInCorpus => add(Lever::AddDocuments, helps),
        Class::NotRetrieved(stage) => add(lever_of(stage), helps),
        Class::RetrievedNotUsed | Class::UsedWrong => add(Lever::ChangePrompt, helps),
        Class::RightWrongForm => add(Lever::ChangeFormat, true),
        Class::ShouldHaveAbstained if has_confidence => {
            add(Lever::RaiseThreshold, trial.answered != Some(true));
        }
        Class::ShouldNotHaveAbstained if has_confidence => {
            add(Lever::LowerThreshold, trial.answered != Some(false));
            add(
                Lever::ChangePrompt,
                trial.answered == Some(false) && case.gold_alone() == Some(true),
            );
        }
        _ => add(Lever::ChangePrompt, true),
    }
    add(Lever::DropAdapter, base_is_right);
    let only_trained = matches!(
        part(case, class, trial),
        Some(Part::NotTried | Part::WrongWithGold)
    );
    add(Lever::FineTune, only_trained);
    levers.sort_unstable();
    levers
}

/// None for what is no failure of behaviour.
fn part(case: &Case<'_>, class: Class, trial: Trial) -> Option<Part> {
    if class.side() != Some(Side::Behaviour) {
        return None;
    }
    if base_is_right(case) {
        return Some(Part::BaseIsRight);
    }
    if case.moved(trial.answered) == Some(Moved::ToRight) {
        return Some(Part::AtThreshold);
    }
    Some(match class {
        Class::RightWrongForm => Part::Form,
        Class::ShouldHaveAbstained if trial.answered.is_some() => Part::WrongWithGold,
        Class::ShouldHaveAbstained => Part::NotTried,
        _ => match case.gold_alone() {
            Some(true) => Part::GoldAlone,
            Some(false) => Part::WrongWithGold,
            None => Part::NotTried,
        },
    })
}

/// Whether nothing was tried that could have refuted that the lever recovers it.
fn is_unchecked(case: &Case<'_>, lever: Lever, trial: Trial) -> bool {
    match lever {
        Lever::DropAdapter | Lever::ChangeFormat => false,
        Lever::RaiseThreshold | Lever::LowerThreshold => trial.answered.is_none(),
        _ => case.gold_alone().is_none(),
    }
}

fn base_is_right(case: &Case<'_>) -> bool {
    case.served.has_adapter() && case.is_right(Cell::of(Context::Retrieved, false))
}

fn has_confidence(case: &Case<'_>) -> bool {
    case.outcome()
        .is_some_and(|outcome| outcome.confidence.is_some())
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

/// A question with what was found of it and what was tried beside its cells.
pub(super) type Judged<'all, 'data> = (&'all Case<'data>, &'all Finding, Trial);

/// The levers of all failures: those that recover most less what they cost first, the cheaper first among equals. Training counts
/// half, since it takes data and a gate: a cheaper lever that reaches half as far goes before it. Where half of the failures or
/// more are of knowledge it comes last.
pub(super) fn bounds(judged: &[Judged<'_, '_>], effect: AdapterEffect) -> Vec<LeverBound> {
    let failures: Vec<&Judged<'_, '_>> = judged
        .iter()
        .filter(|(_, finding, _)| finding.class.is_failure())
        .collect();
    let mut counts: BTreeMap<Lever, [usize; 3]> = BTreeMap::new();
    for (case, finding, trial) in &failures {
        for lever in &finding.levers {
            let [all, alone, unchecked] = counts.entry(*lever).or_default();
            *all += 1;
            *alone += usize::from(finding.levers.len() == 1);
            *unchecked += usize::from(is_unchecked(case, *lever, *trial));
        }
    }
    let bound = |(lever, [all, alone, unchecked]): (Lever, [usize; 3])| LeverBound {
        lever,
        at_most: Share::of(all, failures.len()),
        alone,
        unchecked,
        costs: costs(judged, lever, effect),
        meaning: lever.meaning().to_owned(),
    };
    let mut bounds: Vec<LeverBound> = counts.into_iter().map(bound).collect();
    let unseen = failures
        .iter()
        .filter(|(_, finding, _)| finding.class.side() == Some(Side::Knowledge))
        .count();
    let is_late = unseen * 2 >= failures.len();
    bounds.sort_by_key(|bound| {
        let net = bound.net();
        let is_training = bound.lever == Lever::FineTune;
        let weight = if is_training { net } else { net * 2 };
        (
            net == 0,
            is_training && is_late,
            std::cmp::Reverse(weight),
            bound.lever,
        )
    });
    bounds
}

impl LeverBound {
    /// What is left of it after its costs.
    pub(super) fn net(&self) -> usize {
        self.at_most.part.saturating_sub(self.costs)
    }
}

fn costs(judged: &[Judged<'_, '_>], lever: Lever, effect: AdapterEffect) -> usize {
    // A higher threshold withholds what is given; a lower one gives what is withheld.
    let gives = match lever {
        Lever::DropAdapter => return effect.gains,
        Lever::RaiseThreshold => false,
        Lever::LowerThreshold => true,
        _ => return 0,
    };
    let lost = judged.iter().filter(|(case, _, trial)| {
        trial.answered == Some(gives) && case.moved(trial.answered) == Some(Moved::FromRight)
    });
    lost.count()
}

impl BehaviourSplit {
    pub(super) fn of(judged: &[Judged<'_, '_>]) -> Self {
        let mut split = Self::default();
        for (case, finding, trial) in judged {
            let place = match part(case, finding.class, *trial) {
                None => continue,
                Some(Part::BaseIsRight) => &mut split.base_is_right,
                Some(Part::AtThreshold) => &mut split.right_at_threshold,
                Some(Part::Form) => &mut split.only_form,
                Some(Part::GoldAlone) => &mut split.right_with_gold_alone,
                Some(Part::NotTried) => &mut split.not_tried,
                Some(Part::WrongWithGold) => &mut split.wrong_with_gold,
            };
            *place += 1;
        }
        split
    }

    /// Each part that is not empty, in words.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, usize)> {
        [
            ("right without the adapter", self.base_is_right),
            (
                "right at a threshold that other questions chose",
                self.right_at_threshold,
            ),
            ("right but for their form", self.only_form),
            (
                "right with the gold passages alone, crowded out by others",
                self.right_with_gold_alone,
            ),
            ("not tried with anything cheaper", self.not_tried),
            (
                "wrong with the gold passages alone too, or answered where there is no answer",
                self.wrong_with_gold,
            ),
        ]
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .collect()
    }
}
