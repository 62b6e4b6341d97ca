//! A report as Markdown, as one HTML file and as JUnit.

use std::fmt::Write as _;

use super::{Report, plots};
use crate::record::QuestionRecord;
use crate::views::{escape, page, plain};

impl Report {
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "# Evaluation on {}\n\n{} documents, {} questions. Data set `{}`, configuration `{}`",
            plain(&self.dataset.name),
            self.dataset.documents,
            self.n,
            plain(&self.dataset.digest),
            plain(&self.config_digest)
        );
        match &self.release {
            Some(release) => writeln!(text, ", release `{}`.", plain(release)).unwrap_or_default(),
            None => text.push_str(".\n"),
        }
        for table in self.tables() {
            let _ = write!(text, "\n## {}\n\n| {} |", table.title, table.head);
            for column in &table.columns {
                let _ = write!(text, " {} |", plain(column));
            }
            let _ = write!(text, "\n|---|{}", "---:|".repeat(table.columns.len()));
            for (name, values) in &table.rows {
                let _ = write!(text, "\n| {} |", plain(name));
                for value in values {
                    let _ = write!(text, " {} |", table.written(*value));
                }
            }
            text.push('\n');
        }
        text
    }

    /// One file that needs no network: each value with a bar of its length, and plots of what the report holds.
    #[must_use]
    pub fn to_html(&self) -> String {
        self.to_html_with(&[])
    }

    /// The same, with plots of the questions.
    pub(crate) fn to_html_with(&self, questions: &[QuestionRecord]) -> String {
        let mut body = format!(
            "<header><h1>Evaluation on {}</h1>\n<p class=\"lead\"><b>{}</b> documents, <b>{}</b> questions.</p></header>\n<dl><dt>data set</dt><dd>{}</dd>\
             <dt>configuration</dt><dd>{}</dd>",
            escape(&self.dataset.name),
            self.dataset.documents,
            self.n,
            escape(&self.dataset.digest),
            escape(&self.config_digest)
        );
        if let Some(release) = &self.release {
            let _ = write!(body, "<dt>release</dt><dd>{}</dd>", escape(release));
        }
        body.push_str("</dl>\n");
        body.push_str(&plots::section(self, questions));
        for table in self.tables() {
            let _ = write!(
                body,
                "<section><h2>{}</h2>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">{}</th>",
                escape(&table.title),
                escape(&table.head)
            );
            for column in &table.columns {
                let _ = write!(body, "<th scope=\"col\">{}</th>", escape(column));
            }
            body.push_str("</tr></thead>\n<tbody>\n");
            for (name, values) in &table.rows {
                let _ = write!(body, "<tr><th scope=\"row\">{}</th>", escape(name));
                for value in values {
                    let Some(bar) = value.map(|value| value / table.full) else {
                        body.push_str("<td></td>");
                        continue;
                    };
                    let width = (bar * 100.0).clamp(0.0, 100.0);
                    let _ = write!(
                        body,
                        "<td>{}<i><b style=\"width:{width:.1}%\"></b></i></td>",
                        table.written(*value)
                    );
                }
                body.push_str("</tr>\n");
            }
            body.push_str("</tbody></table></div></section>\n");
        }
        page(&format!("Evaluation on {}", self.dataset.name), "", &body)
    }

    /// One suite a table row, one case a metric, so that CI shows the values over time. Nothing fails here: gates decide.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut text =
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"quoin eval\">\n"
                .to_owned();
        for table in self.tables().iter().filter(|table| table.is_share) {
            for (name, values) in &table.rows {
                let name = escape(name);
                let _ = writeln!(
                    text,
                    "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"0\">",
                    values.iter().flatten().count()
                );
                for (column, value) in table.columns.iter().zip(values) {
                    if let Some(value) = value {
                        let column = escape(column);
                        let _ = writeln!(
                            text,
                            "    <testcase classname=\"{name}\" name=\"{column}\"><system-out>{value}</system-out></testcase>"
                        );
                    }
                }
                text.push_str("  </testsuite>\n");
            }
        }
        text.push_str("</testsuites>\n");
        text
    }
}
