//! What the views share: files; and those of comparisons and gates, pages and numbers.

use std::fs;
use std::path::Path;

use crate::error::EvalError;
use crate::report::{STYLE, escape};

const MORE_STYLE: &str = "\
body { max-width: 70rem; }
td, th { vertical-align: top; }
.worse { color: #b3261e; } .better { color: #19703b; } .open { color: #8a5a00; }
@media (prefers-color-scheme: dark) { .worse { color: #ff8a80; } .better { color: #7bd99b; } .open { color: #ffcb6b; } }
svg { display: block; } svg line, svg circle { stroke: currentColor; } svg circle { fill: currentColor; } .zero { opacity: .35; }
.flip { border: 1px solid var(--line); border-radius: 6px; padding: .3rem 1rem 1rem; margin: 1rem 0; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.sides > div { overflow-wrap: anywhere; white-space: pre-wrap; min-width: 0; }
blockquote { margin: .4rem 0; padding-left: .7rem; border-left: 3px solid var(--line); font-size: .9rem; }
.wide td { text-align: left; }
@media (max-width: 40rem) { .sides { grid-template-columns: 1fr; } }
";

/// One page without scripts or network. The body must be escaped already.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{MORE_STYLE}</style>\n<h1>{title}</h1>\n{body}</html>\n"
    )
}

/// Text of others inside a Markdown table or line: no markup of theirs, no line breaks.
pub(crate) fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => escaped.push(' '),
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '!' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Four decimals for shares, fewer for large values.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.4}")
    }
}

/// With its sign.
pub(crate) fn signed(value: f64) -> String {
    let text = number(value);
    if value > 0.0 {
        format!("+{text}")
    } else {
        text
    }
}

/// Writes the files into the folder, which is made if need be.
pub(crate) fn write_all(folder: &Path, files: &[(&str, String)]) -> Result<(), EvalError> {
    fs::create_dir_all(folder).map_err(EvalError::io("create", folder))?;
    for (name, content) in files {
        let path = folder.join(name);
        fs::write(&path, content).map_err(EvalError::io("write", &path))?;
    }
    Ok(())
}
