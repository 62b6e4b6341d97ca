//! `[adapters]`: how many adapter versions are in memory, what a request for another one gets, and whose signatures count.

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
    /// Public keys whose signatures count: `ed25519:HEX` or `minisign:` and the second line of a `.pub` file.
    pub trusted_keys: Vec<String>,
    /// Whether a version has to be signed by one of them, to be added and to be loaded.
    pub require_signature: bool,
}

impl Default for AdaptersConfig {
    fn default() -> Self {
        Self {
            max_loaded: 3,
            wait_for_load: true,
            trusted_keys: Vec::new(),
            require_signature: false,
        }
    }
}
