//! The diagnosis as Markdown.

use std::fmt::{Display, Write as _};

use super::{TABLE_HEADS, table_values};
use crate::diagnose::diagnosis::Diagnosis;
use crate::diagnose::statistics::Share;
use crate::views::plain;

impl Diagnosis {
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "# The lever to pull\n\n**{}**\n\n{} of {} questions are right ({}). {}\n\n",
            plain(&self.next),
            self.right.part,
            self.n,
            interval(&self.right),
            self.rule
        );
        for (name, value) in &self.about {
            let _ = writeln!(text, "- {}: {}", plain(name), plain(value));
        }
        self.markdown_of_levers(&mut text);
        section(
            &mut text,
            "Where questions were lost",
            &["step", "left", "lost"],
        );
        for step in &self.flow {
            row(&mut text, &[&step.step, &step.left, &step.lost]);
        }
        section(
            &mut text,
            "Classes",
            &["class", "questions", "share (95 %)"],
        );
        for count in &self.classes {
            row(
                &mut text,
                &[
                    &count.class.label(),
                    &count.share.part,
                    &interval(&count.share),
                ],
            );
        }
        self.markdown_of_cells(&mut text);
        let heads: Vec<&str> = std::iter::once("kind").chain(TABLE_HEADS).collect();
        section(&mut text, "Knowledge or behaviour", &heads);
        for (kind, values) in &self.table {
            let kind = plain(kind);
            let values = table_values(values);
            let cells: Vec<&dyn Display> = std::iter::once(&kind as &dyn Display)
                .chain(values.iter().map(|value| value as &dyn Display))
                .collect();
            row(&mut text, &cells);
        }
        let _ = writeln!(
            text,
            "\nOf {} failures, {} are of knowledge: {}; and {} of behaviour: {}.",
            self.failures,
            self.knowledge.part,
            interval(&self.knowledge),
            self.behaviour.part,
            interval(&self.behaviour)
        );
        self.markdown_of_abstention(&mut text);
        self.markdown_of_failures(&mut text);
        section(
            &mut text,
            "How it was decided: the first that holds",
            &["when", "class"],
        );
        for (when, class) in &self.decisions {
            row(&mut text, &[when, &class.label()]);
        }
        text
    }

    fn markdown_of_levers(&self, text: &mut String) {
        section(
            text,
            "Levers",
            &[
                "lever",
                "recovers at most",
                "share of failures (95 %)",
                "no other lever would",
                "unchecked",
                "would lose",
                "what is counted",
            ],
        );
        for bound in &self.levers {
            row(
                text,
                &[
                    &bound.lever,
                    &bound.at_most.part,
                    &interval(&bound.at_most),
                    &bound.alone,
                    &bound.unchecked,
                    &bound.costs,
                    &bound.meaning,
                ],
            );
        }
        if self.beyond_levers > 0 {
            let _ = writeln!(
                text,
                "\n{} failures no single lever recovers.",
                self.beyond_levers
            );
        }
        if self.behaviour.part > 0 {
            let _ = writeln!(
                text,
                "\nOf the {} failures of behaviour:\n",
                self.behaviour.part
            );
            for (part, number) in self.behaviour_split.parts() {
                let _ = writeln!(text, "- {number} {part}");
            }
        }
    }

    fn markdown_of_cells(&self, text: &mut String) {
        section(
            text,
            "Retrieval × adapter",
            &["cell", "right", "of", "share (95 %)"],
        );
        for share in &self.cells {
            row(
                text,
                &[
                    &share.cell,
                    &share.right.part,
                    &share.right.whole,
                    &interval(&share.right),
                ],
            );
        }
        section(
            text,
            "Paired differences",
            &[
                "from",
                "to",
                "pairs",
                "gained",
                "lost",
                "difference",
                "p (McNemar, exact)",
            ],
        );
        for contrast in &self.contrasts {
            let (difference, p) = (
                format!("{:+.3}", contrast.difference),
                format!("{:.4}", contrast.p),
            );
            row(
                text,
                &[
                    &contrast.from,
                    &contrast.to,
                    &contrast.pairs,
                    &contrast.gained,
                    &contrast.lost,
                    &difference,
                    &p,
                ],
            );
        }
    }

    fn markdown_of_abstention(&self, text: &mut String) {
        let Some(curve) = &self.abstention else {
            return;
        };
        section(
            text,
            "Abstention",
            &["threshold", "right", "wrong", "coverage", "risk"],
        );
        let trial = curve.held_out.as_ref();
        for (name, point) in [
            ("now", Some(&curve.now)),
            ("proposed", trial.map(|trial| &trial.held_out.point)),
            ("best on these very questions", curve.best.as_ref()),
        ] {
            let Some(point) = point else { continue };
            let name = point.threshold.map_or(name.to_owned(), |threshold| {
                format!("{name}: {threshold:.4}")
            });
            let (coverage, risk) = (
                format!("{:.3}", point.coverage),
                format!("{:.3}", point.risk),
            );
            row(text, &[&name, &point.right, &point.wrong, &coverage, &risk]);
        }
        let _ = writeln!(text, "\n{}", curve.in_words());
    }

    fn markdown_of_failures(&self, text: &mut String) {
        text.push_str("\n## Every failure\n");
        for finding in self
            .findings
            .iter()
            .filter(|finding| !finding.evidence.is_empty())
        {
            let _ = write!(
                text,
                "\n### {} · {}\n\n{}\n\n",
                plain(&finding.id),
                finding.class.label(),
                plain(&finding.question)
            );
            for line in &finding.evidence {
                let _ = writeln!(text, "- {}", plain(line));
            }
            let levers: Vec<String> = finding.levers.iter().map(ToString::to_string).collect();
            if !levers.is_empty() {
                let _ = writeln!(text, "- Levers: {}", levers.join(", "));
            }
        }
    }
}

fn section(text: &mut String, title: &str, heads: &[&str]) {
    let _ = write!(
        text,
        "\n## {title}\n\n| {} |\n|---|{}\n",
        heads.join(" | "),
        "---:|".repeat(heads.len().saturating_sub(1))
    );
}

fn row(text: &mut String, cells: &[&dyn Display]) {
    for cell in cells {
        let _ = write!(text, "| {cell} ");
    }
    text.push_str("|\n");
}

fn interval(share: &Share) -> String {
    format!(
        "{:.1} % [{:.1}, {:.1}]",
        share.share * 100.0,
        share.low * 100.0,
        share.high * 100.0
    )
}
