//! The plots of a report: thresholds from the report itself, and what only the questions tell.

use std::collections::BTreeMap;

use super::Report;
use super::tables::{STAGES, ordered};
use crate::answers::ThresholdPoint;
use crate::metrics::{count, mean};
use crate::plots::{Axis, Plot};
use crate::record::QuestionRecord;
use crate::selective::{Scored, curve};
use crate::statistics::{Bootstrap, Generator, Interval, Method, Sample, wilson};
use crate::views::{duration, signed};

/// The metric that stages are drawn by.
const RANKING: &str = "nDCG@10";
/// Of the intervals drawn here; gates and comparisons draw more.
const RESAMPLES: usize = 2_000;
const LEVEL: f64 = 0.95;
/// Bins of the confidence.
const BINS: usize = 10;

/// A section with all plots that there is something for; empty without any.
pub(super) fn section(report: &Report, questions: &[QuestionRecord]) -> String {
    let figures: Vec<String> = [
        abstention(&report.thresholds),
        risk_coverage(questions),
        reliability(questions),
        by_stage(questions),
    ]
    .into_iter()
    .flatten()
    .chain(differences(questions))
    .chain(latency(questions))
    .collect();
    if figures.is_empty() {
        return String::new();
    }
    format!(
        "<section><h2>At a glance</h2>\n<div class=\"plots\">\n{}</div></section>\n",
        figures.concat()
    )
}

/// Precision and recall of abstentions over thresholds.
fn abstention(thresholds: &[ThresholdPoint]) -> Option<String> {
    let precision: Vec<(f64, f64)> = thresholds
        .iter()
        .filter_map(|point| Some((point.threshold, point.abstain_precision?)))
        .collect();
    let recall: Vec<(f64, f64)> = thresholds
        .iter()
        .filter_map(|point| Some((point.threshold, point.abstain_recall?)))
        .collect();
    if precision.is_empty() && recall.is_empty() {
        return None;
    }
    let mut plot = Plot::new(
        "Abstention over thresholds",
        "Were answers with a confidence below the threshold abstentions: how many of them are rightly so, and how many of the questions without an answer they catch.",
        Axis::shares("threshold, %"),
        Axis::shares("%"),
    );
    plot.line("a", "precision", precision);
    plot.line("b", "recall", recall);
    let answered = thresholds
        .iter()
        .map(|point| (point.threshold, point.answered));
    plot.line("c", "answered", answered);
    Some(plot.finish())
}

/// Answers with their confidence, and whether they are right.
fn answers(questions: &[QuestionRecord]) -> Vec<Scored<'_>> {
    let answer = |record: &'_ QuestionRecord| {
        let confidence = *record.metrics.get("confidence")?;
        Some((confidence, record.is_right()?))
    };
    questions
        .iter()
        .filter_map(|record| {
            let (confidence, is_right) = answer(record)?;
            Some(Scored {
                id: &record.id,
                confidence,
                is_right,
            })
        })
        .collect()
}

/// Of the answers that were given, the surest first.
fn risk_coverage(questions: &[QuestionRecord]) -> Option<String> {
    let answers = answers(questions);
    let points = curve(&answers, questions.len());
    let last = points.last()?;
    let mut plot = Plot::new(
        "Risk over coverage",
        &format!(
            "Of {} questions {} were answered, {:.0} % of them wrong. Further left only the surest are. Right: the answer has a gold answer in it, or an F1 of at least 0.5.",
            questions.len(),
            answers.len(),
            last.risk * 100.0
        ),
        Axis::shares("% of questions answered"),
        Axis::shares("% of answers wrong"),
    );
    plot.line(
        "a",
        "",
        points.iter().map(|point| (point.coverage, point.risk)),
    );
    plot.mark("now", "now", last.coverage, last.risk);
    Some(plot.finish())
}

/// How often answers of a confidence are right.
fn reliability(questions: &[QuestionRecord]) -> Option<String> {
    let answers = answers(questions);
    let mut bins: BTreeMap<usize, Vec<&Scored<'_>>> = BTreeMap::new();
    for answer in &answers {
        let bin = (1..BINS)
            .filter(|bin| answer.confidence >= count(*bin) / count(BINS))
            .count();
        bins.entry(bin).or_default().push(answer);
    }
    if answers.is_empty() {
        return None;
    }
    let mut plot = Plot::new(
        "Reliability of the confidence",
        &format!(
            "{} answers by tenths of their confidence, with intervals of 95 %. On the dotted line the confidence is the chance of being right.",
            answers.len()
        ),
        Axis::shares("confidence, %"),
        Axis::shares("% right"),
    );
    plot.rule("diagonal", (0.0, 0.0), (1.0, 1.0));
    for answers in bins.values() {
        let right = answers.iter().filter(|answer| answer.is_right).count();
        let interval = wilson(right, answers.len(), LEVEL);
        let middle = mean(answers.iter().map(|answer| answer.confidence));
        plot.upright(
            middle,
            [
                interval.low,
                count(right) / count(answers.len()),
                interval.high,
            ],
        );
    }
    Some(plot.finish())
}

/// How many questions were done after how long.
fn latency(questions: &[QuestionRecord]) -> Option<String> {
    let times = |metric: &str| {
        let values = questions
            .iter()
            .filter_map(|record| record.metrics.get(metric).copied());
        let mut values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (whole, first) = (times("latency_ms"), times("first_token_ms"));
    let (least, most) = (
        first.first().into_iter().chain(whole.first()),
        whole.last()?,
    );
    let least = least.copied().fold(f64::INFINITY, f64::min);
    let at = |percent: usize| {
        let rank = (whole.len() * percent).div_ceil(100).max(1) - 1;
        duration(whole[rank])
    };
    let mut plot = Plot::new(
        "Time until done",
        &format!(
            "Half of {} answers were there after {}, 95 % after {}, all after {}.",
            whole.len(),
            at(50),
            at(95),
            duration(*most)
        ),
        Axis::logarithmic("milliseconds, by powers of ten", least * 0.9, most * 1.1),
        Axis::shares("% done"),
    );
    for (class, name, times) in [("a", "whole answer", &whole), ("b", "first token", &first)] {
        if !times.is_empty() {
            plot.line(class, name, steps(times));
        }
    }
    Some(plot.finish())
}

/// The share of values up to each; of many values, every so many.
fn steps(sorted: &[f64]) -> Vec<(f64, f64)> {
    const POINTS_MAX: usize = 400;
    let every = sorted.len().div_ceil(POINTS_MAX);
    let n = count(sorted.len());
    let mut points = vec![(sorted[0], 0.0)];
    points.extend(
        (0..sorted.len())
            .filter(|index| index % every == 0 || index + 1 == sorted.len())
            .map(|index| (sorted[index], count(index + 1) / n)),
    );
    points
}

/// Stage to the value of each query that has it, by id.
fn rankings(questions: &[QuestionRecord]) -> Vec<(String, BTreeMap<&str, f64>)> {
    let mut stages: BTreeMap<String, BTreeMap<&str, f64>> = BTreeMap::new();
    for record in questions {
        for (name, value) in &record.metrics {
            let Some((stage, metric)) = name.rsplit_once('/') else {
                continue;
            };
            if metric == RANKING {
                let values = stages.entry(stage.to_owned()).or_default();
                values.insert(&record.id, *value);
            }
        }
    }
    ordered(stages.keys(), STAGES)
        .into_iter()
        .filter_map(|stage| stages.remove_entry(&stage))
        .collect()
}

fn interval_of(sample: &Sample, name: &str) -> Interval {
    let mut generator = Generator::named(0, name);
    Bootstrap::draw(sample, RESAMPLES, &mut generator).interval(Method::Expanded, LEVEL)
}

/// Each stage's mean with its interval over queries.
fn by_stage(questions: &[QuestionRecord]) -> Option<String> {
    let stages = rankings(questions);
    let queries = stages.iter().map(|(_, values)| values.len()).max()?;
    let intervals: Vec<(f64, Interval)> = stages
        .iter()
        .map(|(stage, values)| {
            let sample = Sample::new(values.values().map(|value| (None, *value)));
            (sample.mean(), interval_of(&sample, stage))
        })
        .collect();
    let low = intervals.iter().map(|(_, one)| one.low);
    let high = intervals.iter().map(|(_, one)| one.high);
    let mut plot = Plot::new(
        "nDCG@10 by stage",
        &format!(
            "Means over {queries} queries with intervals of 95 %, by the bootstrap over queries. Stages share their queries: whether two differ is seen better below."
        ),
        Axis::values(
            RANKING,
            low.fold(f64::INFINITY, f64::min),
            high.fold(0.0, f64::max),
        ),
        Axis::names(stages.iter().map(|(stage, _)| stage.as_str())),
    );
    for (place, (mean, interval)) in intervals.iter().enumerate() {
        plot.across(
            -count(place),
            [interval.low, *mean, interval.high],
            &format!("{mean:.3}"),
        );
    }
    Some(plot.finish())
}

/// What a stage makes of each query, against the stage before it.
fn differences(questions: &[QuestionRecord]) -> Vec<String> {
    let stages = rankings(questions);
    let find = |name: &str| stages.iter().find(|(stage, _)| stage == name);
    [
        ("bm25", "fused"),
        ("vector", "fused"),
        ("fused", "reranked"),
    ]
    .into_iter()
    .filter_map(|(from, to)| difference(find(from)?, find(to)?))
    .collect()
}

fn difference(
    (from, before): &(String, BTreeMap<&str, f64>),
    (to, after): &(String, BTreeMap<&str, f64>),
) -> Option<String> {
    let mut changes: Vec<f64> = before
        .iter()
        .filter_map(|(id, value)| Some(after.get(id)? - value))
        .collect();
    if changes.is_empty() {
        return None;
    }
    changes.sort_by(|left, right| right.total_cmp(left));
    let sample = Sample::new(changes.iter().map(|change| (None, *change)));
    let interval = interval_of(&sample, &format!("{from} {to}"));
    let better = changes.iter().filter(|change| **change > 0.0).count();
    let worse = changes.iter().filter(|change| **change < 0.0).count();
    let mut plot = Plot::new(
        &format!("{from} → {to}, query by query"),
        &format!(
            "{better} queries better, {worse} worse, {} the same; {} on average, {} to {} (95 %).",
            changes.len() - better - worse,
            signed(sample.mean()),
            signed(interval.low),
            signed(interval.high)
        ),
        Axis::counts("queries, the most improved first", changes.len()),
        Axis::values("change of nDCG@10", -1.0, 1.0),
    );
    // Bars narrower than a pixel say no more than one of the middle of them.
    let together = changes.len().div_ceil(600);
    for (place, chunk) in changes.chunks(together).enumerate() {
        let from = place * together;
        let height = chunk[chunk.len() / 2];
        if height != 0.0 {
            plot.bar(count(from), count(from + chunk.len()), height);
        }
    }
    let end = count(changes.len());
    plot.rule("zero", (0.0, 0.0), (end, 0.0));
    Some(plot.finish())
}
