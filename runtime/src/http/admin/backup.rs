//! A consistent copy of what cannot be made again: the database and the adapters, while the server runs.
//!
//! The index is not copied: it is made from the catalogue. Deleted documents are not in the copy of the database.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use walkdir::WalkDir;

use crate::backup;
use crate::http::Http;
use crate::http::body::Json;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};

/// Where the copy goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct BackupBody {
    /// An absolute path on this machine, to a folder that is empty or does not exist.
    #[schema(value_type = String)]
    path: PathBuf,
}

/// What was written.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct BackedUp {
    /// The folder.
    #[schema(value_type = String)]
    path: PathBuf,
    /// Files in it.
    files: usize,
    /// Their size.
    bytes: u64,
}

/// Copies the database and the adapters into a folder, which appears whole or not at all.
#[utoipa::path(
    post, path = "/admin/v1/backup", tag = "admin", request_body = BackupBody,
    responses(
        (status = 201, description = "What was written.", body = BackedUp),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn create(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Json(BackupBody { path }): Json<BackupBody>,
) -> Result<(http::StatusCode, JsonResponse<BackedUp>), ApiError> {
    if !path.is_absolute() {
        return Err(ApiError::invalid("path", "`path` must be absolute"));
    }
    let parent = path
        .parent()
        .map(Path::to_owned)
        .ok_or_else(|| ApiError::invalid("path", "`path` must not be the root folder"))?;
    let target = path.clone();
    let unfinished = tokio::task::spawn_blocking(move || {
        refuse_full(&target)?;
        std::fs::create_dir_all(&parent)
            .and_then(|()| {
                tempfile::Builder::new()
                    .prefix(".quoin-backup-")
                    // As the data folder: for its owner alone.
                    .permissions(std::fs::Permissions::from_mode(0o700))
                    .tempdir_in(&parent)
            })
            .map_err(|error| unwritable(&parent, &error))
    })
    .await??;
    http.quoin
        .storage()
        .copy_database(unfinished.path().join("quoin.db"))
        .await?;
    let data = http.quoin.config().data().to_owned();
    let retriever = Arc::clone(http.quoin.retriever());
    let written = tokio::task::spawn_blocking(move || {
        let to = unfinished.path();
        let copied =
            backup::copy_folder(&data.join("adapters"), &to.join("adapters")).and_then(|()| {
                backup::copy_file(
                    &data.join(backup::RECEIPT_KEY),
                    &to.join(backup::RECEIPT_KEY),
                )
            });
        let manifest = copied
            .and_then(|()| backup::Manifest::write(to))
            .map_err(|error| unwritable(&path, &error))?;
        // Noted first: a backup that receipts do not know of would be worse than one they name in vain.
        retriever.note_backup(path.to_string_lossy().into_owned(), manifest.generation)?;
        publish(unfinished, &path).map_err(|error| unwritable(&path, &error))
    })
    .await??;
    Ok((http::StatusCode::CREATED, JsonResponse(written)))
}

fn unwritable(path: &Path, error: &io::Error) -> ApiError {
    ApiError::invalid(
        "path",
        format!("cannot write `{}`: {error}", path.display()),
    )
}

fn refuse_full(path: &Path) -> Result<(), ApiError> {
    match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritable(path, &error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(ApiError::conflict(format!(
                "`{}` is not empty",
                path.display()
            ))),
        },
    }
}

/// Gives the finished folder its name.
fn publish(unfinished: tempfile::TempDir, path: &Path) -> io::Result<BackedUp> {
    let (mut files, mut bytes) = (0, 0);
    for entry in WalkDir::new(unfinished.path()) {
        let metadata = entry?.metadata()?;
        if metadata.is_file() {
            files += 1;
            bytes += metadata.len();
        }
    }
    std::fs::File::open(unfinished.path().join("quoin.db"))?.sync_all()?;
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::rename(unfinished.path(), path)?;
    let _renamed = unfinished.keep();
    Ok(BackedUp {
        path: path.to_owned(),
        files,
        bytes,
    })
}
