//! Made-up runs with a known truth, and how often the statistics are right about them.
#![expect(clippy::expect_used, reason = "made-up runs are valid")]

use std::collections::BTreeMap;

use quoin_eval::compare::interval;
use quoin_eval::gates::{GateOptions, Gates, Verdict};
use quoin_eval::record::{EvaluatedRun, QuestionRecord};
use quoin_eval::statistics::{Bootstrap, Generator, Method, Sample};
use quoin_eval::{DatasetReference, Report};

const RESAMPLES: usize = 1_000;

/// How one question's pair of values comes about.
#[derive(Clone, Copy)]
pub enum Law {
    /// 0/1: the share that rises and the share that falls; the rest stays.
    Flips { rise: f64, fall: f64 },
    /// F1: many 0 and 1, the rest between; this share is drawn anew, and this share drops to 0.
    F1 { anew: f64, drop: f64 },
}

#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub law: Law,
    pub groups: Groups,
    /// Whether the statistics are told of the clusters.
    pub told: bool,
}

/// Which questions belong together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    None,
    /// Four questions with the same values.
    Same,
    /// One to seven questions, of which three in four have the cluster's values and the others their own.
    Uneven,
}

impl Groups {
    fn size(self, cluster: usize) -> usize {
        match self {
            Self::None => 1,
            Self::Same => 4,
            Self::Uneven => 1 + cluster * 3 % 7,
        }
    }

    /// How many questions so many clusters have.
    fn questions(self, clusters: usize) -> usize {
        (0..clusters).map(|cluster| self.size(cluster)).sum()
    }
}

impl Scenario {
    const fn alone(name: &'static str, law: Law) -> Self {
        Self {
            name,
            law,
            groups: Groups::None,
            told: true,
        }
    }

    pub fn all() -> Vec<Self> {
        let flips = Law::Flips {
            rise: 0.1,
            fall: 0.15,
        };
        let f1 = Law::F1 {
            anew: 0.3,
            drop: 0.05,
        };
        let clustered = |name, law, groups, told| Self {
            name,
            law,
            groups,
            told,
        };
        vec![
            Self::alone(
                "0/1, 4 % flip",
                Law::Flips {
                    rise: 0.02,
                    fall: 0.02,
                },
            ),
            Self::alone(
                "0/1, 6 % flip, worse",
                Law::Flips {
                    rise: 0.01,
                    fall: 0.05,
                },
            ),
            Self::alone(
                "0/1, 30 % flip",
                Law::Flips {
                    rise: 0.15,
                    fall: 0.15,
                },
            ),
            Self::alone(
                "f1, 30 % change",
                Law::F1 {
                    anew: 0.3,
                    drop: 0.0,
                },
            ),
            Self::alone(
                "f1, 30 % change, worse",
                Law::F1 {
                    anew: 0.3,
                    drop: 0.05,
                },
            ),
            Self::alone(
                "f1, 5 % change",
                Law::F1 {
                    anew: 0.05,
                    drop: 0.0,
                },
            ),
            Self::alone(
                "f1, only falls",
                Law::F1 {
                    anew: 0.0,
                    drop: 0.05 / 0.55,
                },
            ),
            clustered("0/1, clusters of 4", flips, Groups::Same, true),
            clustered("0/1, uneven clusters", flips, Groups::Uneven, true),
            clustered("f1, clusters of 4", f1, Groups::Same, true),
            clustered("f1, uneven clusters", f1, Groups::Uneven, true),
            clustered("0/1, clusters of 4, not told", flips, Groups::Same, false),
        ]
    }

    /// The expected difference.
    pub fn truth(&self) -> f64 {
        match self.law {
            Law::Flips { rise, fall } => rise - fall,
            // The mean of an F1 value is 0.35 + 0.4 / 2 = 0.55.
            Law::F1 { drop, .. } => -0.55 * drop,
        }
    }

    /// Numbers of questions to try: 20, 40, 80 and 250 clusters, where there are any.
    pub fn sizes(&self) -> Vec<usize> {
        match self.groups {
            Groups::None => vec![50, 200, 1_000],
            groups => [20, 40, 80, 250]
                .map(|clusters| groups.questions(clusters))
                .to_vec(),
        }
    }

    fn pairs(&self, n: usize, generator: &mut Generator) -> Vec<(f64, f64)> {
        let mut pairs = Vec::with_capacity(n);
        let mut cluster = 0;
        while pairs.len() < n {
            let shared = self.law.pair(generator);
            for _ in 0..self.groups.size(cluster).min(n - pairs.len()) {
                let follows = self.groups != Groups::Uneven || generator.share() < 0.75;
                pairs.push(if follows {
                    shared
                } else {
                    self.law.pair(generator)
                });
            }
            cluster += 1;
        }
        pairs
    }

    /// The name of each question's cluster, as far as the statistics are told.
    fn clusters(&self, n: usize) -> Vec<Option<String>> {
        let is_told = self.told && self.groups != Groups::None;
        (0..)
            .flat_map(|cluster| std::iter::repeat_n(cluster, self.groups.size(cluster)))
            .take(n)
            .map(|cluster| is_told.then(|| format!("c{cluster}")))
            .collect()
    }

    /// How many clusters the statistics see.
    pub fn told_clusters(&self, n: usize) -> Option<usize> {
        let mut clusters: Vec<String> = self.clusters(n).into_iter().flatten().collect();
        clusters.dedup();
        (!clusters.is_empty()).then_some(clusters.len())
    }
}

impl Law {
    fn pair(self, generator: &mut Generator) -> (f64, f64) {
        let chance = generator.share();
        match self {
            Self::Flips { rise, .. } if chance < rise => (0.0, 1.0),
            Self::Flips { rise, fall } if chance < rise + fall => (1.0, 0.0),
            Self::Flips { .. } => {
                let value = f64::from(u8::from(generator.share() < 0.7));
                (value, value)
            }
            Self::F1 { anew, drop } => {
                let before = f1(generator);
                let after = if chance < anew { f1(generator) } else { before };
                let dropped = generator.share() < drop;
                (before, if dropped { 0.0 } else { after })
            }
        }
    }
}

fn f1(generator: &mut Generator) -> f64 {
    let chance = generator.share();
    if chance < 0.25 {
        0.0
    } else if chance < 0.6 {
        1.0
    } else {
        generator.share()
    }
}

/// In percent, how often the interval of 95 % holds the truth: the default, expanded, percentile, bias-corrected.
pub fn coverage(scenario: &Scenario, n: usize, runs: usize) -> [f64; 4] {
    let mut generator = Generator::named(1, &format!("{} {n}", scenario.name));
    let mut held = [0_usize; 4];
    for _ in 0..runs {
        let pairs = scenario.pairs(n, &mut generator);
        let clusters = scenario.clusters(n);
        let sample = Sample::new(
            pairs
                .iter()
                .zip(&clusters)
                .map(|((before, after), cluster)| (cluster.as_deref(), after - before)),
        );
        let drawn = Bootstrap::draw(&sample, RESAMPLES, &mut generator);
        let found = [
            interval(&sample, 0.95, RESAMPLES, &mut generator),
            drawn.interval(Method::Expanded, 0.95),
            drawn.interval(Method::Percentile, 0.95),
            drawn.interval(Method::BiasCorrected, 0.95),
        ];
        for (held, interval) in held.iter_mut().zip(found) {
            let inside = interval.low - 1e-12 <= scenario.truth()
                && scenario.truth() <= interval.high + 1e-12;
            *held += usize::from(inside);
        }
    }
    held.map(|held| percent(held, runs))
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole as f64
}

/// Which verdict would be wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AtStake {
    FalseFail,
    FalsePass,
    /// Failing is right: this is power.
    Power,
}

impl AtStake {
    pub fn words(self) -> &'static str {
        match self {
            Self::FalseFail => "false fail",
            Self::FalsePass => "false pass",
            Self::Power => "none: power to fail",
        }
    }
}

pub struct GateCase {
    pub name: &'static str,
    toml: &'static str,
    pub candidate: Scenario,
    pub at_stake: AtStake,
}

impl GateCase {
    /// Numbers of questions to try: 20, 40 and 80 clusters, where there are any.
    pub fn sizes(&self) -> Vec<usize> {
        match self.candidate.groups {
            Groups::None => vec![100, 400],
            groups => [20, 40, 80]
                .map(|clusters| groups.questions(clusters))
                .to_vec(),
        }
    }
}

const NON_INFERIOR: &str = "[[gate]]\nmetric = \"m\"\nmode = \"non_inferior\"\nmargin = 0.05\n";
const NON_INFERIOR_FLIPS: &str = "[[gate]]\nmetric = \"m\"\nmode = \"non_inferior\"\nmargin = 0.05\ntest = \"paired_permutation\"\n";
const REGRESSION: &str = "[[gate]]\nmetric = \"m\"\nmode = \"no_significant_regression\"\n";
const ABSOLUTE: &str = "[[gate]]\nmetric = \"m\"\nmode = \"absolute\"\nmin = 0.7\n";
const ABSOLUTE_F1: &str = "[[gate]]\nmetric = \"m\"\nmode = \"absolute\"\nmin = 0.55\n";
const FOUR: &str = "[[gate]]\nmetric = \"m\"\nmode = \"no_significant_regression\"\n\
    [[gate]]\nmetric = \"m1\"\nmode = \"no_significant_regression\"\n\
    [[gate]]\nmetric = \"m2\"\nmode = \"no_significant_regression\"\n\
    [[gate]]\nmetric = \"m3\"\nmode = \"non_inferior\"\nmargin = 0.05\non_inconclusive = \"pass\"\n";

pub fn gate_cases() -> Vec<GateCase> {
    let flips = |name, rise, fall| Scenario::alone(name, Law::Flips { rise, fall });
    let f1 = |name, anew, drop| Scenario::alone(name, Law::F1 { anew, drop });
    let same = flips("0/1, same", 0.05, 0.05);
    let same_f1 = f1("f1, same", 0.2, 0.0);
    let at_margin = flips("0/1, worse by the margin", 0.02, 0.07);
    let at_margin_rare = flips("0/1, only falls, by the margin", 0.0, 0.05);
    let at_margin_f1 = f1("f1, worse by the margin", 0.2, 0.05 / 0.55);
    let at_margin_f1_rare = f1("f1, only falls, by the margin", 0.0, 0.05 / 0.55);
    let case = |name, toml, candidate, at_stake| GateCase {
        name,
        toml,
        candidate,
        at_stake,
    };
    let mut cases = Vec::new();
    for candidate in [same, same_f1] {
        cases.push(case(
            "no_significant_regression",
            REGRESSION,
            candidate,
            AtStake::FalseFail,
        ));
        cases.push(case(
            "non_inferior, margin 0.05",
            NON_INFERIOR,
            candidate,
            AtStake::FalseFail,
        ));
        cases.push(case("four gates", FOUR, candidate, AtStake::FalseFail));
    }
    for candidate in [at_margin, at_margin_rare, at_margin_f1, at_margin_f1_rare] {
        cases.push(case(
            "non_inferior, margin 0.05",
            NON_INFERIOR,
            candidate,
            AtStake::FalsePass,
        ));
        cases.push(case(
            "non_inferior, margin 0.05, by flips",
            NON_INFERIOR_FLIPS,
            candidate,
            AtStake::FalsePass,
        ));
    }
    // A candidate whose mean is the bound may be failed or passed wrongly.
    for (toml, candidate) in [
        (ABSOLUTE, flips("0/1, mean at the bound", 0.0, 0.0)),
        (ABSOLUTE_F1, f1("f1, mean at the bound", 1.0, 0.0)),
    ] {
        cases.push(case("absolute, min", toml, candidate, AtStake::FalseFail));
        cases.push(case("absolute, min", toml, candidate, AtStake::FalsePass));
    }
    cases.extend(clustered_cases());
    for fall in [0.05, 0.1, 0.2] {
        let name = [
            "0/1, worse by 0.05",
            "0/1, worse by 0.10",
            "0/1, worse by 0.20",
        ][usize::from(fall > 0.07) + usize::from(fall > 0.15)];
        cases.push(case(
            "no_significant_regression",
            REGRESSION,
            flips(name, 0.05, 0.05 + fall),
            AtStake::Power,
        ));
    }
    cases.push(case(
        "non_inferior, margin 0.05",
        NON_INFERIOR,
        flips("0/1, worse by 0.20", 0.05, 0.25),
        AtStake::Power,
    ));
    cases
}

/// A release that is the same, and one that is worse by the margin, asked in clusters.
fn clustered_cases() -> Vec<GateCase> {
    let flips = |rise, fall| Law::Flips { rise, fall };
    let f1 = |anew, drop| Law::F1 { anew, drop };
    let mut cases = Vec::new();
    for (name, law, groups, is_same) in [
        (
            "0/1, same, clusters of 4",
            flips(0.05, 0.05),
            Groups::Same,
            true,
        ),
        (
            "0/1, same, uneven clusters",
            flips(0.05, 0.05),
            Groups::Uneven,
            true,
        ),
        ("f1, same, clusters of 4", f1(0.2, 0.0), Groups::Same, true),
        (
            "f1, same, uneven clusters",
            f1(0.2, 0.0),
            Groups::Uneven,
            true,
        ),
        (
            "0/1, at the margin, clusters of 4",
            flips(0.02, 0.07),
            Groups::Same,
            false,
        ),
        (
            "0/1, at the margin, uneven clusters",
            flips(0.02, 0.07),
            Groups::Uneven,
            false,
        ),
        (
            "0/1, only falls, clusters of 4",
            flips(0.0, 0.05),
            Groups::Same,
            false,
        ),
        (
            "f1, at the margin, clusters of 4",
            f1(0.2, 0.05 / 0.55),
            Groups::Same,
            false,
        ),
        (
            "f1, at the margin, uneven clusters",
            f1(0.2, 0.05 / 0.55),
            Groups::Uneven,
            false,
        ),
        (
            "f1, only falls, uneven clusters",
            f1(0.0, 0.05 / 0.55),
            Groups::Uneven,
            false,
        ),
    ] {
        let candidate = Scenario {
            name,
            law,
            groups,
            told: true,
        };
        let gates = if is_same {
            [
                ("no_significant_regression", REGRESSION, AtStake::FalseFail),
                (
                    "non_inferior, margin 0.05",
                    NON_INFERIOR,
                    AtStake::FalseFail,
                ),
            ]
        } else {
            [
                (
                    "non_inferior, margin 0.05",
                    NON_INFERIOR,
                    AtStake::FalsePass,
                ),
                (
                    "non_inferior, margin 0.05, by flips",
                    NON_INFERIOR_FLIPS,
                    AtStake::FalsePass,
                ),
            ]
        };
        cases.extend(gates.map(|(name, toml, at_stake)| GateCase {
            name,
            toml,
            candidate,
            at_stake,
        }));
    }
    cases
}

/// In percent, how often the gates pass, fail and are inconclusive, all together.
pub fn gate_shares(case: &GateCase, n: usize, runs: usize) -> [f64; 3] {
    let gates = Gates::parse(case.toml).expect("the gates of a case are valid");
    let mut generator = Generator::named(2, &format!("{} {} {n}", case.name, case.candidate.name));
    let mut verdicts = [0_usize; 3];
    for seed in 0..runs as u64 {
        let (baseline, candidate) = two_runs(&case.candidate, n, &mut generator);
        let baselines = BTreeMap::from([("baseline".to_owned(), baseline)]);
        let options = GateOptions {
            seed,
            resamples: RESAMPLES,
        };
        let report = gates
            .evaluate(&candidate, &baselines, options)
            .expect("the runs of a case can be paired");
        verdicts[match report.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Inconclusive => 2,
        }] += 1;
    }
    verdicts.map(|number| percent(number, runs))
}

/// Four metrics of the same law, each with values of its own.
fn two_runs(
    scenario: &Scenario,
    n: usize,
    generator: &mut Generator,
) -> (EvaluatedRun, EvaluatedRun) {
    let mut sides = [Vec::with_capacity(n), Vec::with_capacity(n)];
    let values: Vec<(&str, Vec<(f64, f64)>)> = ["m", "m1", "m2", "m3"]
        .into_iter()
        .map(|metric| (metric, scenario.pairs(n, generator)))
        .collect();
    let clusters = scenario.clusters(n);
    for (index, cluster) in clusters.iter().enumerate() {
        let side = |pick: fn((f64, f64)) -> f64| QuestionRecord {
            id: format!("q{index}"),
            cluster: cluster.clone(),
            metrics: values
                .iter()
                .map(|(metric, pairs)| ((*metric).to_owned(), pick(pairs[index])))
                .collect(),
            ..QuestionRecord::default()
        };
        sides[0].push(side(|pair| pair.0));
        sides[1].push(side(|pair| pair.1));
    }
    let [baseline, candidate] =
        sides.map(|questions| EvaluatedRun::new(report(n), questions).expect("a run of numbers"));
    (baseline, candidate)
}

fn report(n: usize) -> Report {
    Report {
        dataset: DatasetReference {
            name: "made up".to_owned(),
            digest: "sha256:00".to_owned(),
            documents: 0,
        },
        n,
        config_digest: "sha256:00".to_owned(),
        release: None,
        adapter: None,
        metrics: BTreeMap::new(),
        checks: BTreeMap::new(),
        answers: BTreeMap::new(),
        kinds: BTreeMap::new(),
        thresholds: Vec::new(),
        timings_ms: BTreeMap::new(),
    }
}
