//! `quoin models`: language models in the data folder. Works beside a running server: models only ever appear, complete.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};

use super::Setting;
use super::failure::{Context as _, Failure};
use super::output::{self, Output};
use crate::release::models_folder;

/// How the hub's cache names the folder of `ORG/NAME`.
const HUB_PREFIX: &str = "models--";
/// The name of the model in the binary.
const BUNDLED: &str = "bundled";
/// How the folders begin that it is unpacked to; what follows is its digest.
const UNPACKED_PREFIX: &str = "pointer-";
/// The longest header of a safetensors file that is believed, bytes.
const LONGEST_HEADER_BYTES: u64 = 100_000_000;

/// `quoin models …`
#[derive(Debug, Subcommand)]
pub enum Models {
    /// List the models that `model.source` and `serve --model` may name
    List,
    /// Fetch a model of the Hugging Face hub
    Pull {
        /// ORG/NAME
        id: String,
        /// Branch, tag or commit [default: main]
        #[arg(long)]
        revision: Option<String>,
    },
    /// Copy a folder with safetensors, or a GGUF file, into the data folder
    Import {
        /// The folder or the .gguf file
        path: PathBuf,
        /// Name to serve it by
        #[arg(long)]
        name: String,
    },
}

/// A model in the data folder.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Model {
    /// What `model.source` names it by.
    name: String,
    /// `bundled`, `folder`, `gguf` or `hub`.
    kind: &'static str,
    /// On disk; none for the one in the binary.
    bytes: u64,
    /// Whether all of it is there; a pull that was broken off leaves some.
    complete: bool,
    /// Whether the configuration names it.
    configured: bool,
}

impl Models {
    /// Runs the command.
    ///
    /// # Errors
    /// The hub cannot be reached, or the model is incomplete, corrupt, or there already.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let folder = models_folder(setting.config.data());
        match self {
            Self::List => list(&folder, &setting.config.model.source, setting.output),
            Self::Pull { id, revision } => {
                pull(&folder, &id, revision.as_deref(), setting.output).await
            }
            Self::Import { path, name } => {
                let output = setting.output;
                tokio::task::spawn_blocking(move || import(&folder, &path, &name, output)).await?
            }
        }
    }
}

fn list(folder: &Path, configured: &str, output: Output) -> Result<(), Failure> {
    let mut models = vec![Model {
        name: BUNDLED.to_owned(),
        kind: BUNDLED,
        bytes: 0,
        complete: true,
        configured: configured == BUNDLED,
    }];
    models.extend(found(folder, configured)?);
    if output.is_json() {
        return output.json(&json!({ "models": models }));
    }
    let mut rows = vec![["MODEL", "KIND", "SIZE", ""].map(str::to_owned).to_vec()];
    rows.extend(models.into_iter().map(|model| {
        let size = if model.bytes > 0 {
            output::bytes(model.bytes)
        } else {
            "in the binary".to_owned()
        };
        let note = match (model.complete, model.configured) {
            (false, _) => "incomplete: pull it again",
            (true, true) => "configured",
            (true, false) => "",
        };
        vec![model.name, model.kind.to_owned(), size, note.to_owned()]
    }));
    output.line(output::table(&rows))
}

/// What lies in the folder of models, by name.
fn found(folder: &Path, configured: &str) -> Result<Vec<Model>, Failure> {
    let mut models = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(models),
        entries => entries.context(|| format!("cannot read `{}`", folder.display()))?,
    };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.starts_with('.') || name.starts_with(UNPACKED_PREFIX) {
            continue;
        }
        let (name, kind) = match name.strip_prefix(HUB_PREFIX) {
            Some(id) => (id.replace("--", "/"), "hub"),
            None if is_gguf(&path) => (name.to_owned(), "gguf"),
            None if path.join("config.json").is_file() => (name.to_owned(), "folder"),
            None => continue,
        };
        models.push(Model {
            bytes: size(&path),
            complete: kind != "hub" || is_complete(&path),
            configured: name == configured,
            kind,
            name,
        });
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

/// As the service tells them apart.
fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "gguf")
}

/// Whether a snapshot of a hub's model could be served.
fn is_complete(model: &Path) -> bool {
    let snapshots = fs::read_dir(model.join("snapshots")).into_iter().flatten();
    snapshots
        .filter_map(Result::ok)
        .any(|snapshot| check_folder(&snapshot.path()).is_ok())
}

/// Of all regular files below a path; the links of the hub's cache are not counted twice.
fn size(path: &Path) -> u64 {
    walkdir::WalkDir::new(path)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

async fn pull(
    folder: &Path,
    id: &str,
    revision: Option<&str>,
    output: Output,
) -> Result<(), Failure> {
    fs::create_dir_all(folder).context(|| format!("cannot make `{}`", folder.display()))?;
    let bar = output.progress(0, "fetching");
    let shown = bar.clone();
    let pulled = quoin_engine::hub::pull(id, revision, folder, move |progress| {
        shown.set_message(format!(
            "{} ({}/{})",
            progress.file, progress.file_number, progress.files
        ));
        shown.set_length(progress.total_bytes);
        shown.set_position(progress.bytes);
    })
    .await;
    bar.finish_and_clear();
    let pulled = pulled.map_err(|error| {
        Failure::from(error).hint(
            "this needs the network; `quoin models import PATH --name N` takes a model from disk",
        )
    })?;
    done(output, id, &pulled)
}

fn done(output: Output, name: &str, path: &Path) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&json!({ "name": name, "path": path }));
    }
    output.line(name)?;
    output.note(format!(
        "hint: serve it with `quoin serve --model {name}`, or set `model.source`"
    ));
    Ok(())
}

fn import(folder: &Path, source: &Path, name: &str, output: Output) -> Result<(), Failure> {
    check_name(name)?;
    let is_file = fs::metadata(source)
        .context(|| format!("cannot read `{}`", source.display()))?
        .is_file();
    let name = if is_file && !is_gguf(Path::new(name)) {
        format!("{name}.gguf")
    } else {
        name.to_owned()
    };
    if is_file {
        check_gguf(source)
    } else {
        check_folder(source)
    }
    .context(|| format!("`{}` is no model that can be served", source.display()))?;
    let target = folder.join(&name);
    if target.exists() {
        return Err(
            Failure::new(format!("there is a model named `{name}` already")).hint(format!(
                "choose another `--name`, or remove `{}` first",
                target.display()
            )),
        );
    }
    fs::create_dir_all(folder).context(|| format!("cannot make `{}`", folder.display()))?;
    // Under a name that nothing serves until it is complete; removed again when a copy fails.
    let unfinished = tempfile::Builder::new()
        .prefix(".import-")
        .tempdir_in(folder)?;
    let copy = unfinished.path().join(&name);
    if is_file {
        fs::copy(source, &copy).map(|_| ()).map_err(Failure::from)
    } else {
        copy_folder(source, &copy)
    }
    .context(|| format!("cannot copy to `{}`", folder.display()))?;
    fs::rename(&copy, &target).context(|| format!("cannot make `{}`", target.display()))?;
    done(output, &name, &target)
}

fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let reserved = name == BUNDLED
        || [HUB_PREFIX, UNPACKED_PREFIX]
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if starts && name.len() <= 128 && name.chars().all(plain) && !reserved {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "`{name}` cannot be the name of a model: letters, digits, `-`, `_` and `.`, at most 128; not `{BUNDLED}`, and not \
         beginning with `{HUB_PREFIX}` or `{UNPACKED_PREFIX}`"
    )))
}

/// The files of the folder itself; training leaves checkpoints in folders below, which serving does not need.
fn copy_folder(source: &Path, target: &Path) -> Result<(), Failure> {
    fs::create_dir(target)?;
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, target.join(name)).context(|| format!("`{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Enough to refuse what is no model or was cut short; the engine checks the rest when it loads.
pub fn check_folder(folder: &Path) -> Result<(), Failure> {
    for name in ["config.json", "tokenizer.json"] {
        let text =
            fs::read_to_string(folder.join(name)).context(|| format!("cannot read `{name}`"))?;
        let _: Value = serde_json::from_str(&text).context(|| format!("`{name}` is not JSON"))?;
    }
    let mut weights = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "safetensors")
        {
            check_safetensors(&path).context(|| format!("`{}`", path.display()))?;
            weights += 1;
        }
    }
    if weights == 0 {
        return Err(Failure::new("it holds no `.safetensors` file"));
    }
    Ok(())
}

/// A safetensors file is the length of its header, the header (JSON), and exactly the bytes that the header names.
fn check_safetensors(path: &Path) -> Result<(), Failure> {
    let mut file = File::open(path)?;
    let on_disk = file.metadata()?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER_BYTES || length + 8 > on_disk {
        return Err(Failure::new("not a safetensors file, or cut short"));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    let header: Value =
        serde_json::from_slice(&header).context(|| "its header is not JSON".to_owned())?;
    let ends = header
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, tensor)| tensor["data_offsets"][1].as_u64());
    let expected = length + 8 + ends.max().unwrap_or(0);
    if expected != on_disk {
        return Err(Failure::new(format!(
            "it should have {expected} bytes and has {on_disk}: cut short or damaged"
        )));
    }
    Ok(())
}

/// Enough to refuse what is something else.
pub fn check_gguf(path: &Path) -> Result<(), Failure> {
    let mut magic = [0; 4];
    File::open(path)?
        .read_exact(&mut magic)
        .context(|| "too short for a GGUF file".to_owned())?;
    if &magic != b"GGUF" {
        return Err(Failure::new("not a GGUF file"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check_folder, check_name, found};
    use std::fs;
    use std::path::Path;

    fn model(folder: &Path, cut_bytes: usize) {
        fs::create_dir_all(folder).expect("a folder");
        for name in ["config.json", "tokenizer.json"] {
            fs::write(folder.join(name), "{}").expect("a file");
        }
        let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header);
        file.extend_from_slice(&[0; 8]);
        file.truncate(file.len() - cut_bytes);
        fs::write(folder.join("model.safetensors"), file).expect("a file");
    }

    #[test]
    fn a_model_that_was_cut_short_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        model(folder.path(), 0);
        check_folder(folder.path()).expect("it is complete");
        model(folder.path(), 1);
        let failure = check_folder(folder.path()).expect_err("a byte is missing");
        assert!(failure.to_string().contains("cut short"), "{failure}");
    }

    #[test]
    fn names_stay_in_the_folder_of_models() {
        for name in ["qwen3-0.6b", "a.gguf"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "..",
            ".x",
            "a/b",
            "bundled",
            "models--a--b",
            "pointer-0",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn folders_files_and_hub_models_are_listed_by_the_name_that_serves_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        model(&folder.path().join("mine"), 0);
        fs::write(folder.path().join("small.gguf"), "GGUF").expect("a file");
        fs::create_dir_all(folder.path().join("models--Qwen--Qwen3-1.7B/blobs")).expect("a folder");
        fs::create_dir_all(folder.path().join("not-a-model")).expect("a folder");
        let models = found(folder.path(), "small.gguf").expect("it can be read");
        let seen: Vec<_> = models
            .iter()
            .map(|one| (one.name.as_str(), one.kind, one.configured))
            .collect();
        assert_eq!(
            seen,
            [
                ("Qwen/Qwen3-1.7B", "hub", false),
                ("mine", "folder", false),
                ("small.gguf", "gguf", true)
            ]
        );
    }
}
