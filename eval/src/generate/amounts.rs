//! Numbers with their units or currencies.

const UNITS: [&str; 25] = [
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "metre",
    "meter",
    "kilometre",
    "mile",
    "kg",
    "kilogram",
    "gram",
    "litre",
    "per cent",
    "percent",
    "working day",
    "business day",
    "calendar day",
    "employee",
    "person",
    "time",
    "character",
];
const NUMBERS: [&str; 12] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
];

/// Numbers with their units or currencies, in the order of the text.
pub(super) fn amounts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_number = rest.starts_with(|c: char| c.is_ascii_digit() || "$£€".contains(c));
        if let Some((amount, after)) = leading_amount(rest) {
            found.push(amount);
            rest = after;
        } else if is_number {
            // A bare number: which is meant cannot be told.
            found.push(rest.split(' ').next().unwrap_or("").to_owned());
        }
        rest = rest.split_once(' ').map_or("", |(_, after)| after);
    }
    found
}

/// `60 days`, `£250`, `EUR 10`, `three months`, with what comes after.
pub(super) fn leading_amount(text: &str) -> Option<(String, &str)> {
    let word = text.split(' ').next()?;
    let is_currency = matches!(word, "EUR" | "GBP" | "USD" | "JPY" | "NOK");
    let number = if is_currency {
        text[word.len()..].trim_start().split(' ').next()?
    } else {
        word
    };
    let number = number.trim_end_matches(',');
    if is_currency || number.starts_with(['$', '£', '€']) {
        let end = text.find(number)? + number.len();
        let is_value = is_numeric(number);
        let rest = &text[end..];
        let scale = [" million", " billion", " thousand"]
            .iter()
            .find(|scale| rest.starts_with(**scale));
        let end = end + scale.map_or(0, |scale| scale.len());
        return is_value.then(|| (text[..end].to_owned(), &text[end..]));
    }
    if !is_numeric(number) && !NUMBERS.contains(&number.to_lowercase().as_str()) {
        return None;
    }
    let after = text.get(number.len()..)?.strip_prefix(' ')?;
    let unit = UNITS
        .iter()
        .filter_map(|unit| {
            let tail = after.strip_prefix(unit)?;
            let tail_s = tail.strip_prefix('s').unwrap_or(tail);
            let is_whole = !tail_s.starts_with(char::is_alphanumeric);
            is_whole.then_some(after.len() - tail_s.len())
        })
        .max()?;
    let end = number.len() + 1 + unit;
    Some((text[..end].to_owned(), &text[end..]))
}

/// Digits with signs of money, share and grouping.
pub(super) fn is_numeric(text: &str) -> bool {
    text.chars().any(|character| character.is_ascii_digit())
        && text
            .chars()
            .all(|character| character.is_ascii_digit() || "$£€%.,()-–+ ".contains(character))
}
