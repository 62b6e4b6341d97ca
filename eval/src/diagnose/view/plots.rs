//! The drawings of the page: the flow of questions, and risk over coverage. Inline SVG, coloured by the page's style.

use std::fmt::Write as _;

use crate::diagnose::abstention::RiskCoverage;
use crate::diagnose::diagnosis::Diagnosis;
use crate::metrics::{count, ratio};
use crate::plots::{Axis, Plot};
use crate::views::escape;

/// One row a step: what is left as a band that narrows, what is lost bending away from it.
pub(super) fn flow(diagnosis: &Diagnosis) -> String {
    let all = diagnosis.flow.first().map_or(0, |step| step.left);
    let width = |number: usize| 88.0 * ratio(count(number), count(all.max(1)));
    let mut html = "<ol class=\"flow\">\n".to_owned();
    for step in &diagnosis.flow {
        let (left, before) = (width(step.left), width(step.left + step.lost));
        let _ = write!(
            html,
            "<li><span>{}</span><svg viewBox=\"0 0 100 40\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><path class=\"kept\" d=\"M0 0H{before:.2}C{before:.2} 20 {left:.2} 20 {left:.2} 40H0Z\"/>",
            escape(&step.step)
        );
        if step.lost > 0 {
            let _ = write!(
                html,
                "<path class=\"gone\" d=\"M{before:.2} 0C{before:.2} 16 {:.2} 14 100 14V{:.2}C{left:.2} 34 {left:.2} 24 {left:.2} 40C{left:.2} 20 {before:.2} 20 {before:.2} 0Z\"/>",
                before.midpoint(100.0),
                (15.0 + (before - left) * 1.6).clamp(16.0, 36.0),
            );
        }
        let lost = if step.lost > 0 {
            format!("<em>−{}</em>", step.lost)
        } else {
            String::new()
        };
        let _ = writeln!(html, "</svg><b>{}</b>{lost}</li>", step.left);
    }
    html + "</ol>\n"
}

/// Coverage from left to right, risk upwards, with what the threshold in force gives and what the proposed one would.
pub(super) fn risk_coverage(curve: &RiskCoverage) -> String {
    let mut plot = Plot::new(
        "Risk over coverage",
        &format!(
            "Of {} questions with a confidence and a text: how many are answered above a threshold, and how many of those answers are wrong.",
            curve.n
        ),
        Axis::shares("% answered"),
        Axis::shares("% of answers wrong"),
    );
    let points = curve.points.iter();
    plot.line("a", "", points.map(|point| (point.coverage, point.risk)));
    let proposed = curve.held_out.as_ref().map(|trial| &trial.held_out.point);
    for (name, point) in [("now", Some(&curve.now)), ("proposed", proposed)] {
        if let Some(point) = point {
            plot.mark(name, name, point.coverage, point.risk);
        }
    }
    plot.finish()
}
