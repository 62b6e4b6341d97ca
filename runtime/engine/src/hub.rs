//! Models of the Hugging Face hub, kept in the hub's own cache layout. Nothing here touches the network but [`pull`].

use std::{
    fs,
    path::{Path, PathBuf},
};

use hf_hub::{
    Cache, Repo, RepoType,
    api::tokio::{ApiBuilder, Progress},
};

use crate::{EngineError, digest};

/// How far a pull is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    pub file: String,
    /// From 1.
    pub file_number: usize,
    pub files: usize,
    pub bytes: u64,
    pub total_bytes: u64,
}

/// Fetches a model's configuration, tokenizer and safetensors files into the cache folder `into`, and returns the folder to
/// load. Files of the same commit that are there already are not fetched again; the model is found in the cache only when
/// all are there. Address and token come from where the hub's own tools have them (`HF_ENDPOINT`, the token file).
/// Dropping the future stops the transfer; a later pull takes it up.
///
/// # Errors
/// [`EngineError::Hub`] when the model does not exist, holds no safetensors, or the transfer fails.
pub async fn pull(
    id: &str,
    revision: Option<&str>,
    into: &Path,
    on_progress: impl Fn(PullProgress) + Clone + Send + Sync + 'static,
) -> Result<PathBuf, EngineError> {
    // The hub's crate panics when there is no home folder to look for a token in.
    let builder = match std::env::home_dir() {
        Some(_) => ApiBuilder::from_env().with_cache_dir(into.to_owned()),
        None => ApiBuilder::from_cache(Cache::new(into.to_owned())),
    };
    Pull { id, revision, into }.run(builder, on_progress).await
}

struct Pull<'a> {
    id: &'a str,
    revision: Option<&'a str>,
    into: &'a Path,
}

impl Pull<'_> {
    async fn run(
        self,
        builder: ApiBuilder,
        on_progress: impl Fn(PullProgress) + Clone + Send + Sync + 'static,
    ) -> Result<PathBuf, EngineError> {
        let named = repo(self.id, self.revision)?;
        fs::create_dir_all(self.into).map_err(EngineError::io(self.into))?;
        let api = builder
            .with_progress(false)
            .build()
            .map_err(|error| self.failed(error))?;
        let info = api
            .repo(named.clone())
            .info()
            .await
            .map_err(|error| self.failed(error))?;
        if info.sha.is_empty()
            || !info
                .sha
                .chars()
                .all(|character| character.is_ascii_alphanumeric())
        {
            return Err(self.failed(format!("the hub names no commit: `{}`", info.sha)));
        }
        let files = wanted(info.siblings.into_iter().map(|sibling| sibling.rfilename));
        let weights = files.iter().filter(|file| is_weight(file)).count();
        if weights == 0 || !files.iter().any(|file| file == "config.json") {
            return Err(self.failed("it holds no safetensors weights or no `config.json`"));
        }
        let commit = repo(self.id, Some(&info.sha))?;
        let cache = Cache::new(self.into.to_owned());
        let mut folder = PathBuf::new();
        for (number, file) in files.iter().enumerate() {
            let path = if let Some(path) = cache.repo(commit.clone()).get(file) {
                path
            } else {
                let report = Report {
                    on_progress: on_progress.clone(),
                    state: PullProgress {
                        file: file.clone(),
                        file_number: number + 1,
                        files: files.len(),
                        ..PullProgress::default()
                    },
                };
                let fetched = api
                    .repo(commit.clone())
                    .download_with_progress(file, report)
                    .await;
                let path = fetched.map_err(|error| self.failed(format!("`{file}`: {error}")))?;
                self.verify(path).await?
            };
            if file == "config.json" {
                folder = path.parent().map(Path::to_owned).unwrap_or_default();
            }
        }
        // Only now can it be loaded by its name.
        cache
            .repo(named)
            .create_ref(&info.sha)
            .map_err(EngineError::io(self.into))?;
        Ok(folder)
    }

    /// Large files are stored under their SHA-256. Gigabytes are read: not on an async thread.
    async fn verify(&self, path: PathBuf) -> Result<PathBuf, EngineError> {
        let checked = tokio::task::spawn_blocking(move || {
            remove_if_damaged(&path).map(|damaged| (path, damaged))
        });
        let (path, damaged) = checked.await.map_err(|error| self.failed(error))??;
        if damaged {
            return Err(self.failed(format!("`{}` arrived damaged: pull again", path.display())));
        }
        Ok(path)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over errors and texts"
    )]
    fn failed(&self, reason: impl ToString) -> EngineError {
        EngineError::Hub {
            id: self.id.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Removes a file whose content is not what its name promises.
fn remove_if_damaged(path: &Path) -> Result<bool, EngineError> {
    let blob = fs::canonicalize(path).map_err(EngineError::io(path))?;
    let name = blob
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let is_digest = name.len() == 64 && name.chars().all(|character| character.is_ascii_hexdigit());
    let damaged = is_digest
        && digest::of_file(&blob).map_err(EngineError::io(&blob))? != format!("sha256:{name}");
    if damaged {
        fs::remove_file(&blob)
            .and_then(|()| fs::remove_file(path))
            .map_err(EngineError::io(path))?;
    }
    Ok(damaged)
}

/// The folder of a model that was pulled before.
///
/// # Errors
/// [`EngineError::Hub`] for what is no hub id or revision.
pub fn cached(
    id: &str,
    revision: Option<&str>,
    cache_folder: &Path,
) -> Result<Option<PathBuf>, EngineError> {
    let config = Cache::new(cache_folder.to_owned())
        .repo(repo(id, revision)?)
        .get("config.json");
    Ok(config.and_then(|path| path.parent().map(Path::to_owned)))
}

/// Id and revision become parts of paths.
fn repo(id: &str, revision: Option<&str>) -> Result<Repo, EngineError> {
    let revision = revision.unwrap_or("main");
    let is_name = |name: &str| {
        let allowed =
            |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
    };
    let refused = |reason: &str| {
        Err(EngineError::Hub {
            id: id.to_owned(),
            reason: reason.to_owned(),
        })
    };
    match id.split_once('/') {
        Some((organisation, name)) if is_name(organisation) && is_name(name) => (),
        _ => return refused("a hub id has the form `organisation/name`"),
    }
    if !revision.split('/').all(is_name) {
        return refused("the revision is not a name of a branch, tag or commit");
    }
    Ok(Repo::with_revision(
        id.to_owned(),
        RepoType::Model,
        revision.to_owned(),
    ))
}

fn wanted(names: impl Iterator<Item = String>) -> Vec<String> {
    let described = [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "model.safetensors.index.json",
        // What sentence-transformers says beside a model that embeds.
        "modules.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
    ];
    let wanted = |name: &String| {
        described.contains(&name.as_str())
            || is_weight(name)
            || name.ends_with("_Pooling/config.json")
    };
    names.filter(wanted).collect()
}

fn is_weight(name: &str) -> bool {
    name.starts_with("model") && name.ends_with(".safetensors") && !name.contains('/')
}

#[derive(Clone)]
struct Report<F> {
    on_progress: F,
    state: PullProgress,
}

impl<F: Fn(PullProgress) + Clone + Send + Sync> Progress for Report<F> {
    async fn init(&mut self, size: usize, _filename: &str) {
        self.state.total_bytes = u64::try_from(size).unwrap_or(u64::MAX);
        (self.on_progress)(self.state.clone());
    }

    async fn update(&mut self, size: usize) {
        self.state.bytes += u64::try_from(size).unwrap_or(0);
        (self.on_progress)(self.state.clone());
    }

    async fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
    };

    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
    };

    use super::*;

    type Files = BTreeMap<&'static str, Vec<u8>>;

    fn files() -> Files {
        let fixture = |name| fs::read(format!("tests/fixtures/base/{name}")).unwrap();
        let names = ["config.json", "tokenizer.json", "model.safetensors"];
        let mut files: Files = names.map(|name| (name, fixture(name))).into();
        files.insert("pytorch_model.bin", vec![0; 10]);
        files.insert("onnx/model.safetensors", vec![0; 10]);
        let pooling = br#"{"pooling_mode_mean_tokens": true}"#;
        files.insert("1_Pooling/config.json", pooling.to_vec());
        files
    }

    /// A hub with one model, at `127.0.0.1`; notes what was asked for. `damage` changes what is sent, not what is promised.
    async fn hub(files: Files, damage: fn(&mut Vec<u8>)) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let (mut path, mut range, mut line) = (String::new(), None, String::new());
                while stream.read_line(&mut line).await.unwrap() > 2 {
                    let lower = line.trim().to_ascii_lowercase();
                    if let Some(rest) = line.strip_prefix("GET ") {
                        path = rest.split(' ').next().unwrap().to_owned();
                    } else if let Some(rest) = lower.strip_prefix("range: bytes=") {
                        range = rest
                            .split_once('-')
                            .map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap_or(usize::MAX)));
                    }
                    line.clear();
                }
                stream
                    .write_all(&answer(&path, range, &files, damage))
                    .await
                    .unwrap();
                notes.lock().unwrap().push(path);
            }
        });
        (endpoint, asked)
    }

    fn answer(
        path: &str,
        range: Option<(usize, usize)>,
        files: &Files,
        damage: fn(&mut Vec<u8>),
    ) -> Vec<u8> {
        let head = "Connection: close\r\nX-Repo-Commit: c0ffee\r\n";
        if path == "/api/models/quoin-rs/tiny/revision/main" {
            let siblings: Vec<_> = files
                .keys()
                .map(|name| serde_json::json!({"rfilename": name}))
                .collect();
            let body = serde_json::json!({"sha": "c0ffee", "siblings": siblings}).to_string();
            return format!(
                "HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes();
        }
        let file = path
            .strip_prefix("/quoin-rs/tiny/resolve/c0ffee/")
            .and_then(|name| files.get(name));
        let Some(bytes) = file else {
            return format!("HTTP/1.1 404 Not Found\r\n{head}Content-Length: 0\r\n\r\n")
                .into_bytes();
        };
        let etag = digest::of_bytes(bytes).replace("sha256:", "");
        let mut sent = bytes.clone();
        damage(&mut sent);
        let (from, to) = range.unwrap_or((0, usize::MAX));
        let to = to.min(bytes.len() - 1);
        let part = &sent[from..=to];
        let mut answer = format!(
            "HTTP/1.1 206 Partial Content\r\n{head}ETag: \"{etag}\"\r\nContent-Range: bytes {from}-{to}/{}\r\nContent-Length: {}\r\n\r\n",
            bytes.len(), part.len()
        )
        .into_bytes();
        answer.extend_from_slice(part);
        answer
    }

    fn builder(endpoint: &str, into: &Path) -> ApiBuilder {
        let builder = ApiBuilder::from_cache(Cache::new(into.to_owned()));
        builder.with_endpoint(endpoint.to_owned()).with_token(None)
    }

    async fn pull_from(endpoint: &str, id: &str, into: &Path) -> Result<PathBuf, EngineError> {
        Pull {
            id,
            revision: None,
            into,
        }
        .run(builder(endpoint, into), |_| ())
        .await
    }

    #[tokio::test]
    async fn a_pull_fetches_what_is_needed_once_and_the_model_is_found_then() {
        let (endpoint, asked) = hub(files(), |_| ()).await;
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(cached("quoin-rs/tiny", None, folder.path()).unwrap(), None);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let pull = Pull {
            id: "quoin-rs/tiny",
            revision: None,
            into: folder.path(),
        };
        let model = pull
            .run(builder(&endpoint, folder.path()), move |progress| {
                notes.lock().unwrap().push(progress);
            })
            .await
            .unwrap();
        for (name, bytes) in files() {
            let fetched = fs::read(model.join(name)).ok();
            let needed = !name.contains("onnx") && !name.contains("pytorch");
            assert_eq!(fetched, needed.then_some(bytes), "{name}");
        }
        assert_eq!(
            cached("quoin-rs/tiny", None, folder.path()).unwrap(),
            Some(model.clone())
        );
        let last = seen.lock().unwrap().last().unwrap().clone();
        assert_eq!(
            (last.file_number, last.files, last.bytes),
            (4, 4, last.total_bytes)
        );

        let before = asked.lock().unwrap().len();
        assert_eq!(
            pull_from(&endpoint, "quoin-rs/tiny", folder.path())
                .await
                .unwrap(),
            model
        );
        assert_eq!(
            asked.lock().unwrap().len(),
            before + 1,
            "asks for the list of files alone"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_pulled_is_an_error_and_is_not_found_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let damaged = hub(files(), |bytes| bytes[5] ^= 1).await.0;
        let no_weights = hub(Files::from([("config.json", b"{}".to_vec())]), |_| ())
            .await
            .0;
        let nobody = "http://127.0.0.1:9".to_owned();
        for (endpoint, id, words) in [
            (&damaged, "quoin-rs/tiny", "damaged"),
            (&damaged, "quoin-rs/absent", "404"),
            (&no_weights, "quoin-rs/tiny", "no safetensors"),
            (&nobody, "quoin-rs/tiny", "request"),
        ] {
            let error = pull_from(endpoint, id, folder.path()).await.unwrap_err();
            assert!(matches!(error, EngineError::Hub { .. }), "{error}");
            assert!(error.to_string().contains(words), "{words}: {error}");
            assert_eq!(cached(id, None, folder.path()).unwrap(), None);
        }
    }

    #[test]
    fn ids_and_revisions_that_would_leave_the_cache_are_refused() {
        for (id, revision) in [
            ("a/b", "../x"),
            ("a/b", "/x"),
            ("a/b", ""),
            ("a/b", "refs/../x"),
            ("../b", "main"),
            ("a", "main"),
        ] {
            assert!(repo(id, Some(revision)).is_err(), "{id} {revision}");
        }
        assert!(repo("Qwen/Qwen3-1.7B", Some("refs/pr/1")).is_ok());
    }
}
