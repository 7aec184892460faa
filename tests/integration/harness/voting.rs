//! Daemons that elect by votes, and that fence where they have leases.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use super::cluster::{Cluster, PRIMARY};
use super::daemon::{Daemon, url};
use super::fleet::{Fleet, has_server, pg_ctl, promoting_after};
use super::host::{Account, give_to_server, server_account};
use super::wait::{SOON, wait_until};

/// Makes these daemons, which have not started yet, the voters of `main`, with a vote file each. The
/// failover command of each also notes its term, in the file `terms`.
pub(crate) fn set_up(cluster: &Cluster, fleet: &mut Fleet, voters: &[&str], dry: bool) {
    for name in voters {
        equip(cluster, fleet, name, (1, voters), dry);
        let daemon = &fleet[name];
        daemon.write_config(&daemon.config.to_string());
        let made = votes_command(daemon, &["init"]);
        let complaint = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{name}: {complaint}");
    }
}

/// `voters` of a configuration.
pub(crate) fn urls(cluster: &Cluster, voters: &[&str]) -> Value {
    let url_of = |name: &&str| ((*name).to_owned(), json!(url(cluster.host(name))));
    Value::Object(voters.iter().map(url_of).collect())
}

/// What a voter of this list needs, but for its vote file. `list`: its generation, and who votes.
pub(crate) fn equip(
    cluster: &Cluster,
    fleet: &mut Fleet,
    name: &str,
    list: (u64, &[&str]),
    dry: bool,
) {
    let daemon = &mut fleet[name];
    if has_server(daemon) {
        let noting_term = "env | grep PGLOOKOUT_TERM >> '@@'";
        daemon.config["failover_command"] = promoting_after(cluster, daemon, noting_term);
        let script = daemon.path("promote");
        let text = fs::read_to_string(&script).expect("the script");
        let terms = daemon.path("terms").display().to_string();
        fs::write(script, text.replace("@@", &terms)).expect("the script");
    }
    let secret = daemon.path("secret");
    private(
        &secret,
        |path| fs::write(path, "0123456789".repeat(4)),
        0o600,
    );
    let votes = daemon.path("votes");
    private(&votes, |path| fs::create_dir_all(path), 0o700);
    daemon.config["vote_directory"] = json!(votes);
    daemon.config["vote_timeout"] = json!(1);
    daemon.config["flight_recorder"] = json!(daemon.path("record.jsonl"));
    daemon.config["lease_time"] = json!(4);
    daemon.config["election_stagger"] = json!(1);
    daemon.config["voting"] = json!({"main": {"generation": list.0, "voters": urls(cluster, list.1), "self": name,
        "secret_file": secret, "dry": dry}});
}

/// Gives every voter beside a server the `fence_command` that is shipped, and all voters these keys.
pub(crate) fn fence(cluster: &Cluster, fleet: &mut Fleet, keys: &Value) {
    let voters = fleet
        .iter_mut()
        .filter(|daemon| !daemon.config["voting"].is_null());
    for daemon in voters {
        if has_server(daemon) {
            daemon.config["fence_command"] = own_step(cluster, daemon, "fence-self", "");
        }
        for (key, value) in keys.as_object().expect("keys") {
            daemon.config[key] = value.clone();
        }
    }
}

/// What starts the daemon's own server.
pub(crate) fn start_command(cluster: &Cluster, daemon: &Daemon) -> Value {
    let server = &cluster[&daemon.host.name];
    let (log, address) = (server.data.join("started.log"), &server.listen_addresses);
    let start = format!(
        "exec {} start -w -l '{}' -o '-c listen_addresses={address}' >/dev/null 2>&1",
        pg_ctl(cluster, server),
        log.display()
    );
    json!(["sh", "-c", start])
}

/// A step of `packaging/failover/` for the daemon's own server, as the account of the server, with these
/// variables.
pub(crate) fn own_step(cluster: &Cluster, daemon: &Daemon, step: &str, variables: &str) -> Value {
    let program = daemon.path(step);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/failover");
    fs::copy(Path::new(source).join(step), &program).expect("a copy of the step");
    give_to_server(&program);
    let account = server_account().map_or(String::new(), |(uid, gid)| {
        format!("setpriv --reuid={uid} --regid={gid} --clear-groups ")
    });
    let data = cluster[&daemon.host.name].data.display().to_string();
    let command = format!(
        "{variables} exec {account}bash '{}' '{data}'",
        program.display()
    );
    json!(["sh", "-c", command])
}

/// What a daemon needs, beside leases, to stop its own server for a switchover, and to start it again.
pub(crate) fn allow_switchovers(cluster: &Cluster, daemon: &mut Daemon) {
    let programs = format!("PGBIN='{}'", cluster.postgres.programs.display());
    daemon.config["demote_command"] = own_step(cluster, daemon, "demote-self", &programs);
    daemon.config["pg_start_command"] = start_command(cluster, daemon);
    daemon.config["pg_data_directory"] = json!(cluster[&daemon.host.name].data);
}

/// `pglookout switchover` beside this daemon.
pub(crate) fn switchover(daemon: &Daemon, to: &str, more: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_pglookout");
    let mut command = daemon.host.command(program, Account::Own);
    command.arg("switchover").arg(daemon.config_path());
    let done = command.args(["--to", to]).args(more).output();
    done.expect("its end")
}

/// Waits until the primary of a cluster that has never voted has its lease.
pub(crate) fn wait_first_term(fleet: &Fleet) {
    wait_until("the primary holds the first term", SOON, || {
        let votes = votes(&fleet[PRIMARY]);
        votes["held_term"] == 1 && votes["gate"] == "open"
    });
}

/// What these daemons have recorded is decided again when it is replayed.
pub(crate) fn replays(fleet: &Fleet, names: &[&str]) {
    for name in names {
        let host = &fleet[name].host;
        let mut replay = host.command(env!("CARGO_BIN_EXE_pglookout"), Account::Own);
        let replay = replay.args(["replay", "--verify"]);
        let replayed = replay.arg(fleet[name].path("record.jsonl"));
        let replayed = replayed.output().expect("its end");
        let printed = [replayed.stdout.as_slice(), &replayed.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(replayed.status.success(), "{name}: {printed}");
        assert!(printed.contains(", 0 differ"), "{name}: {printed}");
    }
}

/// What `/votes.json` shows of the cluster; null while there is nothing.
pub(crate) fn votes(daemon: &Daemon) -> Value {
    let page = daemon.get("/votes.json").map(|answer| answer.body);
    let page: Value = serde_json::from_str(&page.unwrap_or_default()).unwrap_or_default();
    page["main"].clone()
}

/// `pglookout votes`, with the daemon's configuration behind these arguments.
pub(crate) fn votes_command(daemon: &Daemon, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_pglookout");
    let mut command = daemon.host.command(program, Account::Own);
    command.arg("votes").args(arguments);
    command.arg(daemon.config_path()).output().expect("its end")
}

fn private(path: &PathBuf, make: impl Fn(&PathBuf) -> std::io::Result<()>, mode: u32) {
    make(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .expect("a private file");
}
