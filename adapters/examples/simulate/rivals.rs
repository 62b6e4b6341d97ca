//! What is often done instead: a z-test that was made to be looked at once, and a threshold. Both look after every request.

/// Neither rule looks before the canary has answered so often.
const FROM: u64 = 50;

#[derive(Default, Clone, Copy)]
pub struct Count {
    pub requests: u64,
    pub events: u64,
}

impl Count {
    pub fn add(&mut self, event: bool) {
        self.requests += 1;
        self.events += u64::from(event);
    }

    fn rate(self) -> f64 {
        self.events as f64 / self.requests.max(1) as f64
    }
}

/// Two proportions, pooled, one-sided at 5 %.
pub fn z_test_alarms(stable: Count, canary: Count) -> bool {
    const CRITICAL: f64 = 1.644_854;
    if canary.requests < FROM || stable.requests < FROM {
        return false;
    }
    let all = (stable.requests + canary.requests) as f64;
    let pooled = (stable.events + canary.events) as f64 / all;
    let inverse = 1.0 / stable.requests as f64 + 1.0 / canary.requests as f64;
    let error = (pooled * (1.0 - pooled) * inverse).sqrt();
    error > 0.0 && (canary.rate() - stable.rate()) / error > CRITICAL
}

/// Twice the stable rate.
pub fn threshold_alarms(stable: Count, canary: Count) -> bool {
    canary.requests >= FROM && canary.events > 0 && canary.rate() > 2.0 * stable.rate()
}
