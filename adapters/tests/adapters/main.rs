//! The registry from outside, on real files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod peft;
mod refusals;
mod registry;
mod support;
