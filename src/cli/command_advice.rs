//! What is worth a warning in a command: words that only a shell understands, a program that cannot be
//! started, and why. Arguments are never shown, as they may hold passwords.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::CommandLine;
use crate::sys::files::{is_executable, open};

/// Each warning says what to do. `search_path`: where programs without a slash in their name are looked
/// for.
pub(super) fn of(command: &CommandLine, search_path: &[PathBuf]) -> Vec<String> {
    let Some((program, arguments)) = command.argv.split_first() else {
        return Vec::new();
    };
    if let Some(variable) = assigned(program) {
        return vec![format!(
            "its first word sets the variable {variable}, which only a shell does: write \"env {variable}=... PROGRAM\""
        )];
    }
    let signs = if is_shell(program) {
        Vec::new()
    } else {
        shell_signs(&command.argv)
    };
    let shell = (!signs.is_empty()).then(|| {
        format!(
            "no shell reads it, so {} would reach the program as {}: put the command into a script, or write \
             [\"/bin/sh\", \"-c\", \"...\"]",
            signs.join(" "),
            if signs.len() > 1 { "they are" } else { "it is" }
        )
    });
    let program = program_fault(program, arguments, search_path);
    shell.into_iter().chain(program).collect()
}

/// The variable that a first word like `NAME=value` would set in a shell.
fn assigned(word: &str) -> Option<&str> {
    let (name, _) = word.split_once('=')?;
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_name = name.bytes().next().is_some_and(is_letter)
        && name
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit());
    is_name.then_some(name)
}

fn is_shell(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    [
        "sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox", "ssh",
    ]
    .contains(&name)
}

/// What a shell would act on, each sign once. A word with blanks in it was quoted: it is meant for
/// another program, as is what follows `-c`.
fn shell_signs(argv: &[String]) -> Vec<&'static str> {
    let before = std::iter::once("").chain(argv.iter().map(String::as_str));
    let words = argv.iter().map(String::as_str).zip(before);
    let words =
        words.filter(|(word, before)| *before != "-c" && !word.contains(char::is_whitespace));
    let words: Vec<&str> = words.map(|(word, _)| word).collect();
    let has = |is_one: fn(&str) -> bool| words.iter().any(|word| is_one(word));
    let operators = OPERATORS.iter().copied();
    let mut signs: Vec<_> = operators.filter(|sign| words.contains(sign)).collect();
    signs.extend(has(|word| word.len() > 1 && word.ends_with(';')).then_some(";"));
    signs.extend(has(is_redirection).then_some("> or <"));
    signs.extend(has(|word| word.contains('`') || has_variable(word)).then_some("$ or `"));
    signs.extend(has(|word| word == "~" || word.starts_with("~/")).then_some("~"));
    signs.extend(has(|word| word.contains('*') && word.contains('/')).then_some("*"));
    signs
}

fn is_redirection(word: &str) -> bool {
    let rest = word.trim_start_matches(|sign: char| sign.is_ascii_digit() || sign == '&');
    rest.starts_with(['>', '<'])
}

fn has_variable(word: &str) -> bool {
    let mut after = word.split('$').skip(1);
    after.any(|rest| {
        rest.starts_with(|next: char| next.is_ascii_alphabetic() || "_({".contains(next))
    })
}

fn program_fault(program: &str, arguments: &[String], search_path: &[PathBuf]) -> Option<String> {
    // As when it is started: only a name without a slash is searched for.
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        in_path(program, search_path)
    };
    if let Some(found) = candidates.iter().find(|path| is_executable(path)) {
        let read_by_shell = is_shell(program).then(|| script_of(arguments)).flatten();
        let head = head_of(read_by_shell.as_ref().unwrap_or(found))?;
        let fault = match &read_by_shell {
            Some(_) => text_fault(&head),
            None => text_fault(&head).or_else(|| interpreter_fault(&head, search_path)),
        };
        let script = read_by_shell.unwrap_or_else(|| found.clone());
        return fault.map(|fault| format!("the script {:?} {fault}", script.to_string_lossy()));
    }
    let fault = match candidates.iter().find(|path| path.exists()) {
        Some(path) if path.is_dir() => "is a directory: name the program in it",
        Some(_) => {
            "is not a program that this account may execute: chmod +x, or run it by its interpreter"
        }
        None if program.contains('/') => "does not exist: correct the path or install it",
        None => "does not exist in any directory of PATH: write its whole path",
    };
    Some(format!("the program {program:?} {fault}"))
}

fn in_path(program: &str, search_path: &[PathBuf]) -> Vec<PathBuf> {
    let folders = search_path.iter();
    folders.map(|folder| folder.join(program)).collect()
}

/// What a shell is to read: its first argument that is no option and, after `-c`, no text.
fn script_of(arguments: &[String]) -> Option<PathBuf> {
    let first = arguments.first().filter(|first| !first.starts_with('-'))?;
    Some(PathBuf::from(first)).filter(|path| path.is_file())
}

/// The first lines of a script; `None`: it cannot be read, or is none.
fn head_of(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    let file: File = open(path).ok()?;
    file.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    (!head.contains(&0)).then(|| String::from_utf8_lossy(&head).into_owned())
}

fn text_fault(head: &str) -> Option<String> {
    let fault = if head.starts_with('\u{feff}') {
        "begins with a byte order mark (BOM): save it without one"
    } else if head.contains("\r\n") {
        "has line ends of Windows (CRLF), which shells do not understand: convert it with dos2unix"
    } else {
        return None;
    };
    Some(fault.to_owned())
}

fn interpreter_fault(head: &str, search_path: &[PathBuf]) -> Option<String> {
    let Some(line) = head.strip_prefix("#!").and_then(|rest| rest.lines().next()) else {
        return Some("does not begin with #!: write #!/bin/sh into its first line".to_owned());
    };
    let mut words = line.split_whitespace();
    let interpreter = words.next()?;
    if !is_executable(Path::new(interpreter)) {
        return Some(format!(
            "needs {interpreter:?}, which cannot be executed: install it or correct its first line"
        ));
    }
    let name = words
        .next()
        .filter(|name| interpreter.ends_with("/env") && !name.starts_with('-'))?;
    let is_found = name.contains('=')
        || in_path(name, search_path)
            .iter()
            .any(|path| is_executable(path));
    (!is_found).then(|| {
        format!(
            "needs {name:?}, which is in no directory of PATH: install it or correct its first line"
        )
    })
}

const OPERATORS: [&str; 6] = ["&&", "||", "|", ";", "&", "|&"];
/// Enough for the first lines of a script.
const HEAD_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[track_caller]
    fn check(argv: &[&str], search_path: &[PathBuf], expected: &[&str]) {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(of(&CommandLine { argv }, search_path), expected);
    }

    #[track_caller]
    fn check_signs(text: &str, expected: &[&str]) {
        let argv = shlex::split(text).unwrap();
        assert_eq!(shell_signs(&argv), expected, "{text}");
    }

    #[test]
    fn what_only_a_shell_understands_is_named() {
        check_signs("pg_ctl promote -D /data", &[]);
        check_signs("a && b", &["&&"]);
        check_signs("a || b | c; d &", &["||", "|", "&", ";"]);
        check_signs("a ; b", &[";"]);
        check_signs("a > /var/log/x", &["> or <"]);
        check_signs("a >>x", &["> or <"]);
        check_signs("a 2>&1", &["> or <"]);
        check_signs("a &>x", &["> or <"]);
        check_signs("a < /dev/null", &["> or <"]);
        check_signs("$HOME/bin/a", &["$ or `"]);
        check_signs("a ${X} $(date) `date`", &["$ or `"]);
        check_signs("~/bin/a", &["~"]);
        check_signs("a /data/*", &["*"]);
        check_signs("a --x=b>c --y=$ 5$ a~b & ", &["&"]);
        check_signs("su postgres -c 'a && b > $HOME'", &[]);
        check_signs("su postgres -c $X", &[]);
    }

    #[test]
    fn arguments_are_not_shown() {
        let advice = "no shell reads it, so > or < $ or ` would reach the program as they are: put the command into a \
                      script, or write [\"/bin/sh\", \"-c\", \"...\"]";
        check(&["/bin/ls", "xyzzy$X", ">xyzzy"], &[], &[advice]);
        let advice = "its first word sets the variable PGPASSWORD, which only a shell does: write \"env PGPASSWORD=... \
                      PROGRAM\"";
        check(&["PGPASSWORD=xyzzy", "promote"], &[], &[advice]);
        check(&["/bin/sh", "-c", "PGPASSWORD=x a && b"], &[], &[]);
    }

    #[test]
    fn a_program_that_cannot_be_started_is_named_with_its_reason() {
        let scratch = Scratch::new("command-advice");
        let text = scratch.file(b"text", 0o600);
        let (text, folder) = (text.to_str().unwrap(), scratch.0.to_str().unwrap());
        let path = [scratch.0.clone()];
        check(
            &["/none/x"],
            &path,
            &["the program \"/none/x\" does not exist: correct the path or install it"],
        );
        check(
            &["none"],
            &path,
            &["the program \"none\" does not exist in any directory of PATH: write its whole path"],
        );
        check(
            &[folder],
            &path,
            &[&format!(
                "the program {folder:?} is a directory: name the program in it"
            )],
        );
        check(
            &[text],
            &path,
            &[&format!(
                "the program {text:?} is not a program that this account may execute: chmod +x, or run it by its interpreter"
            )],
        );
    }

    #[test]
    fn a_script_that_cannot_be_started_is_named_with_its_reason() {
        let scratch = Scratch::new("script-advice");
        let path = [PathBuf::from("/bin")];
        for (script, fault) in [
            ("#!/bin/sh\necho\n", ""),
            ("#!/usr/bin/env sh\n", ""),
            ("\u{7f}ELF\0", ""),
            (
                "#!/bin/sh\r\necho\r\n",
                "has line ends of Windows (CRLF), which shells do not understand: convert it with dos2unix",
            ),
            (
                "#!/bin/sh\necho\r\n",
                "has line ends of Windows (CRLF), which shells do not understand: convert it with dos2unix",
            ),
            (
                "\u{feff}#!/bin/sh\n",
                "begins with a byte order mark (BOM): save it without one",
            ),
            (
                "echo\n",
                "does not begin with #!: write #!/bin/sh into its first line",
            ),
            (
                "",
                "does not begin with #!: write #!/bin/sh into its first line",
            ),
            (
                "#!/none/sh\n",
                "needs \"/none/sh\", which cannot be executed: install it or correct its first line",
            ),
            (
                "#!/usr/bin/env python0\n",
                "needs \"python0\", which is in no directory of PATH: install it or correct its first line",
            ),
        ] {
            let program = scratch.file(script.as_bytes(), 0o700);
            let program = program.to_str().unwrap();
            let expected = format!("the script {program:?} {fault}");
            let expected: Vec<&str> = (!fault.is_empty())
                .then_some(&*expected)
                .into_iter()
                .collect();
            check(&[program], &path, &expected);
            let is_text = !fault.contains("Windows") && !fault.contains("BOM");
            let of_text = if is_text { &[][..] } else { &expected };
            check(&["/bin/sh", program], &path, of_text);
        }
    }
}
