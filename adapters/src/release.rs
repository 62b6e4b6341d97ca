//! A release: everything that decides an answer, and its digest.
//!
//! The digest is that of one canonical JSON text: keys sorted, no white space, and the answer's schema as text, because the
//! order of its properties decides the order in which they are generated. A field added later must be left out of that text
//! while it holds its default, so that recorded digests stay true.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digest::{canonical, digest_of};
use crate::name::AdapterId;
use crate::version::AdapterVersion;

const FORMAT: u32 = 1;

/// How a model cites: by copying, or by naming the markers of sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Citing {
    Quote,
    Point,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedAdapter {
    pub id: AdapterId,
    pub digest: String,
}

impl From<&AdapterVersion> for ReleasedAdapter {
    fn from(version: &AdapterVersion) -> Self {
        Self {
            id: version.id(),
            digest: version.digest.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexIdentity {
    /// The fingerprint of the pipeline that reads, cuts, embeds and indexes documents.
    pub pipeline: String,
    /// The generation that answers, or none for whichever is live: what an operator configures and rolls out has none,
    /// what is recorded with an answer has one.
    pub generation: Option<u64>,
}

/// Models, templates and fingerprints are digests (`sha256:…`) or names that identify the content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub base: String,
    pub adapter: Option<ReleasedAdapter>,
    pub index: IndexIdentity,
    pub embedder: String,
    pub reranker: Option<String>,
    pub prompt_template: String,
    pub citing: Citing,
    /// The default answer schema, which a request may replace; none for a string.
    pub schema: Option<Value>,
    /// Depths, weights, thresholds: whatever of the retriever's settings changes what a model sees.
    pub retrieval: BTreeMap<String, Value>,
    /// Sampling, quantisation, lengths: whatever of the engine's settings changes what a model says.
    pub decoding: BTreeMap<String, Value>,
}

impl Release {
    /// `sha256:…` of [`Release::to_canonical_json`].
    #[must_use]
    pub fn digest(&self) -> String {
        digest_of(self.to_canonical_json().as_bytes())
    }

    #[must_use]
    pub fn to_canonical_json(&self) -> String {
        canonical(&json!({
            "format": FORMAT,
            "base": self.base,
            "adapter": self.adapter,
            "index": self.index,
            "embedder": self.embedder,
            "reranker": self.reranker,
            "prompt_template": self.prompt_template,
            "citing": self.citing,
            "schema": self.schema.as_ref().map(ToString::to_string),
            "retrieval": self.retrieval,
            "decoding": self.decoding,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release {
            base: "sha256:00".to_owned(),
            adapter: Some(ReleasedAdapter {
                id: "support@3".parse().unwrap(),
                digest: "sha256:11".to_owned(),
            }),
            index: IndexIdentity {
                pipeline: "sha256:22".to_owned(),
                generation: Some(7),
            },
            embedder: "sha256:33".to_owned(),
            reranker: None,
            prompt_template: "sha256:44".to_owned(),
            citing: Citing::Point,
            schema: serde_json::from_str(r#"{"type": "object", "properties": {"b": {}, "a": {}}}"#)
                .unwrap(),
            retrieval: BTreeMap::from([
                ("top_k".to_owned(), json!(6)),
                ("abstain_below".to_owned(), json!(0.1)),
            ]),
            decoding: BTreeMap::from([("temperature".to_owned(), json!(0))]),
        }
    }

    /// Recorded digests are compared for years: when this fails, the serialisation changed, and it must not.
    #[test]
    fn the_digest_of_a_release_never_changes() {
        assert_eq!(
            release().to_canonical_json(),
            r#"{"adapter":{"digest":"sha256:11","id":"support@3"},"base":"sha256:00","citing":"point","decoding":{"temperature":0},"embedder":"sha256:33","format":1,"index":{"generation":7,"pipeline":"sha256:22"},"prompt_template":"sha256:44","reranker":null,"retrieval":{"abstain_below":0.1,"top_k":6},"schema":"{\"type\":\"object\",\"properties\":{\"b\":{},\"a\":{}}}"}"#
        );
        assert_eq!(
            release().digest(),
            "sha256:484db64b2660b9187214b064bbf173f8d6b6ba638db85579415fb7c5484cdaa9"
        );
    }

    #[test]
    fn every_field_decides_the_digest() {
        let changes: [fn(&mut Release); 12] = [
            |release| release.base.push('0'),
            |release| release.adapter = None,
            |release| release.adapter.as_mut().unwrap().id.version = 4,
            |release| release.index.pipeline.push('0'),
            |release| release.index.generation = None,
            |release| release.embedder.push('0'),
            |release| release.reranker = Some("sha256:55".to_owned()),
            |release| release.prompt_template.push('0'),
            |release| release.citing = Citing::Quote,
            |release| release.schema = None,
            |release| {
                release.retrieval.insert("top_k".to_owned(), json!(7));
            },
            |release| {
                release
                    .decoding
                    .insert("temperature".to_owned(), json!(0.1));
            },
        ];
        for (position, change) in changes.into_iter().enumerate() {
            let mut other = release();
            change(&mut other);
            assert_ne!(other.digest(), release().digest(), "change {position}");
        }
    }

    #[test]
    fn the_order_of_a_schemas_properties_decides_because_it_decides_what_is_generated_first() {
        let mut other = release();
        other.schema =
            serde_json::from_str(r#"{"type": "object", "properties": {"a": {}, "b": {}}}"#)
                .unwrap();
        assert_ne!(other.digest(), release().digest());
    }

    #[test]
    fn a_release_survives_its_own_serialisation() {
        let text = serde_json::to_string(&release()).unwrap();
        let read: Release = serde_json::from_str(&text).unwrap();
        assert_eq!(read.digest(), release().digest());
    }
}
