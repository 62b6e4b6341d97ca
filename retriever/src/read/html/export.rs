//! What exports of wikis put around a page: the trail to it, who wrote it and when, and the space before its title.

use html5ever::tokenizer::Tag;
use serde_json::json;

use super::elements::named;
use crate::document::Metadata;

/// Pages above a page that are kept.
const MAX_TRAIL: usize = 16;
/// Longest name or line that is kept, bytes.
const MAX_BYTES: usize = 500;
/// Between the space and the title of a page.
const AFTER_SPACE: &str = " : ";
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The part that is being listened to while it is left out of the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Trail,
    Byline,
}

/// What has been heard so far.
#[derive(Default)]
pub(super) struct Export {
    part: Option<Part>,
    trail: Vec<String>,
    byline: String,
    /// Whether the page marks its content as these exports do.
    pub(super) is_marked: bool,
}

/// The way to a page.
pub(super) fn is_trail(tag: &Tag) -> bool {
    named(tag, &["breadcrumb", "breadcrumbs", "breadcrumb-section"])
}

/// Who wrote a page, and when.
pub(super) fn is_byline(tag: &Tag) -> bool {
    named(tag, &["page-metadata"])
}

/// The element that holds what the page says, and nothing that is put around it.
pub(super) fn is_content(tag: &Tag) -> bool {
    &*tag.name == "div" && named(tag, &["main-content", "DeltaPlaceHolderMain"])
}

impl Export {
    /// An element that is left out begins.
    pub(super) fn begin(&mut self, tag: &Tag) {
        // A trail may stand below the page once more.
        self.part = if is_trail(tag) && self.trail.is_empty() {
            Some(Part::Trail)
        } else {
            is_byline(tag).then_some(Part::Byline)
        };
    }

    pub(super) fn end(&mut self) {
        self.part = None;
    }

    /// A tag inside the element that is left out.
    pub(super) fn open(&mut self, name: &str) {
        let listening = self.part == Some(Part::Trail);
        if name == "li" && listening && self.trail.len() < MAX_TRAIL {
            self.trail.push(String::new());
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        let into = match self.part {
            Some(Part::Trail) => self.trail.last_mut(),
            Some(Part::Byline) => Some(&mut self.byline),
            None => None,
        };
        if let Some(into) = into
            && into.len() < MAX_BYTES
        {
            super::builder::push_collapsed(into, text);
        }
    }

    /// A title without the space that the page is in.
    pub(super) fn title<'t>(&self, title: &'t str) -> &'t str {
        let space = self.trail.first().map(|space| space.trim());
        let after_space = space
            .and_then(|space| title.strip_prefix(space))
            .and_then(|rest| rest.strip_prefix(AFTER_SPACE));
        let first = || {
            let marked = self.is_marked && !self.byline.is_empty();
            let (_, rest) = title.split_once(AFTER_SPACE)?;
            marked.then_some(rest)
        };
        after_space.or_else(first).unwrap_or(title).trim()
    }

    pub(super) fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::new();
        let trail = self.trail.iter().map(|name| name.trim());
        let trail: Vec<&str> = trail.filter(|name| !name.is_empty()).collect();
        if !trail.is_empty() {
            metadata.insert("breadcrumb".to_owned(), json!(trail));
        }
        let mut say = |key: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                metadata.insert(key.to_owned(), json!(value));
            }
        };
        let (author, editor, modified) = said(self.byline.trim());
        say("created_by", author);
        say("modified_by", editor);
        say("modified", modified);
        metadata
    }
}

/// Author, last editor and date of `Created by A, last modified by B on Jan 05, 2023`; what is written otherwise is none of them.
fn said(line: &str) -> (Option<String>, Option<String>, Option<String>) {
    let Some(rest) = line.strip_prefix("Created by ") else {
        return (None, None, None);
    };
    let (names, day) = match rest.rsplit_once(" on ") {
        Some((names, day)) => (names, date(day)),
        None => (rest, None),
    };
    let (author, edited) = match names.split_once(", last modified") {
        Some((author, edited)) => (author, edited),
        None => (names, ""),
    };
    let editor = edited.trim().strip_prefix("by ").map(str::trim);
    (
        Some(author.trim().to_owned()),
        editor.map(str::to_owned),
        day,
    )
}

/// `Jan 05, 2023` as `2023-01-05`.
fn date(text: &str) -> Option<String> {
    let (month, rest) = text.trim().split_once(' ')?;
    let (day, year) = rest.split_once(", ")?;
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    let (day, year): (u8, u16) = (day.parse().ok()?, year.trim().parse().ok()?);
    (1..=31)
        .contains(&day)
        .then(|| format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn the_line_of_authors_is_taken_apart() {
        let owned =
            |texts: [&str; 3]| texts.map(|text| Some(text.to_owned()).filter(|t| !t.is_empty()));
        for (line, want) in [
            (
                "Created by Ann Lee, last modified by Bob on Jan 05, 2023",
                ["Ann Lee", "Bob", "2023-01-05"],
            ),
            (
                "Created by Ann on Ice, last modified on Dec 31, 1999",
                ["Ann on Ice", "", "1999-12-31"],
            ),
            ("Created by Ann on 5. Januar", ["Ann", "", ""]),
            ("Erstellt von Ann", ["", "", ""]),
        ] {
            let (author, editor, modified) = said(line);
            assert_eq!([author, editor, modified], owned(want), "{line}");
        }
    }
}
