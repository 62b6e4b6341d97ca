//! Traffic for a rollout, one request a second, each by somebody else.

use quoin_adapters::Alias;
use quoin_adapters::rollout::{
    Action, Arm, Gate, Input, Observation, Plan, Rollout, Side, State, Transition,
};

pub const FINE: Observation = Observation {
    engine_error: false,
    schema_failure: false,
    quote_failure: false,
    abstained: false,
    access_violation: false,
    latency_us: Some(1_000),
};

pub const ABSTAINED: Observation = Observation {
    abstained: true,
    ..FINE
};

pub const ENGINE_ERROR: Observation = Observation {
    engine_error: true,
    latency_us: None,
    ..FINE
};

pub const LEAKED: Observation = Observation {
    access_violation: true,
    ..FINE
};

pub fn side(version: u32) -> Side {
    Side {
        adapter: Some(format!("support@{version}").parse().unwrap()),
        release: format!("sha256:{version:064}"),
    }
}

/// Three steps, no shadow, nothing to settle.
pub fn plan() -> Plan {
    Plan {
        shadow_pairs: 0,
        steps_basis_points: vec![1_000, 5_000, 10_000],
        settle_ms: 0,
        baking_ms: 100_000,
        ..Plan::default()
    }
}

pub fn started(plan: Plan) -> (Rollout, Vec<Transition>) {
    Rollout::start(
        "rollout-1".to_owned(),
        Alias::champion(),
        side(1),
        side(2),
        plan,
        Gate::NotNeeded,
        0,
    )
    .unwrap()
}

pub struct Traffic {
    pub rollout: Rollout,
    pub transitions: Vec<Transition>,
    pub at_ms: i64,
    asked: u64,
}

impl Traffic {
    pub fn of(plan: Plan) -> Self {
        let (rollout, transitions) = started(plan);
        Self {
            rollout,
            transitions,
            at_ms: 0,
            asked: 0,
        }
    }

    /// Asks `count` times, until the state changes at most. `observe` gets the arm and the number of the request.
    pub fn ask(&mut self, count: u64, observe: impl Fn(Arm, u64) -> Observation) {
        let before = self.rollout.state().clone();
        for _ in 0..count {
            if *self.rollout.state() != before {
                return;
            }
            self.asked += 1;
            self.at_ms += 1_000;
            let unit = format!("unit-{}", self.asked);
            let arm = self.rollout.assign(&unit);
            let observed = observe(arm, self.asked);
            self.outcome(arm, &unit, observed);
        }
    }

    pub fn outcome(&mut self, arm: Arm, unit: &str, observed: Observation) {
        self.apply(&Input::Outcome {
            arm,
            unit: unit.to_owned(),
            overridden: false,
            observed,
            at_ms: self.at_ms,
        });
    }

    pub fn apply(&mut self, input: &Input) {
        self.at_ms = self.at_ms.max(input.at_ms());
        self.transitions
            .extend(self.rollout.apply(input).expect("a possible input"));
    }

    pub fn wait(&mut self, ms: i64) {
        self.apply(&Input::Tick {
            at_ms: self.at_ms + ms,
        });
    }

    /// Fine answers until the rollout is in the state, or for ever and a day.
    pub fn reach(&mut self, state: &State) {
        for _ in 0..10 {
            if self.rollout.state() == state {
                return;
            }
            self.ask(20_000, |_, _| FINE);
        }
        panic!("{state} was not reached from {}", self.rollout.state());
    }

    pub fn actions(&self) -> Vec<Action> {
        self.transitions.iter().map(|step| step.action).collect()
    }
}

pub fn pause(at_ms: i64) -> Input {
    Input::Pause {
        by: "ada".to_owned(),
        reason: "lunch".to_owned(),
        at_ms,
    }
}

pub fn resume(at_ms: i64) -> Input {
    Input::Resume {
        by: "ada".to_owned(),
        reason: "back".to_owned(),
        at_ms,
    }
}

pub fn promote(at_ms: i64) -> Input {
    Input::Promote {
        by: "ada".to_owned(),
        reason: "sure".to_owned(),
        at_ms,
    }
}

pub fn abort(at_ms: i64) -> Input {
    Input::Abort {
        by: "ada".to_owned(),
        reason: "doubt".to_owned(),
        at_ms,
    }
}
