//! What each input does to a rollout.

use serde_json::Value;

use super::assignment;
use super::error::RolloutError;
use super::evidence::{Changed, Seen};
use super::guardrail::{Events, Guardrail, Observation};
use super::input::Input;
use super::state::{AbortReason, Arm, HardFailure, PauseReason, State};
use super::transition::{Action, Transition};
use super::{Rollout, later};

impl Rollout {
    /// Takes one input in. Errors are requests that are not possible now: nothing has changed then. Observations never fail;
    /// what comes after the end or in a pause is ignored, except that a canary which shows what it must not is aborted from a
    /// pause too.
    pub fn apply(&mut self, input: &Input) -> Result<Vec<Transition>, RolloutError> {
        self.refuse_impossible(input)?;
        self.clock.now = self.clock.now.max(input.at_ms());
        if self.state.is_final() {
            return Ok(Vec::new());
        }
        Ok(match input {
            Input::Outcome {
                arm,
                unit,
                overridden,
                observed,
                ..
            } => self.answered(*arm, unit, *overridden, observed),
            Input::Feedback {
                arm,
                unit,
                negative,
                ..
            } => self.judged(*arm, unit, *negative),
            Input::Pair { stable, canary, .. } => self.paired(stable, canary),
            Input::Tick { .. } => self.ticked(),
            Input::Pause { by, reason, .. } => vec![self.pause(PauseReason::Manual, reason, by)],
            Input::Resume { by, reason, .. } => vec![self.resume(reason, by)],
            Input::Promote { by, reason, .. } => {
                vec![self.ask(Action::Promote, State::Promoted, reason, by)]
            }
            Input::Abort { by, reason, .. } => {
                let why = AbortReason::Manual;
                vec![self.ask(Action::Abort, State::Aborted { why }, reason, by)]
            }
        })
    }

    fn refuse_impossible(&self, input: &Input) -> Result<(), RolloutError> {
        let paused = matches!(self.state, State::Paused { .. });
        let (request, possible) = match input {
            Input::Pause { .. } => ("pause", self.state.is_live()),
            Input::Resume { .. } => ("resume", paused),
            Input::Promote { .. } => ("promote", !self.state.is_final()),
            Input::Abort { .. } => ("abort", !self.state.is_final()),
            _ => return Ok(()),
        };
        if possible {
            return Ok(());
        }
        Err(RolloutError::NotPossible {
            request,
            state: self.state.to_string(),
            possible: self.state.possible(),
        })
    }

    fn answered(
        &mut self,
        arm: Arm,
        unit: &str,
        overridden: bool,
        observed: &Observation,
    ) -> Vec<Transition> {
        if arm == Arm::Canary
            && let Some(stop) = self.hard_stop(observed, overridden)
        {
            return vec![stop];
        }
        if !self.state.is_live() {
            return Vec::new();
        }
        if overridden {
            self.evidence.overridden += 1;
            return Vec::new();
        }
        let events = self.events(observed);
        if arm == Arm::Stable {
            let Self { evidence, plan, .. } = self;
            // Units that came before the limit cannot have been slow: the step's rates begin again.
            if evidence.latency.learn(observed.latency_us, plan) {
                evidence.begin_step(evidence.weight);
            }
        }
        let Some(seen) = self.seen(arm, unit, events) else {
            return Vec::new();
        };
        let changed = self.evidence.answered(seen, self.plan.units_max);
        self.judge(changed)
    }

    fn judged(&mut self, arm: Arm, unit: &str, negative: bool) -> Vec<Transition> {
        if !negative || !self.plan.watches(Guardrail::NegativeFeedback) {
            return Vec::new();
        }
        let events = [Guardrail::NegativeFeedback].into_iter().collect();
        let Some(seen) = self.seen(arm, unit, events) else {
            return Vec::new();
        };
        let events = self.evidence.judged_bad(seen, self.plan.units_max);
        self.judge(Changed {
            events,
            ..Changed::default()
        })
    }

    /// What is counted of an answer; none when it does not belong to the traffic as it is split now.
    fn seen(&mut self, arm: Arm, unit: &str, events: Events) -> Option<Seen> {
        let weight = self.weight();
        if weight == 0 || self.clock.now < self.clock.settled {
            return None;
        }
        let place = assignment::place(&self.id, unit);
        let assigned = if place.bucket < weight {
            Arm::Canary
        } else {
            Arm::Stable
        };
        if arm != assigned {
            self.evidence.strays += 1;
            return None;
        }
        Some(Seen {
            arm,
            key: place.key,
            events,
        })
    }

    fn events(&self, observed: &Observation) -> Events {
        observed
            .events(self.evidence.latency.limit_us)
            .only(self.plan.watched_events())
    }

    /// The canary runs at the lowest priority in the shadow, so its latency there says nothing.
    fn paired(&mut self, stable: &Observation, canary: &Observation) -> Vec<Transition> {
        if let Some(stop) = self.hard_stop(canary, false) {
            return vec![stop];
        }
        if self.state != State::Shadow {
            return Vec::new();
        }
        let watched = self.plan.watched_events();
        let changed = self.evidence.paired(
            stable.events(None).only(watched),
            canary.events(None).only(watched),
        );
        self.judge(changed)
    }

    /// A leak is one whoever asked; an engine that fails under an override may have been asked for just that.
    fn hard_stop(&mut self, observed: &Observation, overridden: bool) -> Option<Transition> {
        if !overridden && self.state.is_live() {
            let in_a_row = &mut self.evidence.engine_errors_in_a_row;
            *in_a_row = if observed.engine_error {
                in_a_row.saturating_add(1)
            } else {
                0
            };
        }
        let in_a_row = self.evidence.engine_errors_in_a_row;
        let (failure, reason) = if observed.access_violation {
            let reason = "the canary showed what its caller may not read".to_owned();
            (HardFailure::AccessViolation, reason)
        } else if in_a_row >= self.plan.engine_errors_in_a_row {
            let reason = format!("the canary's engine failed {in_a_row} times in a row");
            (HardFailure::EngineErrorsInARow, reason)
        } else {
            return None;
        };
        let why = AbortReason::HardFailure { failure };
        Some(self.decide(Action::Abort, State::Aborted { why }, reason))
    }

    fn ask(&mut self, action: Action, to: State, reason: &str, by: &str) -> Transition {
        let evidence = self.shown();
        self.enter(action, to, reason.to_owned(), evidence, by.to_owned())
    }

    /// Sends all traffic back to the stable release until somebody resumes.
    pub(super) fn pause(&mut self, why: PauseReason, reason: &str, by: &str) -> Transition {
        let evidence = self.shown();
        let resumes = Box::new(self.state.clone());
        self.clock.paused = self.clock.now;
        let to = State::Paused { why, resumes };
        self.enter(
            Action::Pause,
            to,
            reason.to_owned(),
            evidence,
            by.to_owned(),
        )
    }

    /// Goes on where it was. A step that ran out of time or room begins anew, with its clock, while the evidence against the
    /// canary stays.
    fn resume(&mut self, reason: &str, by: &str) -> Transition {
        let (why, resumes) = match &self.state {
            State::Paused { why, resumes } => (*why, resumes.as_ref().clone()),
            other => (PauseReason::Manual, other.clone()),
        };
        let transition = self.enter(
            Action::Resume,
            resumes,
            reason.to_owned(),
            Value::Null,
            by.to_owned(),
        );
        let clock = &mut self.clock;
        let pause = clock.now.saturating_sub(clock.paused);
        clock.started = clock.started.saturating_add(pause);
        clock.entered = clock.entered.saturating_add(pause);
        if why != PauseReason::Manual {
            if clock.now >= later(clock.started, self.plan.time_limit_ms) {
                clock.started = clock.now;
            }
            clock.entered = clock.now;
            self.evidence.begin_step(self.weight());
        }
        transition
    }
}
