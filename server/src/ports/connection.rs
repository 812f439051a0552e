//! Connections: accepted, bounded in number and time, and ended without losing an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1::{self, Parts};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_io_timeout::TimeoutStream;

use super::lanes::Lanes;
use crate::failure::Failure;

/// How long a request's head may take to arrive, and how long an idle connection stays open.
const TIME_FOR_HEAD: Duration = Duration::from_secs(30);
/// How long a client may leave a part of its answer unread.
const TIME_TO_READ: Duration = Duration::from_secs(60);
const MOST_HEAD_BYTES: usize = 64 << 10;
const MOST_HEADERS: usize = 100;
/// How long a server that is ending still takes new connections, and new requests on open ones.
const GRACE: Duration = Duration::from_secs(1);
/// How long the last connections may take to send their requests.
const LAST_GRACE: Duration = Duration::from_millis(300);
/// How many connections can wait in a listener.
const BACKLOG: usize = 4096;
/// How long to wait after a failure to accept, such as too many open files.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// The phases of a server's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Phase {
    Open,
    /// Every reply is the last on its connection.
    LastReplies,
    /// Waiting connections are taken, later ones are not.
    LastConnections,
    /// Idle connections are closed.
    Closing,
    /// Whatever is still running is given up.
    Over,
}

/// Accepts connections until the server ends; `alive` is held by each of them.
pub(crate) async fn accept(
    listener: TcpListener,
    routes: Router,
    most: Arc<Semaphore>,
    lanes: Arc<Lanes>,
    phase: watch::Receiver<Phase>,
    alive: mpsc::Sender<()>,
) {
    let let_in = |stream: std::net::TcpStream, permit: Option<OwnedSemaphorePermit>| {
        let (routes, phase, alive) = (routes.clone(), phase.clone(), alive.clone());
        lanes.put(stream, |stream| async move {
            serve(stream, routes, phase, TIME_FOR_HEAD).await;
            drop((permit, alive));
        });
    };
    let mut last = phase.clone();
    loop {
        let accepted = async {
            let permit = most.clone().acquire_owned().await.ok();
            (permit, listener.accept().await.and_then(|(stream, _)| stream.into_std()))
        };
        tokio::select! {
            (permit, accepted) = accepted => match accepted {
                Ok(stream) => let_in(stream, permit),
                Err(_) => tokio::time::sleep(AFTER_FAILURE).await,
            },
            () = reached(&mut last, Phase::LastConnections) => break,
        }
    }
    waiting(listener).into_iter().for_each(|stream| let_in(stream, None));
}

/// Closes a listener, and returns the connections that were waiting in it: they would be reset with it.
fn waiting(listener: TcpListener) -> Vec<std::net::TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let accepted = std::iter::from_fn(|| listener.accept().ok()).take(BACKLOG);
    accepted.map(|(stream, _)| stream).filter(|stream| stream.set_nonblocking(true).is_ok()).collect()
}

/// Answers the requests of one connection.
async fn serve(stream: TcpStream, routes: Router, mut phase: watch::Receiver<Phase>, time_for_head: Duration) {
    // Answers are written whole: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(TIME_TO_READ));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(time_for_head)
        .max_buf_size(MOST_HEAD_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(routes));
    let mut closing = phase.clone();
    // What came while this thread was busy is read before the connection counts as idle.
    let closing = async {
        reached(&mut closing, Phase::Closing).await;
        tokio::task::yield_now().await;
    };
    let ended = tokio::select! {
        biased;
        ended = &mut connection => Some(ended),
        () = closing => None,
    };
    match ended {
        Some(Err(error)) if error.is_timeout() => {
            let Parts { io, read_buf, .. } = connection.into_parts();
            if !read_buf.is_empty() {
                let failure = Failure::head_too_late(time_for_head.as_secs()).whole();
                let _ = io.into_inner().write_all(&failure).await;
            }
            return;
        }
        // A client that breaks off or does not speak HTTP is not a failure of the server.
        Some(_) => return,
        None => Pin::new(&mut connection).graceful_shutdown(),
    }
    tokio::select! {
        _ = &mut connection => {}
        () = reached(&mut phase, Phase::Over) => {}
    }
}

/// Waits until the server has reached this phase, or is gone.
async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    let _ = phases.wait_for(|now| *now >= phase).await;
}

/// Ends the connections: open requests are answered, then the connections close. Returns whether all were
/// answered in time.
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// What a connection gives to a client that sends this and then waits.
    fn reply_to(sent: &[u8]) -> String {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(sent).unwrap();
        runtime.block_on(async {
            let (stream, _) = listener.accept().await.unwrap();
            let (_open, phase) = watch::channel(Phase::Open);
            serve(stream, Router::new(), phase, Duration::from_millis(100)).await;
        });
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        reply
    }

    #[test]
    fn a_head_that_does_not_come_whole_is_answered() {
        let reply = reply_to(b"GET /ping HTTP/1.1\r\nHost: loc");
        assert!(reply.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{reply}");
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["code"], 408);
    }

    #[test]
    fn a_connection_that_says_nothing_is_closed_without_a_word() {
        assert_eq!(reply_to(b""), "");
    }
}
