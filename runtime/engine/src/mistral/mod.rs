//! mistral.rs behind the [`crate::Generator`] trait: the only code that names mistralrs.
//!
//! What it is trusted with: weights, quantisation, the forward pass, the key-value and prefix caches. What is done here
//! instead, because 0.8.1 does it differently from what a serving runtime needs: choosing each token
//! ([`sampler`]: a grammar built off its thread, seeds, cancellation, exact text), the prompt (token ids), admission.

mod adapter;
mod config;
mod embedding;
mod folder;
mod generate;
mod hardware;
mod load;
mod memory;
mod modules;
mod output;
mod sampler;
mod vocabulary;

pub use embedding::EmbeddingModel;
pub(crate) use generate::MistralGenerator;
pub(crate) use load::{LocalBase, LocalSource};
