//! Reads the head of a GGUF file: enough to refuse a damaged one and to find its chat template.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{BufReader, Read, Seek},
    path::Path,
};

use crate::EngineError;

/// Larger numbers are taken for damage.
const MOST_ENTRIES: u64 = 1 << 20;
const MOST_ITEMS: u64 = 1 << 26;
const LONGEST_TEXT_BYTES: u64 = 1 << 26;

/// What we need of the metadata.
#[derive(Debug, PartialEq)]
enum Field {
    Text(String),
    Number(u64),
    Texts(Vec<String>),
    Numbers(Vec<u64>),
    Other,
}

/// `tokenizer.ggml.token_type` of a token that is added to the vocabulary but stands for text.
const USER_DEFINED: u64 = 4;

/// Blocks that candle 0.10.2 multiplies a number at a time on a CPU: `Q4_1`, `Q5_0` and `Q5_1`.
const SLOW_BLOCKS: [u32; 3] = [3, 6, 7];

#[derive(Debug)]
pub(crate) struct Head {
    fields: HashMap<String, Field>,
    tensors: HashMap<String, Tensor>,
}

/// What the head says of a tensor.
#[derive(Debug)]
struct Tensor {
    numbers: u64,
    /// `ggml_type`.
    kind: u32,
    offset: u64,
}

struct Reader {
    file: BufReader<File>,
}

type Parsed<T> = Result<T, String>;

impl Head {
    pub fn read(path: &Path) -> Result<Self, EngineError> {
        let file = File::open(path).map_err(EngineError::io(path))?;
        let size = file.metadata().map_err(EngineError::io(path))?.len();
        let mut reader = Reader {
            file: BufReader::new(file),
        };
        reader
            .head(size)
            .map_err(|reason| EngineError::file(path, reason))
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match self.fields.get(key) {
            Some(Field::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The text of the token that a key holds the id of.
    pub fn token(&self, key: &str) -> Option<String> {
        match (
            self.fields.get(key),
            self.fields.get("tokenizer.ggml.tokens"),
        ) {
            (Some(Field::Number(id)), Some(Field::Texts(tokens))) => {
                tokens.get(usize::try_from(*id).ok()?).cloned()
            }
            _ => None,
        }
    }

    /// Added tokens that are text: mistralrs takes them for control tokens, whose text it drops.
    pub fn text_tokens(&self) -> BTreeSet<&str> {
        match (
            self.fields.get("tokenizer.ggml.token_type"),
            self.fields.get("tokenizer.ggml.tokens"),
        ) {
            (Some(Field::Numbers(kinds)), Some(Field::Texts(tokens))) => {
                let tokens = kinds
                    .iter()
                    .zip(tokens)
                    .filter(|(kind, _)| **kind == USER_DEFINED);
                tokens.map(|(_, token)| token.as_str()).collect()
            }
            _ => BTreeSet::new(),
        }
    }

    /// What the table of tokens takes beside the file: it is f32 in memory, and is read once more, as it lies, where the output
    /// layer shares it.
    pub fn table_bytes(&self) -> u64 {
        let numbers = self
            .tensors
            .get("token_embd.weight")
            .map_or(0, |table| table.numbers);
        let shared = if self.tensors.contains_key("output.weight") {
            0
        } else {
            numbers.saturating_mul(9) / 8
        };
        numbers.saturating_mul(4).saturating_add(shared)
    }

    pub fn vocabulary_size(&self) -> u64 {
        match self.fields.get("tokenizer.ggml.tokens") {
            Some(Field::Texts(tokens)) => u64::try_from(tokens.len()).unwrap_or(u64::MAX),
            _ => 0,
        }
    }

    /// Whether positions are to be scaled, as Llama 3.1 and later do.
    pub fn scales_positions(&self) -> bool {
        self.tensors.contains_key("rope_freqs.weight")
    }

    /// Of all weights, those in blocks that are slow on a CPU.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn slow_share(&self) -> f64 {
        let sum = |slow_alone: bool| {
            let of_kind = |tensor: &&Tensor| !slow_alone || SLOW_BLOCKS.contains(&tensor.kind);
            let tensors = self.tensors.values().filter(of_kind);
            tensors
                .map(|tensor| tensor.numbers)
                .fold(0, u64::saturating_add) as f64
        };
        sum(true) / sum(false).max(1.0)
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.fields.get(key) {
            Some(Field::Number(value)) => Some(*value != 0),
            _ => None,
        }
    }
}

impl Reader {
    fn head(&mut self, size: u64) -> Parsed<Head> {
        if &self.bytes::<4>()? != b"GGUF" {
            return Err("not a GGUF file: it does not begin with `GGUF`".into());
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!(
                "GGUF version {version} is not supported, versions 2 and 3 are"
            ));
        }
        let count = bounded(self.u64()?, MOST_ENTRIES, "tensors")?;
        let entries = bounded(self.u64()?, MOST_ENTRIES, "metadata entries")?;
        let mut fields = HashMap::new();
        for _ in 0..entries {
            let key = self.text()?;
            let kind = self.u32()?;
            fields.insert(key, self.field(kind)?);
        }
        let mut tensors = HashMap::new();
        for _ in 0..count {
            let name = self.text()?;
            tensors.insert(name, self.tensor()?);
        }
        let offsets = tensors.values().map(|tensor| tensor.offset);
        let last_offset = offsets.max().unwrap_or_default();
        let here = self
            .file
            .stream_position()
            .map_err(|error| error.to_string())?;
        if tensors.is_empty() || here.saturating_add(last_offset) >= size {
            return Err(format!(
                "cut short: {size} bytes, its last tensor begins at byte {}",
                here.saturating_add(last_offset)
            ));
        }
        Ok(Head { fields, tensors })
    }

    fn tensor(&mut self) -> Parsed<Tensor> {
        let dimensions = bounded(self.u32()?.into(), 8, "dimensions")?;
        let mut numbers: u64 = 1;
        for _ in 0..dimensions {
            numbers = numbers.saturating_mul(self.u64()?);
        }
        Ok(Tensor {
            numbers,
            kind: self.u32()?,
            offset: self.u64()?,
        })
    }

    fn field(&mut self, kind: u32) -> Parsed<Field> {
        match kind {
            0 | 7 => Ok(Field::Number(self.bytes::<1>()?[0].into())),
            1 => self.bytes::<1>().map(|_| Field::Other),
            2 => Ok(Field::Number(u16::from_le_bytes(self.bytes()?).into())),
            3 => self.bytes::<2>().map(|_| Field::Other),
            // Kinds of tokens are signed, but never negative.
            4 | 5 => Ok(Field::Number(self.u32()?.into())),
            6 => self.bytes::<4>().map(|_| Field::Other),
            8 => self.text().map(Field::Text),
            9 => self.list(),
            10 => self.u64().map(Field::Number),
            11 | 12 => self.bytes::<8>().map(|_| Field::Other),
            _ => Err(format!("damaged: metadata of the unknown type {kind}")),
        }
    }

    fn list(&mut self) -> Parsed<Field> {
        let kind = self.u32()?;
        let items = bounded(self.u64()?, MOST_ITEMS, "list items")?;
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for _ in 0..items {
            match self.field(kind)? {
                Field::Text(text) => texts.push(text),
                Field::Number(number) => numbers.push(number),
                _ => (),
            }
        }
        Ok(if texts.is_empty() {
            Field::Numbers(numbers)
        } else {
            Field::Texts(texts)
        })
    }

    fn text(&mut self) -> Parsed<String> {
        let length = bounded(self.u64()?, LONGEST_TEXT_BYTES, "bytes in a text")?;
        let mut bytes = Vec::new();
        let read = (&mut self.file)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        if u64::try_from(read).ok() != Some(length) {
            return Err("cut short inside its metadata".into());
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn bytes<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let mut bytes = [0; N];
        self.file
            .read_exact(&mut bytes)
            .map_err(|_| "cut short inside its metadata".to_owned())?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Parsed<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Parsed<u64> {
        self.bytes().map(u64::from_le_bytes)
    }
}

fn bounded(value: u64, most: u64, what: &str) -> Parsed<u64> {
    if value > most {
        Err(format!("damaged: {value} {what}"))
    } else {
        Ok(value)
    }
}
