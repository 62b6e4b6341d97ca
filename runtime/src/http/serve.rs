//! Accepts connections on TCP and on the local socket, and ends gracefully: no new connections, requests in flight
//! finish, and what is still there after the drain time is cut off.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::timed_io::TimedIo;
use super::{AppState, Identity, Peer, router};
use crate::telemetry;

/// A client has this long for a request's head, and an idle connection is closed after it.
const HEADER_TIME: Duration = Duration::from_secs(15);
/// A write that makes no progress for this long ends the connection.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Pause after an accept that failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Largest head of a request, bytes.
const HEAD_BYTES: usize = 64 << 10;
/// Histograms are folded this often, scraped or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves until `shutdown` is done, then drains for at most `server.drain_timeout_ms`.
///
/// Requests on `local` are the owner's: whoever may open the data folder. TCP callers are known by their keys.
pub async fn run(
    state: AppState,
    tcp: TcpListener,
    local: Option<UnixListener>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let drain = Duration::from_millis(state.quoin.config().server.drain_timeout_ms);
    let owner = AppState::new(state.quoin.clone(), Identity::LocalOwner);
    let (stop, stopped) = watch::channel(false);
    let by_tcp = tokio::spawn(accept_tcp(tcp, router(state), stopped.clone(), drain));
    let by_socket =
        local.map(|local| tokio::spawn(accept_local(local, router(owner), stopped, drain)));
    let mut upkeep = tokio::time::interval(UPKEEP);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            _ = upkeep.tick() => telemetry::upkeep(),
        }
    }
    tracing::info!("shutting down: requests in flight finish first");
    stop.send_replace(true);
    report(by_tcp.await);
    if let Some(by_socket) = by_socket {
        report(by_socket.await);
    }
}

/// The connections of one listener.
#[derive(Default)]
struct Connections {
    /// Lets them finish what they are at.
    graceful: GracefulShutdown,
    /// Ends them.
    cut: CancellationToken,
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a listener ended early"
        );
    }
}

async fn accept_tcp(
    listener: TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    drain: Duration,
) {
    let connections = Connections::default();
    while let Some(accepted) = unless(&mut stopped, listener.accept()).await {
        match accepted {
            Err(error) => pause_after(&error).await,
            Ok((stream, address)) => {
                // Small events of a stream must not wait for one another.
                let _unsupported = stream.set_nodelay(true);
                serve(stream, router.clone(), Some(Peer(address)), &connections);
            }
        }
    }
    drop(listener);
    finish(connections, drain).await;
}

async fn accept_local(
    listener: UnixListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    drain: Duration,
) {
    let connections = Connections::default();
    while let Some(accepted) = unless(&mut stopped, listener.accept()).await {
        match accepted {
            Err(error) => pause_after(&error).await,
            Ok((stream, _address)) => serve(stream, router.clone(), None, &connections),
        }
    }
    drop(listener);
    finish(connections, drain).await;
}

/// The future's result, or `None` once the server is to stop.
async fn unless<T>(
    stopped: &mut watch::Receiver<bool>,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        // A sender that is gone means stop as well.
        _ = stopped.wait_for(|stop| *stop) => None,
        result = future => Some(result),
    }
}

async fn pause_after(error: &io::Error) {
    let of_one_client = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !of_one_client {
        tracing::warn!(%error, "cannot accept a connection");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Serves one connection in a task, which `connections` waits for.
fn serve<S>(stream: S, router: Router, peer: Option<Peer>, connections: &Connections)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |mut request: Request<hyper::body::Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        request.map(axum::body::Body::new)
    });
    let service = service.map_err(|never: Infallible| -> Infallible { match never {} });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEAD_BYTES.max(8192))
        .serve_connection(
            TokioIo::new(TimedIo::new(stream, WRITE_PATIENCE)),
            TowerToHyperService::new(service),
        );
    let connection = connections.graceful.watch(connection);
    let cut = connections.cut.clone();
    tokio::spawn(async move {
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
            }
            () = cut.cancelled() => {}
        }
    });
}

async fn finish(connections: Connections, drain: Duration) {
    let ended = tokio::time::timeout(drain, connections.graceful.shutdown()).await;
    connections.cut.cancel();
    if ended.is_err() {
        tracing::warn!(
            drain_ms = drain.as_millis(),
            "requests that were still in flight after the drain time are cut off"
        );
    }
}
