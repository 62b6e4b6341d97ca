//! `quoin serve`: opens the data folder, listens, says when it is ready, and drains when told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Setting;
use super::failure::{Context as _, Exit, Failure};
use super::output::{self, Output};
use super::{follow, socket};
use crate::config::Config;
use crate::http::{AppState, Identity, serve};
use crate::samples;
use crate::service::{Load, OpenError, OpenOptions, Quoin};
use crate::telemetry;

/// Longest wait for a command that is at work on the data folder.
const COMMAND_PATIENCE: Duration = Duration::from_secs(5);
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
        telemetry::init_metrics();
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
}

impl Server {
    async fn open(setting: &Setting) -> Result<Self, Failure> {
        let config = &setting.config;
        setting.output.greet(format!(
            "quoin {} · data `{}` · model `{}`",
            env!("CARGO_PKG_VERSION"),
            config.data().display(),
            config.model.source
        ));
        let quoin = open_folder(config).await?;
        let open_to_all = !quoin.storage().keys().any();
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
        })
    }

    /// Serves from the start, so that `/health` answers while the model loads; the line on stderr waits for readiness.
    async fn run(self, output: Output, stop: CancellationToken) -> Result<(), Failure> {
        let samples = tokio::spawn(ingest_samples(Arc::clone(&self.quoin), output));
        let quoin = Arc::clone(&self.quoin);
        let address = self.address;
        let until_stopped = async move {
            let ready = async {
                // What went wrong with them was told; the server is of use without.
                let _ = samples.await;
                quoin.settled().await;
            };
            tokio::select! {
                () = ready => {
                    if !quoin.readiness().ready {
                        output.warn("not ready: the model could not be loaded; answers are extractive, where the request allows it");
                    }
                    output::complain(&format!("listening on http://{address}\n"));
                    stop.cancelled().await;
                }
                () = stop.cancelled() => {}
            }
            output.note("stopping: requests in flight may finish; stop again to end at once");
        };
        let state = AppState::new(Arc::clone(&self.quoin), Identity::Keys);
        let end = CancellationToken::new();
        let followers = follow::start(&self.quoin, &end);
        serve::run(state, self.tcp, Some(self.local), until_stopped).await;
        end.cancel();
        followers.join_all().await;
        // Gone before the lock is, so that whoever gets the lock next finds no socket of ours.
        socket::remove(&self.local_path)?;
        if tokio::time::timeout(CLOSE_PATIENCE, self.quoin.storage().close())
            .await
            .is_err()
        {
            output.warn("work in the background did not end in time; nothing acknowledged is lost");
        }
        Ok(())
    }
}

/// Opens the data folder. A command that is at work on it is waited for, another server is not.
async fn open_folder(config: &Config) -> Result<Arc<Quoin>, Failure> {
    let deadline = Instant::now() + COMMAND_PATIENCE;
    loop {
        let options = OpenOptions {
            load: Load::Background,
            ..OpenOptions::default()
        };
        let error = match Quoin::open_with(config.clone(), options).await {
            Ok(quoin) => return Ok(quoin),
            Err(error) => error,
        };
        let locked = matches!(error, OpenError::Locked { .. });
        if !locked {
            return Err(error.into());
        }
        if Instant::now() > deadline || socket::connect(&config.socket()).await.is_ok() {
            let shown = config.data().display();
            return Err(Failure::from(error).hint(format!(
                "stop that process, or give this one a folder of its own: `--data DIR` (this is `{shown}`)"
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Writes the sample handbook into a catalogue that was never written to.
async fn ingest_samples(quoin: Arc<Quoin>, output: Output) {
    if !quoin.config().server.samples {
        return;
    }
    let retriever = Arc::clone(quoin.retriever());
    match tokio::task::spawn_blocking(move || samples::ingest_once(&retriever)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(pages)) => output.note(format!(
            "first start: ingested the sample handbook, {}",
            output::count(pages, "page")
        )),
        Ok(Err(error)) => output.warn(format!("the sample handbook was not ingested: {error}")),
        Err(error) => output.warn(format!("the sample handbook was not ingested: {error}")),
    }
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
