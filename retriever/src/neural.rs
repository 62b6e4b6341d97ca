//! Transformers of the BERT family, read from a folder as sentence-transformers and transformers write it, and run on the CPU.
//!
//! What they are for stands elsewhere: `embed/neural.rs` makes vectors with them, `rank/rerank/cross_encoder.rs` judges pairs.

mod config;
mod encoder;
mod folder;
mod kernel;
mod numeric;
mod product;
mod projection;
#[cfg(test)]
pub(crate) mod tests;
mod tokenizer;
mod weights;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

pub(crate) use self::encoder::Linear;
use self::encoder::{Encoder, Sequence};
use self::folder::Folder;
use self::folder::Pooling;
pub(crate) use self::projection::{
    Projection, VERSION as PROJECTION, pack_nibbles, token_dimensions, unpack_nibbles,
};
use self::tokenizer::Tokenizer;
use self::weights::Weights;
use crate::RetrieverError;
use crate::passage::Token;

/// Tokens of a batch that one thread works on: with them the weights stay in the cache for long enough.
const BATCH_TOKENS: usize = 256;
/// Fewer are not worth sharing between threads.
const LEAST_BATCH_TOKENS: usize = 64;

/// A model with its tokenizer.
pub(crate) struct Model {
    encoder: Encoder,
    tokenizer: Tokenizer,
    head: Option<Head>,
    /// Tokens of the longest sequence, special ones included.
    max_length: usize,
    pooling: Pooling,
    query_prompt: Vec<u32>,
    passage_prompt: Vec<u32>,
    /// Of everything that decides its outputs, 16 bytes in hexadecimal.
    digest: String,
}

/// What a classifier with one output puts on the first token's vector.
struct Head {
    dense: Linear,
    out: Linear,
}

/// What a model makes of one sequence.
pub(crate) struct Output {
    /// The vector of every token but the special ones and those of the prompt, one after the other.
    pub tokens: Vec<f32>,
    /// All of it in one vector, not scaled.
    pub pooled: Vec<f32>,
}

fn wrong(problem: String) -> RetrieverError {
    RetrieverError::Embedder { problem }
}

impl Model {
    /// An embedder's model.
    ///
    /// # Errors
    /// A file is missing, too large or damaged, or describes what this program cannot run.
    pub(crate) fn open(path: &Path) -> Result<Self, RetrieverError> {
        Self::load(path, false).map_err(|error| named(path, error))
    }

    /// A cross-encoder's model: with a head of one output.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_classifier(path: &Path) -> Result<Self, RetrieverError> {
        Self::load(path, true).map_err(|error| named(path, error))
    }

    /// The encoder in the binary, with the tokenizer of the static table; read once, when it is first asked for.
    ///
    /// # Errors
    /// The files in the binary do not fit together.
    pub(crate) fn bundled() -> Result<Arc<Self>, RetrieverError> {
        static ENCODER: OnceLock<Arc<Model>> = OnceLock::new();
        if let Some(encoder) = ENCODER.get() {
            return Ok(Arc::clone(encoder));
        }
        let folder = Folder::of_bytes(
            include_bytes!("../bundled/encoder/config.json"),
            include_bytes!("../bundled/static/tokenizer.json"),
            include_bytes!("../bundled/encoder/model.safetensors"),
        )?;
        let encoder = Arc::new(Self::of(&folder, false)?);
        Ok(Arc::clone(ENCODER.get_or_init(|| encoder)))
    }

    fn load(path: &Path, classifier: bool) -> Result<Self, RetrieverError> {
        Self::of(&Folder::read(path)?, classifier)
    }

    fn of(folder: &Folder, classifier: bool) -> Result<Self, RetrieverError> {
        let weights = Weights::parse(&folder.weights)?;
        let head = if classifier {
            Some(Head::load(&weights, &folder.config)?)
        } else {
            None
        };
        let tokenizer = folder.tokenizer()?;
        let ids = |prompt: &str| -> Vec<u32> {
            let tokens = tokenizer.tokenize(prompt);
            tokens.iter().map(|token| token.id).collect()
        };
        let (query_prompt, passage_prompt) = if classifier {
            (Vec::new(), Vec::new())
        } else {
            (ids(&folder.prompts.query), ids(&folder.prompts.passage))
        };
        let longest = query_prompt.len().max(passage_prompt.len());
        if longest + tokenizer.special(true) >= folder.max_length {
            return Err(wrong("its prompts leave no room for a text".into()));
        }
        Ok(Self {
            encoder: Encoder::load(folder.config.clone(), &weights)?,
            head,
            max_length: folder.max_length,
            pooling: folder.pooling,
            query_prompt,
            passage_prompt,
            digest: folder.digest(),
            tokenizer,
        })
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Components of a vector.
    pub(crate) fn width(&self) -> usize {
        self.encoder.config().hidden_size
    }

    /// Ids of the vocabulary are below this.
    pub(crate) fn vocabulary(&self) -> usize {
        self.encoder.config().vocab_size
    }

    /// Tokens of a passage that are read; further ones are not.
    pub(crate) fn passage_tokens(&self) -> usize {
        self.max_length - self.tokenizer.special(false) - self.passage_prompt.len()
    }

    /// The tokens of a text of any length, without special ones, which a text cannot write either.
    pub(crate) fn tokenize(&self, text: &str) -> Vec<Token> {
        self.tokenizer.tokenize(text)
    }

    /// One output a passage, in their order. What is longer than the model reads is cut off.
    pub(crate) fn passages(&self, passages: &[Vec<u32>]) -> Vec<Output> {
        let sequence = |ids: &Vec<u32>| self.sequence(&self.passage_prompt, ids);
        self.outputs(
            passages.iter().map(sequence).collect(),
            self.passage_prompt.len(),
        )
    }

    /// A query's output.
    pub(crate) fn query(&self, ids: &[u32]) -> Option<Output> {
        let sequence = self.sequence(&self.query_prompt, ids);
        self.outputs(vec![sequence], self.query_prompt.len()).pop()
    }

    fn sequence(&self, prompt: &[u32], ids: &[u32]) -> Sequence {
        let room = self.max_length - self.tokenizer.special(false) - prompt.len();
        let ids = &ids[..ids.len().min(room)];
        let first = std::iter::once(self.tokenizer.first);
        let parts = first
            .chain(prompt.iter().copied())
            .chain(ids.iter().copied());
        Sequence::single(parts.chain([self.tokenizer.last]).collect())
    }

    fn outputs(&self, sequences: Vec<Sequence>, prompt: usize) -> Vec<Output> {
        let width = self.width();
        self.in_batches(sequences, |sequence, hidden| Output {
            pooled: self.pool(hidden),
            tokens: hidden[(1 + prompt) * width..(sequence.ids.len() - 1) * width].to_vec(),
        })
    }

    fn pool(&self, hidden: &[f32]) -> Vec<f32> {
        let width = self.width();
        match self.pooling {
            Pooling::First => hidden[..width].to_vec(),
            Pooling::Mean => {
                let mut sum = vec![0.0; width];
                for token in hidden.chunks_exact(width) {
                    for (sum, value) in sum.iter_mut().zip(token) {
                        *sum += value;
                    }
                }
                #[expect(clippy::cast_precision_loss, reason = "tokens of a passage")]
                let count = (hidden.len() / width).max(1) as f32;
                sum.iter().map(|value| value / count).collect()
            }
        }
    }

    /// How well each passage answers the query, as the head's output before any function; 0 for all from a model without a head.
    pub(crate) fn judge(&self, query: &str, passages: &[&str]) -> Vec<f32> {
        let ids = |text: &str| -> Vec<u32> {
            let tokens = self.tokenizer.tokenize(text);
            tokens.iter().map(|token| token.id).collect()
        };
        let query = ids(query);
        let pair = |text: &&str| self.pair(&query, &ids(text));
        let pairs = passages.par_iter().map(pair).collect();
        self.in_batches(pairs, |_, hidden| match &self.head {
            Some(head) => head.apply(&hidden[..self.width()]),
            None => 0.0,
        })
    }

    /// The passage is shortened first, and the query when it alone fills three quarters.
    fn pair(&self, query: &[u32], passage: &[u32]) -> Sequence {
        let room = self.max_length - self.tokenizer.special(true);
        let query = &query[..query.len().min(room - room / 4)];
        let passage = &passage[..passage.len().min(room - query.len())];
        let mut ids = vec![self.tokenizer.first];
        ids.extend_from_slice(query);
        ids.extend_from_slice(self.tokenizer.between());
        let second = ids.len();
        ids.extend_from_slice(passage);
        ids.push(self.tokenizer.last);
        Sequence { ids, second }
    }

    /// Runs sequences, those of like length together, and gives each with its tokens' vectors to `finish`.
    fn in_batches<T: Send>(
        &self,
        sequences: Vec<Sequence>,
        finish: impl Fn(&Sequence, &[f32]) -> T + Sync,
    ) -> Vec<T> {
        let width = self.width();
        let mut order: Vec<(usize, Sequence)> = sequences.into_iter().enumerate().collect();
        order.sort_by_key(|(at, sequence)| (std::cmp::Reverse(sequence.ids.len()), *at));
        let run = |batch: Vec<(usize, Sequence)>| -> Vec<(usize, T)> {
            let (places, sequences): (Vec<usize>, Vec<Sequence>) = batch.into_iter().unzip();
            let hidden = self.encoder.run(&sequences);
            let mut from = 0;
            let each = places.into_iter().zip(&sequences).map(|(at, sequence)| {
                let to = from + sequence.ids.len() * width;
                let done = finish(sequence, &hidden[from..to]);
                from = to;
                (at, done)
            });
            each.collect()
        };
        let tokens: usize = order.iter().map(|(_, one)| one.ids.len()).sum();
        let share = tokens.div_ceil(rayon::current_num_threads());
        let mut batches = batches(order, share.clamp(LEAST_BATCH_TOKENS, BATCH_TOKENS));
        let mut done: Vec<(usize, T)> = if batches.len() == 1 {
            batches.pop().map(run).unwrap_or_default()
        } else {
            batches.into_par_iter().flat_map_iter(run).collect()
        };
        done.sort_unstable_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, one)| one).collect()
    }
}

fn batches(sequences: Vec<(usize, Sequence)>, most: usize) -> Vec<Vec<(usize, Sequence)>> {
    let mut batches: Vec<Vec<(usize, Sequence)>> = Vec::new();
    let mut tokens = 0;
    for one in sequences {
        tokens += one.1.ids.len();
        match batches.last_mut() {
            Some(batch) if tokens <= most => batch.push(one),
            _ => {
                tokens = one.1.ids.len();
                batches.push(vec![one]);
            }
        }
    }
    batches
}

impl Head {
    fn load(weights: &Weights<'_>, config: &config::Config) -> Result<Self, RetrieverError> {
        let width = config.hidden_size;
        let labels = config.labels();
        if labels != 1 {
            return Err(wrong(format!(
                "it has {labels} outputs; a reranker has one"
            )));
        }
        let linear = |name: &str, columns| -> Result<Linear, RetrieverError> {
            let matrix = weights.outer(&format!("{name}.weight"), &[columns, width])?;
            let bias = weights.outer(&format!("{name}.bias"), &[columns])?;
            Ok(Linear::new(&matrix, columns, width, bias))
        };
        if weights.has_outer("classifier.out_proj.weight") {
            return Ok(Self {
                dense: linear("classifier.dense", width)?,
                out: linear("classifier.out_proj", 1)?,
            });
        }
        Ok(Self {
            dense: linear("bert.pooler.dense", width)?,
            out: linear("classifier", 1)?,
        })
    }

    fn apply(&self, first: &[f32]) -> f32 {
        let (mut between, mut out) = (Vec::new(), Vec::new());
        self.dense.apply(first, 1, &mut between);
        for value in &mut between {
            *value = value.tanh();
        }
        self.out.apply(&between, 1, &mut out);
        out.first().copied().unwrap_or_default()
    }
}

/// With the folder's name, which whoever reads the error knows it by.
fn named(path: &Path, error: RetrieverError) -> RetrieverError {
    match error {
        RetrieverError::Embedder { problem } => wrong(format!("`{}`: {problem}", path.display())),
        other => other,
    }
}
