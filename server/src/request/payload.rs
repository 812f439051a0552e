//! What a request carries: records and parameters, in any format.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{Uri, header, request};
use candle_explain::{Error, Result as Outcome, bail, error};
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use super::aside::{LARGE, Room};
use super::csv_rows;
use crate::failure::Failure;
use crate::json::{flaws, strict};
use crate::models::parameters::PARAMETERS;
use crate::settings::Settings;

/// How many seconds a body may take to arrive.
const SECONDS_TO_SEND: u64 = 30;
/// The most fields of a form.
const MOST_FIELDS: usize = 10_000;
const FILE_FIELD: &str = "input_file_path";
const DATA_FIELD: &str = "data";

/// What a request carries: records and parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Payload {
    /// The records; a row of a CSV with too many or too few fields has an error.
    pub(crate) records: Vec<Outcome<Value>>,
    pub(crate) parameters: Map<String, Value>,
}

/// Whether a request's whole body was received; if not, its connection cannot be used again.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<AtomicBool>);

impl Received {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body that was received, and the room in memory that it holds until it is answered.
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) room: Room,
}

/// Receives a body of bounded size within bounded time, and undoes its compression.
pub(crate) async fn receive(request: &request::Parts, body: Body, settings: &Settings) -> Result<Content, Failure> {
    let limit = settings.max_request_size;
    let announced = body.size_hint();
    // If the announced body is too large, it is not waited for.
    if announced.lower() > limit as u64 {
        return Err(Failure::too_large(limit));
    }
    let encoding = Encoding::of(request)?;
    let exact = announced.exact().and_then(|bytes| usize::try_from(bytes).ok());
    let mut room = match (encoding, exact) {
        (Encoding::Identity, exact) => Room::of(exact.unwrap_or(0)).await?,
        // Decompressed, a few bytes can become as many as are allowed.
        (_, exact) => Room::of(exact.unwrap_or(limit).saturating_add(limit)).await?,
    };
    let bytes = tokio::time::timeout(
        Duration::from_secs(SECONDS_TO_SEND),
        collect(body, exact, limit, (encoding == Encoding::Identity).then_some(&mut room)),
    );
    let bytes = bytes.await.unwrap_or_else(|_| Err(Failure::timed_out_reading(SECONDS_TO_SEND)))?;
    if let Some(received) = request.extensions.get::<Received>() {
        received.set();
    }
    let bytes = match encoding {
        Encoding::Identity => bytes,
        Encoding::Gzip => inflate(flate2::read::MultiGzDecoder::new(&bytes[..]), limit)?,
        Encoding::Deflate => inflate(flate2::read::ZlibDecoder::new(&bytes[..]), limit)?,
    };
    Ok(Content { bytes, room })
}

/// The whole body. If its length is unknown, it gets room for the longest as soon as it is more than a few bytes.
async fn collect(
    mut body: Body,
    exact: Option<usize>,
    limit: usize,
    mut room: Option<&mut Room>,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::with_capacity(exact.unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Failure::bad_request(format!("the body cannot be received: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(Failure::too_large(limit));
        }
        if exact.is_none()
            && length > LARGE
            && let Some(room) = room.take()
        {
            *room = Room::of(limit).await?;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// How a body is compressed.
#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

impl Encoding {
    fn of(request: &request::Parts) -> Result<Self, Failure> {
        match request.headers.get(header::CONTENT_ENCODING).map_or(Ok("identity"), |value| value.to_str()) {
            Ok("identity" | "") => Ok(Self::Identity),
            Ok("gzip" | "x-gzip") => Ok(Self::Gzip),
            Ok("deflate") => Ok(Self::Deflate),
            _ => Err(Failure::unsupported("the Content-Encoding is not known: expected gzip, deflate or none")),
        }
    }
}

fn inflate(decoder: impl Read, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than allowed is read, to see whether there is more.
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|e| Failure::bad_request(format!("the compressed body cannot be read: {e}")))?;
    if bytes.len() > limit { Err(Failure::too_large(limit)) } else { Ok(bytes) }
}

impl Payload {
    /// Reads a request by its type: JSON, CSV, form fields, or a plain text.
    pub(crate) async fn read(request: &request::Parts, bytes: Vec<u8>, settings: &Settings) -> Result<Self, Failure> {
        let kind = match request.headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) {
            None => "",
            Some(Ok(kind)) => kind,
            Some(Err(_)) => return Err(Failure::unsupported("the Content-Type cannot be read")),
        };
        let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let mut payload = match media.as_str() {
            // The type that `curl -d` sends by default.
            "application/x-www-form-urlencoded"
                if !(bytes.is_empty() || bytes.contains(&b'=') || looks_like_json(&bytes)) =>
            {
                let records = match bytes.trim_ascii().contains(&b'\n') {
                    true => csv_rows::records(&bytes, settings.max_rows)?,
                    false => vec![Ok(Value::String(utf8(bytes)?))],
                };
                Self { records, ..Self::default() }
            }
            "application/x-www-form-urlencoded" if !looks_like_json(&bytes) => {
                let fields = form_urlencoded::parse(&bytes).take(MOST_FIELDS + 1);
                let fields = fields.map(|(name, value)| (name.into(), value.into_owned().into()));
                Self::of_fields(fields.collect(), settings)?
            }
            "multipart/form-data" => Self::of_fields(multipart(kind, bytes).await?, settings)?,
            "text/csv" => Self { records: csv_rows::records(&bytes, settings.max_rows)?, ..Self::default() },
            "text/plain" => Self { records: vec![Ok(Value::String(utf8(bytes)?))], ..Self::default() },
            _ if media.ends_with("json") || looks_like_json(&bytes) => {
                Self::of_json(strict::parse(&bytes, "the body")?, settings)?
            }
            "" | "application/octet-stream" | "application/x-www-form-urlencoded" => {
                Self { records: csv_rows::records(&bytes, settings.max_rows)?, ..Self::default() }
            }
            _ => {
                return Err(Failure::unsupported(format!(
                    "the Content-Type is \"{}\": expected application/json, text/csv, text/plain or a form",
                    media.escape_debug()
                )));
            }
        };
        payload.add_query(&request.uri)?;
        Ok(payload.within(settings)?)
    }

    /// An error unless there are rows, and no more than the operator allows.
    pub(crate) fn within(self, settings: &Settings) -> Outcome<Self> {
        match self.records.len() {
            0 => bail!(
                Input,
                "no rows came: expected at least one; CSV has the names of its columns above them, and a text comes as \
                 text/plain"
            ),
            rows if rows > settings.max_rows => Err(too_many(settings)),
            _ => Ok(self),
        }
    }

    /// Reads a request from JSON that is already parsed.
    pub(crate) fn of_json(value: Value, settings: &Settings) -> Outcome<Self> {
        let mut object = match value {
            Value::Object(object) => object,
            Value::Array(list) => return Ok(Self { records: rows_of(list, settings)?, ..Self::default() }),
            text @ Value::String(_) => return Ok(Self { records: vec![Ok(text)], ..Self::default() }),
            other => bail!(Input, "the body is {other}: expected a record, a list of records, or a text"),
        };
        if let Some(flaw) = object.get("parameters").and_then(flaws::of) {
            bail!(Input, "parameters is {flaw}")
        }
        let parameters = match object.remove("parameters") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(parameters)) => parameters,
            Some(_) => bail!(Input, "parameters is no object: expected {{\"n_steps\": 50, ...}}"),
        };
        let records = if let Some(path) = object.remove(FILE_FIELD) {
            nothing_else(&object, FILE_FIELD)?;
            file_records(&path, settings)?
        } else if let Some((name, rows)) = remove_rows(&mut object) {
            nothing_else(&object, name)?;
            match rows {
                Value::Array(list) => each_row(list, settings)?,
                _ => bail!(Input, "{name} is no list: expected a list of records"),
            }
        } else {
            vec![Ok(Value::Object(object))]
        };
        Ok(Self { records, parameters })
    }

    /// Named fields of a form: a path, the content itself, or the fields of one record; and parameters.
    fn of_fields(fields: Vec<(String, Value)>, settings: &Settings) -> Outcome<Self> {
        if fields.len() > MOST_FIELDS {
            bail!(Input, "the form has more than {MOST_FIELDS} fields: send rows as CSV or JSON")
        }
        let mut payload = Self::default();
        let (mut given, mut record) = (None, Map::new());
        for (name, value) in fields {
            match name.as_str() {
                FILE_FIELD | DATA_FIELD if given.is_some() => {
                    bail!(Input, "{FILE_FIELD} or {DATA_FIELD} came twice: give one of them")
                }
                FILE_FIELD => given = Some(file_records(&value, settings)?),
                DATA_FIELD => {
                    let content = value.as_str().unwrap_or_default().as_bytes();
                    given = Some(if looks_like_json(content) {
                        let inner = Self::of_json(strict::parse(content, DATA_FIELD)?, settings)?;
                        payload.parameters.extend(inner.parameters);
                        inner.records
                    } else {
                        csv_rows::records(content, settings.max_rows)?
                    });
                }
                _ => {
                    let known = PARAMETERS.iter().any(|parameter| parameter.name == name);
                    let fields = if known { &mut payload.parameters } else { &mut record };
                    if fields.insert(name.clone(), value).is_some() {
                        bail!(Input, "the field \"{}\" came twice", name.escape_debug())
                    }
                }
            }
        }
        payload.records = match given {
            Some(records) => {
                nothing_else(&record, &format!("{FILE_FIELD} or {DATA_FIELD}"))?;
                records
            }
            None if record.is_empty() => bail!(
                Input,
                "the form has no fields of a record, no {FILE_FIELD} (a path) and no {DATA_FIELD} (CSV or JSON): give \
                 one of them"
            ),
            None => vec![Ok(Value::Object(record))],
        };
        Ok(payload)
    }

    /// Adds the parameters of the address; those of the body come first.
    fn add_query(&mut self, uri: &Uri) -> Outcome<()> {
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if seen.contains(&name) {
                bail!(Input, "the parameter \"{}\" stands twice in the address", name.escape_debug())
            }
            self.parameters.entry(name.clone()).or_insert_with(|| Value::from(value.as_ref()));
            seen.push(name);
        }
        Ok(())
    }
}

/// An error if a request for predictions has parameters: only explanations take them.
pub(crate) fn no_parameters(parameters: &Map<String, Value>) -> Outcome<()> {
    match parameters.keys().next() {
        None => Ok(()),
        Some(name) => bail!(
            Input,
            "a prediction takes no parameter \"{}\": ask for an explanation, or leave it out",
            name.escape_debug()
        ),
    }
}

fn looks_like_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// The rows of a list: a list of numbers, even flawed ones, is one row; any other list is a list of rows.
fn rows_of(list: Vec<Value>, settings: &Settings) -> Outcome<Vec<Outcome<Value>>> {
    let one_row =
        list.iter().any(Value::is_number) && list.iter().all(|value| value.is_number() || flaws::of(value).is_some());
    if one_row { Ok(vec![Ok(Value::Array(list))]) } else { each_row(list, settings) }
}

fn each_row(list: Vec<Value>, settings: &Settings) -> Outcome<Vec<Outcome<Value>>> {
    if list.len() > settings.max_rows {
        return Err(too_many(settings));
    }
    Ok(list.into_iter().map(Ok).collect())
}

/// The error for more rows than the operator allows.
pub(crate) fn too_many(settings: &Settings) -> Error {
    error!(Input, "too many rows came: this server takes at most {} (max_rows)", settings.max_rows)
}

/// Removes the rows of a request that names them, as KServe's and TorchServe's clients do.
fn remove_rows(object: &mut Map<String, Value>) -> Option<(&'static str, Value)> {
    ["instances", DATA_FIELD].into_iter().find_map(|name| Some((name, object.remove(name)?)))
}

fn nothing_else(object: &Map<String, Value>, field: &str) -> Outcome<()> {
    match object.keys().next() {
        None => Ok(()),
        Some(name) => bail!(Input, "\"{}\" stands beside {field}: expected only parameters there", name.escape_debug()),
    }
}

fn utf8(bytes: Vec<u8>) -> Outcome<String> {
    String::from_utf8(bytes).map_err(|e| error!(Input, "the text is not UTF-8: {e}"))
}

/// The fields of a multipart body, those of files by their content.
async fn multipart(kind: &str, bytes: Vec<u8>) -> Result<Vec<(String, Value)>, Failure> {
    let broken = |e: multer::Error| Failure::bad_request(format!("the multipart body cannot be read: {e}"));
    let boundary = multer::parse_boundary(kind).map_err(broken)?;
    let stream = http_body_util::Full::new(axum::body::Bytes::from(bytes)).into_data_stream();
    let mut parts = multer::Multipart::new(stream, boundary);
    let mut fields = Vec::new();
    while fields.len() <= MOST_FIELDS
        && let Some(field) = parts.next_field().await.map_err(broken)?
    {
        let name = field.name().unwrap_or_default().to_string();
        let content = utf8(field.bytes().await.map_err(broken)?.into())?;
        fields.push((name, Value::String(content)));
    }
    Ok(fields)
}

/// The rows of a CSV file below the operator's folder. A file that does not exist and one outside the folder give
/// the same error, so a client cannot find out which files exist.
fn file_records(path: &Value, settings: &Settings) -> Outcome<Vec<Outcome<Value>>> {
    let given = match path {
        Value::String(path) => path,
        Value::Array(paths) if paths.len() == 1 && paths[0].is_string() => paths[0].as_str().unwrap_or_default(),
        _ => bail!(Input, "{FILE_FIELD} is no path: expected one path, or a list with one"),
    };
    let Some(folder) = &settings.input_directory else {
        bail!(
            Input,
            "this server reads no files: send the rows themselves, or let its operator set input_directory in \
             config.properties"
        )
    };
    let limit = settings.max_request_size;
    let Some(bytes) = folder.read(given, limit) else {
        bail!(Input, "there is no file \"{}\" below the input directory", given.escape_debug())
    };
    if bytes.len() > limit {
        bail!(Input, "the file is larger than the {limit} bytes that this server takes (max_request_size)")
    }
    csv_rows::records(&bytes, settings.max_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(result: Outcome<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn json_in_every_form() {
        let read =
            |text: &str| Payload::of_json(strict::parse(text.as_bytes(), "the body").unwrap(), &Settings::default());
        assert_eq!(read("[1, 2]").unwrap().records.len(), 1);
        assert_eq!(read("[[1, 2], {\"a\": 1}]").unwrap().records.len(), 2);
        assert_eq!(read("\"tốt\"").unwrap().records.len(), 1);
        let full = read(r#"{"instances": [1, 2], "parameters": {"n_steps": 3}}"#).unwrap();
        assert_eq!((full.records.len(), full.parameters["n_steps"].as_u64()), (2, Some(3)));
        assert!(message(read("1")).contains("expected a record"));
        assert!(message(read(r#"{"instances": 1}"#)).contains("no list"));
        assert!(message(read(r#"{"instances": [], "x": 1}"#)).contains("stands beside instances"));
        assert!(message(read(r#"{"input_file_path": "x.csv"}"#)).contains("reads no files"));
    }
}
