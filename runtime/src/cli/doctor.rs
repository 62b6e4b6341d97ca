//! `quoin doctor`: what a person would look at first when something is wrong.

use std::path::Path;

use quoin_engine::BaseModel;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use serde_json::{Value, json};

use super::Setting;
use super::failure::Failure;
use super::transport::Client;
use super::{models, output, socket};
use crate::config::Config;
use crate::release;

/// Less than this on the disk of the data folder is reported, bytes.
const SCARCE_DISK_BYTES: u64 = 1 << 30;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            ok: true,
            detail: detail.into(),
            hint: None,
        }
    }

    fn bad(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name,
            ok: false,
            detail: detail.into(),
            hint: Some(hint.into()),
        }
    }

    fn line(&self) -> String {
        let mark = if self.ok { "ok  " } else { "FAIL" };
        let mut line = format!("{mark}  {:<13} {}", self.name, self.detail);
        if let Some(hint) = &self.hint {
            line.push_str("\n      hint: ");
            line.push_str(hint);
        }
        line
    }
}

/// Looks at everything, and fails when anything is wrong.
///
/// # Errors
/// A finding is bad.
pub async fn run(setting: &Setting) -> Result<(), Failure> {
    let findings = look(&setting.config).await;
    let ok = findings.iter().all(|finding| finding.ok);
    let output = setting.output;
    if output.is_json() {
        output.json(&json!({ "ok": ok, "checks": findings }))?;
    } else {
        for finding in &findings {
            output.line(finding.line())?;
        }
    }
    if ok {
        Ok(())
    } else {
        Err(Failure::already_told())
    }
}

async fn look(config: &Config) -> Vec<Finding> {
    let data = config.data();
    let mut findings = vec![
        processor(),
        writable(data),
        disk(data),
        owner(config).await,
        catalogue(data),
        model_files(config),
    ];
    match Client::connect(config).await {
        Ok(client) => {
            findings.push(index(&client).await);
            findings.push(model(&client).await);
            client.close().await;
        }
        Err(failure) => findings.push(Finding::bad(
            "service",
            failure.in_one_line(),
            "the findings above may say why",
        )),
    }
    findings
}

fn processor() -> Finding {
    match crate::processor::check() {
        Ok(()) => Finding::ok("processor", "has all that this build needs"),
        Err(missing) => Finding::bad(
            "processor",
            format!("lacks {missing}"),
            "build quoin on this machine",
        ),
    }
}

fn writable(data: &Path) -> Finding {
    let shown = format!("`{}`", data.display());
    let tried =
        std::fs::create_dir_all(data).and_then(|()| tempfile::tempfile_in(data).map(|_| ()));
    match tried {
        Ok(()) => Finding::ok("data folder", format!("{shown} can be written")),
        Err(error) => Finding::bad(
            "data folder",
            format!("{shown}: {error}"),
            "run as the user who owns it, or name another with `--data DIR`",
        ),
    }
}

fn disk(data: &Path) -> Finding {
    let space = match rustix::fs::statvfs(data) {
        Ok(space) => space,
        Err(error) => return Finding::bad("disk", error.to_string(), "is the data folder there?"),
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let detail = format!("{} free", output::bytes(free));
    if free < SCARCE_DISK_BYTES {
        let hint = format!(
            "a new generation of the index needs room beside the old one; free {} or more",
            output::bytes(SCARCE_DISK_BYTES)
        );
        return Finding::bad("disk", detail, hint);
    }
    Finding::ok("disk", detail)
}

async fn owner(config: &Config) -> Finding {
    let path = config.socket();
    match socket::connect(&path).await {
        Ok(_) => Finding::ok("owner", "a server runs on the data folder"),
        Err(_) if path.exists() => {
            Finding::ok("owner", "none; a server that was killed left its socket")
        }
        Err(_) => Finding::ok("owner", "none"),
    }
}

/// Reads the whole database, also beside a running server.
fn catalogue(data: &Path) -> Finding {
    let path = data.join("quoin.db");
    if !path.exists() {
        return Finding::ok("catalogue", "not there yet");
    }
    let checked =
        Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|database| {
            database.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        });
    match checked.as_deref() {
        Ok("ok") => Finding::ok("catalogue", "intact"),
        Ok(damage) => Finding::bad(
            "catalogue",
            damage,
            "put a copy that `quoin backup` made in its place",
        ),
        Err(error) => Finding::bad(
            "catalogue",
            error.to_string(),
            "put a copy that `quoin backup` made in its place, or look at the disk",
        ),
    }
}

async fn index(client: &Client) -> Finding {
    const HINT: &str = "`quoin index rebuild` makes it again from the catalogue";
    match client.post("/admin/v1/index/verify", &json!({})).await {
        Ok(report)
            if report["problems"]
                .as_array()
                .is_some_and(|problems| !problems.is_empty()) =>
        {
            Finding::bad("index", report["problems"].to_string(), HINT)
        }
        Ok(_) => Finding::ok("index", "agrees with the catalogue"),
        Err(failure) => Finding::bad("index", failure.in_one_line(), HINT),
    }
}

/// Whether what `model.source` names is there and complete. Unpacks the bundled model, which compares its digest.
fn model_files(config: &Config) -> Finding {
    const HINT: &str = "`quoin models list` shows what there is; `model.source` names one";
    let source = &config.model.source;
    let checked = match release::base_source(&config.model, config.data()) {
        Ok(BaseModel::Folder(folder)) => models::check_folder(&folder),
        Ok(BaseModel::Gguf(file)) => models::check_gguf(&file),
        Ok(BaseModel::Hub { id, revision }) => pulled_files(config, &id, revision.as_deref()),
        Err(error) => Err(error.into()),
    };
    match checked {
        Ok(()) => Finding::ok("model files", format!("`{source}` is complete")),
        Err(failure) => Finding::bad(
            "model files",
            format!("`{source}`: {}", failure.in_one_line()),
            HINT,
        ),
    }
}

fn pulled_files(config: &Config, id: &str, revision: Option<&str>) -> Result<(), Failure> {
    let folder = release::models_folder(config.data());
    match quoin_engine::hub::cached(id, revision, &folder)? {
        Some(snapshot) => models::check_folder(&snapshot),
        None if config.model.network => Ok(()),
        None => Err(Failure::new("it is not on disk, and the network is off")),
    }
}

/// What the service says of its model; in this process it is not loaded for that.
async fn model(client: &Client) -> Finding {
    let report = match client.get("/admin/v1/status").await {
        Ok(report) => report,
        Err(failure) => {
            return Finding::bad("model", failure.in_one_line(), "see the log of the server");
        }
    };
    let none = Vec::new();
    let checks = report["readiness"]["checks"].as_array().unwrap_or(&none);
    let model = checks
        .iter()
        .find(|check| check["name"] == "model")
        .unwrap_or(&Value::Null);
    let state = model["state"].as_str().unwrap_or("unknown");
    if model["ready"].as_bool() == Some(false) {
        return Finding::bad(
            "model",
            state,
            "`quoin models list` shows what there is; `model.source` names one",
        );
    }
    Finding::ok("model", state)
}
