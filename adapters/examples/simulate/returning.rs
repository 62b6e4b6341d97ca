//! Units that come again and keep their arm, some of whom have the event most of the time: counted in every step, or in every
//! request, the luck of a few of them counts many times.

use std::collections::HashSet;
use std::fmt::Write as _;

use quoin_adapters::rollout::{Arm, RolloutError};

use crate::chance::Chance;
use crate::{Settings, on_all_cores, percent, start, staying_at};

const REQUESTS: u64 = 20_000;
const STEPS: [u16; 4] = [100, 500, 2_500, 5_000];
const UNITS: u64 = 1_000;
const RATIOS: [f64; 5] = [1.5, 2.0, 3.0, 5.0, 10.0];
const LIMIT: f64 = 20.0;

/// The same e-process with other rules of what counts.
#[derive(Default)]
struct Counted {
    ln_products: [f64; 5],
    known: HashSet<(usize, u64)>,
    alarmed: bool,
}

impl Counted {
    fn count(&mut self, share: f64, on_canary: bool) {
        for (product, r) in self.ln_products.iter_mut().zip(RATIOS) {
            *product -= (share * r + 1.0 - share).ln();
            if on_canary {
                *product += r.ln();
            }
        }
        let e_value = self.ln_products.iter().map(|ln| ln.exp()).sum::<f64>() / 5.0;
        self.alarmed |= e_value >= LIMIT;
    }
}

#[derive(Default)]
struct Alarms {
    once: bool,
    each_step: bool,
    each_request: bool,
}

pub fn table(settings: Settings) -> Result<String, RolloutError> {
    let mut table = format!(
        "## Units that return (A/A)\n\n\
         {UNITS} units, {REQUESTS} requests, four steps of 1, 5, 25 and 50 % that last as long each; both arms alike; α = 5 %. False aborts when an event \
         counts once a unit in the whole rollout (as a rollout counts), once a unit and step, or with every request.\n\n\
         | units with events | their rate | others’ rate | once in the rollout | once a step | every request |\n\
         |---:|---:|---:|---:|---:|---:|\n"
    );
    for (prone, rate, others) in [
        (0.0, 0.0, 0.02),
        (0.05, 0.5, 0.005),
        (0.02, 0.9, 0.0),
        (0.1, 0.9, 0.0),
    ] {
        let alarms = on_all_cores(settings.runs, |run| {
            one(settings, (prone, rate, others), run)
        })?;
        let rate_of = |alarmed: fn(&Alarms) -> bool| {
            percent(
                alarms.iter().filter(|alarms| alarmed(alarms)).count(),
                alarms.len(),
            )
        };
        let _ = writeln!(
            table,
            "| {} % | {} % | {} % | {} | {} | {} |",
            prone * 100.0,
            rate * 100.0,
            others * 100.0,
            rate_of(|alarms| alarms.once),
            rate_of(|alarms| alarms.each_step),
            rate_of(|alarms| alarms.each_request)
        );
    }
    Ok(table)
}

/// Four steps that last as long each, whatever happens in them, so that only the rule of counting differs.
fn one(
    settings: Settings,
    (prone, rate, others): (f64, f64, f64),
    run: u64,
) -> Result<Alarms, RolloutError> {
    let steps = STEPS
        .into_iter()
        .map(|share| start(format!("run-{run}"), staying_at(share)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut chance = Chance::of(settings.seed, 3, run);
    let (mut once, mut each_step, mut each_request) =
        (Counted::default(), Counted::default(), Counted::default());
    for (number, step) in steps.iter().enumerate() {
        let share = f64::from(step.weight()) / 10_000.0;
        for _ in 0..REQUESTS / STEPS.len() as u64 {
            let unit = chance.draw() % UNITS;
            let is_prone = (unit as f64) < prone * UNITS as f64;
            if !chance.happens(if is_prone { rate } else { others }) {
                continue;
            }
            let on_canary = step.assign(&unit.to_string()) == Arm::Canary;
            each_request.count(share, on_canary);
            if each_step.known.insert((number, unit)) {
                each_step.count(share, on_canary);
            }
            if once.known.insert((0, unit)) {
                once.count(share, on_canary);
            }
        }
    }
    Ok(Alarms {
        once: once.alarmed,
        each_step: each_step.alarmed,
        each_request: each_request.alarmed,
    })
}
