//! `quoin eval new`: a data set from documents, with questions that a program writes, or from what people asked and said of the
//! answers.

use std::path::PathBuf;

use clap::Args;
use quoin_eval::generate::{
    GenerateOptions, SourceDocument, SourcePassage, from_documents, from_log,
};
use quoin_eval::{CorpusDocument, Manifest, write_dataset};
use quoin_retriever::{Access, Document, PUBLIC, Retriever, SearchRequest};

use super::corpus::{self, Corpus};
use crate::cli::Setting;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::transport::Client;

mod log;

/// What `quoin eval new` is told.
#[derive(Args, Debug)]
pub struct New {
    /// Files and folders of documents
    #[arg(required_unless_present = "from_log", value_name = "PATH")]
    documents: Vec<PathBuf>,
    /// Take the questions of the request log that people rated, and the documents of the data folder; `log.content` must have
    /// been on
    #[arg(long, conflicts_with = "documents")]
    from_log: bool,
    /// The data set: a folder that does not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many questions; there may be fewer to be had
    #[arg(long, value_name = "N", default_value_t = 200)]
    questions: usize,
    /// The share of questions that the documents do not answer, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    unanswerable: f64,
    /// Of the choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl New {
    /// Runs the command.
    ///
    /// # Errors
    /// A document cannot be read, nothing can be asked of them, or the folder exists.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        if !(0.0..=1.0).contains(&self.unanswerable) {
            return Err(Failure::usage(format!(
                "`--unanswerable` is a share from 0 to 1, got {}",
                self.unanswerable
            )));
        }
        if self.from_log {
            return self.of_log(setting).await;
        }
        let read = corpus::below(&self.documents)?;
        let corpus = Corpus::open(read, &setting.config, setting.output).await?;
        let documents = documents(corpus.quoin.retriever())?;
        corpus.close().await;
        let options = GenerateOptions {
            questions: self.questions,
            seed: self.seed,
            unanswerable: self.unanswerable,
        };
        let generated = from_documents(&documents, &options);
        if generated.questions.is_empty() {
            return Err(
                Failure::new("nothing can be asked of these documents").hint(
                    "questions are made from tables, definitions, numbers and headings, in English",
                ),
            );
        }
        let made_by = format!(
            "quoin eval new --questions {} --unanswerable {} --seed {}",
            self.questions, self.unanswerable, self.seed
        );
        let manifest = Manifest {
            generated: true,
            ..self.manifest(made_by)
        };
        let lines = documents.iter().map(line);
        write_dataset(&self.out, &manifest, lines, &generated.questions, &[])?;
        let output = setting.output;
        for (kind, count) in &generated.available {
            output.note(format!("{kind}: {count} to choose from"));
        }
        output.line(format!(
            "wrote {} about {} to `{}`: read them before you rely on them",
            output::count(generated.questions.len(), "question"),
            output::count(documents.len(), "document"),
            self.out.display()
        ))
    }

    fn manifest(&self, made_by: String) -> Manifest {
        let name = self.out.file_name();
        Manifest {
            name: name.map(|name| name.to_string_lossy().into_owned()),
            version: Some("1".to_owned()),
            made_by: Some(made_by),
            ..Manifest::default()
        }
    }

    /// What people liked or corrected is gold; what they disliked waits in `unlabelled.jsonl` for somebody who knows.
    async fn of_log(&self, setting: &Setting) -> Result<(), Failure> {
        let client = setting.client().await?;
        let result = self.write_log(&client).await;
        client.close().await;
        let (questions, unlabelled) = result?;
        setting.output.line(format!(
            "wrote {} to `{}`, and {} that nobody has answered rightly yet",
            output::count(questions, "question"),
            self.out.display(),
            unlabelled
        ))
    }

    async fn write_log(&self, client: &Client) -> Result<(usize, usize), Failure> {
        let rows = log::rows(&client.get("/admin/v1/ratings").await?);
        let made = from_log(&rows);
        if made.questions.is_empty() {
            return Err(Failure::new(format!(
                "no question of the log has an answer that somebody called right: {} rated, {} in doubt",
                output::count(rows.len(), "answer"),
                made.unlabelled.len()
            ))
            .hint("`log.content` keeps the text of answers; `POST /v1/feedback` rates them"));
        }
        let documents = log::documents(client).await?;
        write_dataset(
            &self.out,
            &self.manifest("quoin eval new --from-log".to_owned()),
            documents.into_iter(),
            &made.questions,
            &made.unlabelled,
        )?;
        Ok((made.questions.len(), made.unlabelled.len()))
    }
}

/// What is searchable now, with its passages as they were cut.
fn documents(retriever: &Retriever) -> Result<Vec<SourceDocument>, Failure> {
    let stored = corpus::stored(retriever)?;
    stored
        .iter()
        .map(|document| source(retriever, document))
        .collect()
}

fn source(retriever: &Retriever, document: &Document) -> Result<SourceDocument, Failure> {
    let owner = Access::admin();
    let request = SearchRequest::new("everything", 1);
    let everything = 0..usize::MAX;
    let found = retriever.whereabouts(&request, &document.id, &everything, &owner)?;
    let passages = found.passages.into_iter().map(|hit| SourcePassage {
        heading: hit.heading,
        text: hit.text,
        start: hit.start,
        end: hit.end,
    });
    let acl: Vec<String> = document.acl.tokens().map(str::to_owned).collect();
    Ok(SourceDocument {
        id: document.id.to_string(),
        title: document.title.clone().unwrap_or_default(),
        // Public documents are asked about by anybody.
        acl: if acl.iter().any(|token| token == PUBLIC) {
            Vec::new()
        } else {
            acl
        },
        text: retriever.text(&document.id, &owner)?,
        passages: passages.collect(),
    })
}

fn line(document: &SourceDocument) -> CorpusDocument {
    CorpusDocument {
        id: document.id.clone(),
        title: document.title.clone(),
        text: document.text.clone(),
        acl: (!document.acl.is_empty()).then(|| document.acl.clone()),
        ..CorpusDocument::default()
    }
}
