//! Pictures as PNG.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, FaceInfo, ID, Style, Weight};
use resvg::usvg::{FallbackSelectionFn, FontResolver, Options, Tree};
use unicode_segmentation::UnicodeSegmentation;

use crate::error::{Result, bail, error};
use crate::script::is_emoji;

/// Pixels for each unit of the drawing: sharp on today's screens and on paper.
const SCALE: f32 = 2.;

/// Fonts that have Vietnamese letters, the most likely first.
const SANS_SERIF: [&str; 5] = ["DejaVu Sans", "Arial", "Noto Sans", "Liberation Sans", "Helvetica"];

/// The PNG of a drawing, twice as large; letters come from the system's fonts.
pub fn from_svg(svg: &str) -> Result<Vec<u8>> {
    let fonts = fonts();
    if fonts.is_empty() {
        bail!(File, "there are no fonts on this machine to draw letters with: install some, for example DejaVu")
    }
    let emoji = emoji_family(&fonts);
    let svg = emoji.as_ref().map_or(Cow::Borrowed(svg), |(_, family)| Cow::Owned(coloured(svg, family)));
    let font_resolver = resolver(emoji.map(|(font, _)| font));
    let options = Options { fontdb: fonts, font_resolver, ..Options::default() };
    let tree = Tree::from_str(&svg, &options).map_err(|e| error!(Input, "the drawing cannot be read: {e}"))?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let Some(mut pixels) = size.and_then(|size| Pixmap::new(size.width(), size.height())) else {
        bail!(Input, "the drawing is {:?} large: too large for a PNG, save it as .svg", tree.size())
    };
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| error!(Input, "the PNG cannot be written: {e}"))
}

fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let load = || {
        let mut found = Database::new();
        found.load_system_fonts();
        let mut faces: Vec<&FaceInfo> = found.faces().collect();
        faces.sort_by_cached_key(|face| rank(face));
        let mut fonts = Database::new();
        faces.into_iter().for_each(|face| {
            fonts.push_face_info(face.clone());
        });
        let families = |fonts: &Database| -> Vec<String> {
            fonts.faces().flat_map(|face| face.families.iter().map(|family| family.0.clone())).collect()
        };
        let there = families(&fonts);
        let known = SANS_SERIF.iter().find(|name| there.iter().any(|family| family == *name));
        if let Some(name) = known.map(|name| name.to_string()).or_else(|| there.first().cloned()) {
            fonts.set_sans_serif_family(name);
        }
        Arc::new(fonts)
    };
    FONTS.get_or_init(load).clone()
}

/// A font that has the colours of emoji, and its name.
fn emoji_family(fonts: &Database) -> Option<(ID, String)> {
    let emoji = |name: &str| name.contains("Color Emoji") || name.contains("Segoe UI Emoji");
    let names = fonts.faces().flat_map(|face| face.families.iter().map(|(name, _)| (face.id, name)));
    names.filter(|(_, name)| emoji(name) && !name.contains(['"', '<', '&'])).map(|(id, name)| (id, name.clone())).next()
}

/// Chooses the font for what the first one lacks. The emoji font draws only emoji, not the letters around them: a font
/// with both would draw the emoji without colours.
fn resolver(emoji: Option<ID>) -> FontResolver<'static> {
    let usual = FontResolver::default_fallback_selector();
    let select_fallback: FallbackSelectionFn = Box::new(move |character, used, fonts| {
        let beside = used.first() == emoji.as_ref() && !is_emoji(character.encode_utf8(&mut [0; 4]));
        if beside { None } else { usual(character, used, fonts) }
    });
    FontResolver { select_fallback, ..FontResolver::default() }
}

/// The drawing with its emoji in a font that has their colours. Otherwise a font that has them only as outlines could
/// come first.
fn coloured(svg: &str, family: &str) -> String {
    let mut drawing = String::with_capacity(svg.len());
    let mut in_text = false;
    for part in svg.split_inclusive('>') {
        let (letters, element) = part.split_at(part.find('<').unwrap_or(part.len()));
        for character in letters.graphemes(true) {
            if in_text && is_emoji(character) {
                drawing.push_str(&format!("<tspan font-family=\"{family}\">{character}</tspan>"));
            } else {
                drawing.push_str(character);
            }
        }
        in_text = element.starts_with("<text") && !element.ends_with("/>");
        drawing.push_str(element);
    }
    drawing
}

/// The rank of a font for letters that the first one lacks: upright, normal weight and sans-serif come first.
fn rank(face: &FaceInfo) -> (bool, u16, bool, bool) {
    let sans = face.families.iter().any(|(name, _)| name.contains("Sans"));
    let weight = face.weight.0.abs_diff(Weight::NORMAL.0);
    (face.style != Style::Normal, weight, !sans, face.monospaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pixels of a picture of this text have a colour.
    fn colours(text: &str) -> Option<usize> {
        let size = "width=\"200\" height=\"40\"";
        let ground = "<rect width=\"200\" height=\"40\" fill=\"white\"/>";
        let text = format!("<text x=\"5\" y=\"30\" font-family=\"sans-serif\">{text}</text>");
        let svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" {size}>{ground}{text}</svg>");
        let picture = Pixmap::decode_png(&from_svg(&svg).ok()?).unwrap();
        let grey = |pixel: &resvg::tiny_skia::PremultipliedColorU8| {
            pixel.red().abs_diff(pixel.blue()) < 40 && pixel.red().abs_diff(pixel.green()) < 40
        };
        Some(picture.pixels().iter().filter(|pixel| !grey(pixel)).count())
    }

    #[test]
    fn emoji_have_their_colours_where_a_font_has_them() {
        if emoji_family(&fonts()).is_none() {
            return;
        }
        for emoji in ["😍", "❤\u{fe0f}", "1\u{fe0f}\u{20e3}", "tốt 😢", "đẹp😍", "很好😍", "⭐", "👩\u{200d}🚀"]
        {
            assert!(colours(emoji).unwrap() > 100, "{emoji}: {:?}", colours(emoji));
        }
        assert_eq!(colours("tốt 100 #"), Some(0));
    }

    #[test]
    fn letters_alone_are_looked_at() {
        assert_eq!(coloured("<text>a😍</text>", "E"), "<text>a<tspan font-family=\"E\">😍</tspan></text>");
        let svg = "<svg><title>😍</title><desc>a 😍 > b</desc><text x=\"1\"\n>a &lt;b</text></svg>";
        assert_eq!(coloured(svg, "E"), svg);
    }
}
