//! Numbers: how large they may get, and how many digits a fraction may have.

use serde_json::{Map, Value, json};

use super::Bounds;

/// Largest magnitude of a number that the schema leaves open: exact as a double, and short.
pub(super) const LIMIT: i64 = 999_999_999_999;
/// Digits of a fraction.
const FINE: i32 = 6;
/// Digits where fractions are to be avoided and cannot be.
const COARSE: i32 = 3;

/// Bounds a number.
pub(super) fn bound(fields: &mut Map<String, Value>, bounds: Bounds) {
    let low = number(fields, &["minimum", "exclusiveMinimum"]);
    let high = number(fields, &["maximum", "exclusiveMaximum"]);
    if may_have_a_fraction(fields) && !fields.contains_key("multipleOf") {
        if bounds.fractions {
            fields.insert("multipleOf".to_owned(), json!(step(FINE, low, high)));
        } else if holds_a_whole_number(low, high) {
            fields.insert("multipleOf".to_owned(), json!(1));
        } else {
            fields.insert("multipleOf".to_owned(), json!(step(COARSE, low, high)));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "the limit is far below 2^53")]
    let limit = LIMIT as f64;
    if low.is_none() {
        let least = high.filter(|high| *high <= -limit);
        let least = least.map_or(json!(-LIMIT), |high| json!(high - limit));
        fields.insert("minimum".to_owned(), least);
    }
    if high.is_none() {
        let most = low.filter(|low| *low >= limit);
        let most = most.map_or(json!(LIMIT), |low| json!(low + limit));
        fields.insert("maximum".to_owned(), most);
    }
}

fn may_have_a_fraction(fields: &Map<String, Value>) -> bool {
    match fields.get("type") {
        Some(Value::Array(names)) => names.contains(&json!("number")),
        name => name == Some(&json!("number")),
    }
}

/// Ten to the power of minus this many digits, or of more where the range is narrower than a hundred such steps.
fn step(mut digits: i32, low: Option<f64>, high: Option<f64>) -> f64 {
    if let (Some(low), Some(high)) = (low, high) {
        while 10_f64.powi(2 - digits) > high - low && digits < 12 {
            digits += 1;
        }
    }
    // Not by `powi`: its 1e-7 is not the double that is written 1e-7, and llguidance reads every digit.
    format!("1e-{digits}").parse().unwrap_or(1.0)
}

/// Whether a whole number lies strictly between the bounds.
fn holds_a_whole_number(low: Option<f64>, high: Option<f64>) -> bool {
    match (low, high) {
        (Some(low), Some(high)) => low.floor() + 1.0 < high,
        _ => true,
    }
}

fn number(fields: &Map<String, Value>, keys: &[&str]) -> Option<f64> {
    keys.iter()
        .find_map(|key| fields.get(*key))
        .and_then(Value::as_f64)
}
