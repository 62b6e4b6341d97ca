//! From lines of print to headings, paragraphs, items and rows.

use super::page::Line;

/// Print this much larger than the body's is a heading.
const LARGER: f64 = 1.18;
/// Longest heading, bytes.
const MAX_HEADING_BYTES: usize = 200;
/// Lines further apart than this, in sizes of the print, are not of one paragraph.
const LEADING: f64 = 1.75;

/// What lines make up.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Heading(u8, String),
    Paragraph(String),
    Item(String),
    Row(Vec<String>),
}

/// The size in which most characters are printed, points.
pub(super) fn body_size(pages: &[(u32, Vec<Line>)]) -> f64 {
    let mut sizes: Vec<(f64, usize)> = pages
        .iter()
        .flat_map(|(_, lines)| lines)
        .map(|line| (line.size, line.words().len()))
        .collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The median, by characters: robust against any share of headings and footnotes below a half.
    let half: usize = sizes.iter().map(|(_, count)| count).sum::<usize>() / 2;
    let mut passed = 0;
    for (size, count) in &sizes {
        passed += count;
        if passed > half {
            return *size;
        }
    }
    0.0
}

/// The parts of one page.
pub(super) fn parts(lines: &[Line], body: f64) -> Vec<Part> {
    let widest = lines.iter().map(Line::right).fold(0.0, f64::max);
    let mut parts: Vec<Part> = Vec::new();
    let mut before: Option<&Line> = None;
    for line in lines {
        let words = line.words();
        let continues = before.is_some_and(|before| continues(before, line, widest));
        before = Some(line);
        if line.cells.len() > 1 && !is_marker(line.cells[0].words.trim()) {
            let cells = line.cells.iter().map(|cell| cell.words.trim().to_owned());
            parts.push(Part::Row(cells.collect()));
            continue;
        }
        if let Some(level) = heading_level(line, body, &words) {
            match parts.last_mut() {
                Some(Part::Heading(same, above)) if continues && *same == level => {
                    join(above, &words);
                }
                _ => parts.push(Part::Heading(level, words)),
            }
            continue;
        }
        if let Some(item) = item(&words) {
            parts.push(Part::Item(item.to_owned()));
            continue;
        }
        match parts.last_mut() {
            Some(Part::Paragraph(above) | Part::Item(above)) if continues => join(above, &words),
            _ => parts.push(Part::Paragraph(words)),
        }
    }
    parts
}

/// Whether a line goes on with the paragraph of the one before.
fn continues(before: &Line, line: &Line, widest: f64) -> bool {
    let size = before.size.max(line.size);
    let down = before.baseline - line.baseline;
    if down <= 0.0 || down > LEADING * size || (before.size - line.size).abs() > 0.12 * size {
        return false;
    }
    // A line that ends early with a full stop ends its paragraph where the next is indented.
    let indented = line.left() > before.left() + size;
    let short = before.right() < widest - 0.25 * (widest - before.left());
    let ends = before.words().ends_with(['.', ':', '!', '?', ';']);
    !(indented && (ends || short) || short && ends)
}

fn heading_level(line: &Line, body: f64, words: &str) -> Option<u8> {
    let larger = line.size / body;
    let short = words.len() <= MAX_HEADING_BYTES;
    let says = words.chars().filter(|one| one.is_alphabetic()).count() > 1;
    if body <= 0.0 || larger < LARGER || !short || !says {
        return None;
    }
    Some(match larger {
        1.8.. => 1,
        1.4.. => 2,
        _ => 3,
    })
}

fn is_marker(words: &str) -> bool {
    matches!(
        words,
        "•" | "●" | "▪" | "■" | "◦" | "○" | "–" | "—" | "-" | "*" | "·" | "‣" | "\u{f0b7}"
    ) || words.len() <= 5
        && words.ends_with(['.', ')'])
        && words.starts_with(|one: char| one == '(' || one.is_alphanumeric())
}

/// What follows the sign of an item.
fn item(words: &str) -> Option<&str> {
    let (first, rest) = words.split_once(' ')?;
    let sign =
        is_marker(first) && !first.starts_with(char::is_alphanumeric) && !first.starts_with('(');
    sign.then(|| rest.trim_start())
}

/// Appends a line; a word that was cut at the end of the one before is made whole. Between a small letter and another one the hyphen
/// is taken for that of the cut, elsewhere (`X-ray`, `Anti-Fouling`, `ERR-4012`) for one of the word.
fn join(above: &mut String, words: &str) {
    let stem = above.strip_suffix('-').unwrap_or_default();
    if !stem.ends_with(char::is_alphanumeric) || !words.starts_with(char::is_alphanumeric) {
        above.push(' ');
    } else if stem.ends_with(char::is_lowercase) && words.starts_with(char::is_lowercase) {
        above.pop();
    }
    above.push_str(words);
}

#[cfg(test)]
mod tests {
    use super::super::page::Cell;
    use super::*;

    fn line(words: &str, left: f64, right: f64, baseline: f64, size: f64) -> Line {
        Line {
            cells: vec![Cell {
                words: words.to_owned(),
                left,
                right,
            }],
            baseline,
            size,
            direction: (1.0, 0.0),
        }
    }

    #[test]
    fn lines_become_paragraphs_and_cut_words_are_whole() {
        let lines = [
            line("Title", 50.0, 100.0, 800.0, 20.0),
            line("The pump is main-", 50.0, 500.0, 770.0, 10.0),
            line("tained every year, for an ERR-", 50.0, 500.0, 758.0, 10.0),
            line("4012 may follow.", 50.0, 300.0, 746.0, 10.0),
            line("Another paragraph.", 50.0, 480.0, 718.0, 10.0),
            line("• an item", 50.0, 200.0, 706.0, 10.0),
        ];
        assert_eq!(
            parts(&lines, 10.0),
            [
                Part::Heading(1, "Title".into()),
                Part::Paragraph(
                    "The pump is maintained every year, for an ERR-4012 may follow.".into()
                ),
                Part::Paragraph("Another paragraph.".into()),
                Part::Item("an item".into()),
            ]
        );
    }
}
