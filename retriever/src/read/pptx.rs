//! `PowerPoint`: each slide a page with its title as heading, its texts and tables, then its speaker notes.

use super::container::Container;
use super::docx::{title, write_table};
use super::structure::Structure;
use super::warnings::Warnings;
use super::xml::{Node, Tag, Xml};
use super::{Budget, ReadDocument};
use crate::RetrieverError;
use crate::settings::Limits;

const FORMAT: &str = "pptx";

pub(super) fn read(
    bytes: &[u8],
    limits: &Limits,
    budget: &Budget,
) -> Result<ReadDocument, RetrieverError> {
    let mut container = Container::open(bytes, FORMAT, limits)?;
    let slides = slides(&mut container, budget)?;
    if slides.len() > limits.pages {
        return Err(RetrieverError::TooLarge {
            what: "a presentation",
            limit: limits.pages as u64,
            got: slides.len() as u64,
            unit: "slides",
        });
    }
    let mut structure = Structure::new(budget);
    let mut warnings = Warnings::default();
    for (number, path) in (1..).zip(&slides) {
        let before = structure.len();
        structure.page(number);
        let Some(slide) = container.text(path)? else {
            warnings.add(format!("slide {number} is missing in the file"));
            continue;
        };
        Shapes::new(false).read(&slide, &mut structure, budget)?;
        if structure.len() == before {
            warnings.add(format!("slide {number} has no text (an image?)"));
        }
        let notes = relations(&mut container, path, budget)?;
        let notes = notes
            .into_iter()
            .find(|one| one.kind.ends_with("/notesSlide"));
        if let Some(notes) = notes
            && let Some(notes) = container.text(&notes.target)?
        {
            Shapes::new(true).read(&notes, &mut structure, budget)?;
        }
    }
    let title = title(&mut container, FORMAT, budget)?;
    Ok(structure.finish(title, warnings.into_lines()))
}

struct Relation {
    id: String,
    kind: String,
    /// A path in the zip.
    target: String,
}

/// The slides' paths, in the order in which they are shown.
fn slides(container: &mut Container<'_>, budget: &Budget) -> Result<Vec<String>, RetrieverError> {
    const MAIN: &str = "ppt/presentation.xml";
    let main = container.text(MAIN)?.ok_or(RetrieverError::Unreadable {
        format: FORMAT,
        problem: format!("there is no `{MAIN}` in it"),
    })?;
    let relations = relations(container, MAIN, budget)?;
    let mut slides = Vec::new();
    let mut xml = Xml::new(&main, FORMAT, budget);
    while let Some(node) = xml.next()? {
        if let Node::Open(tag) = node
            && tag.name == "sldId"
            && let Some(id) = tag.get("r:id")
            && let Some(relation) = relations.iter().find(|one| one.id == id)
        {
            slides.push(relation.target.clone());
        }
    }
    Ok(slides)
}

/// What a part refers to.
fn relations(
    container: &mut Container<'_>,
    path: &str,
    budget: &Budget,
) -> Result<Vec<Relation>, RetrieverError> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some(text) = container.text(&format!("{folder}/_rels/{name}.rels"))? else {
        return Ok(Vec::new());
    };
    let mut relations = Vec::new();
    let mut xml = Xml::new(&text, FORMAT, budget);
    while let Some(node) = xml.next()? {
        if let Node::Open(tag) = node
            && tag.name == "Relationship"
            && let (Some(id), Some(target)) = (tag.get("Id"), tag.get("Target"))
        {
            relations.push(Relation {
                id: id.to_owned(),
                kind: tag.get("Type").unwrap_or_default().to_owned(),
                target: resolve(folder, target),
            });
        }
    }
    Ok(relations)
}

fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What a shape is for.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Title,
    Body,
    Text,
    /// Date, footer and number.
    Furniture,
}

/// The state between two nodes of a slide, or of its notes.
struct Shapes {
    notes: bool,
    role: Role,
    words: String,
    depth: usize,
    in_text: bool,
    rows: Option<Vec<Vec<String>>>,
    fallback: usize,
}

impl Shapes {
    fn new(notes: bool) -> Self {
        Self {
            notes,
            role: Role::Text,
            words: String::new(),
            depth: 0,
            in_text: false,
            rows: None,
            fallback: 0,
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
                Node::Open(tag) if self.fallback > 0 || tag.name == "Fallback" => {
                    self.fallback += 1;
                }
                Node::Close(_) if self.fallback > 0 => self.fallback -= 1,
                Node::Open(tag) => self.open(&tag),
                Node::Close(name) => self.close(&name, structure)?,
                Node::Text(text) if self.in_text && self.fallback == 0 => {
                    self.words.push_str(&text);
                }
                Node::Text(_) => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, tag: &Tag) {
        match tag.name.as_str() {
            "sp" => self.role = Role::Text,
            "ph" => {
                self.role = match tag.get("type") {
                    Some("title" | "ctrTitle") => Role::Title,
                    Some("dt" | "ftr" | "sldNum" | "hdr" | "sldImg") => Role::Furniture,
                    Some("body" | "obj") | None => Role::Body,
                    Some(_) => Role::Text,
                };
            }
            "p" => {
                self.words.clear();
                self.depth = 0;
            }
            "pPr" => {
                let depth = tag.get("lvl").and_then(|depth| depth.parse().ok());
                self.depth = depth.unwrap_or(0);
            }
            "t" => self.in_text = true,
            "br" => self.words.push('\n'),
            "tbl" => self.rows = Some(Vec::new()),
            "tr" => {
                if let Some(rows) = &mut self.rows {
                    rows.push(Vec::new());
                }
            }
            "tc" => {
                if let Some(row) = self.rows.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(String::new());
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str, structure: &mut Structure<'_>) -> Result<(), RetrieverError> {
        match name {
            "t" => self.in_text = false,
            "p" => return self.end_paragraph(structure),
            "sp" => self.role = Role::Text,
            "tbl" => {
                if let Some(rows) = self.rows.take() {
                    return write_table(&rows, false, structure);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self, structure: &mut Structure<'_>) -> Result<(), RetrieverError> {
        let words = std::mem::take(&mut self.words);
        if let Some(rows) = &mut self.rows {
            if let Some(cell) = rows.last_mut().and_then(|row| row.last_mut()) {
                cell.push(' ');
                cell.push_str(&words);
            }
            return Ok(());
        }
        match self.role {
            Role::Furniture => Ok(()),
            Role::Body | Role::Text if self.notes => structure.paragraph(&words),
            Role::Title => structure.heading(1, &words),
            Role::Body => structure.item(self.depth, &words),
            Role::Text => structure.paragraph(&words),
        }
    }
}
