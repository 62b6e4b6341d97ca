//! Whole rollouts, from the first step to the end: how often which end comes, and after how many requests.

use std::fmt::Write as _;

use quoin_adapters::rollout::{
    Arm, Guardrail, Input, Observation, Plan, RolloutError, State, plot,
};

use crate::chance::Chance;
use crate::{Settings, ask, on_all_cores, percent, start};

const REQUESTS_MAX: u64 = 30_000;

/// Rates of events per request, and how long an answer takes.
#[derive(Clone, Copy)]
struct Behaviour {
    engine_error: f64,
    schema_failure: f64,
    quote_failure: f64,
    abstained: f64,
    latency_ms: f64,
}

const USUAL: Behaviour = Behaviour {
    engine_error: 0.002,
    schema_failure: 0.01,
    quote_failure: 0.02,
    abstained: 0.1,
    latency_ms: 800.0,
};

struct End {
    state: State,
    requests: u64,
    on_canary: u64,
}

pub fn table(settings: Settings) -> Result<String, RolloutError> {
    let mut table = format!(
        "## Whole rollouts\n\n\
         Steps of 10, 50 and 100 %, all seven guardrails, the default margin of 10 points, α = 5 %, one request a second, each by \
         another unit, at most {REQUESTS_MAX}. Usual rates: engine errors 0.2 %, schema failures 1 %, quote failures 2 %, \
         abstentions 10 %. Medians of requests over all runs.\n\n\
         | the canary | promoted | aborted | by the right guardrail | paused | requests | of them on the canary |\n\
         |---|---:|---:|---:|---:|---:|---:|\n"
    );
    for (name, canary, right) in cases() {
        let ends = on_all_cores(settings.runs / 2, |run| one(settings, canary, run))?;
        let count = |is: &dyn Fn(&State) -> bool| {
            percent(ends.iter().filter(|end| is(&end.state)).count(), ends.len())
        };
        let named = right.map_or_else(String::new, |right| format!("guardrail {right}"));
        let _ = writeln!(
            table,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            count(&|state| *state == State::Promoted),
            count(&|state| matches!(state, State::Aborted { .. })),
            right.map_or_else(
                || "–".to_owned(),
                |_| count(&|state| state.to_string().contains(&named))
            ),
            count(&|state| matches!(state, State::Paused { .. })),
            median(ends.iter().map(|end| end.requests)),
            median(ends.iter().map(|end| end.on_canary)),
        );
    }
    Ok(table)
}

fn cases() -> Vec<(&'static str, Behaviour, Option<Guardrail>)> {
    vec![
        ("is the same (A/A)", USUAL, None),
        (
            "is better: 10 → 5 % abstentions",
            Behaviour {
                abstained: 0.05,
                ..USUAL
            },
            None,
        ),
        (
            "abstains: 10 → 15 %",
            Behaviour {
                abstained: 0.15,
                ..USUAL
            },
            Some(Guardrail::Abstention),
        ),
        (
            "abstains: 10 → 25 %",
            Behaviour {
                abstained: 0.25,
                ..USUAL
            },
            Some(Guardrail::Abstention),
        ),
        (
            "misquotes: 2 → 10 %",
            Behaviour {
                quote_failure: 0.1,
                ..USUAL
            },
            Some(Guardrail::QuoteFailure),
        ),
        (
            "breaks schemas: 1 → 20 %",
            Behaviour {
                schema_failure: 0.2,
                ..USUAL
            },
            Some(Guardrail::SchemaFailure),
        ),
        (
            "is slower by half",
            Behaviour {
                latency_ms: 1_200.0,
                ..USUAL
            },
            Some(Guardrail::Latency),
        ),
        (
            "crashes: 0.2 → 5 %",
            Behaviour {
                engine_error: 0.05,
                ..USUAL
            },
            Some(Guardrail::EngineError),
        ),
    ]
}

fn plan() -> Plan {
    Plan {
        shadow_pairs: 0,
        steps_basis_points: vec![1_000, 5_000, 10_000],
        settle_ms: 0,
        step_time_limit_ms: 20_000_000,
        baking_ms: 1_000_000,
        ..Plan::default()
    }
}

fn one(settings: Settings, canary: Behaviour, run: u64) -> Result<End, RolloutError> {
    let mut rollout = start(format!("run-{run}"), plan())?;
    let mut chance = Chance::of(settings.seed, 4, run);
    let mut on_canary = 0;
    let mut requests = 0;
    while requests < REQUESTS_MAX && rollout.state().is_live() {
        requests += 1;
        let unit = requests.to_string();
        let behaviour = match rollout.assign(&unit) {
            Arm::Stable => USUAL,
            Arm::Canary => {
                on_canary += 1;
                canary
            }
        };
        ask(
            &mut rollout,
            &unit,
            answer(behaviour, &mut chance),
            requests,
        )?;
    }
    Ok(End {
        state: rollout.state().clone(),
        requests,
        on_canary,
    })
}

/// Pictures of one rollout that is promoted and of one that is aborted.
pub fn draw(settings: Settings, file: &str) -> Result<(), String> {
    let stem = file.trim_end_matches(".svg");
    let (_, bad, _) = cases()[3];
    for (name, canary) in [("promoted", USUAL), ("aborted", bad)] {
        let svg = picture(settings, canary).map_err(|error| error.to_string())?;
        let path = format!("{stem}-{name}.svg");
        std::fs::write(&path, svg).map_err(|error| format!("cannot write `{path}`: {error}"))?;
        println!("{path}");
    }
    Ok(())
}

fn picture(settings: Settings, canary: Behaviour) -> Result<String, RolloutError> {
    const EVERY: u64 = 20;
    let mut rollout = start("picture".to_owned(), plan())?;
    let mut chance = Chance::of(settings.seed, 6, 0);
    let mut points = vec![rollout.status(0)];
    let mut transitions = Vec::new();
    for request in 1..=REQUESTS_MAX {
        let unit = request.to_string();
        let arm = rollout.assign(&unit);
        let behaviour = if arm == Arm::Canary { canary } else { USUAL };
        let input = Input::Outcome {
            arm,
            unit,
            overridden: false,
            observed: answer(behaviour, &mut chance),
            at_ms: request.cast_signed() * 1_000,
        };
        let new = rollout.apply(&input)?;
        if request % EVERY == 0 || !new.is_empty() {
            points.push(rollout.status(0));
        }
        transitions.extend(new);
        if !rollout.state().is_live() {
            break;
        }
    }
    Ok(plot(&points, &transitions))
}

fn answer(behaviour: Behaviour, chance: &mut Chance) -> Observation {
    let latency_us = behaviour.latency_ms * 1_000.0 * (0.5 * chance.normal()).exp();
    Observation {
        engine_error: chance.happens(behaviour.engine_error),
        schema_failure: chance.happens(behaviour.schema_failure),
        quote_failure: chance.happens(behaviour.quote_failure),
        abstained: chance.happens(behaviour.abstained),
        access_violation: false,
        latency_us: Some(latency_us as u64),
    }
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}
