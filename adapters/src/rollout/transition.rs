//! One change of state, with why, by whom, and on what evidence.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::State;

/// Who acts when nobody asked.
pub(crate) const ITSELF: &str = "quoin";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Verify,
    Evaluate,
    Shadow,
    /// To the first step, or the next.
    Advance,
    Bake,
    Promote,
    Pause,
    Resume,
    Abort,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Evaluate => "evaluate",
            Self::Shadow => "shadow",
            Self::Advance => "advance",
            Self::Bake => "bake",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    pub action: Action,
    pub from: State,
    pub to: State,
    /// The canary's share from now on.
    pub weight_basis_points: u16,
    pub reason: String,
    pub evidence: Value,
    /// Who asked for it, or `quoin`.
    pub actor: String,
    pub at_ms: i64,
}

/// Six significant digits, at most 1e15: what every JSON reader reads back as the number that was written. Readers differ in
/// the last digit of longer ones, and a digest over them would differ too.
pub(crate) fn rounded(number: f64) -> f64 {
    const LARGEST: f64 = 1e15;
    const SMALLEST: f64 = 1e-9;
    if number.is_nan() || number.abs() < SMALLEST {
        return 0.0;
    }
    let number = number.clamp(-LARGEST, LARGEST);
    format!("{number:.5e}").parse().unwrap_or(number)
}

/// The same value with every number that is not whole rounded.
pub(crate) fn rounded_value(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            Value::from(rounded(number.as_f64().unwrap_or_default()))
        }
        Value::Array(items) => items.into_iter().map(rounded_value).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, rounded_value(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_kept_and_extremes_are_cut_off() {
        for (number, expected) in [
            (1.0 / 3.0, 0.333_333),
            (123_456_789.0, 123_457_000.0),
            (f64::INFINITY, 1e15),
            (1e300, 1e15),
            (1e-300, 0.0),
            (f64::NAN, 0.0),
            (-2.5, -2.5),
        ] {
            let off = (rounded(number) - expected).abs();
            assert!(off < 1e-12, "{number}: {}", rounded(number));
        }
    }

    #[test]
    fn the_name_of_an_action_is_the_one_it_is_stored_under() {
        for action in [Action::Verify, Action::Advance, Action::Abort, Action::Bake] {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
    }
}
