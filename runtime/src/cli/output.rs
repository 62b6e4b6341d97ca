//! Everything the command line prints: data on stdout, the rest on stderr.
//!
//! Control characters in what came from documents never reach the terminal. A closed stdout ends the command quietly.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::failure::Failure;

/// Where a command prints, and how.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
}

#[expect(
    clippy::unused_self,
    reason = "whoever prints holds an `Output`: nothing is printed past it"
)]
impl Output {
    /// `json`: one JSON document on stdout. `quiet`: nothing but errors on stderr.
    #[must_use]
    pub const fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether stdout is for a machine.
    #[must_use]
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Data, as a line of text. Control characters other than line breaks and tabs are shown as escapes.
    ///
    /// # Errors
    /// stdout cannot be written; a closed one is [`Failure::reader_gone`].
    pub fn line(self, text: impl AsRef<str>) -> Result<(), Failure> {
        let mut text = printable(text.as_ref());
        text.push('\n');
        write_out(&text)
    }

    /// Data, as a piece of a line, at once.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn piece(self, text: impl AsRef<str>) -> Result<(), Failure> {
        write_out(&printable(text.as_ref()))
    }

    /// Data, as one JSON document.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        write_out(&text)
    }

    /// What was done, for a person: stderr, silent with `--quiet`.
    pub fn note(self, text: impl AsRef<str>) {
        if !self.quiet {
            complain(&format!("{}\n", printable(text.as_ref())));
        }
    }

    /// A line for someone who watches: only on a terminal.
    pub fn greet(self, text: impl AsRef<str>) {
        if io::stderr().is_terminal() {
            self.note(text);
        }
    }

    /// Something that needs a look, but not the end of the command.
    pub fn warn(self, text: impl AsRef<str>) {
        complain(&format!("warning: {}\n", printable(text.as_ref())));
    }

    /// A progress bar on stderr; hidden when that is no terminal.
    #[must_use]
    pub fn progress(self, length: u64, what: &'static str) -> ProgressBar {
        let bar = if self.quiet || !io::stderr().is_terminal() {
            ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden())
        } else {
            ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr())
        };
        let template = "{msg} [{bar:32}] {human_pos}/{human_len} {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        bar
    }
}

/// Writes to stderr; when that is closed there is nobody to tell.
pub fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn write_out(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::reader_gone()),
        Err(error) => Err(Failure::from(error).during("cannot write to stdout")),
    }
}

/// `text` without what would steer a terminal: control characters and overrides of the writing direction become escapes.
#[must_use]
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Rows with aligned columns, two spaces apart; the first row is the heading.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.trim_end_matches('\n').to_owned()
}

/// Bytes for a person.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "one decimal place is shown")]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A duration for a person.
#[must_use]
pub fn duration(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.0} min", seconds / 60.0),
    }
}

/// `1 document`, `2 documents`, `2 queries`.
#[must_use]
pub fn count(number: usize, thing: &str) -> String {
    match thing.strip_suffix('y') {
        _ if number == 1 => format!("{number} {thing}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, printable, table};

    #[test]
    fn escape_sequences_in_a_document_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\td"), "a\\u{1b}[2Jb\nc\td");
        assert_eq!(printable("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(printable("日本語 שלום 🙂"), "日本語 שלום 🙂");
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let rows = [
            vec!["ID".to_owned(), "NAME".to_owned()],
            vec!["a".to_owned(), "é".to_owned()],
            vec!["long".to_owned(), "b".to_owned()],
        ];
        assert_eq!(table(&rows), "ID    NAME\na     é\nlong  b");
    }

    #[test]
    fn sizes_are_read_easily() {
        assert_eq!(bytes(12), "12 bytes");
        assert_eq!(bytes(1536), "1.5 KB");
        assert_eq!(bytes(48 << 20), "48.0 MB");
    }
}
