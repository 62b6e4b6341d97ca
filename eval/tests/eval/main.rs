//! The crate from outside: on files, and against other people's implementations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dataset;
mod reference;
mod runs;
