//! `config.json` of a BERT-like model, and what this program can run of it.

use serde::Deserialize;

use super::wrong;
use crate::RetrieverError;

/// What is applied between the two products of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Activation {
    #[serde(rename = "gelu")]
    Gelu,
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluTanh,
    #[serde(rename = "relu")]
    Relu,
}

/// How positions are numbered and pairs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Family {
    #[serde(rename = "bert")]
    Bert,
    #[serde(rename = "roberta", alias = "xlm-roberta", alias = "camembert")]
    Roberta,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Config {
    pub model_type: Family,
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub hidden_act: Activation,
    pub max_position_embeddings: usize,
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    #[serde(default = "tiny")]
    pub layer_norm_eps: f32,
    #[serde(default)]
    pub pad_token_id: usize,
    #[serde(default)]
    position_embedding_type: Option<String>,
    /// The name that the model was made from, where its makers left it.
    #[serde(default, rename = "_name_or_path")]
    pub made_from: String,
    /// Of a classifier.
    #[serde(default)]
    id2label: Option<serde_json::Map<String, serde_json::Value>>,
}

fn two() -> usize {
    2
}

fn tiny() -> f32 {
    1e-12
}

impl Config {
    /// # Errors
    /// It is no configuration, is of another architecture, or has numbers that cannot be.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, RetrieverError> {
        let config: Self =
            serde_json::from_slice(json).map_err(|error| wrong(format!("config.json: {error}")))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), RetrieverError> {
        let sizes = [
            ("vocab_size", self.vocab_size, 1 << 21),
            ("hidden_size", self.hidden_size, 4096),
            ("num_hidden_layers", self.num_hidden_layers, 128),
            ("num_attention_heads", self.num_attention_heads, 128),
            ("intermediate_size", self.intermediate_size, 1 << 15),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                1 << 16,
            ),
            ("type_vocab_size", self.type_vocab_size, 16),
        ];
        for (name, size, most) in sizes {
            if size == 0 || size > most {
                return Err(wrong(format!(
                    "config.json: `{name}` is 1 to {most}, got {size}"
                )));
            }
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if width % heads != 0 {
            let problem =
                format!("config.json: `hidden_size` {width} is no multiple of {heads} heads");
            return Err(wrong(problem));
        }
        if !(self.layer_norm_eps >= 0.0 && self.layer_norm_eps < 1.0) {
            let problem = format!("config.json: `layer_norm_eps` is {}", self.layer_norm_eps);
            return Err(wrong(problem));
        }
        if self.max_length() < 3 {
            return Err(wrong(
                "config.json: no positions are left for tokens".into(),
            ));
        }
        match self.position_embedding_type.as_deref() {
            None | Some("absolute") => Ok(()),
            Some(other) => Err(wrong(format!(
                "config.json: `position_embedding_type` `{other}` is not supported"
            ))),
        }
    }

    /// The position of a sequence's first token.
    pub(super) fn first_position(&self) -> usize {
        match self.model_type {
            Family::Bert => 0,
            Family::Roberta => self.pad_token_id + 1,
        }
    }

    /// Tokens of the longest sequence, special ones included.
    pub(super) fn max_length(&self) -> usize {
        self.max_position_embeddings
            .saturating_sub(self.first_position())
    }

    /// Outputs of a classifier.
    pub(super) fn labels(&self) -> usize {
        self.id2label.as_ref().map_or(1, serde_json::Map::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> serde_json::Value {
        serde_json::json!({
            "model_type": "bert", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "hidden_act": "gelu", "max_position_embeddings": 16
        })
    }

    fn error_with(key: &str, value: serde_json::Value) -> String {
        let mut config = minimal();
        config[key] = value;
        let json = serde_json::to_vec(&config).unwrap();
        Config::from_json(&json).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        assert!(Config::from_json(minimal().to_string().as_bytes()).is_ok());
        for (key, value, word) in [
            ("model_type", "nomic_bert".into(), "nomic_bert"),
            ("hidden_act", "silu".into(), "silu"),
            ("hidden_size", 0.into(), "hidden_size"),
            ("hidden_size", 9.into(), "multiple"),
            ("num_hidden_layers", 4000.into(), "num_hidden_layers"),
            ("position_embedding_type", "rotary".into(), "rotary"),
            ("layer_norm_eps", (-1.0).into(), "layer_norm_eps"),
            ("max_position_embeddings", 2.into(), "positions"),
        ] {
            let error = error_with(key, value);
            assert!(error.contains(word), "{error}");
        }
    }
}
