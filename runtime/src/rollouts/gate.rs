//! What a rollout asks for before it starts: an evaluation that passed its gates, of the very release that is to be tried.

use quoin_adapters::rollout::{Gate, Side};
use quoin_adapters::{AdapterError, AdapterId, Registry};
use quoin_eval::gates::GateReport;

use super::RolloutRefusal;

/// Finds the passed gate among the reports that are kept beside the version, or takes the word of whoever forces it. Blocking.
pub(super) fn gate(
    registry: &Registry,
    canary: &Side,
    force: Option<String>,
    by: &str,
) -> Result<Gate, RolloutRefusal> {
    let adapter = AdapterId::or_base(canary.adapter.as_ref());
    let reports = match &canary.adapter {
        Some(id) => gates_of(registry, id, &adapter)?,
        None => Vec::new(),
    };
    let passed = |(_, report): &&(String, GateReport)| {
        report.passed && report.candidate.release.as_deref() == Some(&canary.release)
    };
    if let Some((digest, _)) = reports.iter().find(passed) {
        return Ok(Gate::Passed {
            report: digest.clone(),
        });
    }
    if let Some(reason) = force {
        return Ok(Gate::Forced {
            by: by.to_owned(),
            reason,
        });
    }
    let of_release = |(_, report): &&(String, GateReport)| {
        report.candidate.release.as_deref() == Some(&canary.release)
    };
    let found = match (reports.iter().find(of_release), reports.first()) {
        (Some((digest, report)), _) => {
            format!(
                "its gates ended with `{}` (report `{digest}`)",
                report.verdict.word()
            )
        }
        (None, Some((_, report))) => format!(
            "its gates were about release `{}`, and it would answer as `{}` now: what decides an answer has changed since",
            report.candidate.release.as_deref().unwrap_or("unknown"),
            canary.release
        ),
        (None, None) => "no report of a gate is kept beside it".to_owned(),
    };
    Err(RolloutRefusal::NoGate { adapter, found })
}

/// The reports of gates on this version, with their digests. Other reports are none of them.
fn gates_of(
    registry: &Registry,
    id: &AdapterId,
    adapter: &str,
) -> Result<Vec<(String, GateReport)>, AdapterError> {
    let mut gates = Vec::new();
    for stored in registry.show(id)?.reports()? {
        let bytes = registry.report(id, &stored.digest)?;
        if let Ok(report) = serde_json::from_slice::<GateReport>(&bytes)
            && report.candidate.adapter.as_deref() == Some(adapter)
        {
            gates.push((stored.digest, report));
        }
    }
    Ok(gates)
}
