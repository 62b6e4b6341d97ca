//! One trait for text generation, [`Generator`], and mistral.rs behind it, in this process.
//!
//! Owns: loading models and adapters, chat templates, tokenisation that keeps data apart from control, decoding under a
//! grammar, admission. Refuses: knowing what a question, a document or an answer is. Only `mistral/` names mistralrs.

pub mod bundled;
mod digest;
mod engine;
mod error;
mod generator;
mod gguf;
pub mod hub;
mod in_flight;
mod mistral;
mod queue;
mod schema;
pub mod scripted;
mod settings;
mod template;
mod tokens;

pub use engine::Engine;
pub use error::EngineError;
pub use generator::{
    Constraint, Event, EventStream, Finish, GenerationRequest, Generator, Message,
    ModelDescription, Occupancy, Outcome, Part, Role, Sampling, Timings, Usage, complete,
};
pub use mistral::EmbeddingModel;
pub use schema::check_schema;
pub use settings::{BaseModel, Device, EngineSettings, ModelSource, Quantization};
