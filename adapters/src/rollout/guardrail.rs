//! What is watched, and what one answer showed of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of event that may not become more frequent, or the split of the traffic itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guardrail {
    EngineError,
    SchemaFailure,
    QuoteFailure,
    Abstention,
    NegativeFeedback,
    /// An answer slower than the stable release's quantile, as it was frozen early in the rollout.
    Latency,
    /// Units reach the arms in other shares than were assigned: requests are lost or misrouted, and nothing else that is
    /// counted can be trusted.
    TrafficSplit,
}

impl Guardrail {
    /// Those that are events of an answer.
    pub(crate) const EVENTS: [Self; 6] = [
        Self::EngineError,
        Self::SchemaFailure,
        Self::QuoteFailure,
        Self::Abstention,
        Self::NegativeFeedback,
        Self::Latency,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EngineError => "engine_error",
            Self::SchemaFailure => "schema_failure",
            Self::QuoteFailure => "quote_failure",
            Self::Abstention => "abstention",
            Self::NegativeFeedback => "negative_feedback",
            Self::Latency => "latency",
            Self::TrafficSplit => "traffic_split",
        }
    }
}

impl fmt::Display for Guardrail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A set of guardrails, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Events(u16);

impl Events {
    pub fn add(&mut self, guardrail: Guardrail) {
        self.0 |= 1 << (guardrail as u16);
    }

    pub fn contains(self, guardrail: Guardrail) -> bool {
        self.0 & (1 << (guardrail as u16)) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Guardrail> {
        Guardrail::EVENTS
            .into_iter()
            .filter(move |guardrail| self.contains(*guardrail))
    }
}

impl FromIterator<Guardrail> for Events {
    fn from_iter<I: IntoIterator<Item = Guardrail>>(guardrails: I) -> Self {
        let mut events = Self::default();
        for guardrail in guardrails {
            events.add(guardrail);
        }
        events
    }
}

/// What one answer, or the failure to give one, showed.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate fact about one answer, and all of them may be true"
)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Observation {
    /// Also when another release answered in the end: the failure belongs to the arm that failed.
    pub engine_error: bool,
    pub schema_failure: bool,
    pub quote_failure: bool,
    pub abstained: bool,
    /// The answer showed what its caller may not read.
    pub access_violation: bool,
    /// Whole microseconds, because a number that is stored and read again has to be the same; see [`microseconds`].
    pub latency_us: Option<u64>,
}

impl Observation {
    pub(crate) fn events(&self, latency_limit_us: Option<u64>) -> Events {
        let slow = match (self.latency_us, latency_limit_us) {
            (Some(latency), Some(limit)) => latency > limit,
            _ => false,
        };
        [
            (self.engine_error, Guardrail::EngineError),
            (self.schema_failure, Guardrail::SchemaFailure),
            (self.quote_failure, Guardrail::QuoteFailure),
            (self.abstained, Guardrail::Abstention),
            (slow, Guardrail::Latency),
        ]
        .into_iter()
        .filter_map(|(happened, guardrail)| happened.then_some(guardrail))
        .collect()
    }
}

/// Milliseconds as whole microseconds; none for what is no duration: negative, infinite, not a number, over a day.
#[must_use]
pub fn microseconds(milliseconds: f64) -> Option<u64> {
    const DAY_MS: f64 = 86_400_000.0;
    if !(0.0..=DAY_MS).contains(&milliseconds) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the microseconds of a day"
    )]
    let whole = (milliseconds * 1_000.0).round() as u64;
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_duration_is_none() {
        for milliseconds in [f64::NAN, f64::INFINITY, -f64::INFINITY, -0.001, 1e300] {
            assert_eq!(microseconds(milliseconds), None, "{milliseconds}");
        }
        assert_eq!(microseconds(-0.0), Some(0));
        assert_eq!(microseconds(1.2345), Some(1_235));
    }

    #[test]
    fn the_name_of_a_guardrail_is_the_one_it_is_stored_under() {
        for guardrail in Guardrail::EVENTS
            .into_iter()
            .chain([Guardrail::TrafficSplit])
        {
            let stored = serde_json::to_value(guardrail).unwrap();
            assert_eq!(stored, guardrail.name());
        }
    }

    #[test]
    fn an_answer_is_slow_only_above_a_limit_that_is_known() {
        let observed = Observation {
            latency_us: Some(11),
            ..Observation::default()
        };
        assert!(observed.events(None).is_empty());
        assert!(observed.events(Some(11)).is_empty());
        assert!(observed.events(Some(10)).contains(Guardrail::Latency));
    }
}
