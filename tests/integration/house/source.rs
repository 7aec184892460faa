//! A Rust file as the rules read it: code, comments and literals apart, and without its unit tests.
//! No parser: a scanner that knows where comments and literals begin and end.

/// One file below `src/`.
pub(super) struct Source {
    /// From the root of the crate: `src/http/date.rs`.
    pub(super) path: String,
    /// As written.
    pub(super) text: String,
    /// Every literal emptied, every comment gone; unit tests included.
    pub(super) code: String,
    /// The same without what `#[cfg(test)]` stands before.
    pub(super) production: String,
    /// Comments and the content of literals of the production code, a line each.
    pub(super) words: String,
    /// The literals of the production code as written, quotes included.
    pub(super) literals: Vec<String>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let production = without_tests(text);
        let (production, words, literals) = scan(&production);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: scan(text).0,
            production,
            words,
            literals,
        }
    }

    /// The first folder below `src/`, or the file's own name there.
    pub(super) fn room(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = below.split('/').next().unwrap_or(below);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many modules deep its code is: 1 in `mod.rs` of a room.
    pub(super) fn depth(&self) -> usize {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let below = below.strip_suffix("/mod.rs").unwrap_or(below);
        below.split('/').count()
    }

    /// The files, or their folders, that are compiled for tests alone: `#[cfg(test)] mod NAME;`.
    pub(super) fn test_modules(&self) -> Vec<String> {
        let folder = match self
            .path
            .strip_suffix("mod.rs")
            .or(self.path.strip_suffix("lib.rs"))
        {
            Some(folder) => folder.to_owned(),
            None => self.path.trim_end_matches(".rs").to_owned() + "/",
        };
        let behind_attribute = self.code.split("#[cfg(test)]").skip(1).map(str::trim_start);
        let named = behind_attribute.filter_map(|code| code.strip_prefix("mod ")?.split_once(';'));
        named
            .filter(|(name, _)| is_identifier(name))
            .map(|(name, _)| format!("{folder}{name}"))
            .collect()
    }
}

/// Code with empty literals, the comments and contents of literals, and the literals alone.
fn scan(text: &str) -> (String, String, Vec<String>) {
    let (mut code, mut words, mut rest) = (String::new(), String::new(), text);
    let mut literals = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (length, kind) = piece(rest, code.chars().next_back());
        let (found, after) = rest.split_at(length.max(first.len_utf8()));
        match kind {
            Piece::Code => code.push_str(found),
            Piece::Comment => words.push_str(found),
            Piece::Literal => {
                code.push_str("\"\"");
                words.push_str(found);
                literals.push(found.to_owned());
            }
        }
        if kind != Piece::Code {
            code.extend(found.chars().filter(|c| *c == '\n'));
            words.push('\n');
        }
        rest = after;
    }
    (code, words, literals)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Code,
    Comment,
    Literal,
}

/// The length in bytes and the kind of what `rest` begins with; `before` tells an `r"` from the end
/// of a name.
fn piece(rest: &str, before: Option<char>) -> (usize, Piece) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Piece::Comment);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Piece::Comment);
    }
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let raw = rest
        .strip_prefix('b')
        .unwrap_or(rest)
        .strip_prefix('r')
        .filter(|_| !in_name);
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = &raw[hashes + 1..];
            let length = body.find(&end).map_or(body.len(), |at| at + end.len());
            return (rest.len() - body.len() + length, Piece::Literal);
        }
    }
    match rest.as_bytes() {
        [b'"', ..] => (quoted(rest, '"'), Piece::Literal),
        [b'\'', b'\\', ..] => (quoted(rest, '\''), Piece::Literal),
        // A quote that closes after one character; otherwise it is a lifetime.
        [b'\'', ..] if rest.chars().nth(2) == Some('\'') => (quoted(rest, '\''), Piece::Literal),
        _ => (0, Piece::Code),
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

fn block_comment(rest: &str) -> usize {
    let mut open = 0;
    for at in (0..rest.len()).filter(|at| rest.is_char_boundary(*at)) {
        if rest[at..].starts_with("/*") {
            open += 1;
        } else if rest[at..].starts_with("*/") {
            open -= 1;
            if open == 0 {
                return at + 2;
            }
        }
    }
    rest.len()
}

/// The text up to its first `#[cfg(test)] mod NAME {`: unit tests stand last in every file.
fn without_tests(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let opens_tests = |pair: &[&str]| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    };
    let end = lines
        .windows(2)
        .position(opens_tests)
        .unwrap_or(lines.len());
    lines[..end].join("\n")
}

/// Every path in `code` that begins with the name `root`, groups in braces taken apart: `a::{b,
/// c::d}` is `a::b` and `a::c::d`.
pub(super) fn paths(code: &str, root: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        let before = code[..at].trim_end();
        let continues = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            || before.ends_with("::");
        let after = code[at + root.len()..].trim_start();
        if let Some(after) = after.strip_prefix("::").filter(|_| !continues) {
            tree(after, &[root.to_owned()], &mut found);
        }
    }
    found
}

/// Reads one path or group and returns what follows it.
fn tree<'a>(code: &'a str, above: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let code = code.trim_start();
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            match rest.strip_prefix('}') {
                Some(after) => return after,
                None if rest.is_empty() => return rest,
                None => {
                    let after = tree(rest, above, found).trim_start();
                    let alias = after.strip_prefix("as ").map(str::trim_start);
                    let after = alias.map_or(after, |alias| alias.trim_start_matches(is_name_part));
                    rest = if after.len() < rest.len() { after } else { "" };
                }
            }
        }
    }
    let name_end = code.find(|c: char| !is_name_part(c)).unwrap_or(code.len());
    let end = if code.starts_with('*') { 1 } else { name_end };
    let (name, after) = code.split_at(end);
    let path = [above, &[name.to_owned()]].concat();
    match after.trim_start().strip_prefix("::") {
        Some(deeper) => tree(deeper, &path, found),
        None => {
            found.push(path);
            after
        }
    }
}

/// The names in `text`, code or not.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_name_part(c))
        .filter(|name| !name.is_empty())
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_name_part)
}
