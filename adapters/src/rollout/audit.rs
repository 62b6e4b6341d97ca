//! The audit of rollouts: one line a transition, each holding the digest of the line before it.
//!
//! `digest` is that of the canonical JSON of everything else in the line, so a line that was changed is found by itself, also the
//! last one; `prev` is the digest of the line before, so a line that was removed or put in is found by the next. That lines are
//! missing at the end is found by whoever keeps the last digest elsewhere. Whoever can rewrite every line can forge
//! the chain: it shows damage and casual changes, and what differs from a digest that was noted elsewhere.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Rollout;
use super::error::RolloutError;
use super::state::Arm;
use super::transition::{Transition, rounded_value};
use crate::digest::{canonical, digest_of};

/// States and actions are texts, so that lines of an older version are read, and digested, as they were written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLine {
    /// From 1, over all rollouts that share the chain.
    pub seq: u64,
    /// UTC, RFC 3339, with milliseconds.
    pub ts: String,
    pub rollout: String,
    pub actor: String,
    pub action: String,
    pub from: String,
    pub to: String,
    /// The digest of the canary's release.
    pub release: String,
    /// The canary's share from then on, in basis points.
    pub weight: u16,
    pub reason: String,
    pub evidence: Value,
    /// The plan's digest.
    pub config_digest: String,
    /// The digest of the line before, or of nothing.
    pub prev: String,
    pub digest: String,
}

impl AuditLine {
    /// The line that follows `previous`, which is none for the first of a chain.
    #[must_use]
    pub fn after(previous: Option<&Self>, rollout: &Rollout, transition: &Transition) -> Self {
        let mut line = Self {
            seq: previous.map_or(1, |line| line.seq.saturating_add(1)),
            ts: time(transition.at_ms),
            rollout: rollout.id().to_owned(),
            actor: transition.actor.clone(),
            action: transition.action.name().to_owned(),
            from: transition.from.to_string(),
            to: transition.to.to_string(),
            release: rollout.side(Arm::Canary).release.clone(),
            weight: transition.weight_basis_points,
            reason: transition.reason.clone(),
            evidence: rounded_value(transition.evidence.clone()),
            config_digest: rollout.plan().digest(),
            prev: previous.map_or_else(beginning, |line| line.digest.clone()),
            digest: String::new(),
        };
        line.digest = line.content_digest();
        line
    }

    /// Whether a transition is the one that the line tells of.
    #[must_use]
    pub fn tells_of(&self, transition: &Transition) -> bool {
        self.ts == time(transition.at_ms)
            && self.action == transition.action.name()
            && self.from == transition.from.to_string()
            && self.to == transition.to.to_string()
            && self.weight == transition.weight_basis_points
            && self.actor == transition.actor
            && self.reason == transition.reason
            && self.evidence == rounded_value(transition.evidence.clone())
    }

    fn content_digest(&self) -> String {
        let mut content = json!(self);
        if let Some(fields) = content.as_object_mut() {
            fields.remove("digest");
        }
        digest_of(canonical(&content).as_bytes())
    }
}

/// What stands before the first line: the digest of no bytes.
fn beginning() -> String {
    digest_of(b"")
}

fn time(at_ms: i64) -> String {
    let edge = if at_ms > 0 {
        Timestamp::MAX
    } else {
        Timestamp::MIN
    };
    let time = Timestamp::from_millisecond(at_ms).unwrap_or(edge);
    format!("{time:.3}")
}

/// Checks a whole chain, from its first line. `last` is the digest of the last line, where it is kept elsewhere. The error names
/// the first line that is not what was written there.
pub fn verify_chain(lines: &[AuditLine], last: Option<&str>) -> Result<(), RolloutError> {
    let mut prev = beginning();
    for (position, line) in (1..).zip(lines) {
        let wrong = |reason: String| RolloutError::Chain {
            line: position,
            reason,
        };
        let digest = line.content_digest();
        if line.digest != digest {
            let reason = format!(
                "was changed: its digest is `{digest}`, it says `{}`",
                line.digest
            );
            return Err(wrong(reason));
        }
        if line.prev != prev || line.seq != position as u64 {
            let reason = format!(
                "does not follow the line before: something was removed or put in here (it says sequence {} after `{}`)",
                line.seq, line.prev
            );
            return Err(wrong(reason));
        }
        prev = digest;
    }
    match last {
        Some(last) if last != prev => Err(RolloutError::Chain {
            line: lines.len() + 1,
            reason: format!(
                "is missing: the last line should have digest `{last}`, it has `{prev}`"
            ),
        }),
        _ => Ok(()),
    }
}

/// Reads JSON lines; the error names the first that is no audit line.
pub fn read_chain(text: &str) -> Result<Vec<AuditLine>, RolloutError> {
    (1..)
        .zip(text.lines())
        .map(|(line, json)| {
            serde_json::from_str(json).map_err(|error| RolloutError::Chain {
                line,
                reason: format!("does not parse: {error}"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(time(1_764_040_000_007), "2025-11-25T03:06:40.007Z");
    }
}
