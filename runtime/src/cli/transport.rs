//! How a command reaches the data folder: always by HTTP requests on our own router.
//!
//! While a server owns the folder they go through its local socket; otherwise the folder is opened in this process and
//! the router is called directly. Commands do not know which of the two it was.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tower::ServiceExt as _;

use super::failure::{Context as _, Failure};
use super::socket;
use crate::config::Config;
use crate::http::{AppState, Identity, router};
use crate::service::{Load, OpenError, OpenOptions, Quoin};

/// Longest wait for a folder whose owner has no socket: a server that is starting, or another command that is at work.
const OWNER_PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that one request is tried again while the queue is full.
const BUSY_PATIENCE: Duration = Duration::from_mins(1);

const NO_JSON: &str = "the server's answer is not JSON";

/// A way to the router of the data folder, or to that of a server elsewhere.
pub struct Client {
    route: Route,
    reading_as: Option<String>,
}

enum Route {
    /// A server owns the folder.
    Server(std::path::PathBuf),
    /// This process does.
    Here { quoin: Arc<Quoin>, router: Router },
    /// Another machine's server, by its address and a key of it.
    Far {
        http: reqwest::Client,
        address: String,
        key: Option<String>,
    },
}

impl Client {
    /// Finds the owner of the data folder, or becomes it. The model is loaded only when a request needs it.
    ///
    /// # Errors
    /// The folder cannot be opened, or another process keeps it and serves no socket.
    pub async fn connect(config: &Config) -> Result<Self, Failure> {
        let socket = config.socket();
        let deadline = Instant::now() + OWNER_PATIENCE;
        loop {
            if socket::connect(&socket).await.is_ok() {
                return Ok(Self::by(Route::Server(socket)));
            }
            let options = OpenOptions {
                load: Load::OnDemand,
                ..OpenOptions::default()
            };
            match Quoin::open_with(config.clone(), options).await {
                Ok(quoin) => return Ok(Self::by(Self::here(quoin))),
                Err(error @ OpenError::Locked { .. }) if Instant::now() < deadline => {
                    tracing::debug!(%error, "waiting for the owner of the data folder");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error @ OpenError::Locked { .. }) => {
                    return Err(owned_but_silent(error, config.data()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The router of this process, which owns the folder.
    #[must_use]
    pub fn within(quoin: Arc<Quoin>) -> Self {
        Self::by(Self::here(quoin))
    }

    /// A server at an address such as `https://quoin.example:8080`.
    ///
    /// # Errors
    /// The address is none.
    pub fn far(address: &str, key: Option<String>) -> Result<Self, Failure> {
        let is_one = reqwest::Url::parse(address)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_one {
            return Err(Failure::usage(format!(
                "the address of a server is like `https://quoin.example:8080`, got `{address}`"
            )));
        }
        let http = reqwest::Client::builder()
            .build()
            .context(|| "cannot set up connections".to_owned())?;
        Ok(Self::by(Route::Far {
            http,
            address: address.trim_end_matches('/').to_owned(),
            key,
        }))
    }

    fn by(route: Route) -> Self {
        Self {
            route,
            reading_as: None,
        }
    }

    fn here(quoin: Arc<Quoin>) -> Route {
        let router = router(AppState::new(Arc::clone(&quoin), Identity::LocalOwner));
        Route::Here { quoin, router }
    }

    /// From now on reads what these access tokens may read, instead of everything.
    #[must_use]
    pub fn reading_as(mut self, tokens: &[String]) -> Self {
        if !tokens.is_empty() {
            self.reading_as = Some(tokens.join(","));
        }
        self
    }

    /// `GET path`.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// `POST path`, read with these access tokens where there are any.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn post_as(
        &self,
        tokens: &[String],
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        let tokens = Some(tokens.join(",")).filter(|tokens| !tokens.is_empty());
        let reading_as = tokens.as_deref().or(self.reading_as.as_deref());
        let bytes = self
            .fetch(Method::POST, path, Some(body), reading_as)
            .await?;
        serde_json::from_slice(&bytes).context(|| NO_JSON.to_owned())
    }

    /// One request and the JSON of its answer. Waits and tries again while the server is too busy.
    ///
    /// # Errors
    /// The server cannot be reached, or it refused: its message, with a hint for the codes that have one.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let bytes = self
            .fetch(method, path, body, self.reading_as.as_deref())
            .await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).context(|| NO_JSON.to_owned())
    }

    /// `GET path`, for an answer that is no JSON.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn bytes(&self, path: &str) -> Result<Bytes, Failure> {
        self.fetch(Method::GET, path, None, self.reading_as.as_deref())
            .await
    }

    async fn fetch(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        reading_as: Option<&str>,
    ) -> Result<Bytes, Failure> {
        let deadline = Instant::now() + BUSY_PATIENCE;
        loop {
            let response = self
                .dispatch(method.clone(), path, body, reading_as)
                .await?;
            let status = response.status();
            let wait = retry_after(&response);
            if let Some(wait) = wait.filter(|wait| Instant::now() + *wait < deadline) {
                tokio::time::sleep(wait).await;
                continue;
            }
            let bytes = response
                .into_body()
                .collect()
                .await
                .context(|| "the server broke off its answer".to_owned())?
                .to_bytes();
            return if status.is_success() {
                Ok(bytes)
            } else {
                Err(refusal(status, &bytes))
            };
        }
    }

    /// One request whose answer is a stream of server-sent events.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn stream(&self, path: &str, body: &Value) -> Result<Body, Failure> {
        let reading_as = self.reading_as.as_deref();
        let response = self
            .dispatch(Method::POST, path, Some(body), reading_as)
            .await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let bytes = response.into_body().collect().await?.to_bytes();
        Err(refusal(status, &bytes))
    }

    async fn dispatch(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        reading_as: Option<&str>,
    ) -> Result<http::Response<Body>, Failure> {
        let mut request = Request::builder().method(method);
        request = match &self.route {
            Route::Far { address, key, .. } => {
                let request = request.uri(format!("{address}{path}"));
                match key {
                    Some(key) => request.header(header::AUTHORIZATION, format!("Bearer {key}")),
                    None => request,
                }
            }
            Route::Server(_) | Route::Here { .. } => {
                request.uri(path).header(header::HOST, "localhost")
            }
        };
        if let Some(tokens) = reading_as {
            request = request.header("x-quoin-as", tokens);
        }
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(serde_json::to_vec(body)?))?,
            None => request.body(Body::empty())?,
        };
        match &self.route {
            Route::Server(path) => through(path, request).await,
            Route::Here { router, .. } => match router.clone().oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            },
            Route::Far { http, .. } => to(http, request).await,
        }
    }

    /// Waits for the work that this process still has to do for the folder.
    pub async fn close(self) {
        if let Route::Here { quoin, .. } = self.route {
            quoin.storage().close().await;
        }
    }
}

/// One connection for one request: local sockets are cheap, and nothing is left to go stale.
async fn through(socket: &Path, request: Request<Body>) -> Result<http::Response<Body>, Failure> {
    let stream = socket::connect(socket)
        .await
        .context(|| "the server has gone".to_owned())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context(|| "the server does not speak HTTP on its socket".to_owned())?;
    tokio::spawn(async move {
        // The request's own error says what matters.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "local connection ended");
        }
    });
    let response = sender
        .send_request(request)
        .await
        .context(|| "the server closed the connection before it answered".to_owned())?;
    Ok(response.map(Body::new))
}

/// A request to another machine.
async fn to(
    http: &reqwest::Client,
    request: Request<Body>,
) -> Result<http::Response<Body>, Failure> {
    let request = request.map(|body| reqwest::Body::wrap_stream(body.into_data_stream()));
    let response = http
        .execute(request.try_into()?)
        .await
        .context(|| "the server cannot be reached".to_owned())?;
    Ok(http::Response::from(response).map(Body::new))
}

fn retry_after(response: &http::Response<Body>) -> Option<Duration> {
    if response.status() != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok())
        .unwrap_or(1);
    Some(Duration::from_secs(seconds))
}

/// The words of an error answer, and what to do about it.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let envelope: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = &envelope["error"];
    let Some(message) = error["message"].as_str() else {
        return Failure::new(format!("the server answered {status}"));
    };
    let failure = Failure::new(message);
    match status {
        StatusCode::NOT_FOUND => failure.not_found(),
        StatusCode::INTERNAL_SERVER_ERROR => failure.hint(format!(
            "the log has the cause, under request {}",
            envelope["request_id"].as_str().unwrap_or("unknown")
        )),
        StatusCode::UNPROCESSABLE_ENTITY => {
            failure.hint("simplify the schema; the message names the part that cannot be enforced")
        }
        StatusCode::TOO_MANY_REQUESTS => failure.hint(
            "try again later, or raise `model.queue_length` or `server.max_concurrent_requests`",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            failure.hint("the limits are `server.max_body_bytes` and `server.max_document_bytes`")
        }
        StatusCode::SERVICE_UNAVAILABLE => failure.hint("`quoin doctor` says what is not ready"),
        _ => failure,
    }
}

fn owned_but_silent(error: OpenError, data: &Path) -> Failure {
    Failure::from(error).hint(format!(
        "its local socket `{}` does not answer: a command is at work on the folder or a server is still starting; \
         try again, or stop that process",
        data.join("quoin.sock").display()
    ))
}

/// A document id, an adapter version or another name as one segment of a path.
#[must_use]
pub fn segment(name: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'~')
        .remove(b'.');
    percent_encoding::utf8_percent_encode(name, KEPT).to_string()
}

/// Bytes for a JSON body.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_document_id_is_one_segment_even_with_slashes() {
        assert_eq!(segment("a b/ü.md"), "a%20b%2F%C3%BC.md");
    }
}
