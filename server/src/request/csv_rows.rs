//! CSV with a header as records.
//!
//! The `csv` crate builds its state machine anew for every reader, which takes longer than the rest of a
//! request of one row. Here each thread builds it once. (A clone would not do: the
//! `Clone` of csv-core 0.1.13 leaves out half of the machine.)

use std::cell::RefCell;
use std::collections::HashSet;

use candle_explain::text::end_of_record;
use candle_explain::{Result, bail, error};
use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value};

/// The most bytes that the records of one request may take in memory.
const MOST_BYTES: usize = 64 << 20;
const MOST_COLUMNS: usize = 1 << 16;
/// Field separators of other programs.
const OTHER_SEPARATORS: [(char, &str); 2] = [(';', "semicolons"), ('\t', "tabs")];
/// The bytes that a field takes besides its name and its text.
const BYTES_OF_A_FIELD: usize = 128;

thread_local! {
    static MACHINE: RefCell<Reader> = RefCell::new(Reader::new());
}

/// The rows, each as an object of the header's names and the row's fields, white space trimmed; a row that
/// cannot be read has an error. If there are more than `most` rows, `most` + 1 are read.
pub(super) fn records(bytes: &[u8], most: usize) -> Result<Vec<Result<Value>>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        bail!(Input, "the body is empty: expected CSV with a header, JSON, or a form")
    }
    MACHINE.with_borrow_mut(|machine| {
        machine.reset();
        read(Rows::new(machine, bytes), most)
    })
}

fn read(mut rows: Rows, most: usize) -> Result<Vec<Result<Value>>> {
    let header: Vec<String> = rows.next().transpose()?.unwrap_or_default().into_iter().map(String::from).collect();
    if let [only] = header.as_slice()
        && let Some((_, marks)) = OTHER_SEPARATORS.iter().find(|(mark, _)| only.contains(*mark))
    {
        bail!(Input, "the header has no commas but {marks}: expected CSV whose fields are parted by commas")
    }
    let mut seen = HashSet::with_capacity(header.len());
    if let Some(name) = header.iter().find(|name| !seen.insert(name.as_str())) {
        bail!(
            Input,
            "the column \"{}\" stands twice in the header: the first row must be the names of the columns",
            name.escape_debug()
        )
    }
    // Every record repeats the names of the header, so a few bytes of a body can take much memory.
    let record_bytes: usize = header.iter().map(|name| name.len() + BYTES_OF_A_FIELD).sum();
    let mut records = Vec::new();
    while records.len() <= most
        && let Some(row) = rows.next()
    {
        if (records.len() + 1).saturating_mul(record_bytes) > MOST_BYTES {
            bail!(
                Input,
                "{} rows and more of {} columns came: send fewer rows at once, or shorter names of columns",
                records.len(),
                header.len()
            )
        }
        records.push(row.and_then(|row| record(&header, row)));
    }
    Ok(records)
}

fn record(header: &[String], row: Vec<&str>) -> Result<Value> {
    if row.len() != header.len() {
        bail!(Input, "the row cannot be read as CSV: it has {} fields, and the header {}", row.len(), header.len())
    }
    let fields = header.iter().cloned().zip(row.into_iter().map(Value::from));
    Ok(Value::Object(fields.collect::<Map<_, _>>()))
}

/// The rows of a text, each as its fields.
struct Rows<'a> {
    machine: &'a mut Reader,
    rest: &'a [u8],
    has_quotes: bool,
    /// The fields of a row, one after the other; they are never longer than the text.
    fields: Vec<u8>,
    /// Where each field ends.
    ends: Vec<usize>,
}

impl<'a> Rows<'a> {
    fn new(machine: &'a mut Reader, text: &'a [u8]) -> Self {
        let has_quotes = text.contains(&b'"');
        Self { machine, rest: text, has_quotes, fields: vec![0; text.len() + 1], ends: vec![0; 32] }
    }

    /// The next row; blank lines are skipped. After a row with an unclosed quote, the next begins in the line
    /// below the quote.
    fn next(&mut self) -> Option<Result<Vec<&str>>> {
        self.rest = &self.rest[self.rest.iter().take_while(|byte| ends_line(byte)).count()..];
        if self.has_quotes
            && let Err(opened) = end_of_record(self.rest)
        {
            let line = self.rest[opened..].iter().take_while(|byte| !ends_line(byte)).count();
            self.rest = &self.rest[opened + line..];
            return Some(Err(error!(Input, "the row cannot be read as CSV: a quote is opened and not closed")));
        }
        let (mut written, mut count) = (0, 0);
        loop {
            let (result, read, wrote, ended) =
                self.machine.read_record(self.rest, &mut self.fields[written..], &mut self.ends[count..]);
            self.rest = &self.rest[read..];
            written += wrote;
            count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() >= MOST_COLUMNS => {
                    // The rest cannot be separated from this row.
                    self.rest = &[];
                    return Some(Err(error!(Input, "a row has more than {MOST_COLUMNS} columns: send fewer")));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return None,
            }
        }
        let starts = std::iter::once(&0).chain(&self.ends);
        let field = |(&start, &end): (&usize, &usize)| {
            let text = std::str::from_utf8(&self.fields[start..end])
                .map_err(|e| error!(Input, "the row cannot be read as CSV: it is not UTF-8: {e}"))?;
            if text.contains('\0') {
                bail!(Input, "the row holds a NUL: expected CSV with a header, or JSON")
            }
            Ok(text.trim())
        };
        Some(starts.zip(&self.ends[..count]).map(field).collect())
    }
}

/// Whether a byte ends a line.
fn ends_line(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const MANY: usize = 1_000_000;

    fn is_closed(mut text: &[u8]) -> bool {
        while !text.is_empty() {
            let Ok(length) = end_of_record(text) else { return false };
            text = &text[length..];
        }
        true
    }

    fn records(bytes: &[u8]) -> Result<Vec<Value>> {
        super::records(bytes, MANY)?.into_iter().collect()
    }

    fn message(result: Result<Vec<Value>>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn rows_become_records() {
        let rows = records(b"\xef\xbb\xbfage, fare\r\n29,7.5\r\n\r\n30, 8").unwrap();
        assert_eq!(rows, [json!({"age": "29", "fare": "7.5"}), json!({"age": "30", "fare": "8"})]);
        let quoted = records(b"text\n\"a, \"\"b\"\"\nc\"\n").unwrap();
        assert_eq!(quoted, [json!({"text": "a, \"b\"\nc"})]);
        let wide = (0..100).map(|column| column.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(records(format!("{wide}\n{wide}").as_bytes()).unwrap()[0]["99"], "99");
        let columns = (0..100_000).map(|column| column.to_string()).collect::<Vec<_>>().join(",");
        assert!(message(records(columns.as_bytes())).contains("more than 65536 columns"));
        let many = format!("{}\n{}", "a".repeat(3000), "1\n".repeat(200_000));
        assert!(message(records(many.as_bytes())).contains("send fewer rows at once"));
        assert!(message(records(b"a,a\n1,2\n")).contains("\"a\" stands twice"));
        assert!(message(records(b" \r\n")).contains("is empty"));
        assert!(message(records(b"age;fare\n22;7,5\n")).contains("no commas but semicolons"));
        assert!(message(records(b"age\tfare\n22\t7.5\n")).contains("no commas but tabs"));
    }

    #[test]
    fn an_unclosed_quote_costs_its_row_alone() {
        let shown = |text: &str| -> Vec<String> {
            let rows = super::records(text.as_bytes(), MANY).unwrap();
            let shown = |row: &Result<Value>| row.as_ref().map_or_else(ToString::to_string, |row| row["a"].to_string());
            rows.iter().map(shown).collect()
        };
        let open = "the row cannot be read as CSV: a quote is opened and not closed";
        assert_eq!(shown("a\n1\n\"2\n3\n4\n"), ["\"1\"", open, "\"3\"", "\"4\""]);
        assert_eq!(shown("a\n\"1\"\n\"2\n\"3\"\n\"4\n5\"\n"), ["\"1\"", open, "\"3\"", "\"4\\n5\""]);
        assert_eq!(shown("a,b\r\n1,\"x\r\n2,\"y\"\r\n3,z"), [open, "\"2\"", "\"3\""]);
        assert_eq!(shown("a,b\n\"1\n2\",\"x\n3,y\n"), [open, "\"3\""]);
        assert_eq!(shown("a\n1\n\""), ["\"1\"", open]);
        assert!(message(records(b"a,\"b\n1,2\n")).contains("not closed"));
        let many = format!("a\n{}", "\"1\n".repeat(200_001));
        assert_eq!(super::records(many.as_bytes(), MANY).unwrap().len(), 200_001);
    }

    #[test]
    fn a_row_that_cannot_be_read_costs_no_other() {
        let rows = super::records(b"a,b\n1,2\n1\n3,4\n\xff,1\n\0,1\n5,6", MANY).unwrap();
        let shown: Vec<String> =
            rows.iter().map(|row| row.as_ref().map_or_else(ToString::to_string, Value::to_string)).collect();
        assert!(shown[1].contains("it has 1 fields, and the header 2"), "{shown:?}");
        assert!(shown[3].contains("not UTF-8") && shown[4].contains("NUL"), "{shown:?}");
        for (index, fields) in [(0, ["1", "2"]), (2, ["3", "4"]), (5, ["5", "6"])] {
            assert_eq!(*rows[index].as_ref().unwrap(), json!({"a": fields[0], "b": fields[1]}));
        }
        assert_eq!(super::records(b"a\n1\n2\n3\n4\n", 2).unwrap().len(), 3);
    }

    proptest! {
        #[test]
        fn rows_beside_an_unclosed_quote_stay_what_they_are(
            fields in prop::collection::vec("[ab]([ab,\"\n]{0,6}[ab])?", 0..6),
            place in 0usize..6,
        ) {
            let place = place.min(fields.len());
            let written = |fields: &[String]| {
                let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
                fields.iter().for_each(|field| writer.write_record([field]).unwrap());
                String::from_utf8(writer.into_inner().unwrap()).unwrap()
            };
            let text = format!("c\n{}\"open\n{}", written(&fields[..place]), written(&fields[place..]));
            let rows = super::records(text.as_bytes(), MANY).unwrap();
            let mut read: Vec<Option<&str>> = rows.iter().map(|row| row.as_ref().ok()?["c"].as_str()).collect();
            prop_assert_eq!(read.remove(place), None);
            prop_assert_eq!(read, fields.iter().map(|field| Some(field.as_str())).collect::<Vec<_>>());
        }

        #[test]
        fn the_rows_are_those_of_the_csv_crate(text in "[ab,\"\r\n é]{0,60}", columns in 1usize..4) {
            let header = (0..columns).map(|column| format!("c{column}")).collect::<Vec<_>>().join(",");
            let text = format!("{header}\n{text}");
            prop_assume!(is_closed(text.as_bytes()));
            let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
            let expected: Vec<Option<Vec<String>>> = reader
                .records()
                .map(|row| row.ok().filter(|row| row.len() == columns))
                .map(|row| row.map(|row| row.iter().map(str::to_string).collect()))
                .collect();
            let words = |row: &Value| row.as_object().unwrap().values().map(|v| v.as_str().unwrap().to_string()).collect();
            let rows = super::records(text.as_bytes(), MANY).unwrap();
            let rows: Vec<Option<Vec<String>>> = rows.iter().map(|row| row.as_ref().ok().map(words)).collect();
            prop_assert_eq!(rows, expected);
        }
    }
}
