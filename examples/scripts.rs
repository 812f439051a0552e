//! Draws one comment in each of fourteen scripts and spellings, with its words coloured by a classifier that is
//! trained on the way.
//!
//! `cargo run --release --features png --example scripts -- FOLDER`

use std::path::PathBuf;

use candle_explain::prelude::*;
use unicode_normalization::UnicodeNormalization;

/// A name, a comment, and whether it complains.
const COMMENTS: [(&str, &str, usize); 13] = [
    ("vietnamese", "Sản phẩm rất đẹp, nhưng giao hàng quá chậm!", 1),
    ("arabic", "المنتج رائع جداً، لكن التوصيل تأخر 3 أيام (للأسف).", 1),
    ("arabic-with-vowels", "السَّلَامُ عَلَيْكُمْ، هَذَا كِتَابٌ جَمِيلٌ!", 0),
    ("hebrew-with-vowels", "שָׁלוֹם, הַמּוּצָר הַזֶּה טוֹב מְאֹד, אֲבָל הַמְּחִיר 99 ₪ גָּבוֹהַּ.", 0),
    ("persian", "این گوشی را دوست دارم، خیلی خوب کار می\u{200c}کند.", 0),
    ("hindi", "यह उत्पाद बहुत अच्छा है, लेकिन डिलीवरी धीमी थी।", 0),
    ("thai", "สินค้าดีมาก ส่งเร็ว แต่กล่องบุบนิดหน่อยครับ", 0),
    ("chinese", "这个产品质量很好，但是物流太慢了，客服也不理人。", 1),
    ("japanese", "とても良い商品です。ただ、配送が遅くて箱がつぶれていました。", 1),
    ("korean", "제품은 정말 좋은데 배송이 너무 느려요.", 1),
    ("emoji", "Tuyệt vời 😍😍 ❤️ 👍🏽 👨‍👩‍👧 🇻🇳 1️⃣ nhưng hộp hơi móp 😢", 0),
    ("two-directions", "قال لي البائع: I love it very much ثم ضحك، نعم. C++ 100 200", 0),
    ("hebrew-in-english", "The seller said שלום רב to me twice, and that was all (תודה).", 1),
];

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "scripts".to_string()));
    let comments: Comments = COMMENTS.iter().map(|(_, text, label)| Comment::from((*text, *label))).collect();
    let trainer = SentimentTrainer::new(["positive", "negative"]).hidden(32).layers(1).epochs(60).vocabulary(700);
    let trained = trainer.learning_rate(5e-3).fit(&comments)?;
    let classifier = folder.join("classifier");
    trained.save(&classifier)?;
    let explain = Explainer::from_pretrained(classifier.display().to_string())?.n_steps(30);
    let decomposed: String = COMMENTS[0].1.nfd().collect();
    let texts = COMMENTS.iter().map(|(name, text, label)| (*name, *text, *label));
    for (name, text, label) in texts.chain([("vietnamese-decomposed", decomposed.as_str(), 1)]) {
        let words = explain.visualize((text, label))?;
        for form in if cfg!(feature = "png") { &["html", "svg", "png"][..] } else { &["html", "svg"] } {
            words.save(folder.join(name).with_extension(form))?;
        }
        explain.layers(text)?.layer_map()?.save(folder.join(format!("{name}-layers.svg")))?;
        explain.layers(text)?.layer_map()?.save(folder.join(format!("{name}-layers.html")))?;
        explain.pieces(true).visualize(text)?.save(folder.join(format!("{name}-pieces.svg")))?;
    }
    let named = TextClassifier::with_labels(classifier.display().to_string(), ["إيجابي", "سلبي"])?;
    let named = Explainer::new(&named).n_steps(30);
    for form in ["html", "svg"] {
        named.visualize((COMMENTS[1].1, 1))?.save(folder.join("arabic-labels").with_extension(form))?;
    }
    let strongest = explain.target(1).batch(&comments)?.strongest_words(30)?;
    strongest.bars()?.save(folder.join("strongest.svg"))?;
    strongest.save(folder.join("strongest.html"))?;
    println!("{} pictures as HTML and SVG in {}", COMMENTS.len() + 2, folder.display());
    Ok(())
}
