//! The retriever from outside, on real files. One binary, so that it links once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

mod access;
mod agreement;
mod bad_input;
mod changes;
mod crash;
mod damage;
mod documents;
mod duplicates;
mod erasure;
mod freshness;
mod generations;
mod growth;
mod neural;
mod pipelines;
mod searching;
mod secrecy;
mod supersession;
mod whereabouts;

use std::sync::atomic::{AtomicBool, Ordering};

use quoin_retriever::{
    Access, Content, DocumentId, DocumentInput, Retriever, RetrieverSettings, SearchRequest,
};

fn id(name: &str) -> DocumentId {
    DocumentId::new(name).unwrap()
}

/// A public document in plain text.
fn public(name: &str, text: &str) -> DocumentInput {
    with_acl(name, text, &["public"])
}

fn with_acl(name: &str, text: &str, acl: &[&str]) -> DocumentInput {
    DocumentInput {
        acl: Some(acl.iter().map(ToString::to_string).collect()),
        ..DocumentInput::new(id(name), Content::text(text))
    }
}

fn everyone() -> Access {
    Access::of(Vec::<String>::new())
}

fn open(folder: &std::path::Path) -> Retriever {
    Retriever::open(folder, RetrieverSettings::default()).unwrap()
}

/// The next of a row of numbers that look random: xorshift, for a state that is not 0.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Ends the loops that run beside a test when it ends, also when it fails: their threads are waited for.
struct EndsLoops<'a>(&'a AtomicBool);

impl Drop for EndsLoops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The documents of the hits, best first, repeats dropped.
fn found(retriever: &Retriever, query: &str, access: &Access) -> Vec<String> {
    let result = retriever
        .search(&SearchRequest::new(query, 20), access)
        .unwrap();
    let mut documents: Vec<String> = result
        .hits
        .iter()
        .map(|hit| hit.document.to_string())
        .collect();
    let mut seen = std::collections::HashSet::new();
    documents.retain(|document| seen.insert(document.clone()));
    documents
}
