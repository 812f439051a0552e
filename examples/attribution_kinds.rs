//! Draws `notebooks/media/attribution_kinds.png`: what primary, layer and neuron attribution say, with
//! the real attributions of a small network.
//!
//! `cargo run --release --features png --example attribution_kinds [-- FOLDER]`

use std::path::PathBuf;

use candle_explain::prelude::*;

const LAYERS: [usize; 3] = [3, 4, 2];
const NEURON: usize = 1;
const PANEL: f64 = 290.;
const HEIGHT: f64 = 330.;
const RADIUS: f64 = 19.;

/// Which circles of a panel are coloured, and how strongly.
struct Panel {
    title: &'static str,
    question: [&'static str; 2],
    layer: usize,
    values: Vec<f64>,
    /// The circle that the attributions are for: its layer and its position.
    explained: (usize, usize),
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "notebooks/media".to_string()));
    let net = Sequential::builder(LAYERS[0])
        .linear("linear1", LAYERS[1])
        .tanh("hidden")
        .linear("output", LAYERS[2])
        .build(Seed(6))?;
    let x = Tensor::new(&[[1f32, -0.8, 0.9]], &Device::Cpu)?;
    let row = |attributions: Attributions| -> Result<Vec<f64>> {
        Ok(attributions.tensor().to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
    };
    let kinds = Kinds([
        Panel {
            title: "Primary attribution",
            question: ["How much did each input", "count for the output?"],
            layer: 0,
            values: row(IntegratedGradients::new(&net).attribute(&x, 0)?)?,
            explained: (2, 0),
        },
        Panel {
            title: "Layer attribution",
            question: ["How much did each hidden", "neuron count for the output?"],
            layer: 1,
            values: row(LayerConductance::new(&net, "hidden").tolerance(1e-4).attribute(&x, 0)?)?,
            explained: (2, 0),
        },
        Panel {
            title: "Neuron attribution",
            question: ["How much did each input", "count for one hidden neuron?"],
            layer: 0,
            values: row(NeuronIntegratedGradients::new(&net, "hidden", NEURON).attribute(&x)?)?,
            explained: (1, NEURON),
        },
    ]);
    let path = folder.join("attribution_kinds.png");
    kinds.save(&path)?;
    println!("{}", path.display());
    Ok(())
}

/// The three panels side by side.
struct Kinds([Panel; 3]);

impl Figure for Kinds {
    fn html(&self) -> String {
        self.svg().unwrap_or_default()
    }

    fn text(&self) -> String {
        self.0.iter().map(|panel| format!("{}: {:.2?}\n", panel.title, panel.values)).collect()
    }

    fn svg(&self) -> Option<String> {
        let width = PANEL * self.0.len() as f64;
        let panels = self.0.iter().enumerate().map(|(index, panel)| panel.draw(PANEL * index as f64));
        Some(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{HEIGHT}\" viewBox=\"0 0 {width} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"#1f2933\"><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\
             {}</svg>\n",
            panels.collect::<String>()
        ))
    }
}

/// The middle of a circle.
fn place(left: f64, layer: usize, position: usize) -> (f64, f64) {
    let down = position as f64 - 0.5 * (LAYERS[layer] - 1) as f64;
    (left + 52. + 92. * layer as f64, 190. + 54. * down)
}

/// Blue above 0 and orange below, stronger the farther from it.
fn colour(value: f64, largest: f64) -> String {
    let share = 0.15 + 0.5 * value.abs() / largest;
    let [red, green, blue] = if value < 0. { [200., 90., 15.] } else { [31., 95., 165.] };
    let blend = |channel: f64| 255. - share * (255. - channel);
    format!("rgb({:.0},{:.0},{:.0})", blend(red), blend(green), blend(blue))
}

impl Panel {
    fn draw(&self, left: f64) -> String {
        let middle = left + 0.5 * PANEL;
        let mut svg = format!(
            "<text x=\"{middle}\" y=\"28\" text-anchor=\"middle\" font-size=\"16\" font-weight=\"600\">{}</text>",
            self.title
        );
        for (line, text) in self.question.iter().enumerate() {
            let y = 50 + 18 * line;
            svg += &format!("<text x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#52606d\">{text}</text>");
        }
        let last = self.explained.0;
        for layer in 0..2 {
            for from in 0..LAYERS[layer] {
                for to in 0..LAYERS[layer + 1] {
                    let counts = layer >= self.layer && layer < last && (layer + 1 < last || to == self.explained.1);
                    let ((x1, y1), (x2, y2)) = (place(left, layer, from), place(left, layer + 1, to));
                    let (stroke, width) = if counts { ("#7b8794", 1.6) } else { ("#e4e7eb", 1.) };
                    svg += &format!(
                        "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>"
                    );
                }
            }
        }
        let largest = self.values.iter().fold(0., |largest: f64, value| largest.max(value.abs()));
        for (layer, size) in LAYERS.iter().enumerate() {
            for position in 0..*size {
                let (x, y) = place(left, layer, position);
                let value = (layer == self.layer).then(|| self.values[position]);
                let fill = value.map_or("#f5f7fa".to_string(), |value| colour(value, largest));
                let explained = self.explained == (layer, position);
                let (stroke, width) = if explained { ("#1f2933", 3.5) } else { ("#9aa5b1", 1.) };
                svg += &format!(
                    "<circle cx=\"{x}\" cy=\"{y}\" r=\"{RADIUS}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>"
                );
                if let Some(value) = value {
                    svg += &format!(
                        "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\">{value:+.2}</text>",
                        y + 4.
                    );
                }
            }
        }
        for (layer, name) in ["inputs", "hidden layer", "outputs"].iter().enumerate() {
            let (x, _) = place(left, layer, 0);
            svg += &format!("<text x=\"{x}\" y=\"318\" text-anchor=\"middle\" fill=\"#52606d\">{name}</text>");
        }
        svg
    }
}
