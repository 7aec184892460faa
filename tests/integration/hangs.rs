//! Paths and name services that do not answer, for as long as they like, while a failover is
//! needed: it comes in its usual time, and nobody is asked less often.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::seconds_now;
use crate::harness::run_dir::{run, run_dir};
use crate::harness::vitals::longest_unasked;
#[cfg(feature = "tls")]
use crate::harness::wait::pause;
use crate::harness::{Cluster, Fleet, SOON, or_skip, wait_until};

/// A cluster of which the daemon beside `s1` meets what hangs.
struct Hung {
    cluster: Cluster,
    fleet: Fleet,
    list: PathBuf,
}

impl Hung {
    /// Everything answers. `adjust` is given the directory of the cluster and the configuration of
    /// `s1`. `None`: the test cannot run here, which was printed.
    fn start(hangs_from_the_start: bool, adjust: impl Fn(&Path, &mut Value)) -> Option<Self> {
        let library = or_skip(library())?;
        let cluster = Cluster::start(&["s1"])?;
        let list = cluster.dir().join("hangs");
        let mut fleet = Fleet::prepare(&cluster, |_, _| ());
        adjust(cluster.dir(), &mut fleet["s1"].config);
        let home = cluster.dir().display().to_string();
        let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
        fleet["s1"].variables.extend([
            variable("LD_PRELOAD", library),
            variable("HANG", &list),
            ("HOME".to_owned(), home),
        ]);
        let hung = Self {
            cluster,
            fleet,
            list,
        };
        if hangs_from_the_start {
            hung.hang(&[&hung.maintenance_file()]);
        }
        let mut hung = hung;
        hung.fleet.start_all();
        hung.fleet.wait_settled();
        Some(hung)
    }

    /// From now on a process that opens one of these hangs.
    fn hang(&self, what: &[&str]) {
        fs::write(&self.list, what.join("\n")).unwrap();
    }

    fn maintenance_file(&self) -> String {
        let path = &self.fleet["s1"].config["maintenance_mode_file"];
        path.as_str().unwrap().to_owned()
    }

    fn wait_log(&self, text: &str) {
        wait_until(text, SOON, || self.fleet["s1"].log().contains(text));
    }

    /// The primary dies, and the standby is promoted as if nothing hung.
    fn fail_over(&mut self, what: &str) {
        let asked = longest_unasked(&self.fleet["s1"], &[PRIMARY, "s1"], Duration::from_secs(2));
        assert!(asked < Duration::from_secs(2), "not asked for {asked:?}");
        self.cluster[PRIMARY].kill_nine_all();
        let dead_at = seconds_now();
        let took = self.fleet.wait_promotion().1 - dead_at;
        let longest = longest_unasked(&self.fleet["s1"], &["s1"], Duration::from_secs(2));
        println!(
            "{what} hangs: nodes asked at least every {asked:.1?}, failover after {took:.1} s"
        );
        assert!(took < 7.0, "the failover took {took:.1} s");
        assert!(
            longest < Duration::from_secs(2),
            "not asked for {longest:?}"
        );
        assert_eq!(self.fleet.promoted(), ["s1"]);
    }

    /// A reload meets what hangs, and is given up in the end.
    fn reload_and_fail_over(&mut self, what: &[&str]) {
        self.hang(what);
        self.fleet["s1"].signal(Signal::SIGHUP);
        self.fail_over(what[0]);
        self.wait_log("no answer for 10s");
        self.wait_log("configuration not reloaded: keeping the current configuration");
        self.hang(&[]);
        self.fleet["s1"].signal(Signal::SIGHUP);
        self.wait_log("configuration reloaded; changed: nothing");
    }
}

#[test]
fn a_name_service_that_hangs_delays_no_failover() {
    let Some(mut hung) = Hung::start(false, |_, _| ()) else {
        return;
    };
    hung.reload_and_fail_over(&["getpwuid", "/etc/passwd"]);
}

#[test]
fn a_configuration_file_that_hangs_delays_no_failover() {
    let Some(mut hung) = Hung::start(false, |_, _| ()) else {
        return;
    };
    let path = hung.fleet["s1"].config_path().display().to_string();
    hung.reload_and_fail_over(&[&path]);
}

#[test]
fn a_password_file_that_hangs_delays_no_failover() {
    let Some(mut hung) = Hung::start(false, |dir, config| {
        // Only who has no password looks for one.
        let own = config["remote_conns"]["s1"].as_str().unwrap();
        let words = own.split(' ').filter(|word| !word.starts_with("password="));
        let without: Vec<_> = words.collect();
        let password = own.split("password=").nth(1).unwrap();
        let passfile = dir.join(".pgpass");
        fs::write(&passfile, format!("*:*:*:*:{password}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&passfile, mode).unwrap();
        config["remote_conns"]["s1"] = json!(without.join(" "));
    }) else {
        return;
    };
    let path = hung.cluster.dir().join(".pgpass").display().to_string();
    hung.reload_and_fail_over(&[&path]);
}

#[test]
fn a_service_file_that_hangs_delays_no_failover() {
    let Some(mut hung) = Hung::start(false, |dir, config| {
        let text = "[ours]\nconnect_timeout=5\n";
        fs::write(dir.join(".pg_service.conf"), text).unwrap();
        let own = config["remote_conns"]["s1"].as_str().unwrap();
        config["remote_conns"]["s1"] = json!(format!("{own} service=ours"));
    }) else {
        return;
    };
    let path = hung.cluster.dir().join(".pg_service.conf");
    hung.reload_and_fail_over(&[&path.display().to_string()]);
}

#[test]
fn a_maintenance_file_that_hangs_delays_no_failover() {
    let Some(mut hung) = Hung::start(false, |_, _| ()) else {
        return;
    };
    let path = hung.maintenance_file();
    hung.hang(&[&path]);
    hung.fail_over("the maintenance file");
    hung.wait_log("maintenance_mode_file: ");
    hung.wait_log("still not in maintenance mode");
    hung.hang(&[]);
    hung.wait_log(&format!(
        "maintenance_mode_file: {path} can be examined again"
    ));
    assert_eq!(
        hung.fleet["s1"].log().matches("no answer for 5s").count(),
        1
    );
}

/// Without a known maintenance mode nothing is promoted.
#[test]
fn a_maintenance_file_that_was_never_examined_counts_as_present() {
    let Some(mut hung) = Hung::start(true, |_, _| ()) else {
        return;
    };
    hung.wait_log("not examined before, maintenance mode is assumed");
    hung.cluster[PRIMARY].kill_nine_all();
    hung.fleet.nobody_promotes_for(6.0);
    hung.hang(&[]);
    assert_eq!(hung.fleet.wait_promotion().0, "s1");
}

/// Connections to the standby are made anew with the authorities that were read before.
#[cfg(feature = "tls")]
#[test]
fn authorities_that_hang_delay_no_failover() {
    use crate::harness::certificates::{Authority, write, write_for_server};
    use crate::harness::postgres::append;

    let authority = Authority::new("Known CA");
    let Some(library) = or_skip(library()) else {
        return;
    };
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let (list, root) = (
        cluster.dir().join("hangs"),
        write(cluster.dir(), "root.crt", &authority.pem),
    );
    let server = &cluster["s1"];
    let pair = authority.issue("x", &[&server.host.address.to_string()]);
    write_for_server(&server.data, "server.crt", &pair.certificate);
    write_for_server(&server.data, "server.key", &pair.key);
    append(&server.data.join("postgresql.conf"), "ssl = on\n");
    server.query("SELECT pg_reload_conf()");
    wait_until("s1 encrypts", SOON, || server.query("SHOW ssl") == "on");
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    let own = fleet["s1"].config["remote_conns"]["s1"].as_str().unwrap();
    let own = format!("{own} sslmode=verify-full sslrootcert={}", root.display());
    fleet["s1"].config["remote_conns"]["s1"] = json!(own);
    let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
    let variables = [variable("LD_PRELOAD", library), variable("HANG", &list)];
    fleet["s1"].variables.extend(variables);
    fleet.start_all();
    fleet.wait_settled();
    let mut hung = Hung {
        cluster,
        fleet,
        list,
    };
    hung.hang(&[&root.display().to_string()]);
    // What was read within the last second would be used without being read again.
    pause(1500);
    hung.cluster["s1"].disconnect_daemons();
    hung.fail_over("the file of authorities");
    assert_eq!(hung.fleet["s1"].state()["s1"]["connection"], true);
    hung.wait_log("what was read before stays in use");
}

/// The library that hangs, compiled at the first call, or why there is none.
fn library() -> Result<&'static Path, String> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/hangs/hang.c");
        let library = run_dir().join("hang.so");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl");
        run(&mut cc)
            .map(|_| library)
            .map_err(|error| format!("a path that hangs needs cc: {error}"))
    });
    library.as_deref().map_err(Clone::clone)
}
