//! How likely it is that the first hit answers the query.
//!
//! A logistic model over two signals that cost no further look-up. `examples/calibrate.rs` fits it, and shows how well it is
//! calibrated: each collection against a model fitted on the others.

use super::{Asked, Hit, Ranked, Signals};
use crate::RetrieverError;

/// `1 / (1 + exp(-(bias + covered · c + cosine · v)))`.
struct Model {
    bias: f32,
    covered: f32,
    cosine: f32,
}

/// For the vectors of the bundled table.
const STATIC: Model = Model {
    bias: -4.36,
    covered: 4.15,
    cosine: 3.18,
};

/// For vectors whose cosines nobody has calibrated, and where none are compared.
const WORDS_ALONE: Model = Model {
    bias: -3.59,
    covered: 5.58,
    cosine: 0.0,
};

/// The signals of a result; `None` where nothing was found or nothing was asked.
pub(super) fn signals(
    asked: &Asked<'_>,
    ranked: &Ranked,
    hits: &[Hit],
) -> Result<Option<Signals>, RetrieverError> {
    let published = asked.published;
    let terms = &ranked.terms;
    let weights = published.inverse_frequencies(terms, asked.readable);
    let all: f32 = weights.iter().sum();
    let Some(first) = hits.first().filter(|_| all > 0.0) else {
        return Ok(None);
    };
    let Some(key) = published.roster.key(&first.document, first.position) else {
        return Ok(None);
    };
    let having = published.having(terms, key)?;
    let of_those = having.iter().zip(&weights).filter(|(has, _)| **has);
    let covered: f32 = of_those.map(|(_, weight)| weight).sum();
    Ok(Some(Signals {
        covered: covered / all,
        cosine: first.stages.vector.map_or(0.0, |stage| stage.score),
    }))
}

/// The model's probability, 0 to 1.
pub(super) fn of(asked: &Asked<'_>, signals: Signals) -> f32 {
    let pipeline = &asked.published.pipeline;
    let is_static = pipeline.embedder.fingerprint().starts_with("static:");
    let model = if is_static && pipeline.ranking.asks_vectors() {
        STATIC
    } else {
        WORDS_ALONE
    };
    let sum = model.bias + model.covered * signals.covered + model.cosine * signals.cosine;
    1.0 / (1.0 + (-sum).exp())
}
