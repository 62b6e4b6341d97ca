//! Running heads and feet: the same line at the same edge of page after page, but for its numbers. The first of each stays, so that
//! nothing is lost; the others would cut paragraphs in two and be found for every page.

use std::collections::HashMap;

use super::page::Line;

/// Lines from the top and from the foot of a page that may be such.
const LINES: usize = 2;
/// A line is one when it stands on so many pages, and on half of all.
const PAGES: usize = 3;
/// Heights that differ by less are the same, points.
const HEIGHT: f64 = 4.0;
/// With more cells it is the head of a table.
const MAX_CELLS: usize = 3;

/// A line as it would be found again: which edge it is from, and its words without their numbers.
type Repeated = (bool, String);

/// Removes all but the first of each.
pub(super) fn remove_repeated(pages: &mut [(u32, Vec<Line>)]) {
    let mut seen: HashMap<Repeated, Vec<(usize, usize)>> = HashMap::new();
    for (page, (_, lines)) in pages.iter().enumerate() {
        for (from_top, place) in edges(lines) {
            let words = without_numbers(&lines[place].words());
            seen.entry((from_top, words))
                .or_default()
                .push((page, place));
        }
    }
    let least = PAGES.max(pages.len().div_ceil(2));
    let mut removed: Vec<(usize, usize)> = Vec::new();
    for places in seen.into_values() {
        let (first, line) = places[0];
        let height = pages[first].1[line].baseline;
        let same = places
            .into_iter()
            .filter(|(page, line)| (pages[*page].1[*line].baseline - height).abs() < HEIGHT);
        let same: Vec<(usize, usize)> = same.collect();
        if same.len() >= least {
            removed.extend(&same[1..]);
        }
    }
    // From the last on, so that the places of the others stay.
    removed.sort_unstable();
    removed.dedup();
    for (page, line) in removed.into_iter().rev() {
        pages[page].1.remove(line);
    }
}

/// The places of the highest and the lowest level lines of a page, and whether each is from the top.
fn edges(lines: &[Line]) -> Vec<(bool, usize)> {
    let level = |line: &Line| line.direction.0 > 0.99 && line.cells.len() <= MAX_CELLS;
    let mut places: Vec<usize> = (0..lines.len())
        .filter(|place| level(&lines[*place]))
        .collect();
    places.sort_by(|a, b| lines[*b].baseline.total_cmp(&lines[*a].baseline));
    let top = places.iter().take(LINES).map(|place| (true, *place));
    let foot = places.iter().rev().take(LINES).map(|place| (false, *place));
    top.chain(foot).collect()
}

/// Numbers differ from page to page.
fn without_numbers(words: &str) -> String {
    words
        .split(|one: char| one.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::page::Cell;
    use super::*;

    fn line(words: &str, baseline: f64) -> Line {
        let cell = Cell {
            words: words.to_owned(),
            left: 50.0,
            right: 300.0,
        };
        Line {
            cells: vec![cell],
            baseline,
            size: 10.0,
            direction: (1.0, 0.0),
        }
    }

    #[test]
    fn running_heads_and_feet_stay_once_and_text_stays() {
        let mut pages: Vec<(u32, Vec<Line>)> = (1..=5)
            .map(|page| {
                let lines = vec![
                    line("Pump manual", 800.0),
                    line(&format!("Page {page} of 5"), 30.0),
                    line(
                        &format!("Chapter {page}"),
                        if page == 1 {
                            760.0
                        } else {
                            700.0 - f64::from(page) * 20.0
                        },
                    ),
                    line("The same sentence in the middle.", 400.0),
                    line(&format!("Something else on {page}."), 380.0),
                    line("and more of it", 60.0 + f64::from(page) * 5.0),
                ];
                (page, lines)
            })
            .collect();
        remove_repeated(&mut pages);
        let kept: Vec<usize> = pages.iter().map(|(_, lines)| lines.len()).collect();
        assert_eq!(kept, [6, 4, 4, 4, 4]);
        assert_eq!(pages[3].1[0].words(), "Chapter 4");
    }

    #[test]
    fn two_pages_repeat_nothing() {
        let page = |number| (number, vec![line("Pump manual", 800.0)]);
        let mut pages = vec![page(1), page(2)];
        remove_repeated(&mut pages);
        assert!(pages.iter().all(|(_, lines)| lines.len() == 1));
    }
}
