//! Quoin: retrieval and a fine-tuned model in one process.
//!
//! The crate is the process: its HTTP surface (`http`), its command line (`cli`), and the path of one
//! answer between them (`answer`). Retrieval, generation, the adapter registry and evaluation live in crates of
//! their own, which know neither each other nor HTTP.

pub mod answer;
mod backup;
pub mod caller;
pub mod cli;
pub mod config;
mod embedder;
mod erasure;
pub mod http;
pub mod models;
pub mod processor;
pub mod release;
pub mod rollouts;
pub mod samples;
pub mod service;
pub mod sources;
pub mod storage;
pub mod telemetry;
