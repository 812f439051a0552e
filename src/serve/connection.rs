//! Connections: accepted, bounded in number and time, and ended without losing an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_io_timeout::TimeoutStream;

/// How long a request's head may take to come, and an idle connection stays open.
const TIME_FOR_HEAD: Duration = Duration::from_secs(30);
/// How long a client may leave a part of its answer unread.
const TIME_TO_READ: Duration = Duration::from_secs(60);
const MOST_HEAD_BYTES: usize = 64 << 10;
const MOST_HEADERS: usize = 100;
/// How long a server that ends still takes connections, and what clients send on those they have.
const GRACE: Duration = Duration::from_secs(1);
/// How long a connection that came last may take to send its request.
const LAST_GRACE: Duration = Duration::from_millis(300);
/// Connections that can wait in a listener.
const BACKLOG: usize = 4096;
/// After a failure to accept (too many open files, say) the next try waits.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// How a server comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Phase {
    Open,
    /// Every reply is the last on its connection.
    LastReplies,
    /// Whoever waits is let in, and nobody after.
    LastConnections,
    /// Idle connections are closed.
    Closing,
    /// What is still under way is given up.
    Over,
}

/// Accepts connections until the server ends; `alive` is held by each of them.
pub(crate) async fn accept(
    listener: TcpListener,
    routes: Router,
    most: Arc<Semaphore>,
    phase: watch::Receiver<Phase>,
    alive: mpsc::Sender<()>,
) {
    let let_in = |stream: TcpStream, permit: Option<OwnedSemaphorePermit>| {
        let (routes, phase, alive) = (routes.clone(), phase.clone(), alive.clone());
        tokio::spawn(async move {
            serve(stream, routes, phase).await;
            drop((permit, alive));
        });
    };
    let mut last = phase.clone();
    loop {
        let accepted = async {
            let permit = most.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        tokio::select! {
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _)) => let_in(stream, permit),
                Err(_) => tokio::time::sleep(AFTER_FAILURE).await,
            },
            () = reached(&mut last, Phase::LastConnections) => break,
        }
    }
    waiting(listener).into_iter().for_each(|stream| let_in(stream, None));
}

/// Closes a listener, and returns the connections that were waiting in it: they would be reset with it.
fn waiting(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let accepted = std::iter::from_fn(|| listener.accept().ok()).take(BACKLOG);
    let streams: Vec<_> = accepted.map(|(stream, _)| stream).collect();
    drop(listener);
    let to_tokio = |stream: std::net::TcpStream| {
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    };
    streams.into_iter().filter_map(|stream| to_tokio(stream).ok()).collect()
}

/// Answers the requests of one connection.
async fn serve(stream: TcpStream, routes: Router, mut phase: watch::Receiver<Phase>) {
    // Answers are written whole: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(TIME_TO_READ));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIME_FOR_HEAD)
        .max_buf_size(MOST_HEAD_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    let mut closing = phase.clone();
    tokio::select! {
        // A client that breaks off, or speaks no HTTP, is no failure of the server.
        _ = connection.as_mut() => return,
        () = reached(&mut closing, Phase::Closing) => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection.as_mut() => {}
        () = reached(&mut phase, Phase::Over) => {}
    }
}

/// Waits until the server has come so far, or is gone.
async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    let _ = phases.wait_for(|now| *now >= phase).await;
}

/// Brings connections to their end: what was asked is answered, then they close. Whether all were
/// answered within the time.
pub(crate) async fn drain(phase: watch::Sender<Phase>, mut all_closed: mpsc::Receiver<()>, at_most: Duration) -> bool {
    let _ = phase.send(Phase::LastReplies);
    tokio::time::sleep(GRACE).await;
    let _ = phase.send(Phase::LastConnections);
    tokio::time::sleep(LAST_GRACE).await;
    let _ = phase.send(Phase::Closing);
    let in_time = tokio::time::timeout(at_most, all_closed.recv()).await.is_ok();
    let _ = phase.send(Phase::Over);
    in_time
}
