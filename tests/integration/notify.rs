//! The programs that the packages bring along for `event_command`, `packaging/notify/`: what they are
//! told arrives, whatever is in it, and what did not arrive is reported.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::harness::postgres::which;
use crate::harness::run_dir::{Ended, TestDir, run};
use crate::harness::{SOON, or_skip, wait_until};

/// What a shell, JSON, a header and Slack would take for their own.
fn hostile(mark: &Path) -> String {
    let mark = mark.display();
    format!(
        "\"quoted\" 'too' \\ \\n $(touch {mark}) `touch {mark}` ${{HOME}} ; touch {mark} & \
         <!channel> &amp; % %s * ?\nBcc: somebody@example.org\r\n\n.\n\ttab, bell \u{7}, DEL \u{7f}"
    )
}

fn notifier(dir: &TestDir, name: &str, event: &str, sentence: &str) -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/notify")
        .join(name);
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("NOTIFY_CONF", "/dev/null")
        .env("CLUSTER", "main")
        .env("PGLOOKOUT_EVENT", event)
        .env("PGLOOKOUT_SEVERITY", "critical")
        .env("PGLOOKOUT_SENTENCE", sentence)
        .env("PGLOOKOUT_DAEMON", "s1")
        .env("PGLOOKOUT_AT", "2026-01-02T03:04:05.678Z")
        .env("PGLOOKOUT_PRIMARY", "s1")
        .env("PGLOOKOUT_OLD_PRIMARY", "p")
        .current_dir(dir.path());
    command
}

/// With this on its stdin.
fn run_with(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that refuses its settings does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn succeeds(command: &mut Command, input: &str) {
    let output = run_with(command, input);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert_eq!(printed, "");
}

/// It fails, and says why in a line with this in it.
#[track_caller]
fn fails(command: &mut Command, reason: &str) {
    let output = run_with(command, "{}");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{printed}");
    assert!(printed.contains(reason), "{printed}");
    assert_eq!(printed.lines().count(), 1, "{printed}");
}

/// A program that writes down the mail that it is given.
fn fake_sendmail(dir: &TestDir) -> PathBuf {
    let (text, program) = (dir.path().join("text"), dir.path().join("sendmail"));
    fs::write(&text, "#!/bin/sh\ncat >mail\n").unwrap();
    // By a process of its own: one that is being written by this one could not be run while another
    // test forks.
    run(Command::new("install")
        .args(["-m", "755"])
        .arg(text)
        .arg(&program))
    .unwrap();
    program
}

/// The headers of the last mail, and its body.
fn last_mail(dir: &TestDir) -> (Vec<String>, String) {
    let mail = fs::read_to_string(dir.path().join("mail")).unwrap();
    let (head, body) = mail.split_once("\n\n").unwrap();
    let unfolded = head.replace("\n ", " ");
    assert!(head.lines().all(|line| line.len() < 998), "{head}");
    (
        unfolded.lines().map(str::to_owned).collect(),
        body.to_owned(),
    )
}

/// What encoded words stand for (RFC 2047); those of these programs are in Q and UTF-8.
fn decoded(header: &str) -> String {
    let mut bytes = Vec::new();
    for word in header.split(' ') {
        assert!(word.len() <= 75, "{word}");
        let word = word.strip_prefix("=?UTF-8?Q?").unwrap();
        let word = word.strip_suffix("?=").unwrap();
        let from = bytes.len();
        let mut rest = word.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'_' => b' ',
                b'=' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        assert!(
            std::str::from_utf8(&bytes[from..]).is_ok(),
            "a character is cut in two: {word}"
        );
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_mail_has_the_sentence_as_it_is_and_no_header_of_its_making() {
    let dir = TestDir::new();
    let mark = dir.path().join("was-run");
    let sentence = hostile(&mark);
    let sendmail = fake_sendmail(&dir);
    let mut mail = notifier(&dir, "notify-mail", "failover_done", &sentence);
    mail.env("SENDMAIL", &sendmail)
        .env("MAIL_TO", "dba@example.org");
    let json = r#"{"event": "failover_done", "why": "$(id) `id`"}"#;
    succeeds(&mut mail, json);
    let (headers, body) = last_mail(&dir);
    let one_line: String = sentence
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let subject = format!("Subject: [pglookout main] CRITICAL: {one_line}");
    assert!(headers.contains(&subject), "{headers:?}");
    let names: Vec<&str> = headers
        .iter()
        .map(|it| it.split(':').next().unwrap())
        .collect();
    let expected = [
        "To",
        "Subject",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    assert_eq!(names, expected);
    assert!(body.starts_with(&sentence), "{body}");
    assert!(body.ends_with(&format!("\n{json}\n")), "{body}");
    assert!(body.contains("Old primary:     p\n"), "{body}");
    assert!(!mark.exists());
}

#[test]
fn a_subject_in_any_script_is_encoded() {
    let dir = TestDir::new();
    let sendmail = fake_sendmail(&dir);
    let long = "a".repeat(2_000);
    for sentence in [
        "der Primärserver fällt aus: 漢字と絵文字 😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀",
        "=?UTF-8?Q?forged?= = _ ?",
        &long,
    ] {
        let mut mail = notifier(&dir, "notify-mail", "primary_lost", sentence);
        mail.env("SENDMAIL", &sendmail)
            .env("MAIL_TO", "a@example.org, b@example.org")
            .env("MAIL_FROM", "pglookout <p@example.org>");
        succeeds(&mut mail, "");
        let (headers, body) = last_mail(&dir);
        assert_eq!(headers[0], "From: pglookout <p@example.org>");
        assert_eq!(headers[1], "To: a@example.org, b@example.org");
        let subject = headers[2].strip_prefix("Subject: ").unwrap();
        let expected = format!("[pglookout main] CRITICAL: {sentence}");
        assert_eq!(decoded(subject), expected);
        assert!(body.starts_with(sentence), "{body}");
    }
}

/// Whoever takes what is posted: answers each request with this status, and gives path and body.
fn receiver(status: &'static str) -> (u16, Receiver<(String, Value)>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    // It ends with the test program.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = sender.send(take(stream, status));
        }
    });
    (port, receiver)
}

fn take(mut stream: TcpStream, status: &str) -> (String, Value) {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(input.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let lower = head.to_lowercase();
    assert!(lower.contains("\r\ncontent-type: application/json\r\n"));
    let length = lower.split("\r\ncontent-length: ").nth(1).unwrap();
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    input.read_exact(&mut body).unwrap();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    (path, serde_json::from_slice(&body).unwrap())
}

fn has_curl() -> bool {
    or_skip(which("curl").ok_or_else(|| "there is no curl here".to_owned())).is_some()
}

#[test]
fn slack_gets_the_sentence_and_none_of_its_commands() {
    if !has_curl() {
        return;
    }
    let dir = TestDir::new();
    let mark = dir.path().join("was-run");
    let (port, posted) = receiver("200 OK");
    let sentence = hostile(&mark) + " 漢字 😀";
    let mut slack = notifier(&dir, "notify-slack", "failover_done", &sentence);
    slack.env(
        "SLACK_URL",
        format!("http://127.0.0.1:{port}/services/T0/B0/x?a=b&c=[d]"),
    );
    succeeds(&mut slack, "{}");
    let (path, message) = posted.recv_timeout(SOON).unwrap();
    assert_eq!(path, "/services/T0/B0/x?a=b&c=[d]");
    assert_eq!(message["mrkdwn"], false);
    let text = message["text"].as_str().unwrap();
    assert!(!text.contains(['<', '>']), "{text}");
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&amp;", "&");
    let expected =
        format!("[pglookout main] CRITICAL: {sentence}\nEvent:           failover_done\n");
    assert!(text.starts_with(&expected), "{text}");
    assert!(!mark.exists());
}

#[test]
fn the_second_event_of_a_pair_resolves_the_alert_of_the_first() {
    if !has_curl() {
        return;
    }
    let dir = TestDir::new();
    let mark = dir.path().join("was-run");
    let (port, posted) = receiver("200 OK");
    let alert = |event: &str, severity: &str| {
        let mut command = notifier(&dir, "notify-alertmanager", event, &hostile(&mark));
        command
            .env("ALERTMANAGER_URL", format!("http://127.0.0.1:{port}/"))
            .env("PGLOOKOUT_SEVERITY", severity);
        succeeds(&mut command, "{}");
        let (path, alerts) = posted.recv_timeout(SOON).unwrap();
        assert_eq!(path, "/api/v2/alerts");
        assert_eq!(alerts.as_array().unwrap().len(), 1);
        assert_eq!(alerts[0]["annotations"]["summary"], hostile(&mark));
        alerts[0].clone()
    };
    for (begins, ends, name) in [
        ("primary_lost", "primary_back", "PrimaryLost"),
        ("split_brain", "split_brain_over", "SplitBrain"),
        ("lag_warning", "lag_ok", "LagWarning"),
        ("auth_error", "auth_ok", "AuthError"),
        ("peer_lost", "peer_back", "PeerLost"),
        ("maintenance_on", "maintenance_off", "MaintenanceOn"),
        ("paused", "resumed", "Paused"),
        ("failover_blocked", "failover_possible", "FailoverBlocked"),
    ] {
        let (first, second) = (alert(begins, "critical"), alert(ends, "info"));
        assert_eq!(first["labels"], second["labels"]);
        assert_eq!(
            first["labels"]["alertname"],
            format!("PglookoutEvent{name}")
        );
        assert_eq!(first["labels"]["pglookout_cluster"], "main");
        assert_eq!(first["labels"]["daemon"], "s1");
        // Both are of one form, and of the same zone.
        let time = |alert: &Value, key: &str| alert[key].as_str().unwrap().to_owned();
        assert!(time(&first, "endsAt") > time(&second, "endsAt"));
        assert_eq!(time(&second, "startsAt"), time(&second, "endsAt"));
    }
    let single = alert("failover_done", "warning");
    assert_eq!(single["labels"]["alertname"], "PglookoutEventFailoverDone");
    assert_eq!(single["labels"]["severity"], "warning");
    assert_ne!(single["startsAt"], single["endsAt"]);
    let odd = alert("x\"_$(id)_*", "warning");
    assert_eq!(odd["labels"]["alertname"], "PglookoutEventX\"$(id)*");
    assert!(!mark.exists());
}

/// A real Alertmanager, and the URL that it serves.
fn alertmanager(dir: &TestDir) -> Option<(Ended, String)> {
    let program = which("prometheus-alertmanager").or_else(|| which("alertmanager"));
    let program = or_skip(program.ok_or_else(|| "there is no Alertmanager here".to_owned()))?;
    let config = dir.path().join("alertmanager.yml");
    fs::write(
        &config,
        "route: {receiver: none}\nreceivers: [{name: none}]\n",
    )
    .unwrap();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", dir.path().display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let url = format!("http://127.0.0.1:{port}");
    let running = Ended(command.spawn().unwrap());
    wait_until("Alertmanager serves", SOON, || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
    Some((running, url))
}

/// The alerts that it holds now: their labels, and what they are about.
fn standing_alerts(url: &str) -> Vec<Value> {
    let target = format!("{url}/api/v2/alerts");
    let printed = run(Command::new("curl").args(["-sf", target.as_str()])).unwrap();
    let alerts: Vec<Value> = serde_json::from_str(&printed).unwrap();
    alerts
}

#[test]
fn a_real_alertmanager_holds_an_alert_until_the_second_event_of_its_pair() {
    let dir = TestDir::new();
    let Some((_running, url)) = alertmanager(&dir).filter(|_| has_curl()) else {
        return;
    };
    let mark = dir.path().join("was-run");
    let post = |event: &str| {
        let mut command = notifier(&dir, "notify-alertmanager", event, &hostile(&mark));
        command.env("ALERTMANAGER_URL", &url);
        succeeds(&mut command, "{}");
    };
    post("primary_lost");
    post("failover_done");
    let holds = |names: &[&str]| {
        let mut held: Vec<_> = standing_alerts(&url)
            .iter()
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect();
        held.sort();
        held == names
    };
    let (done, lost) = ("PglookoutEventFailoverDone", "PglookoutEventPrimaryLost");
    wait_until("both alerts", SOON, || holds(&[done, lost]));
    for alert in standing_alerts(&url) {
        assert_eq!(alert["annotations"]["summary"], hostile(&mark));
        assert_eq!(alert["labels"]["pglookout_cluster"], "main");
    }
    post("primary_back");
    wait_until("the alert is resolved", SOON, || holds(&[done]));
    assert!(!mark.exists());
}

#[test]
fn what_was_not_delivered_is_reported() {
    let dir = TestDir::new();
    let of = |name: &str| notifier(&dir, name, "failover_done", "done");
    let mut mail = of("notify-mail");
    fails(&mut mail, "notify-mail: MAIL_TO is not set");
    mail.env("MAIL_TO", "a@example.org");
    fails(mail.env("SENDMAIL", "/no/such"), "no program /no/such");
    fails(mail.env("SENDMAIL", "false"), "not handed over: false");
    mail.env("SENDMAIL", fake_sendmail(&dir));
    fails(
        mail.env("MAIL_TO", "a@example.org\nBcc: b@example.org"),
        "one line each",
    );
    fails(
        of("notify-mail").arg("--tset"),
        "expected nothing, or --test",
    );
    fails(
        of("notify-mail").env("NOTIFY_CONF", "/no/such"),
        "/no/such does not exist",
    );
    fails(
        of("notify-mail").env_remove("PGLOOKOUT_EVENT"),
        "PGLOOKOUT_EVENT is not set",
    );
    for (name, key) in [
        ("notify-slack", "SLACK_URL"),
        ("notify-alertmanager", "ALERTMANAGER_URL"),
    ] {
        let mut command = of(name);
        fails(&mut command, &format!("{name}: {key} is not set"));
        if !has_curl() {
            continue;
        }
        fails(command.env(key, "file:///etc/passwd"), "must begin with");
        fails(
            command.env(key, "http://127.0.0.1/\"\noutput = \"x"),
            "a quote",
        );
        let (port, _posted) = receiver("404 Not Found");
        fails(command.env(key, format!("http://127.0.0.1:{port}/")), "404");
        fails(command.env(key, "http://127.0.0.1:1/"), "not delivered: ");
    }
}

#[test]
fn a_test_message_needs_no_event_and_the_environment_comes_before_the_file() {
    let dir = TestDir::new();
    let conf = dir.path().join("notify.conf");
    let sendmail = fake_sendmail(&dir);
    let text = format!(
        "MAIL_TO='Database team <dba@example.org>'\nSENDMAIL={}\nCLUSTER=from-the-file\n",
        sendmail.display()
    );
    fs::write(&conf, text).unwrap();
    let mut mail = notifier(&dir, "notify-mail", "", "");
    mail.env("NOTIFY_CONF", &conf).arg("--test");
    succeeds(&mut mail, "");
    let (headers, body) = last_mail(&dir);
    assert_eq!(headers[0], "To: Database team <dba@example.org>");
    assert!(
        headers[1].starts_with("Subject: [pglookout main] INFO: a test message"),
        "{headers:?}"
    );
    assert!(body.contains("Event:           test\n"), "{body}");
    succeeds(mail.env_remove("CLUSTER"), "");
    let (headers, _) = last_mail(&dir);
    assert!(
        headers[1].starts_with("Subject: [pglookout from-the-file] INFO: "),
        "{headers:?}"
    );
}
