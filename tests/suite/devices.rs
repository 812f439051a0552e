//! Other devices than the CPU. No test has one, so the CPU stands for one: the operations of candle that a GPU would run,
//! and passes as large as its memory allows.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_explain::ErrorKind;
use candle_explain::device::stand_in;
use candle_explain::model::TransformerEncoder;
use candle_explain::prelude::*;

use crate::laws_on_models::{numbers, rounding};
use crate::subjects::{TYPES, drawn, subjects};

/// Where a process that stands for another device writes what it has found.
const FOUND: &str = "CANDLE_EXPLAIN_FOUND";

/// What `find` gives where the CPU stands for a device with so much memory: in a process of its own, because it stands for
/// it in all of a process. `test` is the path of the calling test.
fn elsewhere(test: &str, memory: usize, find: impl Fn() -> Vec<f64>) -> Option<Vec<f64>> {
    if let Some(file) = std::env::var_os(FOUND) {
        stand_in(Some(memory));
        let lines: Vec<String> = find().iter().map(|number| number.to_bits().to_string()).collect();
        std::fs::write(file, lines.join("\n")).unwrap();
        return None;
    }
    let name = format!("candle-explain-{}-{}", std::process::id(), test.replace("::", "-"));
    let file = std::env::temp_dir().join(name);
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([test, "--exact"]).env(FOUND, &file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let found = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    Some(found.lines().map(|bits| f64::from_bits(bits.parse().unwrap())).collect())
}

/// Every method's attributions on every subject, and what each is.
fn of_all_methods() -> Vec<(String, Vec<f64>, f64)> {
    let mut all = Vec::new();
    for dtype in TYPES {
        for subject in subjects(dtype) {
            for info in subject.methods() {
                let result = subject.attribute(info, &subject.options(info));
                let values = result.values().iter().flat_map(numbers).collect();
                all.push((format!("{} of {} in {dtype:?}", info.name, subject.name), values, rounding(dtype)));
            }
        }
    }
    all
}

#[test]
fn every_method_gives_the_same_numbers_by_candles_own_operations() {
    let find = || of_all_methods().into_iter().flat_map(|(_, values, _)| values).collect();
    let test = "devices::every_method_gives_the_same_numbers_by_candles_own_operations";
    let Some(found) = elsewhere(test, 1 << 30, find) else { return };
    let mut found = found.into_iter();
    for (what, expected, share) in of_all_methods() {
        let largest = expected.iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
        for expected in expected {
            let got = found.next().unwrap();
            assert!((got - expected).abs() <= share * largest, "{what}: {got} and {expected}, of {largest}");
        }
    }
    assert_eq!(found.next(), None);
}

/// A model of three numbers that notes the most rows of a pass, and the most passes at once.
#[derive(Clone, Default)]
struct Noting {
    most: Arc<Mutex<usize>>,
    running: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
}

impl Model for Noting {
    fn forward(&self, input: &Inputs, _: &mut Layers) -> Result<Tensor> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_once.fetch_max(running, Ordering::SeqCst);
        let rows = input.batch_size()?;
        let mut most = self.most.lock().unwrap();
        *most = rows.max(*most);
        drop(most);
        let output = input.first().sqr()?.sum(1)?.exp()?.sqr();
        self.running.fetch_sub(1, Ordering::SeqCst);
        Ok(output?)
    }
}

impl Noting {
    /// The most rows of a pass of a call, of which no other ran at the same time.
    fn of(call: impl FnOnce(&Self) -> Result<Attributions>) -> f64 {
        let model = Self::default();
        call(&model).unwrap();
        assert_eq!(model.at_once.load(Ordering::SeqCst), 1);
        let most = *model.most.lock().unwrap();
        most as f64
    }
}

#[test]
fn passes_on_a_device_fill_the_share_of_its_memory_and_run_one_after_another() {
    const STEPS: usize = 20_000;
    let rows = || {
        let x = (drawn(7, &[2, 3], DType::F32) * 0.3).unwrap();
        let features = (drawn(8, &[2, 600], DType::F32) * 0.01).unwrap();
        let path = |change: fn(IntegratedGradients) -> IntegratedGradients| {
            let call =
                |model: &Noting| change(IntegratedGradients::new(model).n_steps(STEPS)).attribute(&x, Target::None);
            Noting::of(call)
        };
        vec![
            path(|method| method),
            path(|method| method.device_memory_share(0.01)),
            path(|method| method.device_memory_share(1e-6)),
            path(|method| method.internal_batch_size(7)),
            Noting::of(|model| FeatureAblation::new(model).attribute(&features, Target::None)),
            Noting::of(|model| {
                FeatureAblation::new(model).device_memory_share(0.002).attribute(&features, Target::None)
            }),
        ]
    };
    let test = "devices::passes_on_a_device_fill_the_share_of_its_memory_and_run_one_after_another";
    let Some(found) = elsewhere(test, 256 << 20, rows) else { return };
    let [all, some, few, chosen, ablated, few_ablated] = found.try_into().unwrap();
    assert_eq!((all, chosen), (2. * STEPS as f64, 7.));
    assert!(few < 10. && few < some && some < all, "{few}, {some}, {all}");
    assert!(few_ablated < 20. && (1200. ..=1201.).contains(&ablated), "{few_ablated}, {ablated}");
}

#[test]
fn a_share_of_the_memory_is_a_part_of_it() {
    let x = drawn(7, &[2, 3], DType::F32);
    let method = IntegratedGradients::new(|x: &Tensor| x.sqr()?.sum(1));
    for share in [0., 1.5] {
        let error = method.device_memory_share(share).attribute(&x, Target::None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().starts_with("device_memory_share is"), "{error}");
    }
}

#[test]
fn what_is_moved_has_weights_of_its_own_and_gives_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints");
    let ids = Tensor::new(&[[3u32, 10, 17, 24]], &Device::Cpu).unwrap();
    for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let classifier = SequenceClassifier::from_pretrained(&folder).unwrap();
        let moved = classifier.to_device(&Device::Cpu).unwrap();
        assert_eq!(
            numbers(&moved.predict(&ids).unwrap()),
            numbers(&classifier.predict(&ids).unwrap()),
            "{}",
            folder.display()
        );
        for (weight, of_moved) in classifier.parameters().iter().zip(moved.parameters()) {
            assert_ne!(weight.id(), of_moved.id());
        }
        let encoder = TransformerEncoder::from_pretrained(&folder).unwrap();
        let moved = encoder.to_device(&Device::Cpu).unwrap();
        assert_eq!(numbers(&moved.predict(&ids).unwrap()), numbers(&encoder.predict(&ids).unwrap()));
    }
    let net = Sequential::builder([1, 6, 6]).conv2d("conv", 2, 3).relu("relu").flatten("flat").linear("out", 2);
    let net = net.build(Seed(3)).unwrap();
    let image = Inputs::from(drawn(9, &[2, 1, 6, 6], DType::F32)).with_args([]).to_device(&Device::Cpu).unwrap();
    let moved = net.to_device(&Device::Cpu).unwrap();
    assert_eq!(numbers(&moved.predict(&image).unwrap()), numbers(&net.predict(&image).unwrap()));
    net.parameters()[0].set(&net.parameters()[0].zeros_like().unwrap()).unwrap();
    assert_ne!(numbers(&moved.predict(&image).unwrap()), numbers(&net.predict(&image).unwrap()));
}
