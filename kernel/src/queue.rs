//! The requests that wait for the one thread that compiles and runs.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::message::{self, Message};

#[derive(Default)]
pub struct Queue {
    waiting: Mutex<VecDeque<Message>>,
    changed: Condvar,
}

impl Queue {
    pub fn add(&self, request: Message) {
        self.lock().push_back(request);
        self.changed.notify_one();
    }

    /// The oldest, once there is one.
    pub fn next(&self) -> Message {
        let mut waiting = self.lock();
        loop {
            match waiting.pop_front() {
                Some(request) => return request,
                None => waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Take out the cells that wait, because the one before them failed.
    pub fn give_up_cells(&self) -> Vec<Message> {
        let mut waiting = self.lock();
        let (cells, others) = waiting.drain(..).partition(|request| message::kind(request) == "execute_request");
        *waiting = others;
        Vec::from(cells)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_oldest_comes_first() {
        let queue = Queue::default();
        for kind in ["complete_request", "inspect_request"] {
            queue.add(message::request(kind, json!({})));
        }
        assert_eq!(message::kind(&queue.next()), "complete_request");
        assert!(!queue.is_empty());
    }

    #[test]
    fn after_a_failure_only_cells_are_given_up() {
        let queue = Queue::default();
        for kind in ["execute_request", "complete_request", "execute_request"] {
            queue.add(message::request(kind, json!({})));
        }
        assert_eq!(queue.give_up_cells().len(), 2);
        assert_eq!(message::kind(&queue.next()), "complete_request");
        assert!(queue.is_empty());
    }
}
