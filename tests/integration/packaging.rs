//! What the packages hold agrees with the program: man pages, completions, examples; and how it
//! is linked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use crate::harness::postgres::which;
use crate::harness::run_dir::{TestDir, run};
use crate::harness::{SOON, or_skip, wait_until};
use crate::house::quoted;

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(path)
}

fn man_page(name: &str) -> String {
    run(Command::new(packaging("man/render")).arg(packaging("man").join(name))).unwrap()
}

/// The options and subcommands of `--help`.
fn options_of_the_command_line() -> BTreeSet<String> {
    let help = run(Command::new(env!("CARGO_BIN_EXE_pglookout")).arg("--help")).unwrap();
    let options = help
        .split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
        .filter(|word| word.starts_with("--"));
    let behind_the_name = help
        .lines()
        .filter_map(|line| line.split_once("pglookout ")?.1.split_whitespace().next());
    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let words: BTreeSet<_> = options
        .chain(behind_the_name.filter(is_word))
        .map(str::to_owned)
        .collect();
    assert!(
        words.contains("--check-config") && words.contains("replay") && words.len() > 8,
        "{words:?}"
    );
    words
}

#[test]
fn the_man_page_knows_every_key() {
    let page = man_page("pglookout.json.5");
    let known: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".It Ic "))
        .collect();
    let keys = quoted("src/config/render.rs", "fn keys(", "\n}\n");
    let keys: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    assert!(keys.len() > 30, "{keys:?}");
    assert_eq!(
        keys.difference(&known).collect::<Vec<_>>(),
        [&""; 0],
        "not in pglookout.json(5)"
    );
    assert_eq!(
        known.difference(&keys).collect::<Vec<_>>(),
        [&""; 0],
        "in pglookout.json(5) and no key"
    );
}

#[test]
fn the_man_page_and_every_shell_know_the_command_line() {
    let page = man_page("pglookout.8");
    let shells = ["pglookout", "_pglookout", "pglookout.fish"];
    let shells =
        shells.map(|name| fs::read_to_string(packaging("completions").join(name)).unwrap());
    for word in options_of_the_command_line() {
        // mdoc puts the first dash there itself; fish wants none.
        let (in_man, in_fish) = match word.strip_prefix("--") {
            Some(option) => (format!("Fl -{option}"), format!("-l {option} ")),
            None => (format!("Cm {word}"), format!("-a {word} ")),
        };
        let in_man = [" ", "\n"].map(|end| format!("{in_man}{end}"));
        assert!(
            in_man.iter().any(|words| page.contains(words)),
            "{word} is not in pglookout(8)"
        );
        assert!(
            shells[0].contains(&word) && shells[1].contains(&word),
            "{word} is not completed by bash or zsh"
        );
        assert!(
            shells[2].contains(&in_fish),
            "{word} is not completed by fish"
        );
    }
}

#[test]
fn the_man_page_names_every_step() {
    let page = man_page("pglookout.8");
    for entry in fs::read_dir(packaging("failover")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let in_man = [" ", "\n"].map(|end| format!(".Pa {name}{end}"));
        assert!(
            in_man.iter().any(|words| page.contains(words)),
            "{name} is not in pglookout(8)"
        );
    }
}

#[test]
fn the_examples_can_be_used_as_they_are() {
    let mut count = 0;
    for entry in fs::read_dir(packaging("examples")).unwrap() {
        let path = entry.unwrap().path();
        // The configurations of other programs are theirs to judge: see `load_balancers`.
        let is_dashboard = path.ends_with("grafana-dashboard.json");
        if path.extension() != Some("json".as_ref()) || is_dashboard {
            continue;
        }
        let printed = run(Command::new(env!("CARGO_BIN_EXE_pglookout"))
            .arg("--check-config")
            .arg(&path))
        .unwrap();
        // The examples' programs are installed by the packages, and need not be here.
        let (warnings, verdict) = printed.rsplit_once('\n').unwrap_or(("", &printed));
        assert!(verdict.contains("can be used: errors 0, "), "{printed}");
        let absent = " does not exist: correct the path or install it";
        let is_expected = |line: &str| line.contains(": the program \"") && line.ends_with(absent);
        assert!(warnings.lines().all(is_expected), "{printed}");
        let text = fs::read_to_string(&path).unwrap();
        for step in text
            .split('"')
            .filter_map(|word| word.strip_prefix("/usr/share/pglookout/failover/"))
        {
            assert!(
                packaging("failover").join(step).exists(),
                "{}: {step}",
                path.display()
            );
        }
        count += 1;
    }
    assert!(count > 2, "{count}");
}

/// By Prometheus's own program: the rules fire when they should, and not when they should not.
#[test]
fn the_rules_for_prometheus_hold() {
    let promtool = which("promtool").ok_or_else(|| "there is no promtool here".to_owned());
    let Some(promtool) = or_skip(promtool) else {
        return;
    };
    for (command, file) in [
        (["check", "config"], "prometheus.yml"),
        (["test", "rules"], "prometheus-alerts-test.yml"),
    ] {
        let path = packaging("examples").join(file);
        run(Command::new(&promtool).args(command).arg(path)).unwrap();
    }
}

#[test]
fn every_metric_of_the_rules_and_the_dashboard_is_rendered() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/status/metrics.rs");
    let rendered = fs::read_to_string(source).unwrap();
    for file in ["prometheus-alerts.yml", "grafana-dashboard.json"] {
        let text = fs::read_to_string(packaging("examples").join(file)).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
        let used: BTreeSet<&str> = words
            .filter(|word| word.starts_with("pglookout_"))
            // A label of the targets.
            .filter(|word| *word != "pglookout_cluster")
            .map(|word| word.strip_suffix("_sum").unwrap_or(word))
            .map(|word| word.strip_suffix("_count").unwrap_or(word))
            .collect();
        assert!(used.len() > 10, "{file}: {used:?}");
        for metric in used {
            assert!(
                rendered.contains(&format!("\"{metric}\"")),
                "{file}: there is no {metric}"
            );
        }
    }
}

#[test]
fn a_static_build_against_glibc_is_refused() {
    let dir = TestDir::new();
    // Without the crates it cannot be compiled either way; only one of them explains why it must not.
    let complaints = |arguments: &[&str]| {
        let mut rustc = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()));
        rustc
            .args([
                "--edition",
                "2024",
                "--crate-type",
                "lib",
                "--emit",
                "metadata",
                "--out-dir",
            ])
            .arg(dir.path());
        let output = rustc
            .args(arguments)
            .arg("src/lib.rs")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    const REFUSAL: &str = "pglookout must not be linked statically against glibc";
    assert!(complaints(&["-C", "target-feature=+crt-static"]).contains(REFUSAL));
    let ordinary = complaints(&[]);
    assert!(
        !ordinary.contains(REFUSAL) && ordinary.contains("mio"),
        "{ordinary}"
    );
}

#[test]
fn names_are_looked_up_without_proc_and_dev_null() {
    let root = or_skip(
        Uid::effective()
            .is_root()
            .then_some(())
            .ok_or_else(|| "mounting needs root".to_owned()),
    );
    if root.is_none() {
        return;
    }
    let dir = TestDir::new();
    let config = dir.path().join("config.json");
    let text = serde_json::json!({
        // Nobody listens there; only who has found the name can tell.
        "remote_conns": {"p": "host=localhost port=1 user=u"},
        "http_address": "127.0.0.1",
        "http_port": 1 + std::process::id() % 20_000 + 20_000,
        "json_state_file_path": dir.path().join("state.json"),
        "alert_file_dir": dir.path(),
    });
    fs::write(&config, text.to_string()).unwrap();
    let log = dir.path().join("log");
    let script =
        "mount -t tmpfs none /proc && mount -t tmpfs none /dev && exec \"$0\" \"$1\" 2>\"$2\"";
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "sh",
            "-c",
            script,
            env!("CARGO_BIN_EXE_pglookout"),
        ])
        .arg(&config)
        .arg(&log);
    let mut daemon = command.current_dir(dir.path()).spawn().unwrap();
    let reported = || fs::read_to_string(&log).unwrap_or_default();
    wait_until("the node is asked", SOON, || {
        reported().contains("node p: unreachable")
    });
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(reported().contains("Connection refused"), "{}", reported());
}
