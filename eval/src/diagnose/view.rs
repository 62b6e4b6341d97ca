//! Views of a diagnosis: `report.json` is the truth; Markdown, one HTML file and JUnit are made from it.

mod html;
mod markdown;
mod plots;

use std::fmt::Write as _;
use std::path::Path;

use super::class::Class;
use super::diagnosis::{Diagnosis, KindRow};
use crate::error::EvalError;
use crate::views::escape;

/// Columns of “knowledge or behaviour”: their heads, and their values in a row.
const TABLE_HEADS: [&str; 10] = [
    "questions",
    "failures",
    "missing",
    "not found",
    "stale",
    "not permitted",
    "not used",
    "used, wrong",
    "wrong form",
    "abstention",
];

fn table_values(row: &KindRow) -> [usize; 10] {
    [
        row.questions,
        row.failures,
        row.missing,
        row.not_found,
        row.stale,
        row.not_permitted,
        row.not_used,
        row.used_wrong,
        row.wrong_form,
        row.abstention,
    ]
}

impl Diagnosis {
    /// Writes `report.json`, `report.md`, `report.html` and `junit.xml` into the folder, which is made if need be.
    pub fn write(&self, folder: &Path) -> Result<(), EvalError> {
        let files = [
            ("report.json", format!("{:#}\n", serde_json::json!(self))),
            ("report.md", self.to_markdown()),
            ("report.html", self.to_html()),
            ("junit.xml", self.to_junit()),
        ];
        crate::views::write_all(folder, &files)
    }

    /// One suite a class, one case a question; a failure's evidence is its text.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"quoin eval diagnose\">\n".to_owned();
        for count in &self.classes {
            let class = count.class;
            let number = count.share.part;
            let failures = if class.is_failure() { number } else { 0 };
            let skipped = if class == Class::Undetermined {
                number
            } else {
                0
            };
            let _ = writeln!(
                text,
                "  <testsuite name=\"{class}\" tests=\"{number}\" failures=\"{failures}\" skipped=\"{skipped}\">"
            );
            for finding in self
                .findings
                .iter()
                .filter(|finding| finding.class == class)
            {
                let _ = write!(
                    text,
                    "    <testcase classname=\"{class}\" name=\"{}\"",
                    escape(&finding.id)
                );
                let evidence = escape(&finding.evidence.join(" "));
                let _ = match class {
                    Class::Right => writeln!(text, "/>"),
                    Class::Undetermined => {
                        writeln!(text, "><skipped message=\"{evidence}\"/></testcase>")
                    }
                    _ => writeln!(
                        text,
                        "><failure type=\"{class}\" message=\"{}\">{evidence}</failure></testcase>",
                        class.label()
                    ),
                };
            }
            text.push_str("  </testsuite>\n");
        }
        text + "</testsuites>\n"
    }
}
