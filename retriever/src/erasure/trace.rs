//! Salted digests of pieces of a text, and the search for them in raw bytes.
//!
//! A rolling hash under the trace's own salt picks candidates, and SHA-256 under the same salt decides. Who has both, which is
//! who has the catalogue, can confirm a guess of a whole piece, and read nothing: so a piece is long and varied, or is not kept.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

/// Bytes of a piece.
const PIECE: usize = 48;
/// Pieces kept of one text, spread over it.
const MOST: usize = 64;
/// Different bytes that a piece has at least: a ruler or a row of dots says nothing.
const VARIED: usize = 12;
const SALT: usize = 32;
const DIGEST: usize = 16;
const STORED: usize = 8 + DIGEST;

/// What is kept of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    salt: [u8; SALT],
    pieces: Vec<(u64, [u8; DIGEST])>,
}

impl Trace {
    /// Takes pieces of a text, at most one of every part of it.
    pub(crate) fn of(text: &str, salt: [u8; SALT]) -> Self {
        let bytes = text.as_bytes();
        let mut trace = Self {
            salt,
            pieces: Vec::new(),
        };
        let places = bytes.len().saturating_sub(PIECE - 1);
        let part = places.div_ceil(MOST).max(1);
        let base = trace.base();
        let mut start = 0;
        while start < places {
            let end = (start + part).min(places);
            let piece = (start..end)
                .filter_map(|at| bytes.get(at..at + PIECE))
                .find(|piece| is_telling(piece));
            if let Some(piece) = piece {
                let entry = (rolling(piece, base), trace.digest(piece));
                trace.pieces.push(entry);
            }
            // Of a short text, pieces that do not overlap.
            start = end.max(start + PIECE.min(places));
        }
        trace
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.salt.to_vec();
        for (rolling, digest) in &self.pieces {
            bytes.extend(rolling.to_le_bytes());
            bytes.extend(digest);
        }
        bytes
    }

    /// The reverse of [`Self::to_bytes`]; `None` when the bytes are not that.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (salt, rest) = bytes.split_first_chunk::<SALT>()?;
        let (pieces, []) = rest.as_chunks::<STORED>() else {
            return None;
        };
        let pieces = pieces.iter().filter_map(|piece| {
            let (rolling, digest) = piece.split_first_chunk::<8>()?;
            Some((u64::from_le_bytes(*rolling), digest.try_into().ok()?))
        });
        Some(Self {
            salt: *salt,
            pieces: pieces.collect(),
        })
    }

    fn base(&self) -> u64 {
        let start = self.salt.first_chunk::<8>();
        start.map_or(1, |start| u64::from_le_bytes(*start)) | 1
    }

    fn digest(&self, piece: &[u8]) -> [u8; DIGEST] {
        let mut digest = Sha256::new();
        digest.update(self.salt);
        digest.update(piece);
        let whole: [u8; 32] = digest.finalize().into();
        let mut kept = [0; DIGEST];
        kept.copy_from_slice(&whole[..DIGEST]);
        kept
    }
}

/// Varied, and written in JSON as it stands in the text.
fn is_telling(piece: &[u8]) -> bool {
    let plain = piece
        .iter()
        .all(|byte| *byte >= 0x20 && !matches!(byte, b'"' | b'\\' | 0x7f));
    let mut seen = [false; 256];
    for byte in piece {
        seen[usize::from(*byte)] = true;
    }
    plain && seen.iter().filter(|seen| **seen).count() >= VARIED
}

/// `Σ byte[i] · base^(n − 1 − i)` modulo 2⁶⁴.
fn rolling(piece: &[u8], base: u64) -> u64 {
    piece.iter().fold(0_u64, |hash, byte| {
        hash.wrapping_mul(base).wrapping_add(u64::from(*byte))
    })
}

/// What is searched for: the pieces of a trace, numbered from 0, and after them phrases.
pub(crate) struct Search {
    trace: Option<Trace>,
    by_hash: HashMap<u64, Vec<usize>>,
    /// By the top 16 bits of a hash: whether one of those wanted begins so.
    maybe: Vec<bool>,
    phrases: Vec<Vec<u8>>,
}

impl Search {
    pub(crate) fn new(trace: Option<Trace>, phrases: &[String]) -> Self {
        let mut by_hash: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut maybe = vec![false; 1 << 16];
        for (number, (hash, _)) in trace.iter().flat_map(|trace| &trace.pieces).enumerate() {
            by_hash.entry(*hash).or_default().push(number);
            maybe[(hash >> 48) as usize] = true;
        }
        let phrases = phrases.iter().filter(|phrase| !phrase.is_empty());
        Self {
            trace,
            by_hash,
            maybe,
            phrases: phrases.map(|phrase| phrase.clone().into_bytes()).collect(),
        }
    }

    pub(crate) fn pieces(&self) -> usize {
        self.trace.as_ref().map_or(0, |trace| trace.pieces.len())
    }

    /// Whether there is nothing to search for.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces() == 0 && self.phrases.is_empty()
    }

    /// Bytes of the longest that is searched for.
    pub(crate) fn longest(&self) -> usize {
        let phrases = self.phrases.iter().map(Vec::len).max();
        phrases.unwrap_or(0).max(PIECE)
    }

    /// Calls `found` with offset, length and number of all that stands in `bytes`.
    pub(crate) fn find(&self, bytes: &[u8], found: &mut dyn FnMut(usize, usize, usize)) {
        if let Some(trace) = self.trace.as_ref().filter(|trace| !trace.pieces.is_empty()) {
            self.find_pieces(trace, bytes, found);
        }
        for (number, phrase) in self.phrases.iter().enumerate() {
            let Some(first) = phrase.first() else {
                continue;
            };
            let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
            for (offset, _) in starts {
                if bytes[offset..].starts_with(phrase) {
                    found(offset, phrase.len(), self.pieces() + number);
                }
            }
        }
    }

    fn find_pieces(&self, trace: &Trace, bytes: &[u8], found: &mut dyn FnMut(usize, usize, usize)) {
        let Some(first) = bytes.get(..PIECE) else {
            return;
        };
        let base = trace.base();
        let out = (1..PIECE).fold(1_u64, |power, _| power.wrapping_mul(base));
        let mut hash = rolling(first, base);
        for offset in 0..=bytes.len() - PIECE {
            if self.maybe[(hash >> 48) as usize]
                && let Some(numbers) = self.by_hash.get(&hash)
            {
                let digest = trace.digest(&bytes[offset..offset + PIECE]);
                for number in numbers {
                    if trace.pieces[*number].1 == digest {
                        found(offset, PIECE, *number);
                    }
                }
            }
            if let Some(next) = bytes.get(offset + PIECE) {
                let gone = u64::from(bytes[offset]).wrapping_mul(out);
                hash = hash.wrapping_sub(gone).wrapping_mul(base);
                hash = hash.wrapping_add(u64::from(*next));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "Der Schlüssel zum Lagerraum liegt unter dem dritten Stein, sagt die Verwalterin Ölçer; \
        wer ihn nimmt, trägt Namen, Datum und Uhrzeit in das blaue Heft ein.";

    fn found(search: &Search, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        search.find(bytes, &mut |offset, _, number| all.push((offset, number)));
        all
    }

    #[test]
    fn a_text_is_found_in_other_bytes_and_its_trace_holds_none_of_it() {
        let trace = Trace::of(TEXT, [7; SALT]);
        let stored = trace.to_bytes();
        assert_eq!(Trace::from_bytes(&stored).unwrap(), trace);
        assert!(trace.pieces.len() >= 3);
        for window in TEXT.as_bytes().windows(4) {
            assert!(!stored.windows(4).any(|other| other == window));
        }
        let search = Search::new(Some(trace), &["blaue Heft".to_owned()]);
        let mut bytes = vec![0xff; 1000];
        bytes.extend(TEXT.as_bytes());
        bytes.extend([0; 100]);
        let all = found(&search, &bytes);
        assert_eq!(all.len(), search.pieces() + 1);
        assert!(all.iter().all(|(offset, _)| *offset >= 1000));
        assert!(found(&search, &TEXT.to_uppercase().into_bytes()).is_empty());
    }

    #[test]
    fn short_and_uniform_texts_leave_no_digest_that_could_be_guessed() {
        for text in ["", "pin 4711", &TEXT[..47], &"-".repeat(4000)] {
            assert_eq!(Trace::of(text, [1; SALT]).pieces, [], "{text}");
        }
        let long = TEXT.repeat(4000);
        assert!(Trace::of(&long, [1; SALT]).pieces.len() <= MOST);
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        let bytes = Trace::of(TEXT, [7; SALT]).to_bytes();
        assert!(Trace::from_bytes(&bytes[..SALT - 1]).is_none());
        assert!(Trace::from_bytes(&bytes[..bytes.len() - 1]).is_none());
    }

    proptest! {
        #[test]
        fn every_piece_of_any_text_is_found_in_it(words in proptest::collection::vec("[a-zäöü日本]{1,12}", 0..200), salt: [u8; SALT]) {
            let text = words.join(" ");
            let search = Search::new(Some(Trace::of(&text, salt)), &[]);
            let numbers: std::collections::BTreeSet<usize> =
                found(&search, text.as_bytes()).into_iter().map(|(_, number)| number).collect();
            prop_assert_eq!(numbers.len(), search.pieces());
        }
    }
}
