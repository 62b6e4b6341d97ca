//! The characters of one page as they are drawn, gathered into lines: by where they stand, not by what the file says about words.

use pdf_extract::{MediaBox, OutputDev, OutputError, Transform};

use super::super::Budget;
use crate::RetrieverError;

/// A gap of this share of the print's size is a space.
const SPACE: f64 = 0.18;
/// And of this one ends a cell of a table.
const COLUMN: f64 = 1.6;
/// Text whose direction differs by more than this is another line.
const TURNED: f64 = 0.05;
/// Characters of one page; a page that draws more is no page.
const MAX_CHARACTERS: usize = 2_000_000;

/// Words that stand together on a line.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub words: String,
    pub left: f64,
    pub right: f64,
}

impl Cell {
    fn new(words: &str, place: &Place) -> Self {
        Self {
            words: words.to_owned(),
            left: place.left,
            right: place.right,
        }
    }
}

/// What stands on one baseline.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub cells: Vec<Cell>,
    /// Height of the baseline above the foot of the page, points; for text that is not level, of the page turned until it is.
    pub baseline: f64,
    /// Size of the print, points.
    pub size: f64,
    /// Which way it runs: the cosine and the sine of its angle to the foot of the page.
    pub direction: (f64, f64),
}

/// Where a character stands, on the page turned so that it is level.
#[derive(Clone, Copy)]
struct Place {
    left: f64,
    right: f64,
    baseline: f64,
    size: f64,
    direction: (f64, f64),
}

impl Place {
    /// `None` where the file gives no numbers.
    fn of(matrix: &Transform, width: f64, font_size: f64) -> Option<Self> {
        let length = matrix.m11.hypot(matrix.m12);
        let size = (matrix.m21.hypot(matrix.m22) * font_size).abs();
        let (across, up) = (matrix.m11 / length, matrix.m12 / length);
        let left = matrix.m31 * across + matrix.m32 * up;
        let baseline = matrix.m32 * across - matrix.m31 * up;
        let right = left + width * length * font_size;
        let finite = [left, right, baseline, size].iter().all(|x| x.is_finite());
        finite.then_some(Self {
            left,
            right,
            baseline,
            size,
            direction: (across, up),
        })
    }

    /// Whether it stands on a line, which superscripts do that are a little higher and smaller.
    fn is_on(&self, line: &Line) -> bool {
        let turned =
            (line.direction.0 - self.direction.0).hypot(line.direction.1 - self.direction.1);
        turned < TURNED && (line.baseline - self.baseline).abs() < 0.35 * line.size.max(self.size)
    }
}

impl Line {
    pub(super) fn words(&self) -> String {
        let words: Vec<&str> = self.cells.iter().map(|cell| cell.words.trim()).collect();
        words.join(" ")
    }

    pub(super) fn left(&self) -> f64 {
        self.cells.first().map_or(0.0, |cell| cell.left)
    }

    pub(super) fn right(&self) -> f64 {
        self.cells.last().map_or(0.0, |cell| cell.right)
    }
}

/// Takes what a page draws.
pub(super) struct PageOutput<'b> {
    lines: Vec<Line>,
    characters: usize,
    budget: &'b Budget,
    /// The limit that stopped it.
    pub exceeded: Option<RetrieverError>,
}

impl<'b> PageOutput<'b> {
    pub(super) fn new(budget: &'b Budget) -> Self {
        Self {
            lines: Vec::new(),
            characters: 0,
            budget,
            exceeded: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.words().trim().is_empty())
    }

    /// In the order in which they are drawn, which is that of reading; cells from left to right.
    pub(super) fn into_lines(self) -> Vec<Line> {
        let mut lines = self.lines;
        for line in &mut lines {
            line.cells.retain(|cell| !cell.words.trim().is_empty());
            line.cells.sort_by(|a, b| a.left.total_cmp(&b.left));
        }
        lines.retain(|line| !line.cells.is_empty());
        lines
    }

    fn within(&mut self) -> Result<(), OutputError> {
        self.characters += 1;
        let checked = if self.characters > MAX_CHARACTERS {
            Err(RetrieverError::TooLarge {
                what: "a page",
                limit: MAX_CHARACTERS as u64,
                got: self.characters as u64,
                unit: "characters",
            })
        } else if self.characters.is_multiple_of(1024) {
            self.budget.check_time()
        } else {
            Ok(())
        };
        checked.map_err(|error| {
            self.exceeded = Some(error);
            OutputError::FormatError(std::fmt::Error)
        })
    }

    fn add(&mut self, words: &str, place: &Place) {
        let line = self.lines.last_mut().filter(|line| place.is_on(line));
        let Some(line) = line else {
            return self.begin(words, place);
        };
        let Some(cell) = line.cells.last_mut() else {
            return;
        };
        let scale = line.size.max(place.size);
        let gap = place.left - cell.right;
        if gap > COLUMN * scale || gap < -scale {
            line.cells.push(Cell::new(words, place));
        } else {
            if gap > SPACE * scale && !cell.words.ends_with(' ') && words != " " {
                cell.words.push(' ');
            }
            if !(words == " " && cell.words.ends_with(' ')) {
                cell.words.push_str(words);
            }
            cell.right = cell.right.max(place.right);
        }
        if !words.trim().is_empty() {
            line.size = scale;
        }
    }

    fn begin(&mut self, words: &str, place: &Place) {
        self.lines.push(Line {
            cells: vec![Cell::new(words, place)],
            baseline: place.baseline,
            size: place.size,
            direction: place.direction,
        });
    }
}

impl OutputDev for PageOutput<'_> {
    fn begin_page(
        &mut self,
        _page: u32,
        _media: &MediaBox,
        _art: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(
        &mut self,
        place: &Transform,
        width: f64,
        _spacing: f64,
        font_size: f64,
        character: &str,
    ) -> Result<(), OutputError> {
        self.within()?;
        let Some(place) = Place::of(place, width, font_size) else {
            return Ok(());
        };
        let words: String = character
            .chars()
            .filter_map(|one| match one {
                '\u{ad}' | '\u{feff}' => None,
                one if one.is_whitespace() => Some(' '),
                one if one.is_control() => None,
                one => Some(one),
            })
            .collect();
        if !words.is_empty() {
            self.add(&words, &place);
        }
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}
