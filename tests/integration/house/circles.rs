//! Files of one room that import each other, directly or by way of others. A `mod.rs` that only
//! declares modules and passes names on is no file of such a circle: what it passes on counts as
//! imported from where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, names, paths};
use super::tree;

/// A path of modules below `src/`, without the crate.
type Module = Vec<String>;

/// The circles of a tree: the paths of the files in each, sorted.
pub(super) fn circles(files: &[Source]) -> Vec<Vec<String>> {
    let modules: BTreeMap<Module, &Source> =
        files.iter().map(|file| (module(file), file)).collect();
    let names = Names::new(&modules);
    let imports: BTreeMap<&Module, BTreeSet<Module>> = modules
        .iter()
        .map(|(module, file)| (module, names.imports(module, file)))
        .collect();
    let mut found = BTreeSet::new();
    for start in modules.keys() {
        let reached = reach(start, &imports);
        let returns = |other: &Module| reach(other, &imports).contains(start);
        let in_circle = modules
            .iter()
            .filter(|(other, _)| reached.contains(*other) && returns(other));
        let circle: BTreeSet<String> = in_circle.map(|(_, file)| file.path.clone()).collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().map(Vec::from_iter).collect()
}

fn module(file: &Source) -> Module {
    let below = file.path.strip_prefix("src/").unwrap_or(&file.path);
    let below = below.strip_suffix(".rs").unwrap_or(below);
    let below = below.strip_suffix("/mod").unwrap_or(below);
    below.split('/').map(str::to_owned).collect()
}

/// Every module that is imported from `start` on, step by step.
fn reach(start: &Module, imports: &BTreeMap<&Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start.clone()];
    while let Some(next) = open.pop() {
        for module in imports.get(&next).into_iter().flatten() {
            if reached.insert(module.clone()) {
                open.push(module.clone());
            }
        }
    }
    reached
}

/// Where names come from.
struct Names<'a> {
    modules: &'a BTreeMap<Module, &'a Source>,
    /// By module and name: the path of what it passes on.
    passed_on: BTreeMap<(Module, String), Module>,
}

impl<'a> Names<'a> {
    fn new(modules: &'a BTreeMap<Module, &'a Source>) -> Self {
        let mut passed_on = BTreeMap::new();
        for (module, file) in modules {
            for statement in re_exports(&file.production) {
                for path in paths_from(&statement, module, modules) {
                    if let Some(name) = path.last() {
                        passed_on.insert((module.clone(), name.clone()), path.clone());
                    }
                }
            }
        }
        Self { modules, passed_on }
    }

    /// The other modules of its room that `file` names.
    fn imports(&self, module: &Module, file: &Source) -> BTreeSet<Module> {
        let body = body(&file.production);
        let mut found: BTreeSet<Module> = paths_from(&body, module, self.modules)
            .iter()
            .filter_map(|path| self.home(path))
            .collect();
        // What a module passes on, and needs itself.
        let own = self.passed_on.iter().filter(|((by, _), _)| by == module);
        let used = own.filter(|((_, name), _)| is_used(name, &body));
        found.extend(used.filter_map(|(_, path)| self.home(path)));
        found.retain(|other| other != module && other[0] == module[0]);
        found
    }

    /// The module that defines what `path` leads to.
    fn home(&self, path: &[String]) -> Option<Module> {
        let depth = (1..=path.len())
            .rev()
            .find(|depth| self.modules.contains_key(&path[..*depth]))?;
        let (module, below) = path.split_at(depth);
        let name = below.first().cloned().unwrap_or_default();
        match self.passed_on.get(&(module.to_vec(), name)) {
            Some(path) => self.home(path),
            None => Some(module.to_vec()),
        }
    }
}

/// Does `code` hold the name, and not as that of a method or of a function of its own.
fn is_used(name: &str, code: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let is_whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        is_whole && !before.ends_with('.') && !before.ends_with("fn ")
    })
}

/// Every path in `code`, from the crate's root on.
fn paths_from(code: &str, module: &Module, modules: &BTreeMap<Module, &Source>) -> Vec<Module> {
    let mut found = Vec::new();
    for path in paths(code, "crate") {
        found.push(path[1..].to_vec());
    }
    for path in paths(code, "self") {
        found.push([module.as_slice(), &path[1..]].concat());
    }
    for path in paths(code, "super") {
        let steps = path.iter().take_while(|name| *name == "super").count();
        let above = &module[..module.len().saturating_sub(steps)];
        found.push([above, &path[steps..]].concat());
    }
    // Modules that are declared or imported here lead on by their own name.
    let imported = found
        .iter()
        .filter(|path| modules.contains_key(*path))
        .cloned();
    let below = modules
        .keys()
        .filter(|other| other.split_last().is_some_and(|(_, above)| above == module));
    for other in imported.chain(below.cloned()).collect::<BTreeSet<_>>() {
        let Some(name) = other.last() else { continue };
        for path in paths(code, name) {
            found.push([other.as_slice(), &path[1..]].concat());
        }
    }
    found
}

/// The code without what declares modules, passes names on, or says for whom an item is.
fn body(code: &str) -> String {
    let mut code = code.to_owned();
    for statement in re_exports(&code) {
        code = code.replace(&statement, "");
    }
    let is_declaration = |line: &&str| names(line).any(|name| name == "mod") && line.ends_with(';');
    let lines = code.lines().filter(|line| !is_declaration(line));
    lines
        .map(|line| match line.split_once("pub(in ") {
            Some((before, after)) => {
                before.to_owned() + after.split_once(')').map_or("", |(_, item)| item)
            }
            None => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// The statements that pass names on.
fn re_exports(code: &str) -> Vec<String> {
    let begins = |line: &str| line.starts_with("pub") && names(line).any(|name| name == "use");
    let mut found = Vec::new();
    let mut rest = code;
    while !rest.is_empty() {
        let line = rest.lines().next().unwrap_or_default();
        let end = if begins(line) { rest.find(';') } else { None };
        if let Some(end) = end {
            found.push(rest[..=end].to_owned());
        }
        let next = end.unwrap_or(0);
        rest = rest[next..].split_once('\n').map_or("", |(_, rest)| rest);
    }
    found
}

/// The rule: there is none.
#[test]
fn files_of_a_room_do_not_import_each_other_in_circles() {
    assert_eq!(circles(&tree()), Vec::<Vec<String>>::new());
}

#[test]
fn a_circle_is_found_however_it_is_closed() {
    let check = |files: &[(&str, &str)], expected: &[&[&str]]| {
        let files: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::new(path, text))
            .collect();
        assert_eq!(circles(&files), expected);
    };
    let both: &[&[&str]] = &[&["src/pg/a.rs", "src/pg/b.rs"]];
    // By a module's name, by the crate's, by way of what `mod.rs` passes on.
    for (text, passed_on) in [
        ("use super::a::A;", ""),
        ("use super::{a, c};\nfn f() { a::f() }", ""),
        ("fn f() { crate::pg::a::f() }", ""),
        (
            "use super::A;",
            "mod a;\nmod b;\npub use a::{\n    A, C,\n};",
        ),
        ("use crate::pg::A;", "pub(crate) use a::A;"),
    ] {
        let a = "use super::b::B;\npub struct A(B);";
        let files = [
            ("src/pg/a.rs", a),
            ("src/pg/b.rs", text),
            ("src/pg/mod.rs", passed_on),
        ];
        check(&files, both);
    }
    check(
        &[
            ("src/pg/mod.rs", "mod a;\npub use a::A;\npub struct Own(A);"),
            ("src/pg/a.rs", "pub struct A;\nfn f(own: super::Own) {}"),
        ],
        &[&["src/pg/a.rs", "src/pg/mod.rs"]],
    );
    check(
        &[
            ("src/pg/a.rs", "use super::b::B;"),
            ("src/pg/b.rs", "use super::c::C;"),
            ("src/pg/c.rs", "use super::a::A;"),
        ],
        &[&["src/pg/a.rs", "src/pg/b.rs", "src/pg/c.rs"]],
    );
    // No circle: a chain, tests, comments, visibility, names passed on and not used.
    check(
        &[
            (
                "src/pg/mod.rs",
                "mod a;\nmod b;\npub use a::A;\npub use b::B;\nfn A() { self.B() }",
            ),
            (
                "src/pg/a.rs",
                "use super::b::B; // super::c\npub(in crate::pg) struct A;",
            ),
            (
                "src/pg/b.rs",
                "pub struct B;\n#[cfg(test)]\nmod tests {\n    use super::super::a::A;\n}",
            ),
        ],
        &[],
    );
}
