//! Who gets the canary: `bucket = u64(sha256(rollout ‖ 0x1f ‖ unit)) mod 10000`, canary when `bucket < weight`.
//!
//! A bucket never changes, so raising the weight moves nobody back, and a restart moves nobody at all.

use sha2::{Digest, Sha256};

use super::plan::FULL;

const ASSIGNED: u8 = 0x1f;
const SHADOWED: u8 = 0x1e;

/// Where a unit falls, and the number that it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub bucket: u16,
    pub key: u64,
}

pub(crate) fn place(rollout: &str, unit: &str) -> Place {
    place_by(rollout, ASSIGNED, unit)
}

/// Independent of who gets the canary later.
pub(crate) fn shadow_bucket(rollout: &str, unit: &str) -> u16 {
    place_by(rollout, SHADOWED, unit).bucket
}

fn place_by(rollout: &str, separator: u8, unit: &str) -> Place {
    let digest = Sha256::new()
        .chain_update(rollout)
        .chain_update([separator])
        .chain_update(unit)
        .finalize();
    let number = |from: usize| {
        digest[from..from + 8]
            .iter()
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    Place {
        bucket: u16::try_from(number(0) % u64::from(FULL)).unwrap_or_default(),
        key: number(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever was on the canary before an update has to be there after it.
    #[test]
    fn buckets_never_change() {
        let buckets: Vec<_> = ["", "ada", "grace"]
            .into_iter()
            .map(|unit| place("rollout-1", unit).bucket)
            .collect();
        assert_eq!(buckets, [7_379, 9_374, 8_096]);
    }

    #[test]
    fn another_rollout_shuffles_anew() {
        let same = (0..1_000)
            .filter(|unit| {
                let unit = unit.to_string();
                place("one", &unit).bucket / 100 == place("two", &unit).bucket / 100
            })
            .count();
        assert!(same < 40, "{same} of 1,000 stayed in their percent");
    }
}
