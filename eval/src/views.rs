//! What all views share: files, pages, numbers, and text from outside that stays text.

use std::fs;
use std::path::Path;

use crate::error::EvalError;

const STYLE: &str = include_str!("views/page.css");

/// One page without scripts or network. The style is added to that of all pages; the body must be escaped already.
pub(crate) fn page(title: &str, style: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// What would turn the direction of the text around it.
fn turns(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// For text and attributes of HTML and XML; control characters, which XML cannot hold, are replaced, and marks of direction
/// left out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars().filter(|character| !turns(*character)) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Text of others inside a Markdown table or line: no markup of theirs, no line breaks, no marks of direction.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text
        .chars()
        .filter(|character| !turns(*character))
        .peekable();
    let mut follows_word = false;
    while let Some(character) = characters.next() {
        let is_within =
            follows_word && characters.peek().is_some_and(|next| next.is_alphanumeric());
        follows_word = character.is_alphanumeric();
        match character {
            // Within a word it is no markup: names of metrics stay as they are.
            '_' if is_within => plain.push('_'),
            '<' => plain.push_str("&lt;"),
            '&' => plain.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '!' | '~' => {
                plain.extend(['\\', character]);
            }
            control if control.is_control() || matches!(control, '\u{2028}' | '\u{2029}') => {
                plain.push(' ');
            }
            other => plain.push(other),
        }
    }
    plain
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

/// `p 0.0312`; below what four digits show, `p < 0.0001`.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.0001 {
        "p < 0.0001".to_owned()
    } else {
        format!("p {p:.4}")
    }
}

/// Milliseconds in the unit that a person reads: `0.42 ms`, `12.3 ms`, `1.50 s`.
pub(crate) fn duration(milliseconds: f64) -> String {
    match milliseconds {
        long if long >= 1_000.0 => format!("{:.2} s", long / 1_000.0),
        middle if middle >= 10.0 => format!("{middle:.1} ms"),
        short => format!("{short:.2} ms"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_markup_and_turns_nothing_round() {
        let hostile = "<a href='x'>\u{202e}b\u{1}\n|*[c](d)!";
        assert_eq!(
            escape(hostile),
            "&lt;a href=&#39;x&#39;&gt;b\u{fffd}\u{fffd}|*[c](d)!"
        );
        assert_eq!(plain(hostile), "&lt;a href='x'>b  \\|\\*\\[c\\](d)\\!");
        assert_eq!(plain("a_b _c_ __d"), "a_b \\_c\\_ \\_\\_d");
    }

    #[test]
    fn a_duration_is_read_in_its_unit() {
        assert_eq!(
            [0.424, 12.34, 1_500.0].map(duration),
            ["0.42 ms", "12.3 ms", "1.50 s"]
        );
    }
}
