//! `quoin serve`: opens the data folder, listens, says when it is ready, and drains when told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use clap::Args;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Setting;
use super::failure::{Context as _, Exit, Failure};
use super::{output, socket};
use crate::config::Config;
use crate::http::{AppState, Identity, router};
use crate::service::{Load, OpenError, OpenOptions, Quoin};

/// Longest time for a client to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// Pause after a connection could not be accepted, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait at the end for work in the background.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// What `quoin serve` is told.
#[derive(Args, Debug)]
pub struct Serve {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Model to serve: `bundled`, a folder, a .gguf file, or a name that `quoin models list` prints
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

impl Serve {
    /// Runs the server until it is told to stop.
    ///
    /// # Errors
    /// The data folder is taken or broken, the address is taken, or is not a loopback address and there are no keys.
    pub async fn run(self, mut setting: Setting) -> Result<(), Failure> {
        if let Some(listen) = self.listen {
            setting.config.server.listen = listen;
        }
        if let Some(model) = self.model {
            setting.config.model.source = model;
        }
        let stop = stop_on_signals()?;
        tokio::select! {
            server = Server::open(&setting) => server?.run(setting.output, stop).await,
            // Nothing was served yet: nothing to drain.
            () = stop.cancelled() => Ok(()),
        }
    }
}

/// A data folder with its listeners, not serving yet.
struct Server {
    quoin: Arc<Quoin>,
    tcp: TcpListener,
    address: SocketAddr,
    local: UnixListener,
    local_path: PathBuf,
    drain_patience: Duration,
}

impl Server {
    async fn open(setting: &Setting) -> Result<Self, Failure> {
        let config = &setting.config;
        let options = OpenOptions {
            load: Load::Background,
            ..OpenOptions::default()
        };
        let quoin = Quoin::open_with(config.clone(), options)
            .await
            .map_err(|error| not_opened(error, config.data()))?;
        let open_to_all = !quoin.keys().any();
        if open_to_all && !config.server.listen.ip().is_loopback() {
            return Err(no_keys(config));
        }
        let tcp = bind(config.server.listen).await?;
        let address = tcp.local_addr()?;
        let local_path = config.socket();
        let local = socket::listen(&local_path)
            .context(|| format!("cannot listen on `{}`", local_path.display()))?;
        if open_to_all {
            setting.output.note(
                "no keys: serving the loopback address only, where everyone has full access; `quoin keys create` ends that",
            );
        }
        Ok(Self {
            quoin,
            tcp,
            address,
            local,
            local_path,
            drain_patience: Duration::from_millis(config.server.drain_timeout_ms),
        })
    }

    /// Serves from the start, so that `/health` answers while the model loads; the line on stderr waits for readiness.
    async fn run(self, output: output::Output, stop: CancellationToken) -> Result<(), Failure> {
        let connections = Arc::new(GracefulShutdown::new());
        let mut listeners = JoinSet::new();
        let public = Surface::new(&self.quoin, Identity::Keys, &connections);
        listeners.spawn(serve_tcp(self.tcp, public, stop.clone()));
        let local = Surface::new(&self.quoin, Identity::LocalOwner, &connections);
        listeners.spawn(serve_local(self.local, local, stop.clone()));
        tokio::select! {
            () = self.quoin.settled() => {
                output::complain(&format!("listening on http://{}\n", self.address));
                stop.cancelled().await;
            }
            () = stop.cancelled() => {}
        }
        output.note("stopping: requests in flight may finish; stop again to end at once");
        while listeners.join_next().await.is_some() {}
        let drained = async {
            // The listeners have ended, so this is the only holder.
            if let Some(connections) = Arc::into_inner(connections) {
                connections.shutdown().await;
            }
        };
        if tokio::time::timeout(self.drain_patience, drained)
            .await
            .is_err()
        {
            output.warn(format!(
                "requests were still running after {} (`server.drain_timeout_ms`); they are cut off",
                output::duration(self.drain_patience)
            ));
        }
        // Gone before the lock is, so that whoever gets the lock next finds no socket of ours.
        socket::remove(&self.local_path)?;
        if tokio::time::timeout(CLOSE_PATIENCE, self.quoin.close())
            .await
            .is_err()
        {
            tracing::warn!("work in the background did not end in time");
        }
        Ok(())
    }
}

/// The router with what a connection needs.
#[derive(Clone)]
struct Surface {
    router: Router,
    connections: Arc<GracefulShutdown>,
    protocol: auto::Builder<TokioExecutor>,
}

impl Surface {
    fn new(quoin: &Arc<Quoin>, identity: Identity, connections: &Arc<GracefulShutdown>) -> Self {
        let mut protocol = auto::Builder::new(TokioExecutor::new());
        protocol
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE);
        protocol.http2().timer(TokioTimer::new());
        Self {
            router: router(AppState::new(Arc::clone(quoin), identity)),
            connections: Arc::clone(connections),
            protocol,
        }
    }

    /// Serves one connection on a task that the shutdown waits for.
    fn attend(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = TowerToHyperService::new(self.router.clone());
        let connection = self
            .protocol
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let watched = self.connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(error = &*error, "connection ended");
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, surface: Surface, stop: CancellationToken) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Streams of small events must not wait for one another; a socket that refuses only is slower.
                    let _ = stream.set_nodelay(true);
                    surface.attend(stream);
                }
                Err(error) => pause_after(&error).await,
            },
            () = stop.cancelled() => return,
        }
    }
}

async fn serve_local(listener: UnixListener, surface: Surface, stop: CancellationToken) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => surface.attend(stream),
                Err(error) => pause_after(&error).await,
            },
            () = stop.cancelled() => return,
        }
    }
}

async fn pause_after(error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let in_use = error.kind() == std::io::ErrorKind::AddrInUse;
        let failure = Failure::from(error).during(format!("cannot listen on {address}"));
        if in_use {
            failure.hint("another program listens there; choose another port, such as `--listen 127.0.0.1:0` for a free one")
        } else {
            failure
        }
    })
}

fn no_keys(config: &Config) -> Failure {
    Failure::new(format!(
        "refusing to listen on {}: without keys everyone who reaches it would have full access",
        config.server.listen
    ))
    .hint(format!(
        "create one first: `quoin keys create --name N --scopes answer,search --data {}`; or listen on 127.0.0.1",
        config.data().display()
    ))
}

fn not_opened(error: OpenError, data: &Path) -> Failure {
    let locked = matches!(error, OpenError::Locked { .. });
    let failure = Failure::from(error);
    if locked {
        failure.hint(format!(
            "stop that process, or give this one a folder of its own: `--data DIR` (this is `{}`)",
            data.display()
        ))
    } else {
        failure
    }
}

/// The token is cancelled by the first SIGTERM or SIGINT; the second ends the process.
fn stop_on_signals() -> Result<CancellationToken, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        told.cancel();
        either(&mut terminate, &mut interrupt).await;
        output::complain("stopped at once; requests in flight were cut off\n");
        std::process::exit(i32::from(Exit::Error.code()));
    });
    Ok(stop)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
