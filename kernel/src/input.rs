//! Asking the reader for a line, on behalf of a cell.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use crate::message::{self, Message};
use crate::sockets::Pair;

const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub struct Input {
    questions: UnboundedSender<Message>,
    answers: Mutex<Receiver<String>>,
    given_up: AtomicBool,
}

impl Input {
    pub fn new(stdin: Pair) -> Self {
        let (received, answers) = channel();
        tokio::spawn(collect(stdin.requests, received));
        Self { questions: stdin.answers, answers: Mutex::new(answers), given_up: AtomicBool::new(false) }
    }

    /// The reader's answer; nothing if the cell is interrupted meanwhile.
    pub fn ask(&self, cell: &Message, prompt: &str, password: bool) -> String {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        // Answers to questions of cells that were interrupted.
        while answers.try_recv().is_ok() {}
        self.given_up.store(false, Ordering::Relaxed);
        let question = message::to(cell, "input_request", json!({"prompt": prompt, "password": password}));
        if self.questions.send(question).is_err() {
            return String::new();
        }
        loop {
            match answers.recv_timeout(LOOK_AGAIN) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => return String::new(),
                Err(RecvTimeoutError::Timeout) if self.given_up.load(Ordering::Relaxed) => return String::new(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Let a question that waits for its answer go without.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

async fn collect(mut replies: tokio::sync::mpsc::UnboundedReceiver<Message>, received: Sender<String>) {
    while let Some(reply) = replies.recv().await {
        if received.send(message::text(&reply, "value").to_owned()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn the_answer_comes_back_and_one_that_is_late_does_not() {
        let (reply, requests) = unbounded_channel();
        let (answers, mut questions) = unbounded_channel();
        let input = Arc::new(Input::new(Pair { requests, answers }));
        let answer = |value: &str| message::request("input_reply", json!({"value": value}));
        reply.send(answer("late")).unwrap();
        tokio::task::yield_now().await;
        let asking = thread::spawn({
            let input = Arc::clone(&input);
            move || input.ask(&message::request("execute_request", json!({})), "name?", false)
        });
        let question = questions.recv().await.unwrap();
        assert_eq!((message::kind(&question), message::text(&question, "prompt")), ("input_request", "name?"));
        reply.send(answer("Mai")).unwrap();
        tokio::task::yield_now().await;
        assert_eq!(tokio::task::spawn_blocking(|| asking.join().unwrap()).await.unwrap(), "Mai");
    }

    #[tokio::test]
    async fn an_interrupted_question_goes_without_an_answer() {
        let (_reply, requests) = unbounded_channel();
        let (answers, mut questions) = unbounded_channel();
        let input = Arc::new(Input::new(Pair { requests, answers }));
        let asking = thread::spawn({
            let input = Arc::clone(&input);
            move || input.ask(&message::request("execute_request", json!({})), "name?", false)
        });
        questions.recv().await.unwrap();
        input.give_up();
        assert_eq!(tokio::task::spawn_blocking(|| asking.join().unwrap()).await.unwrap(), "");
    }
}
