//! Pictures as PNG.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, FaceInfo, Style, Weight};
use resvg::usvg::{Options, Tree};

use crate::error::{Result, bail, error};

/// Pixels for each unit of the drawing: sharp on today's screens and on paper.
const SCALE: f32 = 2.;

/// Fonts that have Vietnamese letters, the likeliest first.
const SANS_SERIF: [&str; 5] = ["DejaVu Sans", "Arial", "Noto Sans", "Liberation Sans", "Helvetica"];

/// The PNG of a drawing, twice as large; letters come from the system's fonts.
pub(crate) fn from_svg(svg: &str) -> Result<Vec<u8>> {
    let fonts = fonts();
    if fonts.is_empty() {
        bail!(File, "there are no fonts on this machine to draw letters with: install some, for example DejaVu")
    }
    let options = Options { fontdb: fonts, ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|e| error!(Input, "the drawing cannot be read: {e}"))?;
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

/// Where letters that the first font lacks come from: upright fonts of the usual weight without serifs before others.
fn rank(face: &FaceInfo) -> (bool, u16, bool, bool) {
    let sans = face.families.iter().any(|(name, _)| name.contains("Sans"));
    let weight = face.weight.0.abs_diff(Weight::NORMAL.0);
    (face.style != Style::Normal, weight, !sans, face.monospaced)
}
