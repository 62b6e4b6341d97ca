//! Rollouts from outside: traffic goes in, transitions come out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod guardrails;
mod plots;
mod properties;
mod requests;
mod states;
mod support;
