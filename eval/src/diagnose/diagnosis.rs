//! All findings together: counts, levers, the decision table and the sentence that says what to do next.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::abstention::{RiskCoverage, risk_coverage};
use super::cells::{CellShare, Contrast, contrasts, shares};
use super::class::{Class, Side, Stage};
use super::decide::{Case, RULES, decide};
use super::evidence::{evidence, shown};
use super::levers::{Lever, levers};
use super::observation::{Cell, Context, Observation};
use super::right::RightRule;
use super::statistics::Share;
use crate::error::EvalError;

/// How to judge.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub right: RightRule,
    /// The cell that users get; by default retrieval with the adapter where any question was asked so, else without.
    pub served: Option<Cell>,
    /// Shown at the head: data set, digest, release and so on.
    pub about: BTreeMap<String, String>,
}

/// One question's class, with what speaks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub id: String,
    /// Cut to 400 characters, as all texts here.
    pub question: String,
    pub kind: Option<String>,
    pub class: Class,
    pub evidence: Vec<String>,
    pub levers: Vec<Lever>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassCount {
    pub class: Class,
    /// Of all questions.
    pub share: Share,
}

/// What a lever could recover at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeverBound {
    pub lever: Lever,
    /// Of the failures.
    pub at_most: Share,
    /// Of these, questions that no other lever could recover.
    pub alone: usize,
    /// Questions that are right and that it would make wrong, as far as the cells tell (the adapter's: those that are wrong
    /// without it).
    pub costs: usize,
}

/// One kind of question in the table “knowledge or behaviour”: how many failures of each sort.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindRow {
    pub questions: usize,
    pub failures: usize,
    pub missing: usize,
    pub not_found: usize,
    pub stale: usize,
    pub not_permitted: usize,
    pub not_used: usize,
    pub used_wrong: usize,
    pub wrong_form: usize,
    pub abstention: usize,
}

/// How many answerable questions were left after a step, and how many were lost in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowStep {
    pub step: String,
    pub left: usize,
    pub lost: usize,
}

/// What failed, and which lever to pull.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    pub about: BTreeMap<String, String>,
    pub n: usize,
    pub right: Share,
    pub failures: usize,
    pub undetermined: usize,
    /// When an answer counts as right, in words.
    pub rule: String,
    pub served: Cell,
    /// What to do next, in one or two sentences.
    pub next: String,
    /// Without those that are empty.
    pub classes: Vec<ClassCount>,
    /// Those that could recover most, less their costs, first.
    pub levers: Vec<LeverBound>,
    /// Failures that no single lever could recover.
    pub beyond_levers: usize,
    /// By kind of question; `all` is all.
    pub table: BTreeMap<String, KindRow>,
    pub cells: Vec<CellShare>,
    pub contrasts: Vec<Contrast>,
    pub abstention: Option<RiskCoverage>,
    /// Of the questions that have an answer and were determined.
    pub flow: Vec<FlowStep>,
    /// The decision list that was followed: condition and class.
    pub decisions: Vec<(String, Class)>,
    /// One a question, in the order of the observations.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Judges every question.
    pub fn of(observations: &[Observation], settings: &Settings) -> Result<Self, EvalError> {
        check(observations, settings)?;
        let served = settings.served.unwrap_or_else(|| served_cell(observations));
        let cases: Vec<Case<'_>> = observations
            .iter()
            .map(|observation| Case {
                observation,
                rule: &settings.right,
                served,
            })
            .collect();
        let findings: Vec<Finding> = cases.iter().map(finding).collect();
        let number = |class| {
            findings
                .iter()
                .filter(|finding| finding.class == class)
                .count()
        };
        let n = findings.len();
        let failures = findings
            .iter()
            .filter(|finding| finding.class.is_failure())
            .count();
        let share = |class| ClassCount {
            class,
            share: Share::of(number(class), n),
        };
        let levers = bounds(&findings, failures, adapter_gains(&cases));
        let mut diagnosis = Self {
            about: settings.about.clone(),
            n,
            right: Share::of(number(Class::Right), n),
            failures,
            undetermined: number(Class::Undetermined),
            rule: settings.right.in_words(),
            served,
            next: String::new(),
            classes: Class::all()
                .into_iter()
                .map(share)
                .filter(|count| count.share.part > 0)
                .collect(),
            levers,
            beyond_levers: findings
                .iter()
                .filter(|finding| finding.class.is_failure() && finding.levers.is_empty())
                .count(),
            table: table(&findings),
            cells: shares(&cases),
            contrasts: contrasts(&cases),
            abstention: risk_coverage(&cases),
            flow: flow(observations, &findings),
            decisions: RULES
                .iter()
                .map(|rule| (rule.when.to_owned(), rule.class))
                .collect(),
            findings,
        };
        diagnosis.next = diagnosis.advice();
        Ok(diagnosis)
    }

    fn behavioural(&self) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.class.side() == Some(Side::Behaviour))
            .count()
    }

    fn advice(&self) -> String {
        let failures = self.failures;
        let undetermined = match self.undetermined {
            0 => String::new(),
            some => format!(" {some} of {} could not be judged: run them again.", self.n),
        };
        let Some(most) = self.levers.first() else {
            return match failures {
                0 => format!(
                    "Nothing to pull: {} of {} questions are right.{undetermined}",
                    self.right.part, self.n
                ),
                _ => format!(
                    "No single lever recovers any of the {failures} failures: with the gold passages alone they fail too.{undetermined}"
                ),
            };
        };
        let unseen = self
            .findings
            .iter()
            .filter(|finding| finding.class.side() == Some(Side::Knowledge))
            .count();
        let is_unseen = unseen * 2 >= failures;
        let cheaper = self.levers.iter().find(|bound| {
            bound.lever.is_cheaper()
                && bound.costs < bound.at_most.part
                && (!is_unseen || bound.lever.brings_gold())
        });
        let named = |bound: &LeverBound| {
            format!(
                "{}: it could recover at most {} of {failures}",
                bound.lever, bound.at_most.part
            )
        };
        let advice = match cheaper {
            Some(cheaper) if is_unseen => format!(
                "Do not fine-tune yet: {unseen} of {failures} failures are lost before the model sees the passage. First {}.",
                named(cheaper)
            ),
            None if is_unseen => format!(
                "{unseen} of {failures} failures are lost before the model sees the passage, and with the gold passages alone they fail too: mend both."
            ),
            Some(cheaper)
                if most.lever != Lever::FineTune
                    || cheaper.at_most.part * 2 >= most.at_most.part =>
            {
                format!("Before fine-tuning, {}.", named(cheaper))
            }
            _ => format!(
                "Fine-tuning is worth a try: in {} of {failures} failures what was missing is behaviour, and no cheaper lever reaches half of them.",
                self.behavioural()
            ),
        };
        advice + &undetermined
    }
}

fn check(observations: &[Observation], settings: &Settings) -> Result<(), EvalError> {
    let least = settings.right.f1_at_least;
    if !(least > 0.0 && least <= 1.0) {
        return Err(EvalError::Observation {
            id: String::new(),
            reason: format!("`f1_at_least` must be above 0 and at most 1, not `{least}`"),
        });
    }
    let mut ids = BTreeSet::new();
    for observation in observations {
        if !ids.insert(&observation.id) {
            return Err(EvalError::Observation {
                id: shown(&observation.id),
                reason: "the id comes twice".to_owned(),
            });
        }
    }
    Ok(())
}

fn served_cell(observations: &[Observation]) -> Cell {
    let with = Cell::of(Context::Retrieved, true);
    let has_adapter = observations
        .iter()
        .any(|observation| observation.cells.contains_key(&with));
    Cell::of(Context::Retrieved, has_adapter)
}

fn finding(case: &Case<'_>) -> Finding {
    let (rule, class) = decide(case);
    let evidence = if class == Class::Right {
        Vec::new()
    } else {
        evidence(case, class, RULES[rule].when)
    };
    Finding {
        id: shown(&case.observation.id),
        question: shown(&case.observation.question),
        kind: case.observation.kind.as_deref().map(shown),
        class,
        evidence,
        levers: levers(case, class),
    }
}

/// Right as served with the adapter, wrong without it.
fn adapter_gains(cases: &[Case<'_>]) -> usize {
    let base = Cell::of(Context::Retrieved, false);
    let gains = cases.iter().filter(|case| {
        case.observation.cells.contains_key(&base)
            && case.is_right(case.served)
            && !case.is_right(base)
    });
    gains.count()
}

fn bounds(findings: &[Finding], failures: usize, adapter_gains: usize) -> Vec<LeverBound> {
    let mut counts: BTreeMap<Lever, (usize, usize)> = BTreeMap::new();
    for finding in findings {
        for lever in &finding.levers {
            let (all, alone) = counts.entry(*lever).or_default();
            *all += 1;
            *alone += usize::from(finding.levers.len() == 1);
        }
    }
    let bound = |(lever, (all, alone))| LeverBound {
        lever,
        at_most: Share::of(all, failures),
        alone,
        costs: if lever == Lever::DropAdapter {
            adapter_gains
        } else {
            0
        },
    };
    let mut bounds: Vec<LeverBound> = counts.into_iter().map(bound).collect();
    bounds.sort_by_key(|bound| {
        (
            bound.costs >= bound.at_most.part,
            std::cmp::Reverse(bound.at_most.part.saturating_sub(bound.costs)),
            bound.lever,
        )
    });
    bounds
}

fn table(findings: &[Finding]) -> BTreeMap<String, KindRow> {
    let mut table: BTreeMap<String, KindRow> = BTreeMap::new();
    for finding in findings {
        let kind = finding.kind.clone().filter(|kind| kind != "all");
        for name in std::iter::once("all".to_owned()).chain(kind) {
            let row = table.entry(name).or_default();
            row.questions += 1;
            row.failures += usize::from(finding.class.is_failure());
            let column = match finding.class {
                Class::Right | Class::Undetermined => continue,
                Class::NotInCorpus => &mut row.missing,
                Class::NotRetrieved(Stage::Freshness) => &mut row.stale,
                Class::NotRetrieved(Stage::Permission) => &mut row.not_permitted,
                Class::NotRetrieved(_) => &mut row.not_found,
                Class::RetrievedNotUsed => &mut row.not_used,
                Class::UsedWrong => &mut row.used_wrong,
                Class::RightWrongForm => &mut row.wrong_form,
                Class::ShouldHaveAbstained | Class::ShouldNotHaveAbstained => &mut row.abstention,
            };
            *column += 1;
        }
    }
    table
}

fn flow(observations: &[Observation], findings: &[Finding]) -> Vec<FlowStep> {
    let classes: Vec<Class> = observations
        .iter()
        .zip(findings)
        .filter(|(observation, finding)| {
            !observation.is_impossible && finding.class != Class::Undetermined
        })
        .map(|(_, finding)| finding.class)
        .collect();
    let retrieval = |stage| vec![Class::NotRetrieved(stage)];
    let steps = [
        ("asked", vec![]),
        ("in the corpus", vec![Class::NotInCorpus]),
        ("visible to the caller", retrieval(Stage::Permission)),
        ("current", retrieval(Stage::Freshness)),
        ("whole in one passage", retrieval(Stage::PassageBoundary)),
        (
            "found by BM25 or vectors",
            [Stage::Analysis, Stage::Bm25, Stage::Vector]
                .map(Class::NotRetrieved)
                .to_vec(),
        ),
        ("kept by fusion", retrieval(Stage::Fusion)),
        ("kept by reranking", retrieval(Stage::Reranking)),
        ("in the prompt", retrieval(Stage::Budget)),
        ("answered", vec![Class::ShouldNotHaveAbstained]),
        ("used", vec![Class::RetrievedNotUsed]),
        ("right content", vec![Class::UsedWrong]),
        ("right", vec![Class::RightWrongForm]),
    ];
    let mut left = classes.len();
    let step = |(step, exits): (&str, Vec<Class>)| {
        let lost = classes.iter().filter(|class| exits.contains(class)).count();
        left -= lost;
        FlowStep {
            step: step.to_owned(),
            left,
            lost,
        }
    };
    steps.into_iter().map(step).collect()
}
