//! Word: headings by style, paragraphs, lists, tables and footnotes. Headers, footers and deleted text are left out.

use std::collections::HashMap;

use super::container::Container;
use super::structure::Structure;
use super::xml::{Node, Tag, Xml};
use super::{Budget, ReadDocument};
use crate::RetrieverError;
use crate::settings::Limits;

const FORMAT: &str = "docx";
/// Elements that are left out with all that they hold.
const SKIPPED: [&str; 6] = [
    "del",
    "delText",
    "instrText",
    "Fallback",
    "pict",
    "moveFrom",
];

pub(super) fn read(
    bytes: &[u8],
    limits: &Limits,
    budget: &Budget,
) -> Result<ReadDocument, RetrieverError> {
    let mut container = Container::open(bytes, FORMAT, limits)?;
    let body = container
        .text("word/document.xml")?
        .ok_or(RetrieverError::Unreadable {
            format: FORMAT,
            problem: "there is no `word/document.xml` in it".to_owned(),
        })?;
    let styles = match container.text("word/styles.xml")? {
        Some(xml) => styles(&xml, budget)?,
        None => HashMap::new(),
    };
    let mut structure = Structure::new(budget);
    Body::new(&styles).read(&body, &mut structure, budget)?;
    if let Some(notes) = container.text("word/footnotes.xml")? {
        Body::new(&styles).read(&notes, &mut structure, budget)?;
    }
    let title = title(&mut container, FORMAT, budget)?;
    Ok(structure.finish(title, Vec::new()))
}

/// The title in an Office file's properties.
pub(super) fn title(
    container: &mut Container<'_>,
    format: &'static str,
    budget: &Budget,
) -> Result<Option<String>, RetrieverError> {
    let Some(properties) = container.text("docProps/core.xml")? else {
        return Ok(None);
    };
    let mut xml = Xml::new(&properties, format, budget);
    let (mut inside, mut title) = (false, String::new());
    while let Some(node) = xml.next()? {
        match node {
            Node::Open(tag) => inside = tag.name == "title",
            Node::Close(_) => inside = false,
            Node::Text(text) if inside => title.push_str(&text),
            Node::Text(_) => {}
        }
    }
    let title = title.trim().to_owned();
    // What python-docx and Word put where nobody wrote a title.
    let written = !title.is_empty() && !title.eq_ignore_ascii_case("PowerPoint Presentation");
    Ok(written.then_some(title))
}

/// What a paragraph is by its style.
#[derive(Clone, Copy, Default)]
struct Style {
    heading: Option<u8>,
    item: bool,
}

fn styles(xml: &str, budget: &Budget) -> Result<HashMap<String, Style>, RetrieverError> {
    let mut xml = Xml::new(xml, FORMAT, budget);
    let mut styles = HashMap::new();
    let mut open: Option<(String, Style)> = None;
    while let Some(node) = xml.next()? {
        match node {
            Node::Open(tag) if tag.name == "style" => {
                let id = tag.get("styleId").unwrap_or_default().to_owned();
                open = Some((id, Style::default()));
            }
            Node::Open(tag) => {
                let Some((_, style)) = &mut open else {
                    continue;
                };
                match tag.name.as_str() {
                    "name" => by_name(tag.get("val").unwrap_or_default(), style),
                    "outlineLvl" => style.heading = outline_level(&tag).or(style.heading),
                    "numPr" => style.item = true,
                    _ => {}
                }
            }
            Node::Close(name) if name == "style" => styles.extend(open.take()),
            _ => {}
        }
    }
    Ok(styles)
}

fn by_name(name: &str, style: &mut Style) {
    let name = name.to_ascii_lowercase();
    if name == "title" {
        style.heading = Some(1);
    } else if let Some(level) = name.strip_prefix("heading ") {
        style.heading = level.trim().parse().ok();
    } else if name.starts_with("list") {
        style.item = true;
    }
}

fn outline_level(tag: &Tag) -> Option<u8> {
    let level: u8 = tag.get("val")?.parse().ok()?;
    // 9 is body text.
    (level < 9).then_some(level + 1)
}

#[derive(Default)]
struct Paragraph {
    words: String,
    style: Style,
    depth: usize,
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
    head: bool,
}

/// The state between two nodes. Text boxes put paragraphs into paragraphs, tables into cells.
struct Body<'s> {
    styles: &'s HashMap<String, Style>,
    paragraphs: Vec<Paragraph>,
    tables: Vec<Table>,
    skipping: usize,
    in_text: bool,
    /// Footnotes that Word puts there itself.
    separator: bool,
}

impl<'s> Body<'s> {
    fn new(styles: &'s HashMap<String, Style>) -> Self {
        Self {
            styles,
            paragraphs: Vec::new(),
            tables: Vec::new(),
            skipping: 0,
            in_text: false,
            separator: false,
        }
    }

    fn read(
        mut self,
        xml: &str,
        structure: &mut Structure<'_>,
        budget: &Budget,
    ) -> Result<(), RetrieverError> {
        let mut xml = Xml::new(xml, FORMAT, budget);
        while let Some(node) = xml.next()? {
            match node {
                Node::Open(tag) if self.skipping > 0 || SKIPPED.contains(&&*tag.name) => {
                    self.skipping += 1;
                }
                Node::Close(_) if self.skipping > 0 => self.skipping -= 1,
                Node::Open(tag) => self.open(&tag),
                Node::Close(name) => self.close(&name, structure)?,
                Node::Text(text) if self.in_text && self.skipping == 0 => self.push(&text),
                Node::Text(_) => {}
            }
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        if let Some(paragraph) = self.paragraphs.last_mut() {
            paragraph.words.push_str(text);
        }
    }

    fn open(&mut self, tag: &Tag) {
        match tag.name.as_str() {
            "p" => self.paragraphs.push(Paragraph::default()),
            "t" => self.in_text = true,
            "tab" => self.push(" "),
            "br" | "cr" => self.push("\n"),
            "noBreakHyphen" => self.push("-"),
            "tbl" => self.tables.push(Table::default()),
            "tr" => {
                if let Some(table) = self.tables.last_mut() {
                    table.rows.push(Vec::new());
                }
            }
            "tblHeader" => {
                if let Some(table) = self.tables.last_mut() {
                    table.head |= table.rows.len() == 1;
                }
            }
            "tc" => {
                let row = self
                    .tables
                    .last_mut()
                    .and_then(|table| table.rows.last_mut());
                if let Some(row) = row {
                    row.push(String::new());
                }
            }
            "footnote" => self.separator = tag.get("type").is_some_and(|kind| kind != "normal"),
            _ => self.property(tag),
        }
    }

    /// What a paragraph says about itself.
    fn property(&mut self, tag: &Tag) {
        let styles = self.styles;
        let Some(paragraph) = self.paragraphs.last_mut() else {
            return;
        };
        match tag.name.as_str() {
            "pStyle" => {
                let id = tag.get("val").unwrap_or_default();
                paragraph.style = styles.get(id).copied().unwrap_or_default();
            }
            "outlineLvl" => {
                paragraph.style.heading = outline_level(tag).or(paragraph.style.heading);
            }
            "numPr" => paragraph.style.item = true,
            "ilvl" => {
                let depth = tag.get("val").and_then(|depth| depth.parse().ok());
                paragraph.depth = depth.unwrap_or(0);
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str, structure: &mut Structure<'_>) -> Result<(), RetrieverError> {
        match name {
            "t" => self.in_text = false,
            "p" => return self.end_paragraph(structure),
            "tbl" => return self.end_table(structure),
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self, structure: &mut Structure<'_>) -> Result<(), RetrieverError> {
        let Some(paragraph) = self.paragraphs.pop() else {
            return Ok(());
        };
        if self.separator {
            return Ok(());
        }
        let cell = self
            .tables
            .last_mut()
            .and_then(|table| table.rows.last_mut()?.last_mut());
        if let Some(cell) = cell {
            cell.push(' ');
            cell.push_str(&paragraph.words);
            return Ok(());
        }
        match paragraph.style {
            Style {
                heading: Some(level),
                ..
            } => structure.heading(level, &paragraph.words),
            Style { item: true, .. } => structure.item(paragraph.depth, &paragraph.words),
            Style { .. } => structure.paragraph(&paragraph.words),
        }
    }

    fn end_table(&mut self, structure: &mut Structure<'_>) -> Result<(), RetrieverError> {
        let Some(table) = self.tables.pop() else {
            return Ok(());
        };
        let outer = self
            .tables
            .last_mut()
            .and_then(|outer| outer.rows.last_mut()?.last_mut());
        if let Some(cell) = outer {
            // A table in a cell becomes words of it.
            for row in table.rows {
                cell.push(' ');
                cell.push_str(&row.join(" "));
            }
            return Ok(());
        }
        write_table(&table.rows, table.head, structure)
    }
}

/// Rows, the first as the head where it is marked or looks like one.
pub(super) fn write_table(
    rows: &[Vec<String>],
    marked: bool,
    structure: &mut Structure<'_>,
) -> Result<(), RetrieverError> {
    for (place, row) in rows.iter().enumerate() {
        let head = rows.len() > 1 && (marked || super::structure::is_head(row));
        if place == 0 && head {
            structure.table_head(row)?;
        } else {
            structure.table_row(row)?;
        }
    }
    Ok(())
}
