//! Draws figures of every kind, light and dark, with the shipped models: of single predictions, of a whole table, and of
//! comments that are long or run to the left.
//!
//! `cargo run --release --example pictures -- FOLDER`

use std::path::{Path, PathBuf};

use candle_explain::prelude::*;

/// A name and a comment.
const COMMENTS: [(&str, &str); 5] = [
    ("short", "Sản phẩm này rất tốt, nhưng giao hàng quá chậm"),
    (
        "long",
        "Mình đặt hàng từ tuần trước mà đến hôm nay mới nhận được, hộp thì móp méo, nhưng bên trong sản phẩm vẫn còn \
         nguyên vẹn và dùng rất tốt. Chất vải mềm mịn, màu đẹp như hình, mặc lên vừa người. Shop trả lời tin nhắn hơi \
         chậm, gọi điện không ai nghe, tuy nhiên khi phản ánh thì nhân viên xin lỗi và tặng thêm một đôi tất. Nói chung \
         là hài lòng, lần sau sẽ mua tiếp nếu giao hàng nhanh hơn.",
    ),
    (
        "long-word",
        "Tệ quáááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááááá, thất vọng",
    ),
    ("arabic", "المنتج رائع جداً، لكن التوصيل تأخر 3 أيام (للأسف)."),
    ("hebrew", "המוצר הזה טוב מאוד, אבל המחיר 99 ₪ גבוה מדי."),
];

/// Rows that are hard to draw: numbers of very different sizes, and names that do not fit.
const ROWS: [(&str, [[f64; 4]; 2]); 5] = [
    ("huge", [[1e300, -1e300, 5e299, -2e298], [1., 2., 3., 4.]]),
    ("tiny", [[5e-7, -4.999999e-7, 1e-9, 0.], [-1.23456e-7, 2e-7, 3e-7, 0.]]),
    ("close", [[1000.25, 1e-3, -1e-3, 2e-3], [1000.26, 1e-3, 1e-3, 1e-3]]),
    ("down", [[-123456.7, -99999.9, -1., -0.5], [-120000., -80000., -2., -3.]]),
    ("nothing", [[0.; 4]; 2]),
];
const NAMES: [&str; 4] = ["age", "the time since the last payment but one, in days", "số lần mua hàng", "x"];

/// A figure as HTML and as a picture, if it is one, light and dark.
fn save<F: Figure + Clone>(figure: &F, folder: &Path, name: &str) -> Result<()> {
    for (theme, ending) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
        let figure = figure.theme(theme);
        figure.save(folder.join(format!("{name}-{ending}.html")))?;
        if figure.svg().is_some() {
            figure.save(folder.join(format!("{name}-{ending}.svg")))?;
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "pictures".to_string()));
    let passengers = Titanic::load()?;
    println!("{}", passengers.source());
    let (_, test) = passengers.split(Split::Tutorial)?;
    let importance =
        IntegratedGradients::new(Titanic::pretrained()?).tolerance(1e-3).attribute(&test, Target::Class(1))?;
    save(&importance.waterfall((&test, 4))?, &folder, "waterfall")?;
    save(&importance.beeswarm(&test)?.title("What speaks for survival?"), &folder, "beeswarm")?;
    save(&importance.beeswarm(&test)?.most(5)?, &folder, "beeswarm-few")?;
    save(&importance.dependence(&test, "age")?, &folder, "dependence")?;
    save(&importance.dependence(&test, "sibsp")?.coloured_by("fare")?, &folder, "dependence-steps")?;
    save(&importance.force((&test, 4))?, &folder, "force")?;
    save(&importance, &folder, "attributions")?;
    save(&test, &folder, "dataset")?;
    let mean = importance.mean()?.bars(test.feature_names())?;
    let ages = importance.column("age")?.binned_scatter(&test.column("age")?, 12)?;
    let fares = importance.column("fare")?.histogram(30)?;
    let sexes = importance.column("female")?.line()?;
    for (chart, name) in [(&mean, "bars"), (&ages, "scatter"), (&fares, "histogram"), (&sexes, "line")] {
        save(chart, &folder, name)?;
    }
    save(&row![mean, ages, fares]?, &folder, "row")?;

    let categories = Titanic::categories();
    let joined = KernelShap::new(Titanic::pretrained()?).feature_mask(categories).n_samples(100).attribute(&test, 1)?;
    save(&joined.waterfall((&test, 4))?, &folder, "joined-waterfall")?;
    save(&joined.force((&test, 4))?, &folder, "joined-force")?;
    save(&joined.beeswarm(&test)?, &folder, "joined-beeswarm")?;
    save(&joined.dependence(&test, "class_1")?, &folder, "joined-dependence")?;
    save(&joined.mean()?.bars(test.feature_names())?, &folder, "joined-bars")?;
    save(&joined, &folder, "joined-attributions")?;

    for (name, rows) in ROWS {
        let inputs = Inputs::from(Tensor::new(&rows, &Device::Cpu)?).with_names(NAMES);
        // A sum attributes each number to itself.
        let sum = IntegratedGradients::new(|x: &Tensor| x.sum(1)).n_steps(1).gradient_check(Check::Off);
        let numbers = sum.attribute(&inputs, Target::None)?;
        save(&numbers.waterfall((&inputs, 0))?, &folder, &format!("waterfall-{name}"))?;
        save(&numbers.force((&inputs, 0))?, &folder, &format!("force-{name}"))?;
        save(&numbers.beeswarm(&inputs)?, &folder, &format!("beeswarm-{name}"))?;
        save(&numbers.dependence(&inputs, NAMES[1])?, &folder, &format!("dependence-{name}"))?;
        save(&numbers.mean()?.bars(NAMES)?, &folder, &format!("bars-{name}"))?;
    }

    let explain = Explainer::from_pretrained("data/sentiment-vi")?;
    for (name, text) in COMMENTS {
        let words = explain.visualize(text)?;
        save(&words.force()?, &folder, &format!("force-{name}"))?;
        save(&words, &folder, &format!("words-{name}"))?;
        save(&words.heatmap().palette(Palette::GreenRed), &folder, &format!("words-green-{name}"))?;
    }
    save(&explain.layers(COMMENTS[0].1)?.layer_map()?, &folder, "layers")?;
    println!("pictures, light and dark, in {}", folder.display());
    Ok(())
}
