//! What the elements of a page mean for its text.

use html5ever::tokenizer::Tag;
use html5ever::tokenizer::states::RawKind;

use super::export::{is_byline, is_trail};

/// Elements that hold nothing a reader of the text wants.
const SKIPPED: [&str; 21] = [
    "script", "style", "noscript", "template", "svg", "math", "nav", "footer", "form", "button",
    "select", "iframe", "object", "noembed", "noframes", "head", "dialog", "audio", "video",
    "canvas", "aside",
];

/// Elements whose content is not markup.
pub(super) fn raw_text(tag: &Tag) -> Option<RawKind> {
    match &*tag.name {
        "script" => Some(RawKind::ScriptData),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => Some(RawKind::Rawtext),
        "title" | "textarea" => Some(RawKind::Rcdata),
        _ => None,
    }
}

/// Whether an element is left out with all that it holds.
pub(super) fn is_skipped(tag: &Tag) -> bool {
    SKIPPED.contains(&&*tag.name) || is_hidden(tag) || is_around(tag)
}

/// Elements that have no end.
pub(super) fn is_void(name: &str) -> bool {
    matches!(
        name,
        "br" | "hr" | "img" | "input" | "meta" | "link" | "wbr"
    )
}

/// Elements that start and end a block of their own.
pub(super) fn is_block(name: &str) -> bool {
    matches!(
        name,
        "p" | "div"
            | "section"
            | "article"
            | "header"
            | "blockquote"
            | "dl"
            | "dt"
            | "dd"
            | "figure"
            | "figcaption"
            | "address"
            | "details"
            | "summary"
            | "hr"
            | "body"
            | "html"
            | "fieldset"
            | "center"
            | "li"
            | "caption"
            | "thead"
            | "tbody"
            | "tfoot"
    )
}

/// Whether an element has one of these names as its id or among its classes.
pub(super) fn named(tag: &Tag, names: &[&str]) -> bool {
    tag.attrs.iter().take(32).any(|attribute| {
        let is_name = matches!(&*attribute.name.local, "id" | "class");
        let mut parts = attribute.value.split_ascii_whitespace().take(8);
        is_name && parts.any(|part| names.contains(&part))
    })
}

/// Lists of links: the way to the page, and the page's own table of contents; and who wrote it, which is no part of what it says.
fn is_around(tag: &Tag) -> bool {
    is_trail(tag) || is_byline(tag) || named(tag, &["toc-macro"])
}

fn is_hidden(tag: &Tag) -> bool {
    tag.attrs.iter().take(32).any(|attribute| {
        let value = &*attribute.value;
        match &*attribute.name.local {
            "hidden" => true,
            "aria-hidden" => value == "true",
            "role" => matches!(value, "navigation" | "search" | "contentinfo"),
            _ => false,
        }
    })
}
