//! Adapters as immutable, content-addressed versions, releases as the digest of everything that decides an answer, and rollouts
//! that take one release's place by another's as far as what was seen allows.
//!
//! What is registered is what the engine serves correctly: everything it would ignore or misread is refused by name when
//! an adapter is added, not found out in its answers. Nothing here loads a model or speaks HTTP.
#![expect(
    clippy::missing_errors_doc,
    reason = "`AdapterError` and `RolloutError` say of each case when it comes"
)]

mod aliases;
mod base;
mod check;
mod digest;
mod error;
mod files;
mod lineage;
mod name;
mod registry;
mod release;
mod reports;
pub mod rollout;
mod signature;
mod trust;
mod version;

pub use aliases::{AliasMove, Aliases};
pub use base::BaseIdentity;
pub use check::{
    CONFIG_BYTES_MAX, HEADER_BYTES_MAX, Lora, RANK_MAX, TENSORS_MAX, WEIGHTS_BYTES_MAX,
};
pub use error::AdapterError;
pub use lineage::{
    HYPERPARAMETERS_BYTES_MAX, LICENCE_NOTE_BYTES_MAX, LICENCE_NOTES_MAX, LINEAGE_BYTES_MAX,
    Lineage, ROW_ID_BYTES_MAX, ROW_IDS_MAX, Recipe, TrainingData,
};
pub use name::{AdapterId, AdapterName, Alias, BASE};
pub use registry::{Added, Listing, Registry};
pub use release::{Citing, IndexIdentity, Release, ReleasedAdapter};
pub use reports::{AttachedReport, REPORT_BYTES_MAX, REPORTS_MAX, StoredReport};
pub use signature::{Signature, signed_message};
pub use trust::{KeyId, PublicKey, Trust};
pub use version::{AdapterVersion, BaseReference, StoredFile};
