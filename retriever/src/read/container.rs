//! The zip around an Office file. What its headers say about sizes is not believed: bytes are counted while they are inflated.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::RetrieverError;
use crate::settings::Limits;

/// A zip whose parts are inflated within one limit, all together.
pub(super) struct Container<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    format: &'static str,
    limit: usize,
    expanded: usize,
}

impl<'a> Container<'a> {
    /// # Errors
    /// Not a zip, or with too many parts.
    pub(super) fn open(
        bytes: &'a [u8],
        format: &'static str,
        limits: &Limits,
    ) -> Result<Self, RetrieverError> {
        let archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|error| unreadable(format, &error))?;
        if archive.len() > limits.archive_entries {
            return Err(RetrieverError::TooLarge {
                what: "a zip",
                limit: limits.archive_entries as u64,
                got: archive.len() as u64,
                unit: "entries",
            });
        }
        Ok(Self {
            archive,
            format,
            limit: limits.expanded_bytes,
            expanded: 0,
        })
    }

    /// A part as text, or `None` when there is none of that name.
    ///
    /// # Errors
    /// Damaged, not UTF-8, or more than the limit when inflated.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, RetrieverError> {
        let Some(place) = self.archive.index_for_name(name) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        self.inflate(place, |piece| bytes.extend_from_slice(piece))?;
        let text = String::from_utf8(bytes).map_err(|error| unreadable(self.format, &error))?;
        Ok(Some(text.trim_start_matches('\u{feff}').to_owned()))
    }

    /// Inflates everything and keeps nothing: for libraries that inflate without a limit.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub(super) fn check_all(&mut self) -> Result<(), RetrieverError> {
        for place in 0..self.archive.len() {
            self.inflate(place, |_| {})?;
        }
        Ok(())
    }

    fn inflate(&mut self, place: usize, mut take: impl FnMut(&[u8])) -> Result<(), RetrieverError> {
        let mut part = self
            .archive
            .by_index(place)
            .map_err(|error| unreadable(self.format, &error))?;
        let mut buffer = [0; 16 << 10];
        loop {
            let read = part
                .read(&mut buffer)
                .map_err(|error| unreadable(self.format, &error))?;
            if read == 0 {
                return Ok(());
            }
            self.expanded += read;
            if self.expanded > self.limit {
                return Err(RetrieverError::TooLarge {
                    what: "a zip, inflated,",
                    limit: self.limit as u64,
                    got: self.expanded as u64,
                    unit: "bytes",
                });
            }
            take(&buffer[..read]);
        }
    }
}

fn unreadable(format: &'static str, error: &dyn std::error::Error) -> RetrieverError {
    RetrieverError::Unreadable {
        format,
        problem: format!("its zip is damaged: {error}"),
    }
}
