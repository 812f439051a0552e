//! The format in which a client wants its answer.

use axum::http::{HeaderMap, header};

use crate::failure::Failure;

/// The format in which a client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// What TorchServe answers.
    Plain,
    Json,
    Html,
    Csv,
    Svg,
    Png,
}

const FORMS: [(&str, Form); 10] = [
    ("*/*", Form::Plain),
    ("text/plain", Form::Plain),
    ("text/*", Form::Plain),
    ("application/json", Form::Json),
    ("application/*", Form::Json),
    ("text/html", Form::Html),
    ("text/csv", Form::Csv),
    ("image/svg+xml", Form::Svg),
    ("image/*", Form::Svg),
    ("image/png", Form::Png),
];

impl Form {
    /// The format with the highest quality in the `Accept` header; at a tie the first.
    pub(crate) fn wanted(headers: &HeaderMap) -> Result<Self, Failure> {
        let Some(accept) = headers.get(header::ACCEPT) else { return Ok(Form::Plain) };
        let accept = accept.to_str().map_err(|_| Failure::bad_request("the header Accept is no text"))?;
        let mut best: Option<(Form, f32)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1., |q| q.parse().unwrap_or(0.));
            let known = FORMS.iter().find(|(name, _)| *name == media);
            if let Some((_, form)) = known
                && quality > best.map_or(0., |(_, quality)| quality)
            {
                best = Some((*form, quality));
            }
        }
        best.map(|(form, _)| form).ok_or_else(|| Failure::not_acceptable(accept))
    }

    /// Whether a browser asks.
    pub(crate) fn is_page(headers: &HeaderMap) -> bool {
        Self::wanted(headers).is_ok_and(|form| form == Form::Html)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn wanted(accept: &'static str) -> Option<Form> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        Form::wanted(&headers).ok()
    }

    #[test]
    fn the_best_known_form_is_taken() {
        assert_eq!(Form::wanted(&HeaderMap::new()).unwrap(), Form::Plain);
        assert_eq!(wanted("*/*"), Some(Form::Plain));
        assert_eq!(wanted("application/json"), Some(Form::Json));
        assert_eq!(wanted("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Some(Form::Html));
        assert_eq!(wanted("text/csv;q=0.5, image/png; q=0.8"), Some(Form::Png));
        assert_eq!(wanted("IMAGE/SVG+XML"), Some(Form::Svg));
        assert_eq!((wanted("image/*"), wanted("application/*;q=0.1")), (Some(Form::Svg), Some(Form::Json)));
        assert_eq!(wanted("video/mp4"), None);
        assert_eq!(wanted("text/html;q=0"), None);
        assert_eq!(wanted(""), None);
    }
}
