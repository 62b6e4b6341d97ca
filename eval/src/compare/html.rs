//! A comparison as one HTML file: the differences with their intervals drawn, and the flips side by side.

use std::fmt::Write as _;

use super::{Comparison, Flip, FlipSide, MetricComparison};
use crate::plots;
use crate::statistics::Interval;
use crate::views::{escape, number, page, signed};

const STYLE: &str = "\
main { max-width: 84rem; }
.flip { border: 1px solid var(--line); border-radius: 8px; padding: .3rem 1rem 1rem; margin: 1rem 0; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.sides > div { overflow-wrap: anywhere; white-space: pre-wrap; min-width: 0; }
blockquote { margin: .4rem 0; padding-left: .7rem; border-left: 3px solid var(--line); font-size: .9rem; white-space: normal; }
td { vertical-align: top; white-space: nowrap; } td svg { display: block; }
@media (max-width: 40rem) { .sides { grid-template-columns: 1fr; } }
";

impl Comparison {
    /// One file without network or scripts, for light and dark screens. Everything from outside is escaped.
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = format!("Comparison on {}", self.b.dataset.name);
        let mut body = format!(
            "<header><h1>{}</h1>\n<p class=\"lead\">{}</p></header>\n<dl>",
            escape(&title),
            escape(&self.sentence())
        );
        for (side, run) in [("A", &self.a), ("B", &self.b)] {
            for (what, value) in [
                ("release", run.release.as_deref().unwrap_or("–")),
                ("adapter", run.adapter.as_deref().unwrap_or("–")),
                ("run", &run.digest),
                ("data set", &run.dataset.digest),
                ("configuration", &run.config_digest),
            ] {
                let _ = write!(body, "<dt>{side}: {what}</dt><dd>{}</dd>", escape(value));
            }
        }
        body.push_str("</dl>\n");
        for warning in &self.warnings {
            let _ = writeln!(body, "<p class=\"open\">Warning: {}</p>", escape(warning));
        }
        self.write_metrics(&mut body);
        for (side, unpaired) in [("A", &self.only_a), ("B", &self.only_b)] {
            if unpaired.count > 0 {
                let _ = writeln!(
                    body,
                    "<details><summary>{} questions are in {side} alone</summary><p>{}</p></details>",
                    unpaired.count,
                    escape(&unpaired.ids.join(", "))
                );
            }
        }
        if let Some(metric) = &self.flip_metric {
            let _ = writeln!(
                body,
                "<section><h2>Flips of {}</h2>\n<p>{} changed; the worst first, {} shown.</p>",
                escape(metric),
                self.flipped,
                self.flips.len()
            );
        }
        for flip in &self.flips {
            write_flip(&mut body, flip);
        }
        if self.flip_metric.is_some() {
            body.push_str("</section>\n");
        }
        page(&title, STYLE, &body)
    }

    fn write_metrics(&self, body: &mut String) {
        // Shares have one scale, so that their plots can be compared; others each their own.
        let shares = self
            .metrics
            .values()
            .filter(|metric| metric.is_share())
            .map(MetricComparison::reach);
        let common = shares.fold(0.0, f64::max);
        body.push_str(
            "<section><h2>Differences (B − A)</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>metric</th><th>n</th><th>A</th><th>B</th><th>B − A</th><th>interval</th>\
             <th>plot</th><th>p</th><th>p (Holm)</th><th>smallest detectable</th><th>clusters</th><th>better / worse</th></tr></thead>\n<tbody>\n",
        );
        for (name, metric) in &self.metrics {
            let reach = if metric.is_share() {
                common
            } else {
                metric.reach()
            };
            let _ = writeln!(
                body,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td>{}</td>\
                 <td>{:.4}</td><td>{:.4}</td><td>{}</td><td>{}</td><td>{} / {}</td></tr>",
                escape(name),
                metric.n,
                number(metric.mean_a),
                number(metric.mean_b),
                metric.class(),
                signed(metric.difference),
                metric.interval_text().replace(' ', "\u{a0}"),
                metric.plot(reach),
                metric.p,
                metric.p_holm,
                metric.detectable_text(),
                metric.clusters_text(),
                metric.improved,
                metric.worsened
            );
        }
        body.push_str("</tbody></table></div></section>\n");
    }
}

impl MetricComparison {
    fn is_share(&self) -> bool {
        self.mean_a.abs() <= 1.0 && self.mean_b.abs() <= 1.0 && self.reach() <= 1.0
    }

    fn reach(&self) -> f64 {
        self.interval
            .low
            .abs()
            .max(self.interval.high.abs())
            .max(self.difference.abs())
    }

    /// Coloured where the interval excludes no change.
    fn class(&self) -> &'static str {
        let (low, high) = (
            self.interval.low * self.better.sign(),
            self.interval.high * self.better.sign(),
        );
        if low.max(high) < 0.0 {
            "worse"
        } else if low.min(high) > 0.0 {
            "better"
        } else {
            ""
        }
    }

    fn plot(&self, reach: f64) -> String {
        let Interval { low, high, .. } = self.interval;
        let label = format!("{} in {}", signed(self.difference), self.interval_text());
        plots::difference(self.class(), &label, [low, self.difference, high], reach)
    }
}

fn write_flip(body: &mut String, flip: &Flip) {
    let kind = flip
        .kind
        .as_deref()
        .map(|kind| format!(" · {}", escape(kind)))
        .unwrap_or_default();
    let _ = writeln!(
        body,
        "<div class=\"flip\"><h3>{}</h3><p>{}{kind} · gold: {}</p><div class=\"sides\">",
        escape(&flip.question),
        escape(&flip.id),
        escape(&flip.gold.join(" · "))
    );
    for (name, side) in [("A", &flip.a), ("B", &flip.b)] {
        write_side(body, name, side);
    }
    body.push_str("</div></div>\n");
}

fn write_side(body: &mut String, name: &str, side: &FlipSide) {
    let _ = write!(
        body,
        "<div><strong>{name}: {}</strong>\n{}",
        number(side.value),
        escape(side.said())
    );
    for citation in &side.citations {
        let _ = write!(
            body,
            "<blockquote>{}<br><small>{}</small></blockquote>",
            escape(&citation.quote),
            escape(&citation.document)
        );
    }
    body.push_str("</div>");
}
