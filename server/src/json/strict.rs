//! JSON without duplicate names and of bounded size in memory.

use std::cell::Cell;
use std::fmt;

use candle_explain::{Result, error};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::flaws;

/// Reads JSON and refuses duplicate names in an object: of two values for one feature, neither can
/// be trusted. A value that JSON does not know becomes one of `flaws`. `what` names the text in errors.
pub(crate) fn parse(bytes: &[u8], what: &str) -> Result<Value> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let told = |error| flaws::told(bytes).and_then(|told| read(&told).ok()).ok_or(error);
    read(bytes).or_else(told).map_err(|e| match std::str::from_utf8(bytes).ok().and_then(flaws::half_of_a_pair) {
        Some(half) => error!(Input, "{what} cannot be read as JSON: {e} ({half} is one half of a surrogate pair)"),
        None => error!(Input, "{what} cannot be read as JSON: {e}"),
    })
}

fn read(bytes: &[u8]) -> serde_json::Result<Value> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let count = Cell::new(0);
    let value = Strict(&count).deserialize(&mut json)?;
    json.end().map(|()| value)
}

/// The most bytes that the values of one body may take in memory: two bytes of a body can become about a hundred.
const MOST_BYTES: usize = 64 << 20;
/// The bytes of a value in a list that may have reserved twice the room.
const BYTES_OF_A_VALUE: usize = 2 * size_of::<Value>();
/// An object with room for its first few names.
const BYTES_OF_AN_OBJECT: usize = 640;

/// Reads one value; holds the bytes counted so far.
struct Strict<'a>(&'a Cell<usize>);

impl Strict<'_> {
    fn weigh<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        self.0.set(self.0.get() + bytes);
        if self.0.get() > MOST_BYTES {
            return Err(E::custom("it holds too many values: send fewer rows at once"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.weigh(BYTES_OF_A_VALUE)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom(format!("{value} is no finite number")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict(self.0))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.weigh(BYTES_OF_AN_OBJECT)?;
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("\"{}\" stands twice in one object", name.escape_debug())));
            }
            map.insert(name, entries.next_value_seed(Strict(self.0))?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "the body";

    #[test]
    fn reads_what_serde_json_reads() {
        let text = r#" {"a": [1, -2, 2.5, true, null, "x\u00e9"], "b": {"a": {}}} "#;
        assert_eq!(parse(text.as_bytes(), BODY).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(parse(b"\xef\xbb\xbf[]", BODY).unwrap(), Value::Array(Vec::new()));
    }

    #[test]
    fn refuses_what_could_mean_two_things() {
        let message = |text: &str| parse(text.as_bytes(), BODY).unwrap_err().to_string();
        assert!(message(r#"{"age": 1, "age": 2}"#).contains("\"age\" stands twice"));
        assert!(message("[nan]").starts_with("the body cannot be read as JSON"));
        assert!(message(&"[".repeat(100_000)).contains("recursion limit"));
        assert!(message("{} {}").contains("trailing"));
    }

    #[test]
    fn values_that_json_does_not_know_are_told() {
        for (text, told) in [
            ("NaN", "NaN, which JSON does not know"),
            ("-Infinity", "-Infinity, which JSON does not know"),
            ("-1e999", "-1e999, which is more than a number of 64 bits can be"),
            (r#""a\ud800""#, r"a text with \ud800, one half of a surrogate pair"),
            (r#""\\\"\udc00\ud83d""#, r"a text with \udc00, one half of a surrogate pair"),
        ] {
            let value = parse(format!("[1, {{\"a\": {text}}}, \"NaN\"]").as_bytes(), BODY).unwrap();
            assert_eq!(flaws::of(&value[1]["a"]), Some(told), "{text}");
            assert_eq!((flaws::within(&value), &value[2]), (Some(told), &Value::from("NaN")));
        }
        let sound = parse(r#"[{"a": "\ud83d\ude00 \\ud800"}, 1e300]"#.as_bytes(), BODY).unwrap();
        assert_eq!(flaws::within(&sound), None);
        assert!(parse(br#"{"\ud800": 1}"#, BODY).unwrap_err().to_string().contains("\\ud800"));
        // Work that grew with the square of the spaces would take hours.
        let spaces = " ".repeat(4_000_000);
        assert!(parse(format!("[NaN,{spaces}x]").as_bytes(), BODY).is_err());
        let many = format!("[{}NaN]", "NaN,".repeat(10_000));
        assert!(parse(many.as_bytes(), BODY).is_err());
    }

    #[test]
    fn refuses_what_would_take_too_much_memory() {
        let list = |item: &str, count: usize| format!("[{}{item}]", format!("{item},").repeat(count - 1));
        assert!(parse(list("0", 300_000).as_bytes(), BODY).is_ok());
        for (item, count) in [("0", 1_000_000), ("[]", 1_000_000), ("{}", 200_000), (r#"{"a":0}"#, 200_000)] {
            let error = parse(list(item, count).as_bytes(), BODY).unwrap_err().to_string();
            assert!(error.contains("too many values"), "{item}: {error}");
        }
    }
}
