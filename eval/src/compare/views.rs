//! A comparison as Markdown and as JUnit.

use std::fmt::Write as _;

use super::{Comparison, FlipSide, MetricComparison};
use crate::views::{escape, number, plain, signed};

impl Comparison {
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "# Comparison on {}\n\n{}\n",
            plain(&self.b.dataset.name),
            self.sentence()
        );
        for (side, run) in [("A", &self.a), ("B", &self.b)] {
            let release = run.release.as_deref().unwrap_or("no release");
            let adapter = run.adapter.as_deref().unwrap_or("none");
            let _ = writeln!(
                text,
                "\n- {side}: {}, adapter {}, run `{}`, data set `{}`, configuration `{}`",
                plain(release),
                plain(adapter),
                plain(&run.digest),
                plain(&run.dataset.digest),
                plain(&run.config_digest)
            );
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "\n> Warning: {}", plain(warning));
        }
        text.push_str(
            "\n| metric | n | A | B | B − A | interval | p | p (Holm) | smallest detectable | clusters | better | worse |\n\
             |---|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|\n",
        );
        for (name, metric) in &self.metrics {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {:.4} | {:.4} | {} | {} | {} | {} |",
                plain(name),
                metric.n,
                number(metric.mean_a),
                number(metric.mean_b),
                signed(metric.difference),
                metric.interval_text(),
                metric.p,
                metric.p_holm,
                metric.detectable_text(),
                metric.clusters_text(),
                metric.improved,
                metric.worsened
            );
        }
        if let Some(metric) = &self.flip_metric {
            let _ = writeln!(
                text,
                "\n## Flips of {}\n\n{} changed; the worst first, {} shown.",
                plain(metric),
                self.flipped,
                self.flips.len()
            );
        }
        for flip in &self.flips {
            let _ = writeln!(
                text,
                "\n### {} ({})\n\n{}\n",
                plain(&flip.id),
                plain(flip.kind.as_deref().unwrap_or("no kind")),
                plain(&flip.question)
            );
            let _ = writeln!(text, "- gold: {}", plain(&flip.gold.join(" · ")));
            for (name, side) in [("A", &flip.a), ("B", &flip.b)] {
                let _ = writeln!(
                    text,
                    "- {name} ({}): {}",
                    number(side.value),
                    plain(side.said())
                );
                for citation in &side.citations {
                    let _ = writeln!(
                        text,
                        "  - {}: “{}”",
                        plain(&citation.document),
                        plain(&citation.quote)
                    );
                }
            }
        }
        text
    }

    /// One case a metric. Nothing fails here: gates decide.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"quoin eval compare\">\n  <testsuite name=\"comparison\" tests=\"{}\" failures=\"0\">\n",
            self.metrics.len()
        );
        for (name, metric) in &self.metrics {
            let _ = writeln!(
                text,
                "    <testcase classname=\"comparison\" name=\"{}\"><system-out>n {}, A {}, B {}, difference {}, interval {}, p {}</system-out></testcase>",
                escape(name),
                metric.n,
                metric.mean_a,
                metric.mean_b,
                metric.difference,
                metric.interval_text(),
                metric.p
            );
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }

    pub(super) fn sentence(&self) -> String {
        format!(
            "{} questions are in both runs, {} in A alone, {} in B alone. {} resamples, seed {}.",
            self.paired, self.only_a.count, self.only_b.count, self.resamples, self.seed
        )
    }
}

impl MetricComparison {
    pub(super) fn interval_text(&self) -> String {
        let Self { interval, .. } = self;
        format!(
            "{} to {} ({} %)",
            signed(interval.low),
            signed(interval.high),
            round_percent(interval.level)
        )
    }

    pub(super) fn detectable_text(&self) -> String {
        self.smallest_detectable_effect
            .map_or_else(|| "nothing varied".to_owned(), number)
    }

    pub(super) fn clusters_text(&self) -> String {
        self.clusters
            .map_or_else(|| "–".to_owned(), |clusters| clusters.to_string())
    }
}

fn round_percent(level: f64) -> f64 {
    (level * 10_000.0).round() / 100.0
}

impl FlipSide {
    /// The answer, or why there is none.
    pub(super) fn said(&self) -> &str {
        self.answer
            .as_deref()
            .or(self.error.as_deref())
            .unwrap_or("no answer")
    }
}
