//! What was written since the snapshot, in memory: a small text index and exact vectors.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::IndexedPassage;
use super::text::{TextView, TextWriter};
use super::vector::Block;
use crate::RetrieverError;

/// More vector blocks than this are joined into one.
const MAX_BLOCKS: usize = 32;

/// The writing side; there is one, behind the writer's lock.
pub(crate) struct DeltaWriter {
    text: TextWriter,
    dimensions: usize,
    view: DeltaView,
}

/// What a search sees of a delta; later additions do not change it.
#[derive(Clone, Default)]
pub(crate) struct DeltaView {
    /// `None` while nothing was added.
    pub text: Option<TextView>,
    pub vectors: Vec<Arc<Block>>,
    pub keys: RoaringBitmap,
}

impl DeltaWriter {
    pub(crate) fn new(dimensions: usize) -> Result<Self, RetrieverError> {
        Ok(Self {
            text: TextWriter::in_memory()?,
            dimensions,
            view: DeltaView::default(),
        })
    }

    /// Adds passages with ascending keys above all that are there.
    pub(crate) fn add(&mut self, passages: &[IndexedPassage]) -> Result<(), RetrieverError> {
        if passages.is_empty() {
            return Ok(());
        }
        let mut block = Block::with_capacity(self.dimensions, passages.len());
        for passage in passages {
            self.text.add(passage.key, &passage.words)?;
            block.push(passage.key, &passage.vector);
        }
        self.view.text = Some(self.text.commit()?);
        self.view
            .keys
            .extend(passages.iter().map(|passage| passage.key));
        self.view.vectors.push(Arc::new(block));
        if self.view.vectors.len() > MAX_BLOCKS {
            let all = Block::concatenate(&self.view.vectors);
            self.view.vectors = vec![Arc::new(all)];
        }
        Ok(())
    }

    pub(crate) fn view(&self) -> DeltaView {
        self.view.clone()
    }
}
