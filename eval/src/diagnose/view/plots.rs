//! The drawings of the page: the flow of questions, and risk over coverage. Inline SVG, coloured by the page's style.

use std::fmt::Write as _;

use super::escape;
use crate::diagnose::abstention::RiskCoverage;
use crate::diagnose::diagnosis::Diagnosis;
use crate::metrics::{count, ratio};

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
    let place = |coverage: f64, risk: f64| (50.0 + 430.0 * coverage, 210.0 - 190.0 * risk);
    let mut svg = "<svg class=\"curve\" viewBox=\"0 0 520 250\" role=\"img\" aria-label=\"risk over coverage\">".to_owned();
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let ((x, _), (_, y)) = (place(share, 0.0), place(0.0, share));
        let percent = share * 100.0;
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M50 {y}H480\"/><text x=\"44\" y=\"{:.1}\" text-anchor=\"end\">{percent:.0}</text><text x=\"{x}\" y=\"228\" text-anchor=\"middle\">{percent:.0}</text>",
            y + 4.0
        );
    }
    svg.push_str("<text x=\"265\" y=\"246\" text-anchor=\"middle\">% answered</text><text x=\"50\" y=\"12\">% of answers wrong</text><polyline points=\"");
    for point in &curve.points {
        let (x, y) = place(point.coverage, point.risk);
        let _ = write!(svg, "{x:.1},{y:.1} ");
    }
    svg.push_str("\"/>");
    let proposed = curve.held_out.as_ref().map(|trial| &trial.held_out.point);
    for (class, point) in [("now", Some(&curve.now)), ("proposed", proposed)] {
        if let Some(point) = point {
            let (x, y) = place(point.coverage, point.risk);
            let _ = write!(
                svg,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"/><text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{class}</text>",
                x - 9.0,
                y - 9.0
            );
        }
    }
    svg + "</svg>\n"
}
