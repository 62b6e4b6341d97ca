//! Files that are damaged, or made to do damage: each costs one error, and nothing else.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use quoin_retriever::{Limits, RetrieverSettings};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{Test, command, fixture, input, open, refusal, settings};

pub const TESTS: &[Test] = &[
    (
        "a_zip_bomb_is_counted_while_it_is_inflated",
        a_zip_bomb_is_counted_while_it_is_inflated,
    ),
    (
        "entities_and_depth_cost_an_error",
        entities_and_depth_cost_an_error,
    ),
    (
        "a_reader_that_hangs_is_ended_and_the_batch_goes_on",
        a_reader_that_hangs_is_ended_and_the_batch_goes_on,
    ),
    (
        "a_reader_that_wants_all_memory_ends_alone",
        a_reader_that_wants_all_memory_ends_alone,
    ),
    (
        "a_reader_that_is_not_there_costs_an_error",
        a_reader_that_is_not_there_costs_an_error,
    ),
    (
        "damaged_files_end_with_an_answer",
        damaged_files_end_with_an_answer,
    ),
];

/// A Word file with this body.
fn word(body: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("word/document.xml", SimpleFileOptions::default())
        .unwrap();
    zip.write_all(body).unwrap();
    zip.finish().unwrap().into_inner()
}

fn limited(change: impl FnOnce(&mut Limits)) -> RetrieverSettings {
    let mut settings = settings();
    change(&mut settings.limits);
    settings
}

fn a_zip_bomb_is_counted_while_it_is_inflated() {
    let bomb = word(&vec![b' '; 300 << 20]);
    assert!(bomb.len() < 2 << 20);
    let error = refusal("bomb.docx", bomb, settings());
    assert!(
        error.contains("a zip, inflated, may have at most 268435456 bytes"),
        "{error}"
    );
    let few = limited(|limits| limits.archive_entries = 3);
    let error = refusal("leave.docx", fixture("leave.docx"), few);
    assert!(error.contains("at most 3 entries"), "{error}");
}

fn entities_and_depth_cost_an_error() {
    let bomb =
        b"<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><document>&b;</document>";
    let error = refusal("a.docx", word(bomb), settings());
    assert!(error.contains("document type declaration"), "{error}");
    let error = refusal(
        "a.docx",
        word("<w:tbl>".repeat(1_000_000).as_bytes()),
        settings(),
    );
    assert!(error.contains("at most 256 elements"), "{error}");
}

fn a_reader_that_hangs_is_ended_and_the_batch_goes_on() {
    let (retriever, _folder) = open(RetrieverSettings {
        reader_command: Some(command("hang")),
        ..limited(|limits| limits.read_time = Duration::from_millis(200))
    });
    let started = Instant::now();
    let results = retriever
        .put_batch(vec![
            input("leave.docx", fixture("leave.docx")),
            input("a.txt", b"walrus".to_vec()),
        ])
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    let error = results[0].as_ref().unwrap_err().to_string();
    assert!(
        error.contains("reading a document may have at most 200 ms"),
        "{error}"
    );
    assert_eq!(results[1].as_ref().unwrap().passages, 1);
}

fn a_reader_that_wants_all_memory_ends_alone() {
    let large = format!("<p><t>{}</t></p>", "word ".repeat(8 << 20));
    let (retriever, _folder) = open(limited(|limits| limits.reader_memory_bytes = 64 << 20));
    let results = retriever
        .put_batch(vec![
            input("large.docx", word(large.as_bytes())),
            input("a.txt", b"walrus".to_vec()),
        ])
        .unwrap();
    let error = results[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("ended early"), "{error}");
    assert_eq!(results[1].as_ref().unwrap().passages, 1);
}

fn a_reader_that_is_not_there_costs_an_error() {
    let settings = RetrieverSettings {
        reader_command: Some(vec!["/nowhere/quoin".into()]),
        ..settings()
    };
    let error = refusal("leave.docx", fixture("leave.docx"), settings);
    assert!(error.contains("could not be started"), "{error}");
}

/// Where it is damaged does not matter: it is read, or refused, and the next one is read.
fn damaged_files_end_with_an_answer() {
    let (retriever, _folder) = open(settings());
    let mail = b"Subject: a\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhello\r\n--x--\r\n".to_vec();
    let mut files: Vec<(&str, Vec<u8>)> = [
        "manual.pdf",
        "locked.pdf",
        "leave.docx",
        "quarter.pptx",
        "prices.xlsx",
    ]
    .map(|name| (name, fixture(name)))
    .to_vec();
    files.push(("a.eml", mail));
    files.push(("a.csv", b"a,b\n\"1\",2\n".to_vec()));
    files.push(("a.jsonl", b"{\"a\":[1,{\"b\":2}]}\n{\"c\":3}\n".to_vec()));
    // The same damage in each run.
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for (name, whole) in files {
        let mut batch = vec![];
        for round in 0..40 {
            let mut bytes = whole.clone();
            if round % 4 == 0 {
                bytes.truncate(random(whole.len()));
            } else {
                for _ in 0..=random(4) {
                    let place = random(bytes.len());
                    bytes[place] ^= 1 << random(8);
                }
            }
            batch.push(input(name, bytes));
        }
        let results = retriever.put_batch(batch).unwrap();
        assert_eq!(results.len(), 40);
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(error.is_input(), "{name}: {error}");
        }
        let last = retriever.put(input(name, whole.clone()));
        assert_eq!(last.is_ok(), name != "locked.pdf", "{name}");
    }
}
