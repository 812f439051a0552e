//! What an explanation costs as steps, tokens and comments grow, beside Captum, drawn as lines into `media/cost.svg`.
//!
//! `CAPTUM_PYTHON=/path/to/python cargo bench --bench cost -- [FILE.csv]`, where that Python has what
//! `tests/golden/requirements.txt` lists, and FILE.csv has a column `text` with the comments; without it, those of
//! `data/comments.csv` are taken. The two sides take turns. Captum has the faster of two internal batches, and explains one
//! comment after another with the walkthrough's 500 steps, 3 at once, which a few comments stand for.

mod captum;
mod median;
mod passage;
mod rival;

use std::path::Path;
use std::time::Instant;

use candle_explain::prelude::*;
use plotters::prelude::*;
use serde_json::json;

use crate::captum::{Captum, apart, peak_bytes};
use crate::median::median;
use crate::passage::{Text, shape};
use crate::rival::Outcome;

const ROUNDS: usize = 2;
const TOKENS: usize = 32;
const STEPS: usize = 12;
const NUMBERS_OF_STEPS: [usize; 5] = [6, 12, 24, 48, 96];
const NUMBERS_OF_TOKENS: [usize; 6] = [8, 16, 32, 64, 128, 256];
const NUMBERS_OF_COMMENTS: [usize; 4] = [10, 100, 1_000, 10_000];
const BATCHES: [usize; 2] = [8, 16];
/// Of the Vietnamese walkthrough.
const ITS_STEPS: usize = 500;
const ITS_BATCH: usize = 3;
/// The comments that stand for all on Captum's side.
const SAMPLE: usize = 10;
const LARGEST_DIFFERENCE: f64 = 1e-4;
const MODEL: &str = "data/sentiment-vi";

/// Seconds on both sides for ever larger numbers.
struct Lines {
    title: &'static str,
    /// How many steps, tokens or comments, and the seconds of Captum and of this library.
    points: Vec<(usize, f64, f64)>,
}

fn main() -> Outcome<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("phobert-sized-frozen");
    let model = SequenceClassifier::untrained(&shape(), Seed(1))?;
    model.save(&folder)?;
    let mut captum = Captum::start(&folder)?;
    println!("{}; medians of {ROUNDS} rounds, of comments one, in seconds", captum.versions()?);
    let steps = path(&model, &mut captum, "steps, 32 tokens", NUMBERS_OF_STEPS.map(|steps| (steps, TOKENS, steps)))?;
    let tokens =
        path(&model, &mut captum, "tokens, 12 steps", NUMBERS_OF_TOKENS.map(|tokens| (tokens, tokens, STEPS)))?;
    let (theirs, ours) = (captum.peak_bytes()? / 1e6, peak_bytes()? / 1e6);
    println!("peak memory of the processes: Captum {theirs:.0} MB, here {ours:.0} MB");
    drop(captum);
    let file = std::env::args().skip(1).find(|argument| argument.ends_with(".csv"));
    let all = Comments::load(file.unwrap_or_else(|| root.join("data/comments.csv").display().to_string()))?;
    let comments = comments(&all, &root.join(MODEL))?;
    let place = root.join("media/cost.svg");
    draw(&[steps, tokens, comments], &place)?;
    println!("drawn into {}", place.display());
    Ok(())
}

/// LayerIntegratedGradients at PhoBERT's size: what grows, and the tokens and steps of each.
fn path(
    model: &SequenceClassifier,
    captum: &mut Captum,
    title: &'static str,
    works: impl IntoIterator<Item = (usize, usize, usize)>,
) -> Outcome<Lines> {
    let mut points = Vec::new();
    for (grows, tokens, steps) in works {
        let text = Text::of(tokens)?;
        let method = text.integrated(model).n_steps(steps);
        let (mut here, mut there) = (Vec::new(), [Vec::new(), Vec::new()]);
        for round in 0..=ROUNDS {
            let start = Instant::now();
            let attributions = text.attribute(&method)?;
            let ours = start.elapsed().as_secs_f64();
            for (times, rows) in there.iter_mut().zip(BATCHES) {
                let request = text.path(json!({"n_steps": steps, "internal_batch_size": rows}));
                let (theirs, right) = captum.timed(&request)?;
                let furthest = apart(&attributions, &right);
                if furthest > LARGEST_DIFFERENCE {
                    return Err(format!("{tokens} tokens, {steps} steps: {furthest:.1e} apart").into());
                }
                // The first round warms up.
                times.extend((round > 0).then_some(theirs));
            }
            here.extend((round > 0).then_some(ours));
        }
        let there = there.map(|mut times| median(&mut times)).into_iter().fold(f64::INFINITY, f64::min);
        points.push(told(title, (grows, there, median(&mut here))));
    }
    Ok(Lines { title, points })
}

/// Comments explained with the shipped classifier.
fn comments(all: &Comments, model: &Path) -> Outcome<Lines> {
    let title = "comments, shipped model";
    let explain = Explainer::new(&TextClassifier::from_pretrained(model.to_string_lossy())?.truncate(true));
    let mut captum = Captum::start(model)?;
    let mut of_sample = Vec::new();
    for comment in all.rows().iter().step_by(all.len().div_ceil(SAMPLE)) {
        let input = explain.model().tokenize(comment)?;
        let request = json!({
            "method": "LayerIntegratedGradients",
            "ids": input.ids().to_vec2::<u32>()?,
            "baseline": input.reference()?.ids().to_vec2::<u32>()?,
            "target": explain.model().predictions(&input)?[0].class,
            "n_steps": ITS_STEPS,
            "internal_batch_size": ITS_BATCH,
        });
        of_sample.push(captum.timed(&request)?.0);
    }
    let of_one = of_sample.iter().sum::<f64>() / of_sample.len() as f64;
    let mut points = Vec::new();
    for count in NUMBERS_OF_COMMENTS {
        let comments: Comments = all.rows().iter().cycle().take(count).cloned().collect();
        let start = Instant::now();
        let explained = explain.batch(&comments)?;
        let seconds = start.elapsed().as_secs_f64();
        explained.rows().try_for_each(|row| row.map(drop))?;
        points.push(told(title, (count, of_one * count as f64, seconds)));
    }
    Ok(Lines { title, points })
}

fn told(title: &str, point: (usize, f64, f64)) -> (usize, f64, f64) {
    let (count, there, here) = point;
    println!("{count:>6} {title:<26} Captum {there:>10.3}   here {here:>8.3}   {:>6.3}", here / there);
    point
}

fn draw(all: &[Lines], place: &Path) -> Outcome<()> {
    let area = SVGBackend::new(place, (960, 330)).into_drawing_area();
    area.fill(&WHITE)?;
    for (part, lines) in area.split_evenly((1, all.len())).iter().zip(all) {
        let counts = || lines.points.iter().map(|point| point.0 as f64);
        let seconds = || lines.points.iter().flat_map(|point| [point.1, point.2]);
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let (least, most) = values.fold((f64::INFINITY, 0f64), |(least, most), x| (least.min(x), most.max(x)));
            (0.7 * least..1.4 * most).log_scale()
        };
        let mut chart = ChartBuilder::on(part)
            .caption(format!("seconds for so many {}", lines.title), ("sans-serif", 13))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(48)
            .build_cartesian_2d(range(&mut counts()), range(&mut seconds()))?;
        // The others would run into each other.
        let number = |number: &f64| match number / 10f64.powf(number.log10().floor()) {
            leading if [1, 2, 5].contains(&(leading.round() as i32)) => format!("{number}"),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&number)
            .y_label_formatter(&number)
            .draw()?;
        for (name, colour, side) in [("Captum", RGBColor(190, 90, 20), 0), ("candle-explain", RGBColor(20, 90, 160), 1)]
        {
            let points: Vec<(f64, f64)> =
                lines.points.iter().map(|point| (point.0 as f64, if side == 0 { point.1 } else { point.2 })).collect();
            chart
                .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
            chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
        }
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).border_style(TRANSPARENT).draw()?;
    }
    area.present()?;
    Ok(())
}
