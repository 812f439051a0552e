//! Long work shows one bar where a kernel has a place for it, and stops when the kernel asks for it.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_explain::ErrorKind;
use candle_explain::attr::METHODS;
use candle_explain::engine::MethodInfo;
use candle_explain::prelude::*;
use serde_json::Value;

use crate::laws::{network, options};
use crate::plain::{rows, tensor};

const DISPLAYS: &str = "CANDLE_EXPLAIN_DISPLAYS";
const INTERRUPT: &str = "CANDLE_EXPLAIN_INTERRUPT";
const IN_NOTEBOOK: &str = "EVCXR_IS_RUNTIME";
/// What the child of a test does.
const WORK: &str = "CANDLE_EXPLAIN_WORK";
const FEATURES: usize = 12;
const COMMENT: &str = "Sản phẩm này rất tốt, nhưng giao hàng quá chậm";

/// A network whose passes take a while.
#[derive(Clone)]
struct Slow {
    network: Sequential,
    pause: Duration,
}

impl Slow {
    fn new(milliseconds: u64) -> Self {
        let network = Sequential::builder(FEATURES).linear("linear1", 8).tanh("tanh1").linear("linear2", 2);
        Self { network: network.softmax("softmax").build(Seed(5)).unwrap(), pause: Duration::from_millis(milliseconds) }
    }
}

impl Model for Slow {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        std::thread::sleep(self.pause);
        self.network.forward(input, layers)
    }

    fn parameters(&self) -> Vec<Var> {
        self.network.parameters()
    }

    fn known_operations(&self) -> Option<usize> {
        self.network.known_operations()
    }
}

fn inputs(count: usize) -> Tensor {
    let numbers = (0..count * FEATURES).map(|index| (index as f32 * 0.7).sin()).collect();
    Tensor::from_vec(numbers, (count, FEATURES), &Device::Cpu).unwrap()
}

fn table() -> Dataset {
    let names: Vec<String> = (0..FEATURES).map(|index| format!("x{index}")).collect();
    Dataset::new(inputs(40), names, (0..40).map(|row| row % 2).collect()).unwrap()
}

fn comments(count: usize) -> Comments {
    let comment = |index: usize| {
        let (text, label) = if index.is_multiple_of(2) {
            ("rất tốt, đẹp và nhanh", 1)
        } else {
            ("quá chậm, xấu và tệ", 0)
        };
        Comment::from((format!("{text} số {index}").as_str(), label))
    };
    (0..count).map(comment).collect()
}

type Work = (&'static str, fn() -> Result<()>);

/// Work of every kind that takes about a second.
const KINDS: &[Work] = &[
    ("steps", || {
        let method = IntegratedGradients::new(Slow::new(10)).n_steps(100).internal_batch_size(1).workers(1);
        method.attribute(inputs(1), 1).map(drop)
    }),
    ("tolerance", || {
        let method = IntegratedGradients::new(Slow::new(25)).tolerance(1e-9).internal_batch_size(1).workers(1);
        method.attribute(inputs(2), 1).map(drop)
    }),
    ("layers", || {
        let method = LayerConductance::new(Slow::new(15), ["linear1", "tanh1"]).n_steps(40);
        method.internal_batch_size(1).workers(2).attribute(inputs(3), 1).map(drop)
    }),
    ("samples", || {
        let method = GradientShap::new(Slow::new(5))
            .baseline(Baseline::distribution(&inputs(3)))
            .tolerance(9e-4)
            .internal_batch_size(2)
            .workers(1);
        method.attribute(inputs(1), 1).map(drop)
    }),
    ("coalitions", || {
        let method = KernelShap::new(Slow::new(5)).n_samples(200).internal_batch_size(1).workers(1);
        method.attribute(inputs(1), 1).map(drop)
    }),
    ("orders", || {
        let method = ShapleyValueSampling::new(Slow::new(5)).n_samples(20).internal_batch_size(1).workers(1);
        method.attribute(inputs(1), 1).map(drop)
    }),
    ("noise", || {
        let method = IntegratedGradients::new(Slow::new(5)).n_steps(20).internal_batch_size(1).workers(1);
        NoiseTunnel::new(method).n_samples(9).attribute(inputs(1), 1).map(drop)
    }),
    ("attack", || PGD::new(Slow::new(5)).perturb(inputs(1), 0.3, 0.1, 250, 1).map(drop)),
    ("training", || Trainer::adam(0.1).epochs(60).fit(&Slow::new(15), &table()).map(drop)),
    ("text", || {
        let explain = Explainer::from_pretrained("data/sentiment-vi")?.n_steps(6000).workers(1);
        explain.visualize(COMMENT).map(drop)
    }),
    ("comments", || {
        let explain = Explainer::from_pretrained("data/sentiment-vi")?.n_steps(600).workers(1);
        explain.batch(&comments(40)).map(drop)
    }),
    ("text training", || {
        SentimentTrainer::new(["chê", "khen"]).vocabulary(200).epochs(12).fit(&comments(160)).map(drop)
    }),
];

/// Runs a test of this file again, in a process of its own with these variables.
fn spawn(test: &str, variables: &[(&str, &str)]) -> std::process::Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", &format!("progress::{test}"), "--nocapture"]);
    for name in [DISPLAYS, INTERRUPT, IN_NOTEBOOK] {
        child.env_remove(name);
    }
    child.envs(variables.iter().copied());
    child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn said(child: std::process::Child) -> String {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (out, complaints) = (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr).into_owned());
    assert!(status.success() && out.contains("1 passed"), "{out}{complaints}");
    assert!(complaints.is_empty(), "{complaints}");
    out
}

/// Whether this process is the child of a test; it has then done its work.
fn is_child() -> bool {
    let Ok(name) = std::env::var(WORK) else { return false };
    KINDS.iter().find(|(kind, _)| *kind == name).unwrap().1().unwrap();
    true
}

/// The displays among the lines that a child printed.
fn displays(said: &str) -> Vec<Value> {
    let marked = said.lines().filter_map(|line| line.split_once("CANDLE_EXPLAIN_DISPLAY "));
    marked.map(|(_, json)| serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"))).collect()
}

fn percent(display: &Value) -> Option<usize> {
    let html = display["data"]["text/html"].as_str().unwrap();
    Some(html.split_once("aria-valuenow=\"")?.1.split_once('"')?.0.parse().unwrap())
}

#[test]
fn long_work_of_every_kind_moves_one_bar_to_its_end() {
    if is_child() {
        return;
    }
    let test = "long_work_of_every_kind_moves_one_bar_to_its_end";
    for pair in KINDS.chunks(2) {
        let children: Vec<_> = pair.iter().map(|(kind, _)| spawn(test, &[(DISPLAYS, "1"), (WORK, kind)])).collect();
        for ((kind, _), child) in pair.iter().zip(children) {
            let said = said(child);
            let displays = displays(&said);
            let texts: Vec<&str> =
                displays.iter().filter_map(|display| display["data"]["text/plain"].as_str()).collect();
            assert!(displays.iter().all(|display| display["passing"] == true && display["id"] == displays[0]["id"]));
            let percents: Vec<usize> = displays.iter().filter_map(percent).collect();
            assert!(percents.is_sorted(), "{kind}: {texts:#?}");
            let (last, before) = percents.split_last().unwrap_or_else(|| panic!("{kind}: {said}"));
            assert!(*last == 100 && before.iter().all(|percent| *percent < 100), "{kind}: {texts:#?}");
            assert!(texts.last().unwrap().contains("done in "), "{kind}: {texts:#?}");
            let between = before.chunk_by(|one, next| one == next).filter(|same| (1..=98).contains(&same[0])).count();
            assert!(between >= 2, "{kind}: {texts:#?}");
        }
    }
}

#[test]
fn nothing_is_printed_where_nobody_reads_it_and_whole_lines_in_other_notebooks() {
    if is_child() {
        return;
    }
    let test = "nothing_is_printed_where_nobody_reads_it_and_whole_lines_in_other_notebooks";
    let plain = said(spawn(test, &[(WORK, "steps")]));
    assert!(!plain.contains('%') && !plain.contains("CANDLE_EXPLAIN"), "{plain}");
    let lines = said(spawn(test, &[(IN_NOTEBOOK, "1"), (WORK, "steps")]));
    assert!(lines.lines().any(|line| line.contains("row ") && line.contains("%), ")), "{lines}");
    assert!(!lines.contains("CANDLE_EXPLAIN") && !lines.contains('\r'), "{lines}");
}

#[test]
fn quick_or_hidden_work_shows_no_bar() {
    if let Ok(hidden) = std::env::var(WORK) {
        let milliseconds = if hidden == "yes" {
            candle_explain::hide_progress();
            50
        } else {
            0
        };
        let method = IntegratedGradients::new(Slow::new(milliseconds)).n_steps(20).internal_batch_size(1);
        method.attribute(inputs(1), 1).unwrap();
        return;
    }
    for hidden in ["no", "yes"] {
        let said = said(spawn("quick_or_hidden_work_shows_no_bar", &[(DISPLAYS, "1"), (WORK, hidden)]));
        assert!(!said.contains("CANDLE_EXPLAIN_DISPLAY"), "{said}");
    }
}

/// Work that takes hours unless it is stopped.
const ENDLESS: &[Work] = &[
    ("steps", || {
        let method = IntegratedGradients::new(Slow::new(5)).n_steps(1_000_000).internal_batch_size(1);
        method.attribute(inputs(1), 1).map(drop)
    }),
    ("samples", || {
        let method = KernelShap::new(Slow::new(5)).n_samples(1_000_000).internal_batch_size(1);
        method.attribute(inputs(1), 1).map(drop)
    }),
    ("noise", || NoiseTunnel::new(Saliency::new(Slow::new(5))).n_samples(1_000_000).attribute(inputs(1), 1).map(drop)),
    ("attack", || PGD::new(Slow::new(5)).perturb(inputs(1), 0.3, 0.1, 1_000_000, 1).map(drop)),
    ("training", || Trainer::adam(0.1).epochs(1_000_000).fit(&Slow::new(5), &table()).map(drop)),
    ("text training", || {
        SentimentTrainer::new(["chê", "khen"]).vocabulary(200).epochs(100_000).fit(&comments(60)).map(drop)
    }),
    ("comments", || {
        let explain = Explainer::from_pretrained("data/sentiment-vi")?.n_steps(1_000_000);
        explain.batch(&comments(40)).map(drop)
    }),
];

#[test]
fn the_file_of_the_kernel_stops_what_is_under_way_and_nothing_after_it() {
    let Some(file) = std::env::var_os(INTERRUPT) else {
        let file = std::env::temp_dir().join(format!("candle-explain-stop-{}", std::process::id()));
        let test = "the_file_of_the_kernel_stops_what_is_under_way_and_nothing_after_it";
        said(spawn(test, &[(INTERRUPT, file.to_str().unwrap())]));
        return;
    };
    for (kind, work) in ENDLESS {
        let asked = std::thread::scope(|scope| {
            let asks = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(400));
                std::fs::write(&file, "").unwrap();
                Instant::now()
            });
            let error = work().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{kind}: {error}");
            assert!(error.to_string().contains("interrupted: "), "{kind}: {error}");
            asks.join().unwrap()
        });
        assert!(asked.elapsed() < Duration::from_secs(30), "{kind}: {:?}", asked.elapsed());
        std::fs::remove_file(&file).unwrap();
        Saliency::new(Slow::new(0)).attribute(inputs(1), 1).unwrap();
    }
    for info in METHODS {
        std::fs::write(&file, "").unwrap();
        // So long it may not be seen after a look that found nothing.
        std::thread::sleep(Duration::from_millis(60));
        let error = attributed(info).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Cancelled && error.to_string().contains("interrupted"),
            "{}: {error}",
            info.name
        );
        std::fs::remove_file(&file).unwrap();
        attributed(info).unwrap();
    }
}

fn attributed(info: &MethodInfo) -> Result<Attributions> {
    let method = (info.build)(Arc::new(network(info, 71)), &options(info))?;
    method.attribute_to(&Inputs::from(&tensor(&rows(72, 6))), &info.target(1))
}
