//! The HTTP surface as a client sees it: a real retriever and real SQLite in a temporary folder, a scripted model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod access;
mod admin;
mod answers;
mod app;
mod chat;
mod conversations;
mod documents;
mod erasure;
mod errors;
mod feedback;
mod foreign;
mod hostile;
mod identity;
mod limits;
mod operations;
mod replay;
mod responses;
mod search;
mod serving;
mod streams;
