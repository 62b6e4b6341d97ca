//! Numbers: how large they may get, and how many digits a fraction may have.

use serde_json::{Map, Value, json};

use super::Bounds;

/// Largest magnitude of a number that the schema leaves open: exact as a double, and short.
pub(super) const LIMIT: i64 = 999_999_999_999;
/// The step between two fractions.
const FINE: f64 = 0.000_001;
/// The step where fractions are to be avoided and cannot be.
const COARSE: f64 = 0.001;

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
        let least = high.map_or(-limit, |high| (-limit).min(high - limit));
        fields.insert("minimum".to_owned(), json!(least));
    }
    if high.is_none() {
        let most = low.map_or(limit, |low| limit.max(low + limit));
        fields.insert("maximum".to_owned(), json!(most));
    }
}

fn may_have_a_fraction(fields: &Map<String, Value>) -> bool {
    match fields.get("type") {
        Some(Value::Array(names)) => names.contains(&json!("number")),
        name => name == Some(&json!("number")),
    }
}

/// The step, or a smaller one where the range is narrower than a hundred of them.
fn step(wanted: f64, low: Option<f64>, high: Option<f64>) -> f64 {
    let mut step = wanted;
    if let (Some(low), Some(high)) = (low, high) {
        while step * 100.0 > high - low && step > 1e-12 {
            step /= 10.0;
        }
    }
    step
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
