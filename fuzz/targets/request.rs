//! A kind, a query up to the first NUL, and a body.

#![no_main]

use candle_explain_server::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((kind, rest)) = bytes.split_first() {
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
        let (query, body) = rest.split_at(end);
        fuzzing::request(*kind, &String::from_utf8_lossy(query), body.strip_prefix(&[0]).unwrap_or(body));
    }
});
