//! The size of a picture.

/// Width and height, from the picture's first element.
pub(super) fn size(svg: &str) -> Option<(f64, f64)> {
    let element = svg.split_once('>')?.0;
    let attribute = |name: &str| element.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0.parse().ok();
    Some((attribute("width")?, attribute("height")?))
}
