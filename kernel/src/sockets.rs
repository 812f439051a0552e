//! The five sockets of a kernel.

use std::path::Path;
use std::thread;
use std::time::Duration;

use jupyter_protocol::ConnectionInfo;
use jupyter_protocol::messaging::IoPubWelcome;
use jupyter_zmq_client::{
    Connection, KernelIoPubXPubConnection, KernelShellConnection, RouterRecvConnection, RouterSendConnection,
    SubscriptionEvent, create_kernel_control_connection, create_kernel_heartbeat_connection,
    create_kernel_iopub_xpub_connection, create_kernel_shell_connection, create_kernel_stdin_connection,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zeromq::{SocketRecv, SocketSend};

use crate::message::{self, Message};

/// So long a socket that gives an error is left alone.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Sockets {
    pub shell: Pair,
    pub control: Pair,
    pub stdin: Pair,
    pub publisher: Publisher,
}

/// A socket on which requests come and answers go.
pub struct Pair {
    pub requests: UnboundedReceiver<Message>,
    pub answers: UnboundedSender<Message>,
}

/// What all clients hear.
#[derive(Clone)]
pub struct Publisher(UnboundedSender<Message>);

impl Publisher {
    /// Messages for whoever listens on iopub come out of the receiver.
    pub fn new() -> (Self, UnboundedReceiver<Message>) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), receiver)
    }

    pub fn send(&self, request: &Message, kind: &str, content: Value) {
        let message = message::to(request, kind, content).with_zmq_identities(vec![kind.to_owned().into()]);
        // Fails only when the kernel ends.
        let _ = self.0.send(message);
    }

    pub fn status(&self, request: &Message, state: &str) {
        self.send(request, "status", json!({"execution_state": state}));
    }
}

/// Bind them all as the connection file says.
pub async fn bind(connection_file: &Path) -> Result<Sockets, String> {
    let file = std::fs::read_to_string(connection_file)
        .map_err(|error| format!("the connection file {} cannot be read: {error}", connection_file.display()))?;
    let connection: ConnectionInfo = serde_json::from_str(&file)
        .map_err(|error| format!("{} is no connection file: {error}", connection_file.display()))?;
    let session = format!("{}-{}", std::process::id(), connection.shell_port);
    let failed = |error| format!("a socket of the kernel could not be opened: {error}");
    beat(connection.clone());
    let control = create_kernel_control_connection(&connection, &session).await.map_err(failed)?;
    let stdin = create_kernel_stdin_connection(&connection, &session).await.map_err(failed)?;
    let iopub = create_kernel_iopub_xpub_connection(&connection, &session).await.map_err(failed)?;
    let shell = create_kernel_shell_connection(&connection, &session).await.map_err(failed)?;
    let (publisher, messages) = Publisher::new();
    tokio::spawn(publish(iopub, messages));
    Ok(Sockets { shell: pair(shell), control: pair(control), stdin: pair(stdin), publisher })
}

/// Answer heartbeats, on a thread of its own: whatever the kernel does, it lives.
fn beat(connection: ConnectionInfo) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return eprintln!("there is no heartbeat: no runtime could be made") };
        runtime.block_on(async {
            match create_kernel_heartbeat_connection(&connection).await {
                Err(error) => eprintln!("there is no heartbeat: {error}"),
                Ok(mut heart) => loop {
                    if heart.single_heartbeat().await.is_err() {
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        });
    });
}

fn pair(connection: KernelShellConnection) -> Pair {
    let (answering, reading) = connection.split();
    let (received, requests) = unbounded_channel();
    let (answers, to_send) = unbounded_channel();
    tokio::spawn(receive(reading, received));
    tokio::spawn(send(answering, to_send));
    Pair { requests, answers }
}

async fn receive(mut reading: RouterRecvConnection, received: UnboundedSender<Message>) {
    loop {
        let outcome = match reading.socket.recv().await {
            Ok(frames) => message::read(frames, &reading),
            Err(error) => {
                tokio::time::sleep(PAUSE).await;
                Err(format!("a message could not be received: {error}"))
            }
        };
        match outcome {
            Ok(message) => {
                if received.send(message).is_err() {
                    return;
                }
            }
            Err(problem) => eprintln!("{problem}"),
        }
    }
}

async fn send(mut answering: RouterSendConnection, mut to_send: UnboundedReceiver<Message>) {
    while let Some(message) = to_send.recv().await {
        if let Err(error) = answering.send(message).await {
            eprintln!("an answer could not be sent, its client may be gone: {error}");
        }
    }
}

async fn publish(mut iopub: KernelIoPubXPubConnection, mut messages: UnboundedReceiver<Message>) {
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return };
                deliver(&mut iopub, message).await;
            }
            subscription = iopub.recv_subscription() => match subscription {
                Ok(SubscriptionEvent::Subscribe(topic)) => {
                    let welcome = Message::from(IoPubWelcome::new(topic.clone()));
                    deliver(&mut iopub, welcome.with_zmq_identities(vec![topic.into()])).await;
                }
                Ok(SubscriptionEvent::Unsubscribe(_)) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
}

async fn deliver<S: SocketSend>(iopub: &mut Connection<S>, message: Message) {
    if let Err(error) = iopub.send(message).await {
        eprintln!("a message to all clients could not be sent: {error}");
    }
}
