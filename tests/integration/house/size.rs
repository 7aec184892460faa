//! How large the production code is, as rustfmt's defaults lay it out: lines, files, functions,
//! what is `pub`.

use super::source::{Source, names};

/// A function of production code.
pub(super) struct Function {
    pub(super) path: String,
    pub(super) name: String,
    /// From the line of its `fn` to that of its closing brace.
    pub(super) lines: usize,
}

/// The functions of a file, nested ones included. Those without a body, and those that are compiled
/// for tests alone, are left out.
pub(super) fn functions(file: &Source) -> Vec<Function> {
    let code = file.production.as_str();
    let is_fn = |at: &usize| {
        let is_word = !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        is_word && code[at + 2..].starts_with(' ')
    };
    let starts = code
        .match_indices("fn")
        .map(|(at, _)| at)
        .filter(is_fn)
        .filter(|at| !is_for_tests(&code[..*at]));
    let function = |at: usize| {
        let rest = &code[at..];
        Some(Function {
            path: file.path.clone(),
            name: names(rest).nth(1)?.to_owned(),
            lines: rest[..body_end(rest)?].lines().count(),
        })
    };
    starts.filter_map(function).collect()
}

/// Do the attributes that end here say so.
fn is_for_tests(before: &str) -> bool {
    let lines = before.lines().rev().skip(1);
    lines
        .map(str::trim)
        .take_while(|line| line.is_empty() || line.starts_with("#["))
        .any(|line| line == "#[cfg(test)]")
}

/// Behind the closing brace of the item that `code` begins with; nothing if a semicolon ends it.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0, 0);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Lines of production code that make an item, a method or a re-export public.
pub(super) fn public_items(file: &Source) -> usize {
    let is_item = |line: &&str| {
        let kind = line.trim_start().strip_prefix("pub ");
        kind.and_then(|kind| names(kind).next())
            .is_some_and(|kind| KINDS.contains(&kind))
    };
    file.production.lines().filter(is_item).count()
}

/// Lines of production code, comments and empty ones included.
pub(super) fn lines(file: &Source) -> usize {
    file.production.lines().count()
}

/// The value below which so many percent of all lie.
pub(super) fn percentile(sorted: &[usize], percent: usize) -> usize {
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(at).copied().unwrap_or_default()
}

const KINDS: [&str; 11] = [
    "fn", "struct", "enum", "const", "type", "trait", "mod", "use", "static", "unsafe", "union",
];
