//! The diagnosis as one HTML file: no network, no script; light and dark; it prints.

use std::fmt::Write as _;

use super::{TABLE_HEADS, plots, table_values};
use crate::diagnose::diagnosis::{Diagnosis, Finding};
use crate::diagnose::levers::LeverBound;
use crate::diagnose::observation::{Cell, Context};
use crate::diagnose::statistics::Share;
use crate::views::{escape, page};

const STYLE: &str = include_str!("style.css");

impl Diagnosis {
    /// One file that needs nothing else.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut body = format!(
            "<header><p class=\"kicker\">The lever to pull</p>\n<h1>{}</h1>\n<p class=\"lead\"><b>{}</b> of {} questions are right {}. {} failed.</p></header>\n",
            escape(&self.next),
            self.right.part,
            self.n,
            interval(&self.right),
            self.failures
        );
        self.html_of_levers(&mut body);
        let _ = write!(
            body,
            "<section><h2>Where questions were lost</h2>\n<p>Questions that have an answer, from asked to right.</p>\n{}</section>\n",
            plots::flow(self)
        );
        self.html_of_cells(&mut body);
        self.html_of_kinds(&mut body);
        self.html_of_abstention(&mut body);
        self.html_of_failures(&mut body);
        self.html_of_decisions(&mut body);
        page("The lever to pull", STYLE, &body)
    }

    fn html_of_levers(&self, body: &mut String) {
        body.push_str("<section><h2>Levers</h2>\n<p>How many failures each could recover, at most, and what was counted for that. Those that recover most, less what they would lose, come first; training counts half.</p>\n<ol class=\"levers\">\n");
        for bound in &self.levers {
            let _ = writeln!(
                body,
                "<li><span>{}<small>{}</small></span><div class=\"track\"><i style=\"width:{:.1}%\"></i></div><b>{}</b><small>of {}{}</small></li>",
                bound.lever,
                bound.meaning,
                bound.at_most.share * 100.0,
                bound.at_most.part,
                bound.at_most.whole,
                lever_note(bound)
            );
        }
        body.push_str("</ol>\n");
        if self.beyond_levers > 0 {
            let _ = writeln!(
                body,
                "<p>{} failures no single lever recovers.</p>",
                self.beyond_levers
            );
        }
        if self.behaviour.part > 0 {
            let _ = write!(
                body,
                "<p>Of the {} failures of behaviour:</p>\n<ul class=\"split\">",
                self.behaviour.part
            );
            for (part, number) in self.behaviour_split.parts() {
                let _ = write!(body, "<li><b>{number}</b> {part}</li>");
            }
            body.push_str("</ul>\n");
        }
        body.push_str("</section>\n");
    }

    fn html_of_cells(&self, body: &mut String) {
        body.push_str("<section><h2>Retrieval × adapter</h2>\n<table class=\"grid\"><thead><tr><th scope=\"col\">given</th><th scope=\"col\">without adapter</th><th scope=\"col\">with adapter</th></tr></thead><tbody>\n");
        for context in [Context::Closed, Context::Retrieved, Context::Gold] {
            let _ = write!(body, "<tr><th scope=\"row\">{context}</th>");
            for adapter in [false, true] {
                let cell = Cell::of(context, adapter);
                let class = if cell == self.served {
                    " class=\"served\""
                } else {
                    ""
                };
                match self.cells.iter().find(|share| share.cell == cell) {
                    None => body.push_str("<td class=\"none\">not run</td>"),
                    Some(share) => {
                        let _ = write!(
                            body,
                            "<td{class}><b>{:.0} %</b><small>{} of {} {}</small></td>",
                            share.right.share * 100.0,
                            share.right.part,
                            share.right.whole,
                            interval(&share.right)
                        );
                    }
                }
            }
            body.push_str("</tr>\n");
        }
        body.push_str("</tbody></table>\n<details><summary>Paired differences</summary><div class=\"wide\"><table><thead><tr><th>from</th><th>to</th><th>pairs</th><th>gained</th><th>lost</th><th>difference</th><th>p</th></tr></thead><tbody>\n");
        for contrast in &self.contrasts {
            let _ = writeln!(
                body,
                "<tr><th scope=\"row\">{}</th><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{:+.3}</td><td>{:.4}</td></tr>",
                contrast.from,
                contrast.to,
                contrast.pairs,
                contrast.gained,
                contrast.lost,
                contrast.difference,
                contrast.p
            );
        }
        body.push_str("</tbody></table></div><p>p by McNemar's exact test, two-sided.</p></details></section>\n");
    }

    fn html_of_kinds(&self, body: &mut String) {
        let _ = write!(
            body,
            "<section><h2>Knowledge or behaviour</h2>\n<p><b>{}</b> failures of knowledge {}: the model was not given what it needed. <b>{}</b> of behaviour {}: it was.</p>\n<div class=\"wide\"><table><thead><tr><th scope=\"col\">kind</th>",
            self.knowledge.part,
            interval(&self.knowledge),
            self.behaviour.part,
            interval(&self.behaviour)
        );
        for head in TABLE_HEADS {
            let _ = write!(body, "<th scope=\"col\">{head}</th>");
        }
        body.push_str("</tr></thead><tbody>\n");
        for (kind, row) in &self.table {
            let _ = write!(body, "<tr><th scope=\"row\">{}</th>", escape(kind));
            for value in table_values(row) {
                let class = if value == 0 { " class=\"none\"" } else { "" };
                let _ = write!(body, "<td{class}>{value}</td>");
            }
            body.push_str("</tr>\n");
        }
        body.push_str("</tbody></table></div></section>\n");
    }

    fn html_of_abstention(&self, body: &mut String) {
        let Some(curve) = &self.abstention else {
            return;
        };
        let _ = write!(
            body,
            "<section><h2>Abstention</h2>\n<p>Now {} right and {} wrong answers. {}</p>\n{}</section>\n",
            curve.now.right,
            curve.now.wrong,
            curve.in_words(),
            plots::risk_coverage(curve)
        );
    }

    fn html_of_failures(&self, body: &mut String) {
        body.push_str("<section><h2>Every failure</h2>\n");
        for count in self
            .classes
            .iter()
            .filter(|count| count.class != super::Class::Right)
        {
            let _ = writeln!(
                body,
                "<h3>{} <small>{} {}</small></h3>",
                count.class.label(),
                count.share.part,
                interval(&count.share)
            );
            for finding in self
                .findings
                .iter()
                .filter(|finding| finding.class == count.class)
            {
                html_of_finding(body, finding);
            }
        }
        body.push_str("</section>\n");
    }

    fn html_of_decisions(&self, body: &mut String) {
        let _ = write!(
            body,
            "<section><h2>How it was decided</h2>\n<p>{} Served: {}.</p>\n<dl>",
            escape(&self.rule),
            self.served
        );
        for (name, value) in &self.about {
            let _ = write!(body, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        }
        body.push_str("</dl>\n<details><summary>The decision list: the first that holds</summary><ol class=\"rules\">\n");
        for (when, class) in &self.decisions {
            let _ = writeln!(body, "<li>{} <em>{}</em></li>", escape(when), class.label());
        }
        body.push_str("</ol></details></section>\n");
    }
}

fn html_of_finding(body: &mut String, finding: &Finding) {
    let _ = write!(
        body,
        "<details><summary><bdi>{}</bdi> <code><bdi>{}</bdi></code></summary><ul>",
        escape(&finding.question),
        escape(&finding.id)
    );
    for line in &finding.evidence {
        let _ = write!(body, "<li><bdi>{}</bdi></li>", escape(line));
    }
    body.push_str("</ul>");
    for lever in &finding.levers {
        let _ = write!(body, "<span class=\"tag\">{lever}</span> ");
    }
    body.push_str("</details>\n");
}

fn lever_note(bound: &LeverBound) -> String {
    let mut note = format!(" {}", interval(&bound.at_most));
    for (number, words) in [
        (bound.alone, "by this alone"),
        (bound.unchecked, "unchecked"),
    ] {
        if number > 0 {
            let _ = write!(note, " · {number} {words}");
        }
    }
    if bound.costs > 0 {
        let _ = write!(note, " · would lose {}", bound.costs);
    }
    note
}

fn interval(share: &Share) -> String {
    format!(
        "<span class=\"interval\">[{:.0}–{:.0} %]</span>",
        share.low * 100.0,
        share.high * 100.0
    )
}
