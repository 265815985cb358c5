use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads JSON that can be read in one way only: no member twice, nested at most `depth` deep,
/// UTF-8 without a byte order mark, no number that a double can't hold, nothing after the end.
///
/// Whoever judges bytes that somebody else will read again must not read them more kindly: of two
/// members of one name, one parser takes the first and another the last. The error says what is
/// wrong and where, and nothing of the values.
pub fn parse_json(bytes: &[u8], depth: usize) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom("nested too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(bool.into())
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom("a member is there twice"));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_in_one_way_is_what_serde_json_reads() {
        for text in [
            r#"{"a":[1,-2,3.5,"x\u00e9\ud83d\ude00",null,true],"b":{"a":{}}}"#,
            "18446744073709551615",
            " [ ] ",
        ] {
            let plain: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(parse_json(text.as_bytes(), 4).expect("JSON"), plain);
        }
    }

    #[test]
    fn what_reads_in_two_ways_is_refused() {
        for text in [
            &br#"{"a":1,"a":1}"#[..],
            br#"{"a":1,"\u0061":1}"#,
            br#"[{"b":{"a":1,"c":0,"a":2}}]"#,
            b"[[[[[]]]]]",
            br#"{"a":{"a":{"a":{"a":{}}}}}"#,
            b"\xef\xbb\xbf{}",
            b"\xff\xfe{\0}\0",
            b"\"\xff\"",
            b"1e999",
            b"{} {}",
            b"{}x",
            b"",
            b"NaN",
            b"'a'",
            b"[1,]",
            br#""\ud800""#,
        ] {
            assert!(
                parse_json(text, 4).is_err(),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn the_error_says_nothing_of_the_values() {
        let error =
            parse_json(br#"{"secret":"hunter2","secret":"hunter2"}"#, 4).expect_err("twice");
        assert_eq!(
            error.to_string(),
            "a member is there twice at line 1 column 28"
        );
    }
}
