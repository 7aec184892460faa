//! What the original makes of connection info (`tests/vectors`), word for word, and where we follow
//! libpq instead.

use pglookout::config::{Environment, Keywords, parse};
use serde_json::{Value, json};

/// Read otherwise, on purpose (vendor-notes/differences.md, 4): what we make of it; `None`: a
/// mistake.
const READ_AS_LIBPQ_DOES: [(&str, Option<&str>); 18] = [
    ("host = localhost port = 5", Some("host=localhost port=5")),
    ("host= port=5", Some("host=port=5")),
    ("a=\u{a0}b c=d", Some("a='\u{a0}b' c=d")),
    (r"password=p\ w user=x", Some("password='p w' user=x")),
    ("postgres://user:@host/", Some("user=user host=host")),
    (
        "postgres://HOST.Example/DB",
        Some("host=HOST.Example dbname=DB"),
    ),
    ("postgres://h/db?a=&b=1", Some("host=h dbname=db a='' b=1")),
    (
        "postgres://us%40er:p%2Fw@h/d%20b",
        Some("user=us@er password=p/w host=h dbname='d b'"),
    ),
    ("postgres://h/db?a=b+c", Some("host=h dbname=db a=b+c")),
    // The resolver complains of ports.
    (
        "postgres://h:notaport/db",
        Some("host=h port=notaport dbname=db"),
    ),
    ("postgres://h:99999/db", Some("host=h port=99999 dbname=db")),
    ("postgres://h:0/db", Some("host=h port=0 dbname=db")),
    (
        "postgres://h1:1,h2:2/db",
        Some("host=h1,h2 port=1,2 dbname=db"),
    ),
    (
        "postgres://u:p@w@h/db",
        Some("user=u password=p host=w@h dbname=db"),
    ),
    ("postgres://h/db#frag", Some("host=h dbname=db#frag")),
    ("postgres://h/db?x=1;y=2", None),
    (
        "postgresql://u:p#w@h/db",
        Some("user=u password=p#w host=h dbname=db"),
    ),
    (
        "postgres://u:p?w@h/db",
        Some("user=u password=p?w host=h dbname=db"),
    ),
];

fn vectors(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn pairs(object: &Value) -> Keywords {
    let mut keywords = Keywords::default();
    for (keyword, value) in object.as_object().unwrap() {
        let keyword = if keyword == "database" {
            "dbname"
        } else {
            keyword
        };
        match value {
            Value::Null => {}
            Value::String(text) => keywords.set(keyword, text.as_str()),
            other => keywords.set(keyword, other.to_string()),
        }
    }
    keywords
}

#[test]
fn strings_are_read_and_masked_as_by_the_original() {
    let vectors = vectors(include_str!("../../vectors/misc_connection_info.json"));
    let (mut wrong, mut read) = (Vec::new(), 0);
    for vector in vectors.iter().filter(|vector| vector["in"].is_string()) {
        let text = vector["in"].as_str().unwrap();
        let found = Keywords::parse(text).ok();
        let shown = found.as_ref().map(Keywords::to_conninfo_string);
        let is_right = match READ_AS_LIBPQ_DOES.iter().find(|(known, _)| *known == text) {
            Some((_, expected)) => shown.as_deref() == *expected,
            None if vector["info"].is_null() => found.is_none(),
            None => found.as_ref().is_some_and(|found| {
                found.is_equivalent_to(&pairs(&vector["info"]))
                    && vector["masked"]
                        .as_str()
                        .is_none_or(|masked| same_text(masked, &found.masked()))
            }),
        };
        read += 1;
        if !is_right {
            wrong.push(format!("{text:?}: {shown:?}, expected {vector}"));
        }
    }
    assert!(
        wrong.is_empty() && read > 60,
        "{read} read\n{}",
        wrong.join("\n")
    );
}

/// The order within a URL is libpq's here.
fn same_text(one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut words: Vec<String> = text.split([' ', ';']).map(str::to_owned).collect();
        words.sort();
        words
    };
    sorted(one) == sorted(other)
}

#[test]
fn objects_become_the_strings_that_the_original_makes() {
    let vectors = vectors(include_str!(
        "../../vectors/misc_create_connection_string.json"
    ));
    let mut wrong = Vec::new();
    for vector in &vectors {
        let keywords = pairs(&vector["in"]);
        let text = keywords.to_conninfo_string();
        // A keyword with a blank in it, and a truth value, are mistakes here.
        let refused =
            !vector["error"].is_null() || text.contains(" =") || vector["in"]["password"] == true;
        let is_right = if refused {
            parse(
                &json!({"remote_conns": {"n": vector["in"]}}).to_string(),
                &Environment::default(),
            )
            .is_err()
        } else {
            let expected = Keywords::parse(vector["out"].as_str().unwrap()).unwrap();
            expected.is_equivalent_to(&keywords)
                && (keywords.iter().count() > 1 || vector["out"] == text)
        };
        if !is_right {
            wrong.push(format!("{text:?}, expected {vector}"));
        }
    }
    assert!(
        wrong.is_empty() && vectors.len() > 20,
        "{}",
        wrong.join("\n")
    );
}
