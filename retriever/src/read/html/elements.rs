//! What the elements of a page mean for its text.

use html5ever::tokenizer::Tag;
use html5ever::tokenizer::states::RawKind;

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
    SKIPPED.contains(&&*tag.name) || is_hidden(tag)
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

/// The way to a page, as exports of wikis name it.
fn is_trail(name: &str) -> bool {
    matches!(name, "breadcrumb" | "breadcrumbs" | "breadcrumb-section")
}

fn is_hidden(tag: &Tag) -> bool {
    tag.attrs.iter().take(32).any(|attribute| {
        let value = &*attribute.value;
        match &*attribute.name.local {
            "hidden" => true,
            "aria-hidden" => value == "true",
            "id" | "class" => value.split_ascii_whitespace().take(8).any(is_trail),
            "role" => matches!(value, "navigation" | "search" | "contentinfo"),
            _ => false,
        }
    })
}
