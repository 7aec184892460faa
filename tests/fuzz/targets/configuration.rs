//! What operators write: the configuration file, connection strings and URLs, password files.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use pglookout::config::{
    self, Config, Environment, FileContent, Keywords, Loaded, Placeholders, ReadFile, changes,
    parse, render,
};
use serde_json::json;

use super::{SECRET, hides_secret};

pub(super) fn configuration(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if text.contains(SECRET) {
        return;
    }
    let vars = [("PGPASSWORD".to_owned(), SECRET.to_owned())].into();
    let Some(config) = read_in_secret(
        &text,
        &Environment {
            vars,
            ..Environment::default()
        },
    ) else {
        return;
    };
    assert_eq!(
        config::state_file_path(&text).as_ref(),
        Ok(&config.state_file)
    );
    let written = render(&config, &mut Placeholders::default()).to_string();
    let again = parse(&written, &Environment::default())
        .expect("what we write is read")
        .config;
    let (before, after) = without_secrets(config, again);
    let [before, after] = [before, after].map(without_arguments);
    assert_eq!(before, after, "{written}");
}

/// Arguments of commands may be secrets, and are not written.
fn without_arguments(mut config: Config) -> Config {
    let following = config.follow.as_mut();
    let following = following.map(|follow| [&mut follow.start_command, &mut follow.stop_command]);
    let others = [
        &mut config.failover_command,
        &mut config.over_warning_limit_command,
        &mut config.event_command,
        &mut config.isolated_primary_command,
    ];
    let others = others.into_iter().flatten();
    let commands = others.chain(following.into_iter().flatten());
    commands.for_each(|command| command.argv.truncate(1));
    config
}

/// As a connection string; behind a password as one, as a URL and as a host.
pub(super) fn conninfo(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if text.contains(SECRET) {
        return;
    }
    if let Ok(keywords) = Keywords::parse(&text) {
        // Keywords that do not exist may look like anything; they are refused later.
        let can_be_written =
            |keyword: &str| !keyword.contains(|c: char| "=:".contains(c) || c.is_whitespace());
        let written = keywords.to_conninfo_string();
        if keywords.iter().all(|(keyword, _)| can_be_written(keyword)) {
            assert_eq!(
                Keywords::parse(&written).as_ref(),
                Ok(&keywords),
                "{written:?}"
            );
        }
    }
    for connection in [
        json!(format!("password={SECRET} {text}")),
        json!(format!("postgres://u:{SECRET}@{text}")),
        // The blank makes it no URL.
        json!(format!(" postgres://u:{SECRET}@{text}")),
        json!({"password": SECRET, "host": text}),
    ] {
        let file =
            json!({"remote_conns": {"n": connection}, "primary_conninfo_template": connection});
        read_in_secret(&file.to_string(), &Environment::default());
    }
}

/// As a whole password file, and as a password in one.
pub(super) fn passfile(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(password) = password_from(&text) {
        assert!(!password.is_empty());
    }
    if text.contains(['\n', '\r', '\0']) || text.is_empty() {
        return;
    }
    let escaped = text.replace('\\', "\\\\").replace(':', "\\:");
    assert_eq!(
        password_from(&format!("# *:*:*:*:x\nh:1:d\\:b:u\\\\x:{escaped}")).as_deref(),
        Some(&*text)
    );
}

/// As a whole connection service file, and as a value in one.
pub(super) fn service_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let secret = format!("[a]\npassword={SECRET}\n");
    for file in [
        text.clone().into_owned(),
        format!("{secret}{text}"),
        format!("{text}\n{secret}"),
    ] {
        if !text.contains(SECRET) {
            by_service_file(file);
        }
    }
    let value = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    if value.is_empty() || value.contains(['\n', '\r', '\0']) {
        return;
    }
    let config =
        by_service_file(format!("[b]\n[a]\nuser={value}\nuser=never\n")).expect("a service");
    assert_eq!(
        config.nodes.into_values().next().expect("the node").user,
        value
    );
}

/// The configuration of one node by the service `a` of a file with this text.
fn by_service_file(text: String) -> Option<Config> {
    SERVICE_FILE.set(text);
    let read_service_file = |_: &Path| FileContent::Text(SERVICE_FILE.with_borrow(String::clone));
    let file = json!({"remote_conns": {"n": {"service": "a", "servicefile": "f"}}});
    read_in_secret(
        &file.to_string(),
        &Environment {
            read_service_file: ReadFile::new(read_service_file),
            ..Environment::default()
        },
    )
}

thread_local! {
    /// What is read next; a path would stand in messages.
    static SERVICE_FILE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The password of one node, by a password file of this text.
fn password_from(text: &str) -> Option<String> {
    // The file's name is its text.
    let read_passfile = |path: &Path| FileContent::Text(path.to_string_lossy().into_owned());
    let node = json!({"host": "h", "port": 1, "dbname": "d:b", "user": "u\\x", "passfile": text});
    let file = json!({"remote_conns": {"n": node}}).to_string();
    let config = parse(
        &file,
        &Environment {
            read_passfile: ReadFile::new(read_passfile),
            ..Environment::default()
        },
    )
    .ok()?
    .config;
    let host = config.nodes.first_key_value()?.1.hosts.first()?;
    let password = host.password.as_ref();
    password.map(|password| password.reveal().to_owned())
}

/// Reads a configuration and looks for the secret in everything that is said of it.
fn read_in_secret(text: &str, environment: &Environment) -> Option<Config> {
    let problems = match parse(text, environment) {
        Err(findings) => [findings.errors, findings.warnings].concat(),
        Ok(Loaded { config, warnings }) => {
            let nothing = parse("{}", &Environment::default())
                .expect("an empty object is enough")
                .config;
            let masked: Vec<String> = config.nodes.values().map(|node| node.masked()).collect();
            hides_secret(&format!(
                "{config:?} {masked:?} {:?}",
                changes(&nothing, &config)
            ));
            hides_secret(&render(&config, &mut Placeholders::default()).to_string());
            problems_hide_secret(&warnings);
            return Some(config);
        }
    };
    problems_hide_secret(&problems);
    None
}

fn problems_hide_secret(problems: &[config::Problem]) {
    for problem in problems {
        hides_secret(&format!("{problem} {problem:?}"));
    }
}

/// Both without what is written as a placeholder.
fn without_secrets(mut before: Config, mut after: Config) -> (Config, Config) {
    for config in [&mut before, &mut after] {
        config
            .nodes
            .values_mut()
            .flat_map(|node| &mut Arc::make_mut(node).hosts)
            .for_each(|host| host.password = None);
    }
    if let (Some(before), Some(after)) = (&mut before.follow, &after.follow) {
        for (keyword, value) in after
            .primary_conninfo_template
            .iter()
            .filter(|(_, value)| value.starts_with("hidden-"))
        {
            before.primary_conninfo_template.set(keyword, value);
        }
    }
    (before, after)
}
