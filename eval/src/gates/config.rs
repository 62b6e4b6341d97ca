//! `gates.toml`: what must hold, with every bound checked and unknown keys refused with their line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::compare::Better;
use crate::error::EvalError;
use crate::record::ClusterBy;
use crate::report::sha256_text;

/// A file may not be longer.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A file may not hold more gates.
pub const GATES_MAX: usize = 200;
/// What a gate without `baseline` is compared with.
const BASELINE: &str = "baseline";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Candidate − baseline must be shown to be above −margin (below margin, where lower is better).
    NonInferior,
    /// The candidate's mean must be shown to be within `min` and `max`.
    Absolute,
    /// Fails when a fall is shown.
    NoSignificantRegression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Flips of signs. In a `non_inferior` gate it must agree with the bootstrap, since around a margin flips alone are not exact.
    PairedPermutation,
    /// The bootstrap, or the score test for 0/1 metrics.
    PairedBootstrap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInconclusive {
    #[default]
    Inconclusive,
    Fail,
    Pass,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    pub metric: String,
    pub mode: Mode,
    /// The name of a run; `baseline` where none is written. Not for `absolute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// In the metric's unit, above 0. Needed for `non_inferior`; for `no_significant_regression`, the fall that must be detectable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// The mean must be at least this. `absolute` only. At 1, of values up to 1, not one may be below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The mean must be at most this. `absolute` only. At 0, of values from 0, not one may be above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Which way is an improvement; by the metric's name where nothing is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<Better>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    /// Above 0, below 0.5.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    #[serde(default)]
    pub cluster_by: ClusterBy,
    /// With fewer questions the gate is inconclusive.
    #[serde(default = "default_min_n")]
    pub min_n: usize,
    #[serde(default)]
    pub on_inconclusive: OnInconclusive,
}

fn default_alpha() -> f64 {
    0.05
}

fn default_min_n() -> usize {
    30
}

/// The gates of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Gates {
    pub gates: Vec<Gate>,
    /// `sha256:…` of the text.
    pub digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatesFile {
    #[serde(default)]
    gate: Vec<Gate>,
}

impl Gates {
    pub fn open(path: &Path) -> Result<Self, EvalError> {
        let length = fs::metadata(path)
            .map_err(EvalError::io("open", path))?
            .len();
        if length > FILE_BYTES_MAX {
            return Err(EvalError::Dataset {
                path: PathBuf::from(path),
                reason: format!("has {length} bytes, at most {FILE_BYTES_MAX}"),
            });
        }
        let text = fs::read_to_string(path).map_err(EvalError::io("read", path))?;
        Self::parse(&text).map_err(|error| match error {
            EvalError::Gates { reason } => EvalError::Gates {
                reason: format!("`{}`: {reason}", path.display()),
            },
            other => other,
        })
    }

    pub fn parse(text: &str) -> Result<Self, EvalError> {
        let refuse = |reason: String| EvalError::Gates { reason };
        let file: GatesFile = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if file.gate.is_empty() || file.gate.len() > GATES_MAX {
            let found = file.gate.len();
            return Err(refuse(format!(
                "there are {found} `[[gate]]`, must be from 1 to {GATES_MAX}"
            )));
        }
        for (index, gate) in file.gate.iter().enumerate() {
            gate.check().map_err(|reason| {
                refuse(format!("gate {} (`{}`): {reason}", index + 1, gate.metric))
            })?;
        }
        Ok(Self {
            gates: file.gate,
            digest: sha256_text(Sha256::new_with_prefix(text)),
        })
    }

    /// The names of the runs that [`Gates::evaluate`] must be given.
    #[must_use]
    pub fn baselines(&self) -> BTreeSet<&str> {
        self.gates.iter().filter_map(Gate::baseline_name).collect()
    }
}

impl Gate {
    /// None for an absolute gate.
    #[must_use]
    pub fn baseline_name(&self) -> Option<&str> {
        (self.mode != Mode::Absolute).then(|| self.baseline.as_deref().unwrap_or(BASELINE))
    }

    #[must_use]
    pub fn better(&self) -> Better {
        self.better.unwrap_or_else(|| Better::by_name(&self.metric))
    }

    fn check(&self) -> Result<(), String> {
        if self.metric.is_empty() {
            return Err("`metric` is empty".to_owned());
        }
        if !(self.alpha > 0.0 && self.alpha < 0.5) {
            return Err(format!(
                "`alpha` is {}, must be above 0 and below 0.5",
                self.alpha
            ));
        }
        if self.min_n == 0 || self.min_n > crate::record::QUESTIONS_MAX {
            let most = crate::record::QUESTIONS_MAX;
            return Err(format!(
                "`min_n` is {}, must be from 1 to {most}",
                self.min_n
            ));
        }
        if let Some(margin) = self
            .margin
            .filter(|margin| !(margin.is_finite() && *margin > 0.0))
        {
            return Err(format!("`margin` is {margin}, must be above 0 and finite"));
        }
        for (key, bound) in [("min", self.min), ("max", self.max)] {
            if let Some(bound) = bound.filter(|bound| !bound.is_finite()) {
                return Err(format!("`{key}` is {bound}, must be finite"));
            }
        }
        self.check_keys()
    }

    /// Keys that the mode needs, and that it has no use for.
    fn check_keys(&self) -> Result<(), String> {
        let bounded = self.min.is_some() || self.max.is_some();
        if self.mode == Mode::Absolute {
            let useless = [
                ("baseline", self.baseline.is_some()),
                ("margin", self.margin.is_some()),
                ("test", self.test.is_some()),
            ];
            if let Some((key, _)) = useless.iter().find(|(_, written)| *written) {
                return Err(format!("`{key}` has no meaning with `mode = \"absolute\"`"));
            }
            return match (self.min, self.max) {
                (None, None) => Err("`mode = \"absolute\"` needs `min` or `max`".to_owned()),
                (Some(min), Some(max)) if min > max => Err(format!(
                    "`min` is {min}, must be at most `max`, which is {max}"
                )),
                _ => Ok(()),
            };
        }
        if bounded {
            return Err("`min` and `max` need `mode = \"absolute\"`".to_owned());
        }
        if self.mode == Mode::NonInferior && self.margin.is_none() {
            return Err("`mode = \"non_inferior\"` needs a `margin` above 0".to_owned());
        }
        Ok(())
    }
}
