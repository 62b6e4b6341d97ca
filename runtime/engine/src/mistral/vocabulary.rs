//! What each token id says, which ids end an output, and the parser factory for grammars over them.

use std::sync::Arc;

use llguidance::{
    Matcher, ParserFactory,
    api::TopLevelGrammar,
    toktrie::{ApproximateTokEnv, TokEnv, TokTrie},
};
use tokenizers::Tokenizer;
use toktrie_hf_tokenizers::ByteTokenizer;

use crate::{Constraint, EngineError, schema};

pub(super) struct Vocabulary {
    factory: Arc<ParserFactory>,
    bytes: Vec<Vec<u8>>,
    pub ends: Vec<u32>,
    /// `SentencePiece` models put a space before the first word.
    pub leads_with_space: bool,
}

impl Vocabulary {
    pub fn new(tokenizer: &Tokenizer, ends: Vec<u32>) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let mut byte_tokenizer =
            ByteTokenizer::from_tokenizer(tokenizer.clone()).map_err(|error| failed(&error))?;
        if !ends.is_empty() {
            byte_tokenizer.set_eos_tokens(&ends);
        }
        let mut bytes = byte_tokenizer.token_bytes();
        for (id, token) in tokenizer.get_added_tokens_decoder() {
            if let Some(entry) = usize::try_from(id).ok().and_then(|id| bytes.get_mut(id)) {
                *entry = if token.special {
                    Vec::new()
                } else {
                    token.content.into_bytes()
                };
            }
        }
        // Not the tokenizer's own environment: with it, text that a grammar forces is tokenised as a whole, and text that
        // looks like a control token becomes one.
        let trie = TokTrie::from(&byte_tokenizer.tokrx_info(), &byte_tokenizer.token_bytes());
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let factory = schema::terse_factory(&environment).map_err(|error| failed(&error))?;
        let leads_with_space = tokenizer.token_to_id("\u{2581}").is_some();
        Ok(Self {
            factory: Arc::new(factory),
            bytes,
            ends,
            leads_with_space,
        })
    }

    /// Number of ids; a model's output layer may be wider.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The text of a token as bytes, perhaps a part of a character. Nothing for control tokens.
    pub fn bytes(&self, id: u32) -> &[u8] {
        usize::try_from(id)
            .ok()
            .and_then(|id| self.bytes.get(id))
            .map_or(&[], Vec::as_slice)
    }

    /// `None` when everything is allowed.
    pub fn matcher(&self, constraint: &Constraint) -> Result<Option<Matcher>, EngineError> {
        let Constraint::Lark(grammar) = constraint else {
            return Ok(None);
        };
        let compiled = schema::compile(&self.factory, TopLevelGrammar::from_lark(grammar.clone()));
        compiled
            .map(Some)
            .map_err(|reason| EngineError::UnsupportedConstraint { reason })
    }
}
