//! Writes questions for the documents of a BEIR corpus or of a folder of Markdown, one a line:
//! `generate CORPUS_OR_FOLDER [HOW_MANY [SEED]]`.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use quoin_eval::generate::{GenerateOptions, SourceDocument, SourcePassage, from_documents};
use quoin_eval::{CorpusDocument, Dataset};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let source = PathBuf::from(arguments.next().ok_or("name a corpus or a folder")?);
    let mut numbers = arguments.map(|text| text.to_string_lossy().parse::<u64>());
    let questions = numbers.next().transpose()?.unwrap_or(50);
    let seed = numbers.next().transpose()?.unwrap_or(1);
    let documents = if source.join("corpus.jsonl").is_file() {
        of_corpus(&source)?
    } else {
        let mut documents = Vec::new();
        of_folder(&source, &source, &mut documents)?;
        documents.sort_by(|left, right| left.id.cmp(&right.id));
        documents
    };
    let made = from_documents(
        &documents,
        &GenerateOptions {
            questions: usize::try_from(questions)?,
            seed,
            ..GenerateOptions::default()
        },
    );
    let mut output = io::stdout().lock();
    for question in &made.questions {
        writeln!(
            output,
            "{:<24} {}  ->  {}  [{}]",
            question.kind.as_deref().unwrap_or_default(),
            question.question,
            question.answers.join(" / "),
            question.tokens.join(",")
        )?;
    }
    writeln!(
        output,
        "{} documents: {} questions of {:?}; {} ambiguous left out, {} merged",
        documents.len(),
        made.questions.len(),
        made.available,
        made.ambiguous,
        made.merged
    )?;
    Ok(())
}

fn of_corpus(folder: &Path) -> Result<Vec<SourceDocument>, Box<dyn Error>> {
    let document = |document: CorpusDocument| {
        let end = document.text.chars().count();
        SourceDocument {
            id: document.id,
            title: document.title,
            acl: document.acl.unwrap_or_default(),
            passages: vec![SourcePassage {
                heading: Vec::new(),
                text: document.text.clone(),
                start: 0,
                end,
            }],
            text: document.text,
        }
    };
    let corpus = Dataset::open(folder)?.corpus()?;
    Ok(corpus
        .map(|read| read.map(document))
        .collect::<Result<_, _>>()?)
}

fn of_folder(
    root: &Path,
    folder: &Path,
    documents: &mut Vec<SourceDocument>,
) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            of_folder(root, &path, documents)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let id = path.strip_prefix(root)?.to_string_lossy().into_owned();
            documents.push(of_markdown(id, &fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// A passage a section. Of the front matter, title and access list are read.
fn of_markdown(id: String, text: &str) -> SourceDocument {
    let (front, body) = text
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .unwrap_or(("", text));
    let field = |name: &str| {
        let found = front.lines().find_map(|line| line.strip_prefix(name));
        found
            .unwrap_or_default()
            .trim()
            .trim_matches('"')
            .to_owned()
    };
    let acl = field("acl:");
    let acl = acl
        .trim_matches(['[', ']'])
        .split(',')
        .map(|token| token.trim().to_owned());
    let mut passages: Vec<SourcePassage> = Vec::new();
    let mut heading: Vec<String> = Vec::new();
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        let length = line.chars().count();
        let depth = line
            .chars()
            .take_while(|character| *character == '#')
            .count();
        if depth > 0 {
            heading.truncate(depth - 1);
            heading.push(line.trim_matches(['#', ' ', '\n']).to_owned());
        }
        match passages.last_mut().filter(|_| depth == 0) {
            Some(open) => {
                open.text.push_str(line);
                open.end += length;
            }
            None => passages.push(SourcePassage {
                heading: heading.clone(),
                text: line.to_owned(),
                start: at,
                end: at + length,
            }),
        }
        at += length;
    }
    SourceDocument {
        id,
        title: field("title:"),
        acl: acl.filter(|token| !token.is_empty()).collect(),
        text: body.to_owned(),
        passages,
    }
}
