//! A rollout as one SVG picture: the canary's share, the evidence against it, and how many answers had events, over time. No
//! script and nothing from outside; colours follow the reader's light or dark setting.

mod panel;

use std::fmt::Write as _;

use super::duration::humane;
use super::guardrail::Guardrail;
use super::plan::share;
use super::state::Arm;
use super::status::{ArmStatus, Status};
use super::transition::Transition;
use crate::name::AdapterId;
use panel::{LEFT, Panel, Pen, RIGHT, Scale, WIDTH, escape};

const STYLE: &str = "\
svg { color-scheme: light dark; --text: #1f2328; --faint: #6e7781; --grid: #d0d7de; --paper: #ffffff; }
@media (prefers-color-scheme: dark) { svg { --text: #e6edf3; --faint: #9198a1; --grid: #3d444d; --paper: #0d1117; } }
text { font: 12px system-ui, sans-serif; fill: var(--text); }
.faint { fill: var(--faint); font-size: 11px; }
.title { font-weight: 600; font-size: 13px; }
.name { font-weight: 600; font-size: 15px; }
.grid { stroke: var(--grid); stroke-width: 1; }
.mark { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 2 3; }
.limit { stroke: #d1242f; stroke-width: 1.5; stroke-dasharray: 6 4; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.area { stroke: none; opacity: .15; }
";

/// Told apart also by those who see no red or no green (Okabe and Ito); amber for yellow, which is lost on white.
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1",
];
/// Lines that lie on each other can be told apart by their gaps.
const GAPS: [&str; 7] = ["none", "9 4", "3 4", "12 4 3 4", "6 6", "2 7", "15 5"];
const CANARY: &str = COLOURS[1];
const STABLE: &str = COLOURS[0];
const PANEL_HEIGHT: f64 = 150.0;
const LISTED_MAX: usize = 24;

/// Draws what is known: statuses in the order of their time, and the transitions between them.
#[must_use]
pub fn plot(points: &[Status], transitions: &[Transition]) -> String {
    let times = points
        .iter()
        .map(|point| point.at_ms)
        .chain(transitions.iter().map(|transition| transition.at_ms));
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
        return document(
            80.0,
            "<text x=\"20\" y=\"45\">Nothing has happened yet.</text>",
        );
    };
    let time = Scale::of_time(first, last);
    let mut body = String::new();
    if let Some(point) = points.last() {
        heading(&mut body, point);
    }
    let mut top = 80.0;
    for draw in [draw_shares, draw_evidence, draw_events] {
        draw(&mut body, top, &time, points, transitions);
        top += PANEL_HEIGHT + 60.0;
    }
    let bottom = list(&mut body, top - 10.0, first, transitions);
    document(bottom, &body)
}

fn document(height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"A rollout over time\">\n<style>\n{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" style=\"fill: var(--paper)\"/>\n{body}</svg>\n"
    )
}

fn heading(body: &mut String, point: &Status) {
    let name = |side: &super::input::Side| AdapterId::or_base(side.adapter.as_ref());
    let _ = writeln!(
        body,
        "<text class=\"name\" x=\"{LEFT}\" y=\"28\">{}: {} → {}</text>\n<text class=\"faint\" x=\"{LEFT}\" y=\"46\">{}, rollout {}</text>",
        escape(point.alias.as_str()),
        escape(&name(&point.stable)),
        escape(&name(&point.canary)),
        escape(&point.state.to_string()),
        escape(&point.id),
    );
}

fn draw_shares(
    body: &mut String,
    top: f64,
    time: &Scale,
    points: &[Status],
    transitions: &[Transition],
) {
    let panel = Panel::new(top, PANEL_HEIGHT, "Canary’s share of the traffic");
    let scale = Scale::linear(1.0);
    panel.frame(body, &scale, "%", 100.0);
    panel.times(body, time);
    let mut shares: Vec<_> = points
        .iter()
        .map(|point| (point.at_ms, share(point.weight_basis_points)))
        .chain(
            transitions
                .iter()
                .map(|step| (step.at_ms, share(step.weight_basis_points))),
        )
        .collect();
    // A transition comes after the status of its moment, in this order too: the sort is stable.
    shares.sort_by_key(|(at_ms, _)| *at_ms);
    panel.steps(body, time, &scale, &shares, CANARY);
    for (number, transition) in (1..).zip(transitions).take(LISTED_MAX) {
        panel.mark(body, time.at(transition.at_ms), number);
    }
}

fn draw_evidence(
    body: &mut String,
    top: f64,
    time: &Scale,
    points: &[Status],
    transitions: &[Transition],
) {
    let panel = Panel::new(top, PANEL_HEIGHT, "Evidence against the canary (e-values)");
    let limit = points
        .iter()
        .flat_map(|point| &point.guardrails)
        .map(|guardrail| guardrail.limit)
        .fold(1.0, f64::max);
    let scale = Scale::logarithmic(0.01, limit * 30.0);
    panel.frame(body, &scale, "", 1.0);
    panel.times(body, time);
    for transition in transitions.iter().take(LISTED_MAX) {
        panel.mark(body, time.at(transition.at_ms), 0);
    }
    let y = panel.y(&scale, limit);
    let _ = writeln!(
        body,
        "<line class=\"limit\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
    );
    let mut legend = vec![(format!("aborts at {limit:.0}"), "#d1242f")];
    let watched = Guardrail::EVENTS
        .into_iter()
        .chain([Guardrail::TrafficSplit]);
    for (guardrail, (colour, gaps)) in watched.zip(COLOURS.into_iter().zip(GAPS)) {
        let line: Vec<_> = points
            .iter()
            .filter_map(|point| {
                let status = point
                    .guardrails
                    .iter()
                    .find(|status| status.guardrail == guardrail)?;
                Some((point.at_ms, status.e_value))
            })
            .collect();
        if !line.is_empty() {
            panel.line(body, time, &scale, &line, Pen { colour, gaps });
            legend.push((guardrail.to_string(), colour));
        }
    }
    panel.legend(body, &legend);
}

fn draw_events(
    body: &mut String,
    top: f64,
    time: &Scale,
    points: &[Status],
    transitions: &[Transition],
) {
    let panel = Panel::new(
        top,
        PANEL_HEIGHT,
        "Events and bad judgements, of the answers so far",
    );
    let rate = |arm: &ArmStatus| {
        let all = u32::try_from(arm.requests_in_all).ok()?;
        let with = u32::try_from(bad(arm)).ok()?;
        (all > 0).then(|| (f64::from(with) / f64::from(all)).min(1.0))
    };
    let of = |arm: Arm| {
        points
            .iter()
            .filter_map(|point| Some((point.at_ms, rate(arm_of(point, arm))?)))
            .collect::<Vec<_>>()
    };
    let lines = [
        (Arm::Stable, "stable", STABLE),
        (Arm::Canary, "canary", CANARY),
    ];
    let highest = lines
        .iter()
        .flat_map(|(arm, _, _)| of(*arm))
        .map(|(_, rate)| rate)
        .fold(0.01, f64::max);
    let scale = Scale::linear(round_above(highest));
    panel.frame(body, &scale, "%", 100.0);
    panel.times(body, time);
    for transition in transitions.iter().take(LISTED_MAX) {
        panel.mark(body, time.at(transition.at_ms), 0);
    }
    let mut legend = Vec::new();
    for (arm, name, colour) in lines {
        let gaps = GAPS[0];
        panel.line(body, time, &scale, &of(arm), Pen { colour, gaps });
        if let Some(point) = points.last() {
            let counts = arm_of(point, arm);
            let (with, all) = (bad(counts), counts.requests_in_all);
            legend.push((format!("{name}: {with} of {all}"), colour));
        }
    }
    panel.legend(body, &legend);
}

/// An answer with an event that was judged bad too counts for both.
const fn bad(arm: &ArmStatus) -> u64 {
    arm.requests_with_events_in_all + arm.requests_judged_bad_in_all
}

/// The first end of a scale from which quarters are round numbers of percent.
fn round_above(highest: f64) -> f64 {
    [0.01, 0.02, 0.04, 0.08, 0.12, 0.2, 0.28, 0.4, 0.6, 0.8]
        .into_iter()
        .find(|end| *end >= highest)
        .unwrap_or(1.0)
}

fn arm_of(point: &Status, arm: Arm) -> &ArmStatus {
    match arm {
        Arm::Stable => &point.arms.stable,
        Arm::Canary => &point.arms.canary,
    }
}

/// The transitions by the numbers of their marks. Returns where it ends.
fn list(body: &mut String, top: f64, first_ms: i64, transitions: &[Transition]) -> f64 {
    const ROW: f64 = 18.0;
    const REASON_CHARACTERS: usize = 90;
    let mut y = top;
    for (number, step) in (1..).zip(transitions).take(LISTED_MAX) {
        let mut reason: String = step.reason.chars().take(REASON_CHARACTERS).collect();
        if reason.len() < step.reason.len() {
            reason.push('…');
        }
        let _ = writeln!(
            body,
            "<text x=\"{LEFT}\" y=\"{y:.0}\">{number}. {}: {} <tspan class=\"faint\">after {}, by {}: {}</tspan></text>",
            step.action.name(),
            escape(&step.to.to_string()),
            humane(step.at_ms.saturating_sub(first_ms)),
            escape(&step.actor),
            escape(&reason),
        );
        y += ROW;
    }
    if let Some(more) = transitions
        .len()
        .checked_sub(LISTED_MAX)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(
            body,
            "<text class=\"faint\" x=\"{LEFT}\" y=\"{y:.0}\">and {more} more</text>"
        );
        y += ROW;
    }
    y + 6.0
}
