//! JSON text to a value, and which keys an object holds twice: JSON keeps the last one silently.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses `text` and returns the dotted paths of repeated keys beside the value. The error names
/// line and column.
pub(super) fn parse(text: &str) -> Result<(Value, Vec<String>), String> {
    parse_json(text).map_err(|reason| explained(text, reason))
}

/// What editors and people add to JSON, by name.
fn explained(text: &str, reason: String) -> String {
    if text.starts_with('\u{feff}') {
        return "it begins with a byte order mark (BOM): save it as UTF-8 without one".to_owned();
    }
    let (line, column) = place(&reason).unwrap_or_default();
    let at = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let from = at.get(column.saturating_sub(1)..).unwrap_or_default();
    let is_comment = |text: &str| COMMENTS.iter().any(|sign| text.starts_with(sign));
    if is_comment(at.trim_start()) || is_comment(from) {
        return format!("a comment on line {line}, which JSON does not have: remove it");
    }
    reason
}

/// Line and column of an error, both counted from 1.
fn place(reason: &str) -> Option<(usize, usize)> {
    let (_, place) = reason.rsplit_once(" at line ")?;
    let (line, column) = place.split_once(" column ")?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

/// How comments begin elsewhere.
const COMMENTS: [&str; 6] = ["#", "//", "/*", ";", "--", "<!--"];

fn parse_json(text: &str) -> Result<(Value, Vec<String>), String> {
    let mut repeated = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Node {
        path: "",
        repeated: &mut repeated,
    };
    let value = seed
        .deserialize(&mut deserializer)
        .map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok((value, repeated))
}

struct Node<'a> {
    path: &'a str,
    repeated: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Node {
            path: self.path,
            repeated: self.repeated,
        })? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = joined(self.path, &key);
            let value = entries.next_value_seed(Node {
                path: &path,
                repeated: self.repeated,
            })?;
            if object.insert(key, value).is_some() {
                self.repeated.push(path);
            }
        }
        Ok(Value::Object(object))
    }
}

/// The dotted path of `key` inside the object at `path`; the root's path is empty.
pub(super) fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, repeated: &[&str]) {
        let (value, found) = parse(text).unwrap();
        assert_eq!(
            value,
            serde_json::from_str::<Value>(text).unwrap(),
            "{text}"
        );
        assert_eq!(found, repeated, "{text}");
    }

    #[test]
    fn reads_as_serde_json_does_and_notices_repeated_keys() {
        check(r#"{"a": [1, -2, 3.5, null, true, "x\n"], "b": {}}"#, &[]);
        check(r#"{"a": 1, "b": 2, "a": 3}"#, &["a"]);
        check(
            r#"{"r": {"p": "x", "p": "y"}, "l": [{"k": 1, "k": 2}]}"#,
            &["r.p", "l.k"],
        );
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn reports_where_the_text_is_broken() {
        check_refused("{\n  \"a\": 1,\n}", "line 3 column 1");
        check_refused("{} x", "line 1 column 4");
        check_refused("\u{feff}{}", "begins with a byte order mark (BOM)");
        for (text, line) in [
            ("# all\n{}", 1),
            ("{\n  // one\n  \"a\": 1}", 2),
            ("{\"a\": 1,\n/* one */\"b\": 1}", 2),
            ("{\"a\": 1} // one", 1),
            ("{\"a\": 1, # one\n\"b\": 1}", 1),
            ("{\n\"a\": 1 // one\n}", 2),
        ] {
            check_refused(
                text,
                &format!("a comment on line {line}, which JSON does not have"),
            );
        }
        check_refused("", "line 1 column 0");
        check_refused("{\"a\": NaN}", "line 1 column 7");
        check_refused("{\"a\": 1e999}", "out of range");
        check_refused(&"[".repeat(100_000), "recursion limit");
    }
}
