//! The log lines that README.md quotes are the program's own: each is made of the string literals
//! of the production code, with names, numbers and `...` for what others write in their gaps.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::tree;

/// A string literal of the source: its fixed parts, with one gap between each two.
type Sentence = Vec<String>;

/// The lines in the fenced `text` blocks of README.md, one log message each.
fn quoted_lines() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let manual = fs::read_to_string(path).unwrap();
    let mut lines = Vec::new();
    let mut inside = false;
    for line in manual.lines().map(str::trim) {
        match line {
            "```text" => inside = true,
            "```" => inside = false,
            line if inside => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

fn sentences() -> Vec<Sentence> {
    let literals = tree().into_iter().flat_map(|file| file.literals);
    literals
        .filter_map(|literal| sentence(literal.strip_prefix('"')?.strip_suffix('"')?))
        .collect()
}

/// `None` for a single word, and for a format that fixes no letter: these would cover anything.
fn sentence(literal: &str) -> Option<Sentence> {
    let mut lines = literal.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let text = lines.fold(first, |text, line| text + line.trim_start());
    let (mut parts, mut rest) = (vec![String::new()], text.as_str());
    while let Some((before, after)) = rest.split_once('{') {
        let (_, after) = after.split_once('}')?;
        parts.last_mut()?.push_str(before);
        if parts.len() == 1 || !before.is_empty() {
            parts.push(String::new());
        }
        rest = after;
    }
    parts.last_mut()?.push_str(rest);
    let has_letters = parts.iter().any(|part| part.contains(char::is_alphabetic));
    let begins_fixed = parts[0].starts_with([',', ';', ' ']);
    let is_phrase = parts.len() > 1 || parts[0].contains(' ');
    (is_phrase && (has_letters || begins_fixed)).then_some(parts)
}

/// Is the line made of sentences and values alone.
fn is_ours(line: &str, sentences: &[Sentence]) -> bool {
    let near: Vec<&Sentence> = sentences
        .iter()
        .filter(|parts| parts.iter().all(|part| line.contains(part.as_str())))
        .collect();
    covers(line, &near, &mut HashMap::new())
}

fn covers(text: &str, near: &[&Sentence], known: &mut HashMap<String, bool>) -> bool {
    if is_value(text) {
        return true;
    }
    if let Some(known) = known.get(text) {
        return *known;
    }
    known.insert(text.to_owned(), false);
    let found = near.iter().any(|parts| {
        let begun = text.strip_prefix(parts[0].as_str());
        begun.is_some_and(|rest| fits(&parts[1..], rest, near, known))
    });
    known.insert(text.to_owned(), found);
    found
}

/// Before each of `parts` there is a gap; what follows the last is another sentence.
fn fits(
    parts: &[String],
    text: &str,
    near: &[&Sentence],
    known: &mut HashMap<String, bool>,
) -> bool {
    let Some((next, later)) = parts.split_first() else {
        return text.is_empty() || covers(text, near, known);
    };
    let ends = (1..=text.len()).filter(|end| text.is_char_boundary(*end));
    ends.filter_map(|end| Some((&text[..end], text[end..].strip_prefix(next.as_str())?)))
        .any(|(gap, rest)| covers(gap, near, known) && fits(later, rest, near, known))
}

/// Names of the examples, numbers, positions, paths, keys, and `...`.
fn is_value(text: &str) -> bool {
    let is_number = |word: &str| word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_position = |word: &str| {
        let halves = word.split_once('/');
        halves.is_some_and(|halves| [halves.0, halves.1].map(is_number) == [true; 2])
    };
    let is_key = |word: &str| word.contains('_') && !word.contains(' ');
    text.split(", ").all(|word| {
        ["p", "s1", "s2", "o", "..."].contains(&word)
            || is_number(word.strip_suffix(" s").unwrap_or(word))
            || is_position(word)
            || word.starts_with('/')
            || is_key(word)
    })
}

#[test]
fn the_manual_quotes_the_log_as_it_is() {
    let (lines, sentences) = (quoted_lines(), sentences());
    assert!(lines.len() > 25, "{lines:?}");
    for line in &lines {
        assert!(is_ours(line, &sentences), "not what is logged: {line}");
        // One other word, and it is not.
        let words: Vec<&str> = line.split(' ').collect();
        for (at, word) in words.iter().enumerate() {
            let core = word.trim_matches([',', ';', ':', '(', ')']);
            if core.len() > 1 && !is_value(core) {
                let other = word.replace(core, "xyzzy");
                let other = [&words[..at], &[&other], &words[at + 1..]]
                    .concat()
                    .join(" ");
                assert!(!is_ours(&other, &sentences), "taken for ours: {other}");
            }
        }
    }
}
