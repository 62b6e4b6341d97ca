//! Strings: how long they may get, and formats whose every value is one.

use serde_json::{Map, Value, json};

use super::Bounds;

/// The formats that llguidance decodes under. Others only annotate, as JSON Schema has it.
const ENFORCED: [&str; 9] = [
    "date",
    "time",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
];
/// Longest value of a format.
const FORMAT_CHARACTERS: u64 = 64;
/// Longest duration: more digits are no duration that a program can hold.
const DURATION_CHARACTERS: u64 = 12;
/// Longest address; a longer one is more than llguidance's lexer takes.
const URI_CHARACTERS: u64 = 200;
/// Longest match of a pattern of the caller's.
const PATTERN_CHARACTERS: u64 = 200;

/// Days that exist, in the years 1000 to 2999: llguidance's own date has a year 0 and a 29 February in every year.
const DATE: &str = concat!(
    "(?:[12][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])",
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))",
    "|(?:[12][0-9](?:0[48]|[2468][048]|[13579][26])|(?:12|16|20|24|28)00)-02-29)"
);
/// Without leap seconds, which most programs refuse.
const TIME: &str =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])";

/// Bounds a string.
pub(super) fn bound(fields: &mut Map<String, Value>, bounds: Bounds) {
    let format = fields
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if format != "uri" && !ENFORCED.contains(&format.as_str()) {
        fields.remove("format");
    }
    if !fields.contains_key("pattern")
        && let Some(pattern) = pattern_of(&format)
    {
        fields.remove("format");
        fields.insert("pattern".to_owned(), json!(pattern));
        return;
    }
    let most = match format.as_str() {
        "uri" => Some(URI_CHARACTERS),
        "duration" => Some(DURATION_CHARACTERS),
        _ if fields.contains_key("format") => Some(FORMAT_CHARACTERS),
        _ if fields.contains_key("pattern") => Some(PATTERN_CHARACTERS),
        _ => None,
    };
    let least = fields.get("minLength").and_then(Value::as_u64).unwrap_or(0);
    let asked = fields.get("maxLength").and_then(Value::as_u64);
    let longest = match (most, asked) {
        (None, Some(_)) => return,
        (None, None) => bounds.string_characters.max(least.saturating_add(16)),
        (Some(most), asked) => most
            .min(bounds.string_characters.max(FORMAT_CHARACTERS))
            .max(least)
            .min(asked.unwrap_or(u64::MAX)),
    };
    fields.insert("maxLength".to_owned(), json!(longest));
}

fn pattern_of(format: &str) -> Option<String> {
    match format {
        "date" => Some(format!("^{DATE}$")),
        "time" => Some(format!("^{TIME}$")),
        "date-time" => Some(format!("^{DATE}T{TIME}$")),
        _ => None,
    }
}
