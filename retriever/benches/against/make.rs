//! Makes a collection from the documentation of Rust: its sentences, cut up and put together again, with invented words by
//! Zipf's law among them, so that words are as unevenly used as in real text and the vocabulary grows with the collection.
//!
//! A vector is the bundled table's of the text, through a fixed random matrix to 384 dimensions. Everything follows from a seed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use quoin_retriever::{Retriever, RetrieverSettings};
use rayon::prelude::*;

use crate::collection::{DIMENSIONS, HITS, Passage, Query, npy_head};

const SEED: u64 = 0x5eed_0001;
const QUERIES: usize = 1000;
/// Queries whose nearest passages are looked for exactly.
const CHECKED: usize = 200;
const BATCH: usize = 8192;
const INVENTED_WORDS: f64 = 400_000.0;
/// Books and reference of the documentation, without the pages that are lists of names.
const BOOKS: [&str; 8] = [
    "book",
    "std",
    "reference",
    "nomicon",
    "cargo",
    "rustc",
    "rust-by-example",
    "edition-guide",
];
/// Words that say nothing about what is asked.
const STOP: [&str; 30] = [
    "that", "this", "with", "from", "have", "will", "which", "when", "then", "than", "these",
    "those", "there", "their", "they", "what", "your", "into", "only", "also", "been", "more",
    "such", "some", "most", "about", "would", "could", "should", "because",
];

/// splitmix64.
struct Random(u64);

impl Random {
    fn of(stream: u64, number: usize) -> Self {
        Self(SEED ^ (stream << 56) ^ (number as u64).wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        self.next() as f64 / u64::MAX as f64
    }

    /// Close to a normal distribution: the sum of twelve.
    fn normal(&mut self) -> f32 {
        ((0..12).map(|_| self.unit()).sum::<f64>() - 6.0) as f32
    }
}

pub fn make(passages: usize, text: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let topics = topics(text);
    let scratch = folder.join("scratch");
    let retriever = Retriever::open(&scratch, RetrieverSettings::default()).unwrap();
    let projection = projection();
    let vectors = |texts: &[String]| -> Vec<Vec<f32>> {
        let small = retriever.embed(texts).unwrap();
        small
            .par_iter()
            .map(|vector| project(&projection, vector))
            .collect()
    };
    let texts: Vec<String> = (0..QUERIES)
        .map(|number| query(&topics, passages, number))
        .collect();
    let queries = vectors(&texts);
    write_lines(
        &folder.join("queries.jsonl"),
        texts.into_iter().map(|text| Query { text }),
    );
    let mut file = numbers(&folder.join("queries.npy"), "<f4", QUERIES, DIMENSIONS);
    write_floats(&mut file, &queries);

    let mut lines = BufWriter::new(File::create(folder.join("passages.jsonl")).unwrap());
    let mut rows = numbers(&folder.join("passages.npy"), "<f4", passages, DIMENSIONS);
    let mut nearest = vec![Vec::new(); CHECKED];
    for first in (0..passages).step_by(BATCH) {
        let end = (first + BATCH).min(passages);
        let made: Vec<Passage> = (first..end)
            .into_par_iter()
            .map(|number| passage(&topics, number))
            .collect();
        let texts: Vec<String> = made.iter().map(|one| one.text.clone()).collect();
        let made_vectors = vectors(&texts);
        for one in &made {
            serde_json::to_writer(&mut lines, one).unwrap();
            lines.write_all(b"\n").unwrap();
        }
        write_floats(&mut rows, &made_vectors);
        nearest
            .par_iter_mut()
            .zip(&queries)
            .for_each(|(nearest, query)| {
                keep_nearest(nearest, query, &made_vectors, first);
            });
    }
    let mut file = numbers(&folder.join("nearest.npy"), "<u4", CHECKED, HITS);
    for (_, id) in nearest.iter().flatten() {
        file.write_all(&id.to_le_bytes()).unwrap();
    }
    lines.flush().unwrap();
    rows.flush().unwrap();
    file.flush().unwrap();
    drop(retriever);
    fs::remove_dir_all(scratch).unwrap();
}

/// The sentences of each page that has some.
fn topics(text: &Path) -> Vec<Vec<Vec<String>>> {
    let mut pages = Vec::new();
    for book in BOOKS {
        collect(&text.join(book), &mut pages);
    }
    pages.sort();
    let topics: Vec<_> = pages.par_iter().map(|page| sentences(page)).collect();
    let topics: Vec<_> = topics
        .into_iter()
        .filter(|topic| topic.len() >= 8)
        .collect();
    assert!(
        topics.len() > 200,
        "there is too little text in {}",
        text.display()
    );
    topics
}

fn collect(folder: &Path, pages: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            pages.push(path);
        }
    }
}

/// Of the paragraphs of a page, as words.
fn sentences(page: &Path) -> Vec<Vec<String>> {
    let html = fs::read_to_string(page).unwrap_or_default();
    let mut sentences: Vec<Vec<String>> = Vec::new();
    for paragraph in html.split("<p>").skip(1) {
        let paragraph = paragraph.split("</p>").next().unwrap_or_default();
        let mut words = Vec::new();
        for word in plain(paragraph).split_whitespace() {
            words.push(word.to_owned());
            if word.ends_with(['.', '?', '!', ':']) {
                sentences.push(std::mem::take(&mut words));
            }
        }
        sentences.push(words);
    }
    // Some books are there in other languages too, for which this is too little text.
    let in_english = |words: &[String]| words.iter().all(|word| word.is_ascii());
    sentences.retain(|words| (5..60).contains(&words.len()) && in_english(words));
    sentences.sort();
    sentences.dedup();
    sentences
}

fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for letter in html.chars() {
        match letter {
            '<' => inside = true,
            '>' => inside = false,
            _ if inside => {}
            _ => text.push(letter),
        }
    }
    for (entity, letter) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, letter);
    }
    text
}

/// Five to nine sentences, most of one page, with a few invented words.
fn passage(topics: &[Vec<Vec<String>>], number: usize) -> Passage {
    let mut random = Random::of(1, number);
    let topic = random.below(topics.len());
    let mut words = Vec::new();
    for _ in 0..5 + random.below(5) {
        let of = if random.unit() < 0.75 {
            topic
        } else {
            random.below(topics.len())
        };
        let sentence = &topics[of][random.below(topics[of].len())];
        for word in sentence {
            words.push(word.clone());
            if random.unit() < 0.04 {
                words.push(invented(&mut random));
            }
        }
    }
    // 7919 and 10,000 have no common factor: each share is of one passage in 10,000.
    let share = (number * 7919 % 10_000) as u32;
    Passage {
        id: number as u32,
        text: words.join(" "),
        half: share % 2,
        hundredth: share % 100,
        rare: share,
    }
}

fn invented(random: &mut Random) -> String {
    const SYLLABLES: [&str; 16] = [
        "pum", "lea", "ter", "con", "ing", "for", "sta", "ver", "al", "pre", "men", "or", "re",
        "gat", "tur", "ex",
    ];
    let mut rank = INVENTED_WORDS.powf(random.unit()) as usize;
    let mut word = String::new();
    while rank > 0 {
        word.push_str(SYLLABLES[rank % 16]);
        rank /= 16;
    }
    word
}

/// Four to eight different words of one passage.
fn query(topics: &[Vec<Vec<String>>], passages: usize, number: usize) -> String {
    let mut random = Random::of(2, number);
    loop {
        let text = passage(topics, random.below(passages)).text;
        let mut words: Vec<&str> = text
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| word.len() >= 4 && !STOP.contains(&word.to_lowercase().as_str()))
            .collect();
        let wanted = 4 + random.below(5);
        if words.len() < wanted * 2 {
            continue;
        }
        let mut chosen: Vec<&str> = Vec::new();
        while chosen.len() < wanted && !words.is_empty() {
            let word = words.swap_remove(random.below(words.len()));
            if !chosen.contains(&word) {
                chosen.push(word);
            }
        }
        return chosen.join(" ");
    }
}

fn projection() -> Vec<Vec<f32>> {
    let row = |number| {
        let mut random = Random::of(3, number);
        (0..256).map(|_| random.normal()).collect()
    };
    (0..DIMENSIONS).map(row).collect()
}

fn project(projection: &[Vec<f32>], vector: &[f32]) -> Vec<f32> {
    let mut projected: Vec<f32> = projection.iter().map(|row| dot(row, vector)).collect();
    let length = dot(&projected, &projected).sqrt().max(1e-12);
    for component in &mut projected {
        *component /= length;
    }
    projected
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for lane in 0..16 {
            lanes[lane] = a[lane].mul_add(b[lane], lanes[lane]);
        }
    }
    lanes.iter().sum()
}

fn keep_nearest(nearest: &mut Vec<(f32, u32)>, query: &[f32], vectors: &[Vec<f32>], first: usize) {
    for (number, vector) in (first..).zip(vectors) {
        let score = dot(query, vector);
        if nearest.len() < HITS || nearest.last().is_some_and(|last| score > last.0) {
            let place = nearest.partition_point(|(other, _)| *other >= score);
            nearest.insert(place, (score, number as u32));
            nearest.truncate(HITS);
        }
    }
}

fn write_lines(path: &Path, lines: impl Iterator<Item = impl serde::Serialize>) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for line in lines {
        serde_json::to_writer(&mut file, &line).unwrap();
        file.write_all(b"\n").unwrap();
    }
    file.flush().unwrap();
}

fn numbers(path: &Path, kind: &str, rows: usize, columns: usize) -> BufWriter<File> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    file.write_all(&npy_head(kind, rows, columns)).unwrap();
    file
}

fn write_floats(file: &mut BufWriter<File>, rows: &[Vec<f32>]) {
    for value in rows.iter().flatten() {
        file.write_all(&value.to_le_bytes()).unwrap();
    }
}
