//! The registry from outside, on real files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod aliases;
mod damage;
mod interrupted;
mod lineage;
mod peft;
mod refusals;
mod refused_weights;
mod registry;
mod reports;
mod signatures;
mod support;
