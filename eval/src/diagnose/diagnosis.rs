//! All findings together: counts, levers, and the decision table.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::abstention::{RiskCoverage, risk_coverage};
use super::cells::{CellShare, Contrast, contrasts, shares};
use super::class::{Class, Side, Stage};
use super::decide::{Case, RULES, decide};
use super::evidence::{evidence, shown};
use super::levers::{
    AdapterEffect, BehaviourSplit, Judged, Lever, LeverBound, Trial, bounds, levers,
};
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
    /// Of the failures: the model was not given what it needed.
    pub knowledge: Share,
    /// Of the failures: it was.
    pub behaviour: Share,
    pub behaviour_split: BehaviourSplit,
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
        let decided: Vec<(usize, Class)> = cases.iter().map(decide).collect();
        let classes: Vec<Class> = decided.iter().map(|(_, class)| *class).collect();
        let effect = AdapterEffect::of(&cases, &classes);
        let (abstention, decisions) = risk_coverage(&cases);
        let trials = decisions.iter().map(|answered| Trial {
            answered: *answered,
            adapter_harms: effect.harms(),
        });
        let trials: Vec<Trial> = trials.collect();
        let findings: Vec<Finding> = cases
            .iter()
            .zip(decided)
            .zip(&trials)
            .map(|((case, decided), trial)| finding(case, decided, *trial))
            .collect();
        let judged: Vec<Judged<'_, '_>> = cases
            .iter()
            .zip(&findings)
            .zip(&trials)
            .map(|((case, finding), trial)| (case, finding, *trial))
            .collect();
        let (levers, behaviour_split) = (bounds(&judged, effect), BehaviourSplit::of(&judged));
        let number = |class| classes.iter().filter(|other| **other == class).count();
        let of_side = |side| {
            let classes = classes.iter();
            classes.filter(|class| class.side() == Some(side)).count()
        };
        let n = findings.len();
        let failures = classes.iter().filter(|class| class.is_failure()).count();
        let share = |class| ClassCount {
            class,
            share: Share::of(number(class), n),
        };
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
            knowledge: Share::of(of_side(Side::Knowledge), failures),
            behaviour: Share::of(of_side(Side::Behaviour), failures),
            behaviour_split,
            levers,
            beyond_levers: findings
                .iter()
                .filter(|finding| finding.class.is_failure() && finding.levers.is_empty())
                .count(),
            table: table(&findings),
            cells: shares(&cases),
            contrasts: contrasts(&cases),
            abstention,
            flow: flow(observations, &findings),
            decisions: RULES
                .iter()
                .map(|rule| (rule.when.to_owned(), rule.class))
                .collect(),
            findings,
        };
        diagnosis.next = diagnosis.advice(effect);
        Ok(diagnosis)
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

fn finding(case: &Case<'_>, (rule, class): (usize, Class), trial: Trial) -> Finding {
    let mut evidence = if class == Class::Right {
        Vec::new()
    } else {
        evidence(case, class, RULES[rule].when)
    };
    if let Some(answered) = trial.answered.filter(|_| class.is_failure()) {
        evidence.push(format!(
            "At a threshold that other questions chose it is {}.",
            if answered { "answered" } else { "withheld" }
        ));
    }
    Finding {
        id: shown(&case.observation.id),
        question: shown(&case.observation.question),
        kind: case.observation.kind.as_deref().map(shown),
        class,
        evidence,
        levers: levers(case, class, trial),
    }
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
