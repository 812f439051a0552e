//! One cell: run, and judged by all that tells how it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use evcxr::{CommandContext, Error, EvalCallbacks, EvalOutputs};
use serde_json::{Map, Value};

use crate::bundle::bundle;
use crate::dependency::Dependencies;
use crate::failure::Failure;
use crate::input::Input;
use crate::interrupt::{Done, Interrupt};
use crate::message::{self, Message};
use crate::outputs::{Ended, Outputs};
use crate::paths::Paths;
use crate::places::Places;
use crate::print;
use crate::report;

pub struct Runner {
    pub context: CommandContext,
    pub lines: Receiver<String>,
    pub outputs: Arc<Outputs>,
    pub interrupt: Arc<Interrupt>,
    pub input: Arc<Input>,
    pub paths: Paths,
    pub dependencies: Dependencies,
    /// Whether evcxr knows the `print!` that flushes.
    pub flushes: bool,
}

pub type Outcome = Result<Option<Map<String, Value>>, Failure>;

impl Runner {
    /// Run the cell of this number; its result, and the places that it has used.
    pub fn run(&mut self, cell: &Message, number: usize) -> (Outcome, Places) {
        let code = message::text(cell, "code");
        let prepared = self.dependencies.spelled_out(code);
        if print::is_used(code) && !self.flushes {
            self.flushes = self.context.execute(print::FLUSHING).is_ok();
        }
        self.flushes &= !print::is_forgotten(code);
        self.outputs.begin(cell);
        self.interrupt.begin(self.context.process_handle());
        let result = catch_unwind(AssertUnwindSafe(|| self.execute(cell, &prepared)));
        self.outputs.take(&self.lines);
        let done = self.interrupt.end();
        let (places, ended) = self.outputs.end();
        let outcome = match result {
            Ok(result) => self.judged(result, ended, done, &prepared, number),
            Err(_) => Err(Failure::new("KernelError", "evcxr itself panicked in this cell: restart the kernel")),
        };
        (outcome.map_err(|failure| failure.hide(&self.paths)), places)
    }

    fn execute(&mut self, cell: &Message, code: &str) -> Result<EvalOutputs, Error> {
        let may_ask = message::flag(cell, "allow_stdin", true);
        let outputs = &self.outputs;
        let input = &self.input;
        self.context.execute_with_callbacks(
            code,
            &mut EvalCallbacks {
                input_reader: &|question| {
                    if may_ask {
                        return input.ask(cell, &question.prompt, question.is_password);
                    }
                    outputs.stderr(
                        "The cell asked for input, which cannot be given here; it goes on with an empty line.\n",
                    );
                    String::new()
                },
            },
        )
    }

    fn judged(
        &self,
        result: Result<EvalOutputs, Error>,
        ended: Option<Ended>,
        done: Done,
        code: &str,
        number: usize,
    ) -> Outcome {
        let failed = result.is_err() || ended.is_some();
        match (done, result, ended) {
            (Done::Killed, ..) if failed => Err(Failure::interrupted(false)),
            (Done::Interrupted, ..) if failed => Err(Failure::interrupted(true)),
            (_, Ok(_), Some(Ended::Panicked(text))) => {
                Err(Failure::panic(&text, &self.context.last_source().unwrap_or_default(), code))
            }
            (_, Ok(_), Some(Ended::Failed(text))) => Err(Failure::new("Error", &text)),
            (_, Ok(outputs), None) => Ok(bundle(outputs.content_by_mime_type)),
            (_, Err(Error::CompilationErrors(errors)), _) => Err(report::failure(&errors, code, number)),
            (_, Err(Error::SubprocessTerminated(text)), _) => Err(Failure::died(&text)),
            (_, Err(error), _) => Err(Failure::new("Error", &error.to_string())),
        }
    }
}
