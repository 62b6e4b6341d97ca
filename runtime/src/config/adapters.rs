//! `[adapters]`: how many adapter versions are in memory, and what a request for another one gets.

use serde::{Deserialize, Serialize};

/// Adapter versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptersConfig {
    /// Versions in memory beside the base model. The one that was not used for longest makes room; both of a running rollout stay.
    pub max_loaded: usize,
    /// Whether a request for a version that is not in memory waits until it is loaded. If not, it is 503 with `Retry-After`, and
    /// the version is loaded meanwhile.
    pub wait_for_load: bool,
}

impl Default for AdaptersConfig {
    fn default() -> Self {
        Self {
            max_loaded: 3,
            wait_for_load: true,
        }
    }
}
