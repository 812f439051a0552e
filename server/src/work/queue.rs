//! Requests that wait for one model, and how they are grouped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::oneshot;

use super::rows::Each;
use crate::failure::Failure;
use crate::models::ask::Ask;
use crate::models::servable::{Explanation, Row};

/// What a request wants computed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    Predict,
    Explain(Arc<Ask>),
}

/// The result of each row.
#[derive(Clone, Debug)]
pub(crate) enum Computed {
    Predictions(Each<Vec<f64>>),
    Explanations(Each<Explanation>),
}

/// One request's rows on their way to the model.
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) rows: Vec<Row>,
    pub(crate) reply: oneshot::Sender<Result<Computed, Failure>>,
    pub(crate) queued: Instant,
    pub(crate) asker: Asker,
}

/// The worker's link to the request that waits for an answer.
#[derive(Clone)]
pub(crate) struct Asker(Weak<AtomicBool>);

/// The answer that a request waits for.
pub(crate) struct Awaited {
    pub(crate) answer: oneshot::Receiver<Result<Computed, Failure>>,
    /// Whether a worker has begun with it.
    pub(crate) begun: Arc<AtomicBool>,
}

impl Job {
    pub(crate) fn new(work: Work, rows: Vec<Row>) -> (Self, Awaited) {
        let (reply, answer) = oneshot::channel();
        let begun = Arc::default();
        let asker = Asker(Arc::downgrade(&begun));
        (Self { work, rows, reply, queued: Instant::now(), asker }, Awaited { answer, begun })
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.asker.has_left()
    }
}

impl Asker {
    pub(crate) fn has_left(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Notes that the worker has begun.
    pub(crate) fn begin(&self) {
        if let Some(begun) = self.0.upgrade() {
            begun.store(true, Ordering::Relaxed);
        }
    }
}

/// Requests that wait for one model, in order and limited in number.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// How many workers there should be.
    wanted: usize,
    /// How many workers there are.
    present: usize,
    /// Whether workers end once nothing waits.
    closed: bool,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), capacity }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn waiting(&self) -> usize {
        self.state().jobs.len()
    }

    pub(crate) fn workers(&self) -> usize {
        self.state().wanted
    }

    /// Sets how many workers there should be, and returns how many must be started.
    pub(crate) fn scale(&self, workers: usize) -> usize {
        let mut state = self.state();
        state.wanted = workers;
        if workers == 0 {
            // Nobody is left to answer them: dropping them tells whoever waits.
            state.jobs.clear();
        }
        let missing = workers.saturating_sub(state.present);
        state.present += missing;
        drop(state);
        self.changed.notify_all();
        missing
    }

    /// Notes that this many workers could not be started.
    pub(crate) fn not_started(&self, workers: usize) {
        let mut state = self.state();
        state.present -= workers;
        state.wanted = state.wanted.min(state.present);
    }

    /// Closes the queue: waiting requests are still answered, then the workers end.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Puts a request at the end of the queue, or says why not.
    pub(crate) fn push(&self, job: Job) -> Result<(), Failure> {
        let mut state = self.state();
        if state.wanted == 0 || state.closed {
            return Err(Failure::unavailable("no worker is there for this model: scale it up with min_worker"));
        }
        if state.jobs.len() >= self.capacity {
            state.jobs.retain(|job| !job.is_abandoned());
        }
        if state.jobs.len() >= self.capacity {
            return Err(Failure::unavailable(format!("{} requests are waiting already: try again", self.capacity)));
        }
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The next requests that ask the same, with at most `most_rows` rows together unless the first
    /// alone has more; `None` if the worker should end. Requests that nobody waits for any more are
    /// skipped.
    pub(crate) fn next(&self, most_rows: usize) -> Option<Vec<Job>> {
        let mut state = self.state();
        loop {
            if state.present > state.wanted || (state.closed && state.jobs.is_empty()) {
                state.present -= 1;
                return None;
            }
            match state.jobs.pop_front() {
                Some(job) if job.is_abandoned() => {}
                Some(first) => return Some(state.gather(first, most_rows)),
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// The waiting predictions, with at most `most_rows` rows together unless the first alone has more.
    pub(crate) fn waiting_predictions(&self, most_rows: usize) -> Option<Vec<Job>> {
        let mut state = self.state();
        let first = state.jobs.iter().position(|job| job.work == Work::Predict && !job.is_abandoned())?;
        let first = state.jobs.remove(first)?;
        Some(state.gather(first, most_rows))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first request and the later ones that ask the same and fit.
    fn gather(&mut self, first: Job, most_rows: usize) -> Vec<Job> {
        let mut rows = first.rows.len();
        let mut together = vec![first];
        let mut position = 0;
        while let Some(job) = self.jobs.get(position) {
            let fits = job.work == together[0].work && rows + job.rows.len() <= most_rows;
            if job.is_abandoned() {
                self.jobs.remove(position);
            } else if fits && let Some(job) = self.jobs.remove(position) {
                rows += job.rows.len();
                together.push(job);
            } else {
                position += 1;
            }
        }
        together
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(work: Work, rows: usize) -> (Job, Awaited) {
        let row = Row::Features { values: vec![0.], warnings: Vec::new() };
        Job::new(work, vec![row; rows])
    }

    fn queue(capacity: usize) -> Queue {
        let queue = Queue::new(capacity);
        assert_eq!(queue.scale(1), 1);
        queue
    }

    #[test]
    fn a_full_queue_refuses_and_forgets_who_left() {
        let queue = queue(2);
        let (one, _kept) = job(Work::Predict, 1);
        let (two, left) = job(Work::Predict, 1);
        let (three, _also_kept) = job(Work::Predict, 1);
        queue.push(one).unwrap();
        queue.push(two).unwrap();
        assert!(queue.push(job(Work::Predict, 1).0).is_err());
        drop(left);
        queue.push(three).unwrap();
        assert_eq!(queue.next(10).unwrap().len(), 2);
    }

    #[test]
    fn what_asks_the_same_is_computed_together_within_the_limit() {
        let queue = queue(10);
        let answers: Vec<Awaited> = [2, 3, 1]
            .into_iter()
            .map(|rows| {
                let (job, answer) = job(Work::Predict, rows);
                queue.push(job).unwrap();
                answer
            })
            .collect();
        let sizes = |jobs: Vec<Job>| jobs.iter().map(|job| job.rows.len()).collect::<Vec<_>>();
        assert_eq!(sizes(queue.next(4).unwrap()), [2, 1]);
        assert_eq!(sizes(queue.next(2).unwrap()), [3]);
        drop(answers);
    }

    #[test]
    fn who_waits_sees_whether_it_was_begun_with() {
        let (job, awaited) = job(Work::Predict, 1);
        assert!(!awaited.begun.load(Ordering::Relaxed) && !job.is_abandoned());
        job.asker.begin();
        assert!(awaited.begun.load(Ordering::Relaxed));
        drop(awaited);
        assert!(job.is_abandoned());
    }

    #[test]
    fn workers_end_when_there_are_too_many_or_nothing_is_left_to_do() {
        let queue = queue(10);
        let (waiting, _answer) = job(Work::Predict, 1);
        queue.push(waiting).unwrap();
        queue.close();
        assert!(queue.push(job(Work::Predict, 1).0).is_err());
        assert_eq!(queue.next(1).unwrap().len(), 1);
        assert!(queue.next(1).is_none());

        let scaled = self::queue(10);
        assert_eq!(scaled.scale(3), 2);
        let (stranded, mut awaited) = job(Work::Predict, 1);
        scaled.push(stranded).unwrap();
        assert_eq!(scaled.scale(0), 0);
        assert!(matches!(awaited.answer.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(scaled.next(1).is_none());
        assert!(scaled.push(job(Work::Predict, 1).0).is_err());
    }
}
