//! One version of a model, its queue and its workers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use candle_explain::{Result, bail, error};

use super::queue::{Asker, Awaited, Computed, Job, Queue, Work};
use crate::failure::Failure;
use crate::metrics::ModelMetrics;
use crate::models::servable::{Row, Servable};
use crate::models::watched::BeforePass;

/// The stack of a worker: candle walks a graph recursively, so long chains of operations need room.
const STACK_BYTES: usize = 64 << 20;

/// One version of a model, its queue and its workers. When the last request that holds it is
/// answered, its workers end.
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The file or folder it came from.
    pub(crate) source: String,
    pub(crate) since: SystemTime,
    pub(crate) at_start: bool,
    shared: Arc<Shared>,
}

struct Shared {
    servable: Box<dyn Servable>,
    queue: Queue,
    metrics: ModelMetrics,
}

impl Running {
    /// Starts the workers of a model.
    pub(crate) fn start(
        (name, version, source): (&str, &str, &str),
        servable: Box<dyn Servable>,
        (queue, workers): (usize, usize),
        (metrics, at_start): (ModelMetrics, bool),
    ) -> Result<Self> {
        let shared = Arc::new(Shared { servable, queue: Queue::new(queue), metrics });
        let running = Self {
            name: name.to_string(),
            version: version.to_string(),
            source: source.to_string(),
            since: SystemTime::now(),
            at_start,
            shared,
        };
        running.scale(workers)?;
        Ok(running)
    }

    pub(crate) fn servable(&self) -> &dyn Servable {
        &*self.shared.servable
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.shared.queue
    }

    pub(crate) fn metrics(&self) -> &ModelMetrics {
        &self.shared.metrics
    }

    /// Whether it can answer.
    pub(crate) fn is_ready(&self) -> bool {
        self.queue().workers() > 0
    }

    /// Starts or ends workers until there are this many.
    pub(crate) fn scale(&self, workers: usize) -> Result<()> {
        let missing = self.queue().scale(workers);
        for already in 0..missing {
            let shared = self.shared.clone();
            let name = format!("{} {}", self.name, self.version);
            let started = std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || shared.work());
            started.map_err(|e| {
                self.queue().not_started(missing - already);
                error!(Input, "a worker of {} could not be started: {e}", self.name)
            })?;
        }
        Ok(())
    }

    /// Computes rows: at once if that is quick, otherwise through the queue.
    pub(crate) async fn compute(&self, work: Work, rows: Vec<Row>, at_most: Duration) -> Result<Computed, Failure> {
        let description = self.servable().description();
        let at_once = description.is_quick && work == Work::Predict && rows.len() <= description.rows_at_once;
        if at_once && self.is_ready() {
            return Ok(each(self.servable(), &work, &rows, &BeforePass::nothing()));
        }
        let (job, Awaited { answer, begun }) = Job::new(work, rows);
        self.queue().push(job)?;
        match tokio::time::timeout(at_most, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::unavailable("the model was taken away: try again")),
            Err(_) if !begun.load(Ordering::Relaxed) => Err(Failure::unavailable(format!(
                "the model was busy with earlier requests for {} seconds: try again",
                at_most.as_secs()
            ))),
            Err(_) => Err(Failure::internal(format!(
                "there is no answer within {} seconds: ask for fewer rows, steps or samples",
                at_most.as_secs()
            ))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queue().close();
    }
}

impl Shared {
    fn work(self: &Arc<Self>) {
        while let Some(jobs) = self.queue.next(self.rows_at_once()) {
            self.answer(jobs);
        }
    }

    fn rows_at_once(&self) -> usize {
        self.servable.description().rows_at_once
    }

    fn answer(self: &Arc<Self>, jobs: Vec<Job>) {
        for job in &jobs {
            self.metrics.waited(job.queued.elapsed());
            job.asker.begin();
        }
        if let [_] = jobs.as_slice() {
            return jobs.into_iter().for_each(|job| self.answer_alone(job));
        }
        let rows: Vec<Row> = jobs.iter().flat_map(|job| job.rows.iter().cloned()).collect();
        let pause = self.pause(jobs.iter().map(|job| job.asker.clone()).collect());
        match compute(&*self.servable, &jobs[0].work, &rows, &pause) {
            Ok(mut outcome) => {
                for job in jobs {
                    let _ = job.reply.send(Ok(outcome.take_first(job.rows.len())));
                }
            }
            // One request's fault must not affect the others: each is computed alone.
            Err(_) => jobs.into_iter().for_each(|job| self.answer_alone(job)),
        }
    }

    /// What happens between the passes of an explanation: waiting predictions are answered, since they are short, and
    /// the explanation is given up if nobody waits for it any more.
    fn pause(self: &Arc<Self>, askers: Vec<Asker>) -> BeforePass {
        let shared = self.clone();
        BeforePass::new(move || {
            if askers.iter().all(Asker::has_left) {
                bail!(Cancelled, "nobody waits for the answer any more")
            }
            if let Some(predictions) = shared.queue.waiting_predictions(shared.rows_at_once()) {
                shared.answer(predictions);
            }
            Ok(())
        })
    }

    /// Answers one request block by block, until nobody waits for the answer any more.
    fn answer_alone(self: &Arc<Self>, job: Job) {
        let pause = self.pause(vec![job.asker.clone()]);
        let mut whole: Option<Computed> = None;
        for block in job.rows.chunks(job.work.rows_of_a_block(self.rows_at_once())) {
            if job.is_abandoned() {
                return;
            }
            let outcome = each(&*self.servable, &job.work, block, &pause);
            match &mut whole {
                None => whole = Some(outcome),
                Some(whole) => whole.append(outcome),
            }
        }
        if job.is_abandoned() {
            return;
        }
        let none = || Err(Failure::internal("a request without rows came to the model"));
        let _ = job.reply.send(whole.map_or_else(none, Ok));
    }
}

/// The model's result for each row: all rows together or, if that fails, in halves, down to the rows that
/// fail.
pub(crate) fn each(servable: &dyn Servable, work: &Work, rows: &[Row], before_pass: &BeforePass) -> Computed {
    match compute(servable, work, rows, before_pass) {
        Ok(outcome) => outcome,
        Err(_) if rows.len() > 1 => {
            let (first, second) = rows.split_at(rows.len() / 2);
            let mut whole = each(servable, work, first, before_pass);
            whole.append(each(servable, work, second, before_pass));
            whole
        }
        Err(failure) => match work {
            Work::Predict => Computed::Predictions(vec![Err(failure)]),
            Work::Explain(_) => Computed::Explanations(vec![Err(failure)]),
        },
    }
}

/// The model's result for rows together; a panic fails only these rows.
fn compute(servable: &dyn Servable, work: &Work, rows: &[Row], before_pass: &BeforePass) -> Result<Computed, Failure> {
    let computed = catch_unwind(AssertUnwindSafe(|| match work {
        Work::Predict => servable.predict(rows).map(|rows| Computed::Predictions(rows.into_iter().map(Ok).collect())),
        Work::Explain(ask) => servable
            .explain(rows, ask, before_pass)
            .map(|rows| Computed::Explanations(rows.into_iter().map(Ok).collect())),
    }));
    match computed {
        Ok(Ok(outcome)) if outcome.len() == rows.len() => Ok(outcome),
        Ok(Ok(outcome)) => {
            Err(Failure::internal(format!("the model answered {} of {} rows", outcome.len(), rows.len())))
        }
        Ok(Err(error)) => Err(Failure::of_computation(&error)),
        Err(_) => Err(Failure::internal("the model failed on this request; the server's log says where")),
    }
}

impl Work {
    /// How many rows are computed before the next check whether anybody waits: fewer if each has
    /// many steps or samples.
    fn rows_of_a_block(&self, rows_at_once: usize) -> usize {
        const STEPS: usize = 50;
        match self {
            Work::Predict => rows_at_once,
            Work::Explain(ask) => (rows_at_once * STEPS / ask.evaluations().unwrap_or(STEPS).max(STEPS)).max(1),
        }
    }
}
