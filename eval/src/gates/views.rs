//! A report of gates as Markdown, one HTML file and JUnit.

use std::fmt::Write as _;

use super::{GateReport, GateResult, Mode, OnInconclusive, Verdict};
use crate::views::{escape, number, page, plain, signed};

const COLUMNS: [&str; 10] = [
    "gate",
    "verdict",
    "reason",
    "n",
    "clusters",
    "baseline",
    "candidate",
    "estimate",
    "interval",
    "p (pass / fail, Holm)",
];

impl GateReport {
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "# Gates: {}\n\n{}\n",
            self.verdict.word(),
            plain(&self.sentence())
        );
        for warning in &self.warnings {
            let _ = writeln!(text, "\n> Warning: {}", plain(warning));
        }
        let _ = writeln!(
            text,
            "\n| {} |\n|{}",
            COLUMNS.join(" | "),
            "---|".repeat(COLUMNS.len())
        );
        for gate in &self.gates {
            let cells = gate.cells().map(|cell| plain(&cell));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }

    /// One file without network or scripts.
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = format!("Gates: {}", self.verdict.word());
        let mut body = format!(
            "<header><h1>{title}</h1>\n<p class=\"lead\">{}</p></header>\n",
            escape(&self.sentence())
        );
        for warning in &self.warnings {
            let _ = writeln!(body, "<p class=\"open\">Warning: {}</p>", escape(warning));
        }
        let _ = writeln!(
            body,
            "<section><div class=\"wide\"><table class=\"words\">\n<thead><tr><th>{}</th></tr></thead>\n<tbody>",
            COLUMNS.map(escape).join("</th><th>")
        );
        for gate in &self.gates {
            let class = match gate.counts_as {
                Verdict::Pass => "better",
                Verdict::Fail => "worse",
                Verdict::Inconclusive => "open",
            };
            let cells = gate.cells().map(|cell| escape(&cell));
            let _ = writeln!(
                body,
                "<tr><th scope=\"row\">{}</th><td class=\"{class}\"><strong>{}</strong></td><td>{}</td></tr>",
                cells[0],
                cells[1],
                cells[2..].join("</td><td>")
            );
        }
        body.push_str("</tbody></table></div></section>\n");
        page(&title, "", &body)
    }

    /// A failed gate is a failure, an inconclusive one is skipped; `on_inconclusive` makes it a failure or a success.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let number = |verdict| {
            self.gates
                .iter()
                .filter(|gate| gate.counts_as == verdict)
                .count()
        };
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"quoin eval gate\">\n  <testsuite name=\"gates\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
            self.gates.len(),
            number(Verdict::Fail),
            number(Verdict::Inconclusive)
        );
        for gate in &self.gates {
            let inside = match gate.counts_as {
                Verdict::Pass => String::new(),
                Verdict::Fail => format!("<failure message=\"{}\"/>", escape(&gate.reason)),
                Verdict::Inconclusive => format!("<skipped message=\"{}\"/>", escape(&gate.reason)),
            };
            let _ = writeln!(
                text,
                "    <testcase classname=\"gates\" name=\"{}\">{inside}<system-out>{}</system-out></testcase>",
                escape(&gate.name()),
                escape(&gate.cells().join("; "))
            );
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }

    fn sentence(&self) -> String {
        format!(
            "Candidate {} (adapter {}), run {}, on {} ({}). Gates {}. {} resamples, seed {}.",
            self.candidate
                .release
                .as_deref()
                .unwrap_or("without a release"),
            self.candidate.adapter.as_deref().unwrap_or("none"),
            self.candidate.digest,
            self.candidate.dataset.name,
            self.candidate.dataset.digest,
            self.gates_digest,
            self.resamples,
            self.seed
        )
    }
}

impl GateResult {
    fn name(&self) -> String {
        let gate = &self.gate;
        let bound = |key: &str, value: Option<f64>| {
            value
                .map(|value| format!(" {key} {value}"))
                .unwrap_or_default()
        };
        let mode = match gate.mode {
            Mode::NonInferior => "non_inferior",
            Mode::Absolute => "absolute",
            Mode::NoSignificantRegression => "no_significant_regression",
        };
        let against = gate
            .baseline_name()
            .map(|name| format!(" to {name}"))
            .unwrap_or_default();
        format!(
            "{} {mode}{against}{}{}{} alpha {}",
            gate.metric,
            bound("margin", gate.margin),
            bound("min", gate.min),
            bound("max", gate.max),
            gate.alpha
        )
    }

    fn cells(&self) -> [String; 10] {
        let written = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
        let counted = match (self.verdict, self.gate.on_inconclusive) {
            (Verdict::Inconclusive, OnInconclusive::Fail | OnInconclusive::Pass) => {
                format!("inconclusive, counts as {}", self.counts_as.word())
            }
            (verdict, _) => verdict.word().to_owned(),
        };
        let interval = self.interval.map_or_else(
            || "–".to_owned(),
            |interval| format!("{} to {}", number(interval.low), number(interval.high)),
        );
        [
            self.name(),
            counted,
            self.reason.clone(),
            self.n.to_string(),
            self.clusters
                .map_or_else(|| "–".to_owned(), |clusters| clusters.to_string()),
            written(self.mean_baseline),
            written(self.mean_candidate),
            self.estimate.map_or_else(
                || "–".to_owned(),
                |estimate| {
                    if self.mean_baseline.is_some() {
                        signed(estimate)
                    } else {
                        number(estimate)
                    }
                },
            ),
            interval,
            format!(
                "{} / {}",
                written(self.p_pass_holm),
                written(self.p_fail_holm)
            ),
        ]
    }
}
