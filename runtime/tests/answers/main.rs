//! Answers of the bundled model, whole: real retrieval, real engine, real grammar.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod adapters;
mod canaries;
mod conformance;
mod grounded;
mod rollouts;
mod server;
