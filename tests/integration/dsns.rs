//! One list of connection strings, with environments, password files and service files, given to
//! `psql` (libpq) and to the daemon: both must end up as the same user, in the same database of the
//! same server, in the same way, or fail alike.

mod asking;
mod sockets;
mod vectors;

use asking::{Case, Outcome::*, World, case};

/// `{...}` stands for what is only known when the servers run: addresses `{p}` of the primary,
/// `{s}` of the standby, `{dead}` (refuses), `{hole}` (drops packets); ports on 127.0.0.1 `{starting}`
/// (answers 57P03), `{full}` (53300), `{silent}` (sends nothing), `{closing}` (closes); `{v6}` the
/// port on `::1` that leads to `{p}`; `{dir}` and `{abstract}` the primary's sockets; `{pw}` the
/// password of `pglookout`; `{files}` where the case's files are; `{server}` the account servers
/// run as.
fn cases() -> Vec<Case> {
    let by_ip = In("pglookout|postgres|p|ip");
    let by_socket = In("pglookout|postgres|p|socket");
    let of_standby = In("pglookout|postgres|s1|ip");
    let odd = In(r"o'brien \x|my db|p|ip");
    let umlaut = In("ümlaut|postgres|p|ip");
    vec![
        // Quoting.
        case("host={p} user=pglookout password={pw} dbname=postgres", by_ip),
        case("\n host = {p}\tuser= 'pglookout' password ='{pw}'\ndbname=postgres ", by_ip),
        case("host=nowhere host={p} user=pglookout password={pw} dbname=postgres", by_ip),
        case(r"host={p} user='o\'brien \\x' dbname='my db' password='p \'w\\'", odd),
        case(r"host={p} user=o\'brien\ \\x dbname=my\ db password=p\ \'w\\", odd),
        case("host={p} user=pglookout password=wrong dbname=postgres", TurnedAway),
        case("host={p} user=pglookout password='{pw} dbname=postgres", Broken),
        case("host={p} user=pglookout password", Broken),
        case("host={p} user=ümlaut password='pä@s/s:w%rd' dbname=postgres", umlaut),
        case("host={p} user=pglookout password={pw} dbname=nowhere", TurnedAway),
        // URLs.
        case("postgresql://pglookout:{pw}@{p}/postgres", by_ip),
        case("postgres://pglookout@{p}:5432/postgres?password={pw}", by_ip),
        case("postgresql://{p}/postgres?user=pglookout&password=no&password={pw}", by_ip),
        case("postgresql://%C3%BCmlaut:p%C3%A4%40s%2Fs%3aw%25rd@{p}/postgres", umlaut),
        case("postgresql://o'brien%20%5Cx:p%20'w%5C@{p}/my%20db", odd),
        case("postgresql://pglookout:{pw}@[::1]:{v6}/postgres", by_ip),
        case("postgresql://pglookout:{pw}@{dead},{p}:5432/postgres", by_ip),
        case("postgresql://pglookout:{pw}@%2F{dir}/postgres", by_socket),
        case("postgresql://pglookout:{pw}@/postgres?host={dir}", by_socket),
        case("postgresql://pglookout:{pw}@{p}/postgres?nonsense=1", Broken),
        case("postgresql://pglookout:{pw}@{p}/postgres?user", Broken),
        case("postgresql://pglookout:{pw}@[::1/postgres", Broken),
        case("postgresql://pglookout:%zz@{p}/postgres", Broken),
        case("postgresql://pglookout:a@b@{p}/postgres", Unreached).ours(Broken),
        // Several hosts and ports.
        case("host={dead},{p} user=pglookout password={pw} dbname=postgres", by_ip),
        case("host={p},{dead} port=1,5432 user=pglookout password={pw} dbname=postgres", Unreached),
        case("host={p},{p} port=1,5432 user=pglookout password={pw} dbname=postgres", by_ip),
        case("host={p},{p} port=1,,3 user=pglookout password={pw} dbname=postgres", Broken),
        case("host=localhost,x hostaddr={p} user=pglookout password={pw} dbname=postgres", Broken),
        case("host=a.invalid,b.invalid hostaddr={dead},{p} user=pglookout password={pw} dbname=postgres", by_ip),
        case("host=nowhere.invalid,{p} user=pglookout password={pw} dbname=postgres", by_ip),
        case("host=nowhere.invalid user=pglookout password={pw} dbname=postgres", Unreached),
        case("host={dead} user=pglookout password={pw} dbname=postgres", Unreached),
        case("host=127.0.0.1,{p} port={starting},5432 user=pglookout password={pw} dbname=postgres", by_ip),
        case("host=127.0.0.1,{p} port={full},5432 user=pglookout password={pw} dbname=postgres", TurnedAway),
        case("host=127.0.0.1,{p} port={closing},5432 user=pglookout password={pw} dbname=postgres", Unreached)
            .ours(by_ip),
        case("host={p},{s} user=pglookout password=wrong dbname=postgres", TurnedAway),
        // Addresses of other kinds.
        case("host=::1 port={v6} user=pglookout password={pw} dbname=postgres", by_ip),
        case("hostaddr=::1 port={v6} user=pglookout password={pw} dbname=postgres", by_ip),
        case("hostaddr={p} user=pglookout password={pw} dbname=postgres", by_ip),
        case("hostaddr=localhost user=pglookout password={pw} dbname=postgres", Unreached).ours(Broken),
        case("host={dir} user=pglookout password={pw} dbname=postgres", by_socket),
        case("host={dir} port=5433 user=pglookout password={pw} dbname=postgres", Unreached),
        case("host=@{abstract} user=pglookout password={pw} dbname=postgres", by_socket),
        case("host={dir}/none,@{abstract} user=pglookout password={pw} dbname=postgres", by_socket),
        case("host={dir} requirepeer={server} user=pglookout password={pw} dbname=postgres", by_socket),
        case("host={dir} requirepeer=daemon user=pglookout password={pw} dbname=postgres", TurnedAway),
        case("host={p} requirepeer=daemon user=pglookout password={pw} dbname=postgres", by_ip),
        // The environment.
        case("host={p} dbname=postgres", by_ip).env("PGUSER=pglookout PGPASSWORD={pw}"),
        case("user=pglookout", by_ip).env("PGHOST={dead},{p} PGPORT=1,5432 PGDATABASE=postgres PGPASSWORD={pw}"),
        case("user=pglookout dbname=postgres", by_socket).env("PGHOST={dir} PGPASSWORD={pw}"),
        case("host={p} user=pglookout dbname=postgres password={pw}", by_ip)
            .env("PGPASSWORD=wrong PGUSER=x PGDATABASE=x"),
        case("host={p} user=pglookout dbname=postgres", Broken).env("PGPORT=abc PGPASSWORD={pw}"),
        case("host={p} user=pglookout dbname=postgres", Broken).env("PGSSLMODE=bogus PGPASSWORD={pw}"),
        case("host={p} user=pglookout dbname=postgres", of_standby).env("PGHOSTADDR={s} PGPASSWORD={pw}"),
        case("user=pglookout dbname=postgres", of_standby)
            .env("PGHOST={p},{s} PGTARGETSESSIONATTRS=standby PGPASSWORD={pw}"),
        // Password files.
        case("host={p} user=pglookout dbname=postgres", TurnedAway),
        case("host={p} user=pglookout dbname=postgres password=''", TurnedAway),
        case("host={p} user=pglookout dbname=postgres password=''", by_ip).pgpass("*:*:*:*:{pw}"),
        case("host={p} user=pglookout dbname=postgres", by_ip)
            .pgpass("# {p}:*:*:*:no\nx:*:*:*:no\n{p}:5432:postgres:*:{pw}"),
        case("host={p} user=pglookout dbname=postgres", TurnedAway).pgpass("{p}:5432:postgres:pglookout:\n*:*:*:*:no"),
        case("host={p} user=pglookout dbname=postgres", TurnedAway).pgpass("{p}:5432:*:*:no\n*:*:*:*:{pw}"),
        case("host={p} user=pglookout dbname=postgres", TurnedAway).pgpass("*:*:*:*:{pw}").mode(0o640),
        case("host={p} user=pglookout dbname=postgres", TurnedAway).pgpass("*:*:*:*:{pw}").mode(0o604),
        case("host={p} user=pglookout dbname=postgres", by_ip)
            .pgpass("*:*:*:*:{pw}")
            .env("PGPASSFILE={files}/home/.pgpass"),
        case("host={p} user=pglookout dbname=postgres", TurnedAway).pgpass("*:*:*:*:{pw}").env("PGPASSFILE=/nowhere"),
        case("host={p} user=pglookout dbname=postgres passfile={files}/home/.pgpass", by_ip)
            .pgpass("*:*:*:*:{pw}")
            .env("PGPASSFILE=/nowhere"),
        case("host={p} user=ümlaut dbname=postgres", umlaut).pgpass(r"{p}:*:*:ümlaut:pä@s/s\:w%rd"),
        case(r"host={p} user='o\'brien \\x' dbname='my db'", odd).pgpass(r"{p}:5432:my db:o'brien \\x:p 'w\\"),
        case(r"host={p} user='o\'brien \\x' dbname='my db'", TurnedAway).pgpass(r"{p}:5432:my db:o'brien \x:p 'w\\"),
        case("host=::1 port={v6} user=pglookout dbname=postgres", by_ip).pgpass(r"\:\:1:{v6}:*:*:{pw}"),
        case("host=::1 port={v6} user=pglookout dbname=postgres", by_ip).pgpass("::1:{v6}:*:*:{pw}"),
        case("host={dir} user=pglookout dbname=postgres", by_socket).pgpass("localhost:*:*:*:no\n{dir}:*:*:*:{pw}"),
        case("host=name hostaddr={p} user=pglookout dbname=postgres", by_ip).pgpass("{p}:*:*:*:no\nname:*:*:*:{pw}"),
        case("host={dead},{p} user=pglookout dbname=postgres", by_ip).pgpass("{dead}:*:*:*:no\n{p}:*:*:*:{pw}"),
        // Services.
        case("service=here", by_ip).service(SERVICES),
        case("service=here", by_ip).service(SERVICES).env("PGHOST={s} PGPASSWORD=wrong"),
        case("service=here host={s}", of_standby).service(SERVICES),
        case("service=here password=wrong", TurnedAway).service(SERVICES),
        case("user=pglookout", by_ip).service(SERVICES).env("PGSERVICE=here"),
        case("service=odd", odd).service(SERVICES),
        case("service=elsewhere", Broken).service(SERVICES),
        case("service=here", Broken),
        case("service=nested", Broken).service(SERVICES),
        case("service=garbage", Broken).service(SERVICES),
        case("service=unknown", Broken).service(SERVICES),
        case("service=badport", Broken).service(SERVICES),
        case("service=here", by_ip).service(SERVICES).env("PGSERVICEFILE={files}/home/.pg_service.conf HOME=/nowhere"),
        case("service=here", Broken).service(SERVICES).env("PGSERVICEFILE=/nowhere"),
        case("service=here", by_ip).service(SERVICES).env("PGSYSCONFDIR={files}/etc HOME=/nowhere"),
        // Roles. With one host, or where no host is of that role, libpq fails; we go on watching.
        case("host={s},{p} target_session_attrs=any user=pglookout password={pw} dbname=postgres", of_standby),
        case("host={s},{p} target_session_attrs=primary user=pglookout password={pw} dbname=postgres", by_ip),
        case("host={s},{dead},{p} target_session_attrs=read-write user=pglookout password={pw} dbname=postgres", by_ip),
        case("host={p},{s} target_session_attrs=read-only user=pglookout password={pw} dbname=postgres", of_standby),
        case("host={p},{s} target_session_attrs=standby user=pglookout password={pw} dbname=postgres", of_standby),
        case(
            "host={p},{s} target_session_attrs=prefer-standby user=pglookout password={pw} dbname=postgres",
            of_standby,
        ),
        case("host={p},{dead} target_session_attrs=prefer-standby user=pglookout password={pw} dbname=postgres", by_ip)
            .ours(Seen("p")),
        case("host={s},{dead} target_session_attrs=primary user=pglookout password={pw} dbname=postgres", TurnedAway)
            .ours(Seen("s1")),
        case("host={p} target_session_attrs=standby user=pglookout password={pw} dbname=postgres", TurnedAway)
            .ours(by_ip),
        case("host={p} target_session_attrs=prefer-standby user=pglookout password={pw} dbname=postgres", by_ip),
        case("host={p} target_session_attrs=master user=pglookout password={pw} dbname=postgres", Broken),
        // Time limits.
        case("host={hole} connect_timeout=2 user=pglookout password={pw} dbname=postgres", Unreached),
        case("host={hole},{p} connect_timeout=2 user=pglookout password={pw} dbname=postgres", by_ip),
        case("host=127.0.0.1 port={silent} connect_timeout=2 user=pglookout password={pw} dbname=postgres", Unreached),
        case(
            "host=127.0.0.1,{p} port={silent},5432 connect_timeout=2 user=pglookout password={pw} dbname=postgres",
            by_ip,
        ),
        // Values that cannot be.
        case("host={p} port=0 user=pglookout password={pw} dbname=postgres", Broken),
        case("host={p} port=65536 user=pglookout password={pw} dbname=postgres", Broken),
        case("host={p} port=abc user=pglookout password={pw} dbname=postgres", Broken),
        case("host={p} port=' 5432 ' user=pglookout password={pw} dbname=postgres", by_ip),
        case("host={p} hots=x user=pglookout password={pw} dbname=postgres", Broken),
        case("host={p} sslmode=bogus user=pglookout password={pw} dbname=postgres", Broken),
        case("host={p} connect_timeout=soon user=pglookout password={pw} dbname=postgres", Broken),
        case("host={p} keepalives_idle=1s user=pglookout password={pw} dbname=postgres", Broken),
        case("host={p} channel_binding=maybe user=pglookout password={pw} dbname=postgres", Broken),
        case("host={p} gssencmode=perhaps user=pglookout password={pw} dbname=postgres", Broken),
    ]
}

const SERVICES: &str = "\
[other]
host=nowhere.invalid
[here]
# first come, first served
host={p}
host={dead}
user=pglookout
  dbname=postgres\t
password={pw}
[odd]
host={p}
user=o'brien \\x
dbname=my db
password=p 'w\\
[nested]
service=here
[garbage]
host
[unknown]
hots=x
[badport]
host={p}
port=0
";

#[test]
fn every_connection_string_ends_as_with_libpq() {
    let Some(world) = World::new() else { return };
    let cases = cases();
    let daemons: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| world.watch(number, case))
        .collect();
    let mut wrong = Vec::new();
    for (number, (case, mut daemon)) in cases.iter().zip(daemons).enumerate() {
        let (libpq, message) = world.psql(number, case);
        let (ours, logged) = world.outcome(number, &mut daemon);
        if !case.is_as_expected(&libpq, &ours) {
            wrong.push(format!(
                "{}\n    libpq: {libpq}: {}\n    we: {ours}: {}",
                case.described(&world),
                message.trim(),
                logged.trim()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// Where libpq waits for as long as the system does.
#[test]
fn a_silent_host_leaves_time_for_the_next() {
    let Some(world) = World::new() else { return };
    let by_ip = In("pglookout|postgres|p|ip");
    let cases = [
        case(
            "host={hole},{p} user=pglookout password={pw} dbname=postgres",
            by_ip,
        ),
        case(
            "host=127.0.0.1,{p} port={silent},5432 user=pglookout password={pw} dbname=postgres",
            by_ip,
        ),
        case(
            "host=127.0.0.1,{s},{p} port={silent},5432,5432 target_session_attrs=primary user=pglookout password={pw} dbname=postgres",
            by_ip,
        ),
    ];
    let daemons: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| world.watch(number, case))
        .collect();
    for (number, (case, mut daemon)) in cases.iter().zip(daemons).enumerate() {
        let (ours, logged) = world.outcome(number, &mut daemon);
        assert!(
            case.is_as_expected(&ours, &ours),
            "{}: {ours}: {logged}",
            case.described(&world)
        );
    }
}
