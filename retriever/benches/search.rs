//! Ingestion, opening and searching at 10,000 passages (or as many as the first argument says): `cargo bench -p quoin-retriever`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program that prints a table"
)]

use std::time::{Duration, Instant};

use quoin_retriever::{
    Access, Content, DocumentId, DocumentInput, Retriever, RetrieverSettings, SearchRequest,
};

const WORDS: usize = 20_000;
const SEARCHES: usize = 2000;

/// Words drawn by Zipf's law, so that some are in every passage and most are rare.
struct Text {
    state: u64,
}

impl Text {
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 16] = [
            "pump", "lea", "ter", "con", "ing", "form", "sta", "ver", "al", "press", "ment", "or",
            "re", "gate", "ture", "ex",
        ];
        let unit = self.random() as f64 / u64::MAX as f64;
        let mut rank = (WORDS as f64).powf(unit) as usize;
        let mut word = String::new();
        loop {
            word.push_str(SYLLABLES[rank % 16]);
            rank /= 16;
            if rank == 0 {
                return word;
            }
        }
    }

    fn words(&mut self, count: usize) -> String {
        let words: Vec<String> = (0..count).map(|_| self.word()).collect();
        words.join(" ")
    }
}

fn main() {
    let passages: usize = std::env::args()
        .find_map(|word| word.parse().ok())
        .unwrap_or(10_000);
    let folder = std::env::temp_dir().join(format!("quoin-bench-{}", std::process::id()));
    let mut text = Text { state: 42 };
    let documents = documents(passages, &mut text);
    let retriever = Retriever::open(&folder, RetrieverSettings::default()).unwrap();
    ingestion(&retriever, documents);
    retriever.settle();
    single_puts(&retriever, &mut text);
    searches(&retriever, "with a delta", None, &mut text);
    let started = Instant::now();
    retriever.settle();
    retriever.rebuild().unwrap();
    println!(
        "snapshot, ms                {:>10.0}",
        milliseconds(started.elapsed())
    );
    for (name, rerank) in [("fused", Some(false)), ("reranked", Some(true))] {
        searches(&retriever, name, rerank, &mut text);
    }
    drop(retriever);
    let started = Instant::now();
    let retriever = Retriever::open(&folder, RetrieverSettings::default()).unwrap();
    println!(
        "open, ms                    {:>10.1}",
        milliseconds(started.elapsed())
    );
    drop(retriever);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Four paragraphs of 70 words, or some 200 tokens, make four passages.
fn documents(passages: usize, text: &mut Text) -> Vec<DocumentInput> {
    let document = |number: usize| {
        let paragraphs: Vec<String> = (0..4).map(|_| text.words(70) + ".").collect();
        let id = DocumentId::new(format!("document-{number}")).unwrap();
        let token = if number.is_multiple_of(100) {
            "group:few"
        } else {
            "public"
        };
        DocumentInput {
            title: Some(text.words(5)),
            acl: Some(vec![token.into()]),
            ..DocumentInput::new(id, Content::text(paragraphs.join("\n\n")))
        }
    };
    (0..passages / 4).map(document).collect()
}

fn ingestion(retriever: &Retriever, documents: Vec<DocumentInput>) {
    let bytes = documents.len() * 4 * 500;
    let started = Instant::now();
    let mut documents = documents.into_iter().peekable();
    while documents.peek().is_some() {
        let batch: Vec<DocumentInput> = documents.by_ref().take(500).collect();
        retriever
            .put_batch(batch)
            .unwrap()
            .into_iter()
            .for_each(|stored| drop(stored.unwrap()));
    }
    let took = started.elapsed();
    let count = retriever.statistics().passages;
    println!(
        "passages                    {count:>10} (about {} MB of text)",
        bytes >> 20
    );
    println!(
        "ingestion, passages/s       {:>10.0}",
        count as f64 / took.as_secs_f64()
    );
}

fn single_puts(retriever: &Retriever, text: &mut Text) {
    let started = Instant::now();
    for number in 0..100 {
        let id = DocumentId::new(format!("single-{number}")).unwrap();
        let input = DocumentInput {
            acl: Some(vec!["public".into()]),
            ..DocumentInput::new(id, Content::text(text.words(100)))
        };
        retriever.put(input).unwrap();
    }
    println!(
        "one put of one passage, ms  {:>10.2}",
        started.elapsed().as_secs_f64() * 10.0
    );
}

fn searches(retriever: &Retriever, name: &str, rerank: Option<bool>, text: &mut Text) {
    for (caller, access) in [
        ("public", Access::of(Vec::<String>::new())),
        ("one in 100", Access::of(["group:few"])),
    ] {
        let mut times: Vec<Duration> = (0..SEARCHES)
            .map(|_| {
                let count = 4 + (text.random() % 8) as usize;
                let mut request = SearchRequest::new(text.words(count), 10);
                request.rerank = rerank;
                let started = Instant::now();
                retriever.search(&request, &access).unwrap();
                started.elapsed()
            })
            .collect();
        times.sort();
        let at = |share: f64| milliseconds(times[(times.len() as f64 * share) as usize]);
        println!(
            "search {name:13} {caller:11} p50 {:>7.2} ms   p99 {:>7.2} ms",
            at(0.5),
            at(0.99)
        );
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
