//! The words of a text as the text index sees them, and what each is worth: for answers without a model.

use crate::index::analysis::query_terms;
use crate::rank::sentences::{HeadedSentence, Nearness};
use crate::{Access, Retriever, RetrieverError, Timestamp};

/// Different terms of a text that are looked at.
const MAX_TERMS: usize = 4096;

/// Fingerprints of what decides which passages are found and in which order, for a release's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineFingerprints {
    /// Readers, passages, embedder and analysis: what a snapshot depends on.
    pub index: String,
    /// The embedder.
    pub embedder: String,
    /// The reranker, where there is one.
    pub reranker: Option<String>,
    /// The encoder that single sentences are compared by.
    pub sentences: String,
    /// Fusion and its weight, depths, the reranker's share, and whether a search that does not say is reranked.
    pub ranking: String,
}

impl Retriever {
    /// The different terms of `text`, in order, analysed like a query.
    #[must_use]
    pub fn terms(&self, text: &str) -> Vec<String> {
        query_terms(text, MAX_TERMS)
    }

    /// The terms of a question with their inverse document frequency, `ln(1 + (N − n + ½) / (n + ½))` over the passages that the
    /// caller may read.
    ///
    /// # Errors
    /// An index cannot be read.
    pub fn term_weights(
        &self,
        question: &str,
        access: &Access,
    ) -> Result<Vec<(String, f32)>, RetrieverError> {
        let terms = query_terms(question, self.inner.settings.limits.query_terms);
        let published = self.inner.current.load();
        let readable = published.readable(access, Timestamp::now())?;
        let weights = published.inverse_frequencies(&terms, &readable);
        Ok(terms.into_iter().zip(weights).collect())
    }

    /// How near each sentence is in meaning to a question, by the transformer in the binary, whatever embeds passages: one a
    /// sentence, in their order, of as many as it reads within its bound on tokens. Words count for as much as they are rare among
    /// what the caller may read.
    ///
    /// Blocking: some milliseconds for a dozen sentences.
    ///
    /// # Errors
    /// An index cannot be read.
    pub fn nearness(
        &self,
        question: &str,
        sentences: &[HeadedSentence<'_>],
        access: &Access,
    ) -> Result<Vec<Nearness>, RetrieverError> {
        let published = self.inner.current.load();
        let readable = published.readable(access, Timestamp::now())?;
        let question = published.weigh(question, &readable);
        Ok(self.inner.sentences.compare(&question, sentences))
    }

    /// What decides which passages are found, and in which order.
    #[must_use]
    pub fn pipeline(&self) -> PipelineFingerprints {
        let pipeline = &self.inner.current.load().pipeline;
        PipelineFingerprints {
            index: pipeline.fingerprint.clone(),
            embedder: pipeline.embedder.fingerprint().to_owned(),
            reranker: pipeline
                .reranker
                .as_ref()
                .map(|reranker| reranker.name().to_owned()),
            sentences: self.inner.sentences.digest().to_owned(),
            ranking: pipeline
                .ranking
                .fingerprint(self.inner.settings.limits.query_terms),
        }
    }
}
