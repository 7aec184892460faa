//! Who we run as: libpq's default for `user`, and the home directory with `.pgpass` in it; and who
//! others run as.

use std::path::PathBuf;

use nix::unistd::{Uid, User, geteuid};

/// Name and home directory of the user that we run as.
///
/// `/etc/passwd` is read first. A user who is not in it is asked for through the system's name
/// services, which may take as long as they like (call this at start and on reload only) and which
/// a statically linked glibc cannot load.
pub fn os_user() -> Option<(String, PathBuf)> {
    let uid = geteuid();
    let local = super::files::read_small("/etc/passwd".as_ref(), PASSWD_BYTES).ok();
    local
        .and_then(|passwd| find(&String::from_utf8_lossy(&passwd), uid))
        .or_else(|| {
            let user = User::from_uid(uid).ok()??;
            Some((user.name, user.dir))
        })
}

/// The name of a user in `/etc/passwd`. No name service is asked, so this may be called at any
/// time.
pub fn local_name(uid: u32) -> Option<String> {
    let passwd = super::files::read_small("/etc/passwd".as_ref(), PASSWD_BYTES).ok()?;
    find(&String::from_utf8_lossy(&passwd), Uid::from_raw(uid)).map(|(name, _)| name)
}

/// More local users than this are looked for through the name services.
const PASSWD_BYTES: usize = 4 * 1024 * 1024;

/// The line of `passwd` for `uid`: name, password, uid, gid, comment, home, shell.
fn find(passwd: &str, uid: Uid) -> Option<(String, PathBuf)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let id: u32 = fields.nth(1)?.parse().ok()?;
        let home = fields.nth(2)?;
        (id == uid.as_raw()).then(|| (name.to_owned(), PathBuf::from(home)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_line_of_a_user_and_passes_over_broken_ones() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\nbroken:x:seven\n:x:26:1::/no:/\n+::::::\n\
                      postgres:x:26:26:PostgreSQL:/var/lib/pgsql:/bin/bash\nsecond:x:26:26::/other:/bin/sh\n";
        let check = |uid, expected: Option<(&str, &str)>| {
            let found = find(passwd, Uid::from_raw(uid));
            assert_eq!(
                found,
                expected.map(|(name, home)| (name.to_owned(), PathBuf::from(home)))
            );
        };
        check(0, Some(("root", "/root")));
        check(26, Some(("postgres", "/var/lib/pgsql")));
        check(7, None);
    }

    #[test]
    fn somebody_runs_these_tests() {
        assert!(os_user().is_some_and(|(name, _)| !name.is_empty()));
        assert_eq!(local_name(0).as_deref(), Some("root"));
    }
}
