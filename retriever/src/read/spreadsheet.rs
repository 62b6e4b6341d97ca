//! Workbooks: each sheet under its name, each row a row of a table. Cells that are far apart cost nothing in between.

use std::io::Cursor;

use calamine::{Data, DataRef, ExcelDateTime, Ods, Reader as _, SheetVisible, Xls, Xlsx};

use super::container::Container;
use super::structure::{Structure, is_head};
use super::warnings::Warnings;
use super::{Budget, ReadDocument};
use crate::RetrieverError;
use crate::settings::Limits;

const FORMAT: &str = "spreadsheet";
/// Cells of one row; further ones are left out.
const MAX_COLUMNS: usize = 1024;
/// Cells between two looks at the clock.
const CELLS_UNTIMED: usize = 4096;

pub(super) fn read(
    bytes: &[u8],
    limits: &Limits,
    budget: &Budget,
) -> Result<ReadDocument, RetrieverError> {
    let mut sheets = Sheets {
        structure: Structure::new(budget),
        warnings: Warnings::default(),
        budget,
    };
    if bytes.starts_with(b"PK") {
        let mut container = Container::open(bytes, FORMAT, limits)?;
        container.check_all()?;
        if container.text("xl/workbook.xml")?.is_some() {
            sheets.xlsx(Xlsx::new(Cursor::new(bytes)).map_err(unreadable)?)?;
        } else {
            let mut book = Ods::new(Cursor::new(bytes)).map_err(unreadable)?;
            for (name, range) in book.worksheets() {
                sheets.range(&name, &range)?;
            }
        }
    } else {
        let mut book = Xls::new(Cursor::new(bytes)).map_err(unreadable)?;
        for (name, range) in book.worksheets() {
            sheets.range(&name, &range)?;
        }
    }
    Ok(sheets.structure.finish(None, sheets.warnings.into_lines()))
}

fn unreadable(error: impl std::fmt::Display) -> RetrieverError {
    RetrieverError::Unreadable {
        format: FORMAT,
        problem: error.to_string(),
    }
}

struct Sheets<'b> {
    structure: Structure<'b>,
    warnings: Warnings,
    budget: &'b Budget,
}

/// The row being filled.
#[derive(Default)]
struct Row {
    number: Option<u32>,
    cells: Vec<String>,
    rows: usize,
    cut: bool,
}

impl Sheets<'_> {
    /// Cell by cell: a sheet may have two cells a million rows apart.
    fn xlsx(&mut self, mut book: Xlsx<Cursor<&[u8]>>) -> Result<(), RetrieverError> {
        let visible = |sheet: &&calamine::Sheet| sheet.visible == SheetVisible::Visible;
        let shown = book.sheets_metadata().iter().filter(visible);
        let names: Vec<String> = shown.map(|sheet| sheet.name.clone()).collect();
        let hidden = book.sheets_metadata().len() - names.len();
        if hidden > 0 {
            self.warnings
                .add(format!("{hidden} hidden sheets were not read"));
        }
        for name in names {
            let mut cells = match book.worksheet_cells_reader(&name) {
                Ok(cells) => cells,
                Err(error) => {
                    self.warnings
                        .add(format!("sheet `{name}` was not read: {error}"));
                    continue;
                }
            };
            self.structure.heading(1, &name)?;
            let mut row = Row::default();
            let mut count: usize = 0;
            while let Some(cell) = cells.next_cell().map_err(unreadable)? {
                count += 1;
                if count.is_multiple_of(CELLS_UNTIMED) {
                    self.budget.check_time()?;
                }
                let (number, column) = cell.get_position();
                if row.number != Some(number) {
                    self.end_row(&mut row)?;
                    row.number = Some(number);
                }
                row.set(column as usize, shown_ref(cell.get_value()));
            }
            self.end_row(&mut row)?;
            self.note_cut(&name, &row);
        }
        Ok(())
    }

    fn range(&mut self, name: &str, range: &calamine::Range<Data>) -> Result<(), RetrieverError> {
        self.structure.heading(1, name)?;
        let mut row = Row::default();
        for cells in range.rows() {
            self.budget.check_time()?;
            for (column, cell) in cells.iter().enumerate() {
                row.set(column, shown(cell));
            }
            self.end_row(&mut row)?;
        }
        self.note_cut(name, &row);
        Ok(())
    }

    fn end_row(&mut self, row: &mut Row) -> Result<(), RetrieverError> {
        let cells = std::mem::take(&mut row.cells);
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            return Ok(());
        }
        row.rows += 1;
        if row.rows == 1 && is_head(&cells) {
            self.structure.table_head(&cells)
        } else {
            self.structure.table_row(&cells)
        }
    }

    fn note_cut(&mut self, name: &str, row: &Row) {
        if row.cut {
            self.warnings.add(format!(
                "sheet `{name}` has rows of more than {MAX_COLUMNS} columns; those beyond were not read"
            ));
        }
    }
}

impl Row {
    fn set(&mut self, column: usize, words: String) {
        if words.is_empty() {
            return;
        }
        if column >= MAX_COLUMNS {
            self.cut = true;
            return;
        }
        if self.cells.len() <= column {
            self.cells.resize(column + 1, String::new());
        }
        self.cells[column] = words;
    }
}

fn shown(cell: &Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(words) | Data::DateTimeIso(words) | Data::DurationIso(words) => words.clone(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => decimal(*number),
        Data::Bool(value) => value.to_string(),
        Data::DateTime(instant) => date(instant),
        Data::Error(error) => error.to_string(),
    }
}

fn shown_ref(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::SharedString(words) => (*words).to_owned(),
        cell => shown(&Data::from(cell.clone())),
    }
}

/// 15 digits, as workbooks show and store them.
fn decimal(number: f64) -> String {
    let rounded: f64 = format!("{number:.14e}").parse().unwrap_or(number);
    rounded.to_string()
}

fn date(instant: &ExcelDateTime) -> String {
    if instant.is_duration() {
        let hours = instant.as_f64() * 24.0;
        let minutes = (hours.fract() * 60.0).round().abs();
        return format!("{}:{minutes:02}", hours.trunc());
    }
    let (year, month, day, hour, minute, second, _) = instant.to_ymd_hms_milli();
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    if instant.as_f64() < 1.0 {
        return time;
    }
    if (hour, minute, second) == (0, 0, 0) {
        return format!("{year:04}-{month:02}-{day:02}");
    }
    format!("{year:04}-{month:02}-{day:02} {time}")
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_have_the_digits_that_were_typed() {
        assert_eq!(decimal(0.1 + 0.2), "0.3");
        assert_eq!(decimal(1_234_567.0), "1234567");
        assert_eq!(decimal(-2.5e-3), "-0.0025");
    }
}
