//! Diagnosis: every failure in exactly one class, with its evidence, and the levers that could have recovered it.
//!
//! Nothing is asked or searched here: an [`Observation`] a question is handed in. The classes are decided by a list, first
//! match wins; it is in `diagnose/decide.rs` and stands in every report as `decisions`.
//!
//! | asked first to last | class |
//! |---|---|
//! | no outcome, or failed with nothing written | undetermined |
//! | right by [`RightRule`] | right |
//! | no answer for this caller, one was given | should have abstained |
//! | the text carries the answer; schema, quote or length is wrong | right, wrong form |
//! | gold not in the prompt: no gold document in the corpus says so; the caller may read none; none is current | not in the corpus; permission; freshness |
//! | … no passage holds it whole | passage boundary |
//! | … within the cut of the last list; of the fused; of BM25 or vectors | budget; reranking; fusion |
//! | … BM25 empty though terms are shared; vectors empty; no term shared | BM25; vector; analysis |
//! | … reranked, beyond the cut; at least half of the terms shared; fewer | reranking; BM25; vector |
//! | in the prompt, abstained: what was withheld, or gold alone, is right; else | should not have abstained; retrieved, not used |
//! | in the prompt, answered wrong: cites gold; cites something else | used, wrong; retrieved, not used |
//! | … citations unknown: gold alone is right; is not | retrieved, not used; used, wrong |

mod abstention;
mod advice;
mod cells;
mod class;
mod decide;
mod diagnosis;
mod evidence;
mod levers;
mod observation;
mod right;
mod statistics;
mod view;

pub use crate::selective::{HeldOut, Point};
pub use abstention::{RiskCoverage, ThresholdTrial};
pub use cells::{CellShare, Contrast};
pub use class::{Class, Side, Stage};
pub use diagnosis::{ClassCount, Diagnosis, Finding, FlowStep, KindRow, Settings};
pub use levers::{BehaviourSplit, Lever, LeverBound};
pub use observation::{
    Cell, Context, GoldDocument, GoldText, Listing, Observation, Outcome, Status, Trace, Validity,
};
pub use right::{RightBy, RightRule};
pub use statistics::{Share, mcnemar_exact};
