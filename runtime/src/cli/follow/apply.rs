//! Brings the catalogue to what a plan says, in batches; what is known changes only by what was acknowledged.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::look::{Candidate, Looked, digest};
use super::{Done, Follower};
use crate::cli::failure::Failure;
use crate::cli::ingest::{self, BATCH_BYTES, BATCH_DOCUMENTS};
use crate::cli::transport::segment;
use crate::sources::Trouble;
use crate::sources::plan::{Known, Put};

/// Why a file is not put.
enum Unread {
    Skipped(String),
    Failed(String),
}

/// A file that was read, on its way.
struct Ready {
    put: Put,
    document: Value,
    known: Known,
}

impl Follower {
    pub(super) async fn put_all(
        &mut self,
        puts: Vec<Put>,
        looked: &Looked,
        done: &mut Done,
        stop: &CancellationToken,
    ) {
        let mut batch: Vec<Ready> = Vec::new();
        let mut bytes = 0;
        for put in puts {
            if stop.is_cancelled() {
                return;
            }
            let Some(candidate) = looked.files.get(&put.path) else {
                continue;
            };
            if batch.len() >= BATCH_DOCUMENTS || bytes + candidate.found.bytes > BATCH_BYTES {
                self.send(std::mem::take(&mut batch), done).await;
                bytes = 0;
            }
            bytes += candidate.found.bytes;
            match self.read(put, candidate).await {
                Ok(ready) => batch.push(ready),
                Err((_, Unread::Skipped(reason))) => {
                    *done.skipped.entry(reason).or_default() += 1;
                }
                Err((path, Unread::Failed(reason))) => done.errors.push(Trouble { path, reason }),
            }
        }
        self.send(batch, done).await;
    }

    async fn read(&self, put: Put, candidate: &Candidate) -> Result<Ready, (String, Unread)> {
        let failed = |reason: String| (put.path.clone(), Unread::Failed(reason));
        if !self.known.contains_key(&put.path) && put.from.is_none() {
            self.refuse_foreign(&put.id).await.map_err(&failed)?;
        }
        let content = tokio::fs::read(&candidate.found.path)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let known = Known {
            id: put.id.clone(),
            digest: Some(digest(&content)),
            stamp: candidate.stamp.clone(),
            said: serde_json::to_string(&candidate.said).unwrap_or_default(),
        };
        let mut document = ingest::document(
            &put.id,
            candidate.found.format,
            &content,
            self.settings.acl.as_deref(),
            &candidate.said,
        )
        .map_err(|reason| (put.path.clone(), Unread::Skipped(reason)))?;
        document["source"] = json!(self.settings.name);
        Ok(Ready {
            put,
            document,
            known,
        })
    }

    /// Two sources never own one document.
    async fn refuse_foreign(&self, id: &str) -> Result<(), String> {
        let path = format!("/v1/documents/{}", segment(id));
        let there = match self.client.get(&path).await {
            Ok(there) => there,
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => return Err(failure.in_one_line()),
        };
        match there["source"].as_str() {
            Some(owner) if owner != self.settings.name => Err(format!(
                "the id `{id}` belongs to the source `{owner}`: give one of them another `prefix`"
            )),
            _ => Ok(()),
        }
    }

    /// A batch that is refused as a whole is sent again one by one, so that one bad document costs no other.
    async fn send(&mut self, batch: Vec<Ready>, done: &mut Done) {
        if batch.is_empty() {
            return;
        }
        match self.post(&batch).await {
            Ok(results) => {
                for (ready, result) in batch.into_iter().zip(results) {
                    self.note(ready, &result, done);
                }
            }
            Err(_) if batch.len() > 1 => {
                for ready in batch {
                    Box::pin(self.send(vec![ready], done)).await;
                }
            }
            Err(failure) => done.errors.extend(batch.into_iter().map(|ready| Trouble {
                path: ready.put.path,
                reason: failure.in_one_line(),
            })),
        }
    }

    async fn post(&self, batch: &[Ready]) -> Result<Vec<Value>, Failure> {
        let documents: Vec<&Value> = batch.iter().map(|ready| &ready.document).collect();
        let body = json!({ "documents": documents });
        let mut answer = self.client.post("/admin/v1/ingest", &body).await?;
        match answer["results"].take() {
            Value::Array(results) if results.len() == batch.len() => Ok(results),
            _ => Err(Failure::new("the server gave no result for each document")),
        }
    }

    fn note(&mut self, ready: Ready, result: &Value, done: &mut Done) {
        if !result["version"].is_u64() {
            let reason = result["error"]["message"].as_str();
            done.errors.push(Trouble {
                path: ready.put.path,
                reason: reason
                    .unwrap_or("the server gave no result for it")
                    .to_owned(),
            });
            return;
        }
        if let Some(from) = &ready.put.from {
            self.known.remove(from);
            done.moved += 1;
        }
        if result["unchanged"].as_bool() != Some(true) {
            done.put += 1;
        }
        self.known.insert(ready.put.path, ready.known);
    }

    pub(super) async fn delete(&mut self, path: &str, done: &mut Done) {
        let Some(known) = self.known.get(path) else {
            return;
        };
        let request = format!("/v1/documents/{}", segment(&known.id));
        match self.client.send(http::Method::DELETE, &request, None).await {
            Ok(_) => done.deleted += 1,
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => {
                return done.errors.push(Trouble {
                    path: path.to_owned(),
                    reason: failure.in_one_line(),
                });
            }
        }
        self.known.remove(path);
    }
}
