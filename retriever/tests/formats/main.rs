//! Files of every format through the retriever, as a caller puts them, with this program as the child process that reads them.
//! `tests/fixtures/make.py` made the files.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that panics has failed"
)]

mod archives;
mod hostile;
mod reading;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use quoin_retriever::{
    Access, Content, DocumentId, DocumentInput, Format, Retriever, RetrieverSettings, Stored,
};
use tempfile::TempDir;

type Test = (&'static str, fn());

fn main() -> ExitCode {
    let tests: Vec<Test> = [reading::TESTS, hostile::TESTS, archives::TESTS].concat();
    match std::env::args().nth(1).as_deref() {
        Some("read-document") => {
            return quoin_retriever::read_worker()
                .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
        Some("hang") => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        Some("--list") => {
            for (name, _) in &tests {
                println!("{name}: test");
            }
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let wanted = std::env::args()
        .nth(1)
        .filter(|word| !word.starts_with('-'));
    let runs = |name: &str| wanted.as_deref().is_none_or(|wanted| name.contains(wanted));
    let mut failed = 0;
    for (name, test) in tests.into_iter().filter(|(name, _)| runs(name)) {
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += u32::from(!passed);
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        println!("{failed} failed");
        ExitCode::FAILURE
    }
}

fn command(word: &str) -> Vec<OsString> {
    vec![std::env::current_exe().unwrap().into(), word.into()]
}

fn settings() -> RetrieverSettings {
    RetrieverSettings {
        reader_command: Some(command("read-document")),
        ..RetrieverSettings::default()
    }
}

fn open(settings: RetrieverSettings) -> (Retriever, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Retriever::open(folder.path(), settings).unwrap(), folder)
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(folder.join(name)).unwrap()
}

fn id(name: &str) -> DocumentId {
    DocumentId::new(name).unwrap()
}

fn input(name: &str, bytes: Vec<u8>) -> DocumentInput {
    let format = Format::from_path(Path::new(name)).unwrap();
    let content = Content::Bytes {
        bytes,
        content_type: format.media_type().to_owned(),
    };
    DocumentInput::new(id(name), content)
}

/// What became of a fixture, and its text.
fn read(name: &str) -> (Stored, String, Retriever, TempDir) {
    let (retriever, folder) = open(settings());
    let stored = retriever.put(input(name, fixture(name))).unwrap();
    let text = retriever.text(&id(name), &Access::admin()).unwrap();
    (stored, text, retriever, folder)
}

/// The error that a file costs.
fn refusal(name: &str, bytes: Vec<u8>, settings: RetrieverSettings) -> String {
    let (retriever, _folder) = open(settings);
    retriever.put(input(name, bytes)).unwrap_err().to_string()
}
