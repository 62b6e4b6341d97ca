//! The transformer of BERT and its relatives: token ids in, one vector a token out.
//!
//! Sequences of a batch lie one after the other without padding: products with weights run over all tokens at once, attention
//! over each sequence by itself. So a vector does not depend on what else is in its batch.

use rayon::prelude::*;

use super::config::{Activation, Config};
use super::kernel::{self, Panels, Rows, WIDTH};
use super::numeric;
use super::product::{Between, Product};
use super::weights::{Matrix, Weights};
use crate::RetrieverError;

/// The input: ids of one sequence, special tokens included.
pub(super) struct Sequence {
    pub ids: Vec<u32>,
    /// From here on tokens are of the second type: the passage that stands behind a query.
    pub second: usize,
}

impl Sequence {
    pub(super) fn single(ids: Vec<u32>) -> Self {
        Self {
            second: ids.len(),
            ids,
        }
    }
}

/// `x · Wᵀ + b`.
pub(crate) struct Linear {
    panels: Vec<f32>,
    depth: usize,
    columns: usize,
    bias: Vec<f32>,
}

impl Linear {
    /// Of `[columns, depth]` weights, as checkpoints hold them.
    pub(crate) fn new(weights: &[f32], columns: usize, depth: usize, bias: Vec<f32>) -> Self {
        let mut panels = Vec::new();
        kernel::pack_transposed(weights, depth, columns, depth, &mut panels);
        Self {
            panels,
            depth,
            columns,
            bias,
        }
    }

    /// For `count` rows of `x`, into as many rows of `out`. Outside of a pool of threads, its threads share the columns.
    pub(crate) fn apply(&self, x: &[f32], count: usize, out: &mut Vec<f32>) {
        out.resize(count * self.columns, 0.0);
        let rows = Rows {
            data: x,
            stride: self.depth,
            count,
        };
        let threads = rayon::current_num_threads();
        if threads == 1 || rayon::current_thread_index().is_some() {
            let panels = Panels {
                data: &self.panels,
                depth: self.depth,
                columns: self.columns,
            };
            kernel::multiply(rows, &panels, &self.bias, out, self.columns);
        } else {
            self.apply_by_columns(rows, threads, out);
        }
    }

    fn apply_by_columns(&self, rows: Rows<'_>, threads: usize, out: &mut [f32]) {
        let panels = self.columns.div_ceil(WIDTH);
        let each = panels.div_ceil(threads).max(1);
        let parts: Vec<(usize, usize, Vec<f32>)> = (0..panels)
            .into_par_iter()
            .step_by(each)
            .map(|first| {
                let from = first * WIDTH;
                let columns = (each * WIDTH).min(self.columns - from);
                let last = (first + each).min(panels);
                let size = self.depth * WIDTH;
                let panels = Panels {
                    data: &self.panels[first * size..last * size],
                    depth: self.depth,
                    columns,
                };
                let mut part = vec![0.0; rows.count * columns];
                let bias = self.bias.get(from..from + columns).unwrap_or_default();
                kernel::multiply(rows, &panels, bias, &mut part, columns);
                (from, columns, part)
            })
            .collect();
        for (from, columns, part) in parts {
            let rows = out.chunks_exact_mut(self.columns);
            for (row, part) in rows.zip(part.chunks_exact(columns)) {
                row[from..from + columns].copy_from_slice(part);
            }
        }
    }
}

struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    fn load(weights: &Weights<'_>, name: &str, config: &Config) -> Result<Self, RetrieverError> {
        let width = [config.hidden_size];
        Ok(Self {
            scale: weights.get(&format!("{name}.weight"), &width)?,
            shift: weights.get(&format!("{name}.bias"), &width)?,
            epsilon: config.layer_norm_eps,
        })
    }

    fn apply(&self, rows: &mut [f32], added: &[f32]) {
        numeric::add_and_normalise(rows, added, &self.scale, &self.shift, self.epsilon);
    }
}

struct Layer {
    /// Queries, keys and values side by side.
    attention: Product,
    attended: Product,
    after_attention: Norm,
    up: Product,
    down: Product,
    after_all: Norm,
}

impl Layer {
    fn load(weights: &Weights<'_>, name: &str, config: &Config) -> Result<Self, RetrieverError> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let (mut matrices, mut bias) = (Vec::new(), Vec::new());
        for part in ["query", "key", "value"] {
            let part = format!("{name}.attention.self.{part}");
            matrices.push(weights.matrix(&format!("{part}.weight"), [width, width])?);
            bias.extend(weights.get(&format!("{part}.bias"), &[width])?);
        }
        let linear = |part: &str, columns, depth| {
            Product::load(weights, &format!("{name}.{part}"), columns, depth)
        };
        let norm = |part: &str| Norm::load(weights, &format!("{name}.{part}.LayerNorm"), config);
        Ok(Self {
            attention: Product::of(Matrix::stack(matrices), bias),
            attended: linear("attention.output.dense", width, width)?,
            after_attention: norm("attention.output")?,
            up: linear("intermediate.dense", inner, width)?,
            down: linear("output.dense", width, inner)?,
            after_all: norm("output")?,
        })
    }
}

/// Memory of one pass, used by one layer after the other.
#[derive(Default)]
struct Scratch {
    attention: Vec<f32>,
    context: Vec<f32>,
    added: Vec<f32>,
    inner: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    between: Between,
}

/// The transformer, without what a task puts on top.
pub(super) struct Encoder {
    config: Config,
    /// `[vocabulary, hidden]`.
    words: Matrix,
    /// `[positions, hidden]`, `[types, hidden]`.
    positions: Vec<f32>,
    types: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Encoder {
    /// # Errors
    /// A tensor is missing, of another shape than the configuration says, or not finite.
    pub(super) fn load(config: Config, weights: &Weights<'_>) -> Result<Self, RetrieverError> {
        let width = config.hidden_size;
        let table = |name: &str, rows| {
            weights.get(
                &format!("embeddings.{name}_embeddings.weight"),
                &[rows, width],
            )
        };
        let layers = (0..config.num_hidden_layers)
            .map(|layer| Layer::load(weights, &format!("encoder.layer.{layer}"), &config));
        Ok(Self {
            words: weights.matrix(
                "embeddings.word_embeddings.weight",
                [config.vocab_size, width],
            )?,
            positions: table("position", config.max_position_embeddings)?,
            types: table("token_type", config.type_vocab_size)?,
            norm: Norm::load(weights, "embeddings.LayerNorm", &config)?,
            layers: layers.collect::<Result<_, _>>()?,
            config,
        })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// One vector of the hidden size a token, sequence after sequence. Ids beyond the vocabulary are taken for token 0, and
    /// positions beyond the last for the last: callers keep to both bounds.
    pub(super) fn run(&self, sequences: &[Sequence]) -> Vec<f32> {
        let mut hidden = self.embed(sequences);
        let tokens = hidden.len() / self.config.hidden_size;
        let lengths: Vec<usize> = sequences.iter().map(|one| one.ids.len()).collect();
        let mut scratch = Scratch::default();
        for layer in &self.layers {
            let scratch = &mut scratch;
            layer.attention.apply(
                &hidden,
                tokens,
                &mut scratch.attention,
                &mut scratch.between,
            );
            self.attend(&lengths, scratch);
            layer.attended.apply(
                &scratch.context,
                tokens,
                &mut scratch.added,
                &mut scratch.between,
            );
            layer.after_attention.apply(&mut hidden, &scratch.added);
            layer
                .up
                .apply(&hidden, tokens, &mut scratch.inner, &mut scratch.between);
            self.activate(&mut scratch.inner);
            layer.down.apply(
                &scratch.inner,
                tokens,
                &mut scratch.added,
                &mut scratch.between,
            );
            layer.after_all.apply(&mut hidden, &scratch.added);
        }
        hidden
    }

    fn activate(&self, values: &mut [f32]) {
        match self.config.hidden_act {
            Activation::Gelu => numeric::gelu(values),
            Activation::GeluTanh => numeric::gelu_tanh(values),
            Activation::Relu => numeric::relu(values),
        }
    }

    fn embed(&self, sequences: &[Sequence]) -> Vec<f32> {
        let width = self.config.hidden_size;
        let tokens: usize = sequences.iter().map(|one| one.ids.len()).sum();
        let mut hidden = Vec::with_capacity(tokens * width);
        let mut added = Vec::with_capacity(tokens * width);
        let row = |table: &[f32], at: usize, or: usize| {
            let at = if (at + 1) * width <= table.len() {
                at
            } else {
                or
            };
            at * width..(at + 1) * width
        };
        for sequence in sequences {
            for (at, id) in sequence.ids.iter().enumerate() {
                let last = self.config.max_position_embeddings - 1;
                let position = self.config.first_position() + at;
                let kind = usize::from(at >= sequence.second);
                let word = Some(*id as usize).filter(|id| *id < self.words.rows());
                self.words.extend(word.unwrap_or(0), &mut hidden);
                let position = &self.positions[row(&self.positions, position, last)];
                let kind = &self.types[row(&self.types, kind, 0)];
                added.extend(position.iter().zip(kind).map(|(a, b)| a + b));
            }
        }
        self.norm.apply(&mut hidden, &added);
        hidden
    }

    /// Attention of each head within each sequence, from `scratch.attention` into `scratch.context`.
    fn attend(&self, lengths: &[usize], scratch: &mut Scratch) {
        let width = self.config.hidden_size;
        let head_width = width / self.config.num_attention_heads;
        #[expect(clippy::cast_precision_loss, reason = "components of a head")]
        let factor = 1.0 / (head_width as f32).sqrt();
        let stride = 3 * width;
        scratch.context.resize(scratch.attention.len() / 3, 0.0);
        let mut first = 0;
        for length in lengths.iter().copied().filter(|length| *length > 0) {
            for head in 0..self.config.num_attention_heads {
                let part = |kind| first * stride + kind * width + head * head_width;
                let all = &scratch.attention;
                let (keys, values) = (&all[part(1)..], &all[part(2)..]);
                kernel::pack_transposed(keys, stride, length, head_width, &mut scratch.keys);
                kernel::pack(values, stride, head_width, length, &mut scratch.values);
                let keys = Panels {
                    data: &scratch.keys,
                    depth: head_width,
                    columns: length,
                };
                let queries = Rows {
                    data: &all[part(0)..],
                    stride,
                    count: length,
                };
                scratch.scores.resize(length * length, 0.0);
                kernel::multiply(queries, &keys, &[], &mut scratch.scores, length);
                numeric::softmax(&mut scratch.scores, length, factor);
                let values = Panels {
                    data: &scratch.values,
                    depth: length,
                    columns: head_width,
                };
                let scores = Rows {
                    data: &scratch.scores,
                    stride: length,
                    count: length,
                };
                let out = &mut scratch.context[first * width + head * head_width..];
                kernel::multiply(scores, &values, &[], out, width);
            }
            first += length;
        }
    }
}
