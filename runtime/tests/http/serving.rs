//! Real sockets: TCP and the local socket, slow clients, clients that go away, and the end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quoin::http::{AppState, Identity, serve};
use quoin_engine::Generator as _;
use quoin_engine::scripted::ScriptedGenerator;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::{FIRST_SENTENCE, PATIENCE, TestApp};

struct Served {
    app: TestApp,
    address: SocketAddr,
    socket: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn serve(app: TestApp) -> Served {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let socket = app.folder.path().join("test.sock");
    let local = UnixListener::bind(&socket).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let state = AppState::new(app.quoin.clone(), Identity::Keys);
    let task = tokio::spawn(serve::run(state, tcp, Some(local), async {
        let _ = stopped.await;
    }));
    Served {
        app,
        address,
        socket,
        stop,
        task,
    }
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    request: &str,
) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

fn slow() -> ScriptedGenerator {
    ScriptedGenerator::new(|_| FIRST_SENTENCE.to_owned())
        .with_token_time(Duration::from_millis(150))
}

const ASK: &str = r#"{"question": "How many days of annual leave?", "mode": "grounded"}"#;

#[tokio::test]
async fn both_sockets_answer_and_the_local_one_is_the_owner_s() {
    let served = serve(TestApp::with_pages().await).await;
    let tcp = TcpStream::connect(served.address).await.unwrap();
    let response = exchange(tcp, &post("/v1/search", r#"{"query": "leave"}"#)).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    served.app.key(&["search"], &[]).await;
    let tcp = TcpStream::connect(served.address).await.unwrap();
    let response = exchange(tcp, &post("/v1/search", r#"{"query": "leave"}"#)).await;
    assert!(response.starts_with("HTTP/1.1 401"), "{response}");
    let local = UnixStream::connect(&served.socket).await.unwrap();
    let response = exchange(local, &post("/v1/search", r#"{"query": "leave"}"#)).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_no_new_one_is_taken() {
    let served = serve(TestApp::builder().generator(slow()).with_pages().await).await;
    let tcp = TcpStream::connect(served.address).await.unwrap();
    let asked = tokio::spawn(async move { exchange(tcp, &post("/v1/answers", ASK)).await });
    served.app.until(|model| model.running == 1).await;
    served.stop.send(()).unwrap();
    let begun = Instant::now();
    while TcpStream::connect(served.address).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it goes on listening");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let response = asked.await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    tokio::time::timeout(PATIENCE, served.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let app = TestApp::builder()
        .config(|config| config.server.drain_timeout_ms = 300)
        .build()
        .await;
    let served = serve(app).await;
    let _idle = TcpStream::connect(served.address).await.unwrap();
    let mut half = TcpStream::connect(served.address).await.unwrap();
    half.write_all(b"GET /health HTTP/1.1\r\nhost: local")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    served.stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, served.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_outlasts_the_drain_time_is_cut_off() {
    let app = TestApp::builder()
        .generator(slow().with_token_time(2 * PATIENCE))
        .config(|config| config.server.drain_timeout_ms = 200)
        .with_pages()
        .await;
    let served = serve(app).await;
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    tcp.write_all(post("/v1/answers", ASK).as_bytes())
        .await
        .unwrap();
    served.app.until(|model| model.running == 1).await;
    served.stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, served.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_the_engine() {
    let served = serve(TestApp::builder().generator(slow()).with_pages().await).await;
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    tcp.write_all(post("/v1/answers", ASK).as_bytes())
        .await
        .unwrap();
    served.app.until(|model| model.running == 1).await;
    let before = served.app.generator.occupancy();
    drop(tcp);
    served.app.until(|model| model.running == 0).await;
    let generated = served.app.generator.occupancy().generated_tokens - before.generated_tokens;
    assert!(generated < 3, "it was not finished: {generated}");
}

#[tokio::test]
async fn a_client_that_sends_a_large_body_first_reads_why_it_is_refused() {
    let app = TestApp::builder()
        .config(|config| config.server.max_body_bytes = 4096)
        .build()
        .await;
    let served = serve(app).await;
    let tcp = TcpStream::connect(served.address).await.unwrap();
    let response = exchange(tcp, &post("/v1/search", &" ".repeat(8 << 20))).await;
    assert!(response.starts_with("HTTP/1.1 413"), "{response}");
    assert!(response.contains("at most 4096 bytes"), "{response}");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let served = serve(TestApp::new().await).await;
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    let mut buffer = vec![0; 4096];
    for _ in 0..20 {
        tcp.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let read = tcp.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn garbage_on_the_socket_is_answered_and_forgotten() {
    let served = serve(TestApp::new().await).await;
    for garbage in [
        "\u{16}\u{3}\u{1}\u{2}\u{0}",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        let mut tcp = TcpStream::connect(served.address).await.unwrap();
        tcp.write_all(garbage.as_bytes()).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut sink = Vec::new();
        let _reset = tcp.read_to_end(&mut sink).await;
    }
    let tcp = TcpStream::connect(served.address).await.unwrap();
    let response = exchange(
        tcp,
        "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}
