//! What a reader could not read of a document that it read otherwise: few lines, each short.

/// Lines that are kept.
const MAX_LINES: usize = 50;
/// Longest line, bytes.
const MAX_BYTES: usize = 300;

/// Collects lines; those over the limit are counted.
#[derive(Default)]
pub(super) struct Warnings {
    lines: Vec<String>,
    more: usize,
}

impl Warnings {
    pub(super) fn add(&mut self, line: impl Into<String>) {
        if self.lines.len() >= MAX_LINES {
            self.more += 1;
            return;
        }
        let mut line: String = line.into();
        line.retain(|character| !character.is_control());
        line.truncate(line.floor_char_boundary(MAX_BYTES));
        self.lines.push(line);
    }

    pub(super) fn into_lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("{} more of these", self.more));
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_and_long_warnings_are_cut() {
        let mut warnings = Warnings::default();
        for _ in 0..60 {
            warnings.add("ü\n".repeat(500));
        }
        let lines = warnings.into_lines();
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert_eq!(lines[0], "ü".repeat(150));
        assert_eq!(lines[MAX_LINES], "10 more of these");
    }
}
