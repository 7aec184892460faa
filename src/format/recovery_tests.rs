//! The rewriting as the original does it, and where it errs as PostgreSQL reads it. `L` stands for
//! the comment line.

use super::*;
use crate::config::{Environment, parse};
use crate::testing::mutations;

const AT: WallTime = WallTime::from_unix_micros(1_704_067_200_000_000);
const LINE: &str = "# pglookout updated primary_conninfo for instance m2 at 2024-01-01T00:00:00Z\n";
const PRIMARY: &str = "user=replicator password=fake_pass sslmode=require host=h2";

fn rewritten(old: &[u8], conninfo: &str) -> Option<Vec<u8>> {
    rewrite(old, &Keywords::parse(conninfo).unwrap(), "m2", AT)
}

/// `old` becomes the comment line and `expected`, and that is left alone from then on.
#[track_caller]
fn becomes(old: &str, conninfo: &str, expected: &str) {
    let new = rewritten(old.as_bytes(), conninfo).map(|new| String::from_utf8(new).unwrap());
    assert_eq!(
        new.as_deref(),
        Some(format!("{LINE}{expected}").as_str()),
        "{old:?}"
    );
    assert_eq!(
        rewritten(new.unwrap_or_default().as_bytes(), conninfo),
        None,
        "read back: {expected:?}"
    );
}

#[track_caller]
fn stays(old: &str, conninfo: &str) {
    assert_eq!(rewritten(old.as_bytes(), conninfo), None, "{old:?}");
}

/// The settings get `PRIMARY` behind `kept`, and a timeline if they have none.
#[track_caller]
fn keeps(old: &str, kept: &str) {
    becomes(
        old,
        PRIMARY,
        &format!("{kept}primary_conninfo = '{PRIMARY}'\nrecovery_target_timeline = 'latest'\n"),
    );
}

#[test]
fn the_version_decides_which_file() {
    let check = |version: &str, settings: Option<&str>| {
        assert_eq!(
            layout(version.as_bytes()).map(|layout| layout.settings),
            settings,
            "{version:?}"
        );
    };
    check("9.6\n", Some("recovery.conf"));
    check("10\n", Some("recovery.conf"));
    check("11", Some("recovery.conf"));
    check("12\n", Some("postgresql.auto.conf"));
    check("18\r\n", Some("postgresql.auto.conf"));
    check("abc\n", None);
    check("", None);
    check("99999999999", None);
    assert_eq!(
        layout(b"12").map(|layout| layout.standby_mark),
        Some("standby.signal")
    );
}

#[test]
fn every_other_line_stays() {
    keeps("", "");
    keeps(
        "standby_mode = 'on'\nprimary_conninfo = 'host=h1'\n",
        "standby_mode = 'on'\n",
    );
    keeps("a = '1'\nprimary_conninfo = 'host=h1'", "a = '1'\n");
    keeps("a = '1'", "a = '1'\n");
    keeps(
        "\n# c\n\nwork_mem = '4MB'\n\n",
        "\n# c\n\nwork_mem = '4MB'\n\n",
    );
    keeps(
        "a = 'x\u{c}y'\r\nb = 'p\u{2028}q'\r\n",
        "a = 'x\u{c}y'\r\nb = 'p\u{2028}q'\r\n",
    );
    keeps(
        "#primary_conninfo = 'host=h1'\n#recovery_target_timeline = '1'\n",
        "#primary_conninfo = 'host=h1'\n#recovery_target_timeline = '1'\n",
    );
    keeps(
        "include 'primary_conninfo'\ninclude_dir = 'x'\n",
        "include 'primary_conninfo'\ninclude_dir = 'x'\n",
    );
    keeps(
        "primary_conninfo_extra = 'x'\nrecovery_target_timeline_x = '1'\n",
        "primary_conninfo_extra = 'x'\nrecovery_target_timeline_x = '1'\n",
    );
    keeps("primary_conninfo.x = 'y'\n", "primary_conninfo.x = 'y'\n");
    keeps(LINE, LINE);
    let latin = rewritten(b"a = '\xe5\xff'\nprimary_conninfo = '\xe5'\n", PRIMARY).unwrap();
    assert!(
        latin.starts_with(
            [
                LINE.as_bytes(),
                b"a = '\xe5\xff'\nprimary_conninfo = 'user="
            ]
            .concat()
            .as_slice()
        )
    );
}

#[test]
fn whatever_sets_the_primary_goes() {
    keeps("primary_conninfo = 'garbage'\n", "");
    keeps("  primary_conninfo = 'host=h1'\n", "");
    keeps("PRIMARY_ConnInfo = 'host=h1'\n", "");
    keeps("primary_conninfo 'host=h1'\n", "");
    keeps(
        "primary_conninfo='host=h1' # old\nprimary_conninfo\nprimary_conninfo = 'unclosed\n",
        "",
    );
    keeps(
        &format!("primary_conninfo = '{PRIMARY}'\nprimary_conninfo = 'host=zz'\n"),
        "",
    );
}

#[test]
fn a_timeline_that_is_set_stays() {
    let end = format!("primary_conninfo = '{PRIMARY}'\n");
    for line in [
        "recovery_target_timeline = '3'\n",
        "\tRecovery_Target_Timeline latest # c\n",
    ] {
        becomes(
            &format!("{line}a = 1\n"),
            PRIMARY,
            &format!("{line}a = 1\n{end}"),
        );
    }
}

#[test]
fn what_is_equivalent_is_left_alone() {
    stays(
        "primary_conninfo = 'host=h2 sslmode=require user=replicator password=fake_pass'\n",
        PRIMARY,
    );
    stays(
        &format!("primary_conninfo = 'host=zz'\nprimary_conninfo = '{PRIMARY}'\r\n"),
        PRIMARY,
    );
    stays(&format!("primary_conninfo = '{PRIMARY}' # old\n"), PRIMARY);
    stays(&format!("  Primary_Conninfo'{PRIMARY}'"), PRIMARY);
    stays(
        "primary_conninfo = 'postgres://replicator:fake_pass@h2?sslmode=require'\n",
        PRIMARY,
    );
    stays("primary_conninfo = postgres://h2:7\n", "port=7 host=h2");
    stays(
        r"primary_conninfo = 'password=''a b\\''c'' \150ost=h2'",
        r"host=h2 password='a b\'c'",
    );
    keeps(&format!("primary_conninfo = '{PRIMARY} port=1'\n"), "");
    keeps(&format!("primary_conninfo = '{PRIMARY}' x\n"), "");
    keeps(&format!("primary_conninfo = '{PRIMARY}\n"), "");
}

#[test]
fn values_are_quoted_as_postgresql_reads_them() {
    let check = |password: &str, expected: &str| {
        let mut conninfo = Keywords::default();
        conninfo.set("password", password);
        conninfo.set("host", "h2");
        let expected = format!(
            "primary_conninfo = '{expected} host=h2'\nrecovery_target_timeline = 'latest'\n"
        );
        becomes("", &conninfo.to_conninfo_string(), &expected);
    };
    check("it's", r"password=it\\''s");
    check("a b", "password=''a b''");
    check(r"a\b", r"password=a\\\\b");
    check(r"'", r"password=\\''");
    check("", "password=''''");
    check("a\nb\r", r"password=''a\nb\r''");
    check("påss 世", "password=''påss 世''");
}

#[test]
fn a_name_cannot_end_the_comment() {
    let new = rewrite(b"", &Keywords::default(), "m\nwork_mem = 1", AT).unwrap();
    assert!(
        new.starts_with(
            b"# pglookout updated primary_conninfo for instance m?work_mem = 1 at 2024"
        )
    );
}

#[test]
fn the_primarys_address_takes_its_place_in_the_template() {
    let check = |template: &str, node: &str, expected: Option<&str>| {
        let text = serde_json::json!({
            "remote_conns": { "m2": node }, "autofollow": true, "primary_conninfo_template": template,
            "pg_start_command": "a", "pg_stop_command": "b",
        });
        let config = parse(&text.to_string(), &Environment::default())
            .unwrap()
            .config;
        let conninfo = config.follow.unwrap().conninfo_to(&config.nodes["m2"]);
        assert_eq!(
            conninfo
                .map(|conninfo| conninfo.to_conninfo_string())
                .as_deref(),
            expected,
            "{template:?} {node:?}"
        );
    };
    check(
        "user=r password=p",
        "host=h2 dbname=postgres user=l password=zz",
        Some("user=r password=p host=h2"),
    );
    check(
        "user=r",
        "host=h1 port=5432 user=l",
        Some("user=r host=h1 port=5432"),
    );
    check(
        "user=r port=6000",
        "host=h2",
        Some("user=r port=6000 host=h2"),
    );
    check(
        "host=old user=r dbname=replication",
        "host=h2",
        Some("host=h2 user=r dbname=replication"),
    );
    check(
        "user=r",
        "postgres://u:p@h2:7777/db",
        Some("user=r host=h2 port=7777"),
    );
    // Else the address of the template would win.
    check(
        "hostaddr=10.0.0.9 user=r",
        "host=h2",
        Some("user=r host=h2"),
    );
    check(
        "host=old user=r",
        "hostaddr=10.0.0.2",
        Some("user=r hostaddr=10.0.0.2"),
    );
    check(
        "user=r",
        "host=h2 hostaddr=10.0.0.2",
        Some("user=r host=h2 hostaddr=10.0.0.2"),
    );
    check("host=old user=r", "dbname=postgres", None);
}

#[test]
fn damaged_settings_never_lose_what_is_not_ours() {
    let text = br"a = '1' # x
primary_conninfo = 'user=r password=''a\\''b'' host=\150' # y
recovery_target_timeline 'latest'
include 'z'";
    mutations(text, |old| {
        let Some(new) = rewritten(old, PRIMARY) else {
            return;
        };
        let is_ours = |line: &&[u8]| {
            Setting::read(line).is_some_and(|setting| setting.is("primary_conninfo"))
        };
        let kept: Vec<&[u8]> = old
            .split(|byte| *byte == b'\n')
            .filter(|line| !is_ours(line))
            .collect();
        let new: Vec<&[u8]> = new.split(|byte| *byte == b'\n').collect();
        let kept = kept.strip_suffix(&[b"".as_slice()]).unwrap_or(&kept);
        assert_eq!(
            new.get(1..=kept.len()),
            Some(kept),
            "{}",
            String::from_utf8_lossy(old)
        );
        assert_eq!(
            rewritten(&new.join(&b'\n'), PRIMARY),
            None,
            "{}",
            String::from_utf8_lossy(old)
        );
    });
}

#[test]
fn whether_a_recovery_conf_is_of_a_standby() {
    for (text, is) in [
        ("", false),
        ("primary_conninfo = 'host=p'\n", false),
        ("#standby_mode = on\n", false),
        ("standby_mode = on", true),
        (" Standby_Mode='ON' # as ever\r\n", true),
        ("standby_mode t\n", true),
        ("standby_mode = 'yes'\nprimary_conninfo = ''\n", true),
        ("standby_mode = '1'\n", true),
        ("standby_mode = o\n", false),
        ("standby_mode = ''\n", false),
        ("standby_mode = 'on\n", false),
        ("standby_mode = on on\n", false),
        ("standby_mode = on\nstandby_mode = off\n", false),
        ("standby_mode = off\nstandby_mode = on\n", true),
    ] {
        assert_eq!(has_standby_mode(text.as_bytes()), is, "{text:?}");
    }
}
