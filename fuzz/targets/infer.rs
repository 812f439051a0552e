#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| candle_explain::serve::fuzzing::infer(bytes));
