//! The command line as a person or a script meets it: the built binary on temporary data folders, no network.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation is the message of a test"
)]

mod adapters;
mod answering;
mod configuration;
mod crash;
mod documents;
mod evaluation;
mod keys;
mod ownership;
mod place;
mod planted;
mod restore;
mod serving;
mod sources;
mod usage;
