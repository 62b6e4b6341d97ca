//! A collection as `make` writes it: passages and queries as JSON lines, their vectors as `.npy`, and the exact nearest ten.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Components of a vector.
pub const DIMENSIONS: usize = 384;
/// Hits of a search.
pub const HITS: usize = 10;
/// Candidates of the text and of the vector stage.
pub const DEPTH: usize = 200;

/// A passage, with fields that half, one in 100 and one in 10,000 share.
#[derive(Serialize, Deserialize)]
pub struct Passage {
    pub id: u32,
    pub text: String,
    pub half: u32,
    pub hundredth: u32,
    pub rare: u32,
}

/// A query, with the words that are left when stop words are gone: there are none in it.
#[derive(Serialize, Deserialize)]
pub struct Query {
    pub text: String,
}

/// What a search is narrowed to: a field and its value.
pub type Narrowing = Option<(&'static str, u32)>;

/// The four that are measured, by name.
pub const NARROWINGS: [(&str, Narrowing); 4] = [
    ("all", None),
    ("50%", Some(("half", 1))),
    ("1%", Some(("hundredth", 7))),
    ("0.01%", Some(("rare", 77))),
];

pub struct Collection {
    folder: PathBuf,
    vectors: Npy,
    pub queries: Vec<Query>,
    pub query_vectors: Vec<Vec<f32>>,
    /// For the first queries, the ids of the nearest passages by exact search.
    pub nearest: Vec<Vec<u32>>,
}

impl Collection {
    pub fn open(folder: &Path) -> Self {
        let queries = BufReader::new(File::open(folder.join("queries.jsonl")).unwrap())
            .lines()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        let query_vectors = Npy::open(&folder.join("queries.npy"));
        let nearest = Npy::open(&folder.join("nearest.npy"));
        Self {
            folder: folder.to_owned(),
            vectors: Npy::open(&folder.join("passages.npy")),
            queries: queries.collect(),
            query_vectors: query_vectors.floats(0, query_vectors.rows),
            nearest: nearest.numbers(0, nearest.rows),
        }
    }

    pub fn passages(&self) -> usize {
        self.vectors.rows
    }

    /// Passages in batches, each with its vector, read while they are used: a collection is larger than what is measured.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = (Vec<Passage>, Vec<Vec<f32>>)> {
        let file = File::open(self.folder.join("passages.jsonl")).unwrap();
        let mut lines = BufReader::with_capacity(1 << 20, file).lines();
        let mut first = 0;
        std::iter::from_fn(move || {
            let passages: Vec<Passage> = lines
                .by_ref()
                .take(size)
                .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
                .collect();
            let vectors = self.vectors.floats(first, passages.len());
            first += passages.len();
            (!passages.is_empty()).then_some((passages, vectors))
        })
    }
}

/// A two-dimensional `.npy` file of 4-byte numbers.
struct Npy {
    file: File,
    start: u64,
    rows: usize,
    columns: usize,
}

impl Npy {
    fn open(path: &Path) -> Self {
        let mut file = File::open(path).unwrap();
        let mut head = [0; 10];
        file.read_exact(&mut head).unwrap();
        let mut header = vec![0; usize::from(u16::from_le_bytes([head[8], head[9]]))];
        file.read_exact(&mut header).unwrap();
        let header = String::from_utf8(header).unwrap();
        let shape = header.split_once("'shape': (").unwrap().1;
        let mut sizes = shape.split([',', ')']).map(|size| size.trim().parse());
        Self {
            start: 10 + header.len() as u64,
            rows: sizes.next().unwrap().unwrap(),
            columns: sizes.next().unwrap().unwrap(),
            file,
        }
    }

    fn read<T>(&self, first: usize, rows: usize, number: impl Fn([u8; 4]) -> T) -> Vec<Vec<T>> {
        let mut bytes = vec![0; rows * self.columns * 4];
        let at = self.start + (first * self.columns * 4) as u64;
        self.file.read_exact_at(&mut bytes, at).unwrap();
        let (numbers, _) = bytes.as_chunks::<4>();
        numbers
            .chunks(self.columns)
            .map(|row| row.iter().map(|bytes| number(*bytes)).collect())
            .collect()
    }

    fn floats(&self, first: usize, rows: usize) -> Vec<Vec<f32>> {
        self.read(first, rows, f32::from_le_bytes)
    }

    fn numbers(&self, first: usize, rows: usize) -> Vec<Vec<u32>> {
        self.read(first, rows, u32::from_le_bytes)
    }
}

/// The head of a `.npy` file, padded so that the numbers begin at a multiple of 64 bytes.
pub fn npy_head(kind: &str, rows: usize, columns: usize) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut head = b"\x93NUMPY\x01\x00".to_vec();
    head.extend((header.len() as u16).to_le_bytes());
    head.extend(header.bytes());
    head
}
