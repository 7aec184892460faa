//! `require_auth`: which ways of logging in the operator accepts.

use super::source::Source;

/// The methods that a server may ask for; by default all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthMethods {
    allowed: [bool; METHODS.len()],
    /// Were they listed one by one; a list of exceptions is none.
    listed: bool,
}

/// A way of logging in that pglookout implements or that libpq has a keyword for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `password`: in cleartext.
    Password,
    /// `md5`.
    Md5,
    /// `gss`.
    Gss,
    /// `sspi`.
    Sspi,
    /// `scram-sha-256`, with channel binding or without.
    Scram,
    /// `oauth`.
    Oauth,
    /// `none`: the server asks for nothing.
    Nothing,
}

impl Default for AuthMethods {
    fn default() -> Self {
        Self {
            allowed: [true; METHODS.len()],
            listed: false,
        }
    }
}

impl AuthMethods {
    /// May the server ask for it.
    pub fn allows(&self, method: AuthMethod) -> bool {
        METHODS
            .iter()
            .zip(self.allowed)
            .any(|((_, known), allowed)| *known == method && allowed)
    }

    /// Did the operator name it.
    pub fn lists(&self, method: AuthMethod) -> bool {
        self.listed && self.allows(method)
    }

    /// As libpq reads it back; empty: any method.
    pub(super) fn to_keyword(self) -> String {
        let (sign, wanted) = if self.listed {
            ("", true)
        } else {
            ("!", false)
        };
        let named = METHODS
            .iter()
            .zip(self.allowed)
            .filter(|(_, allowed)| *allowed == wanted);
        named
            .map(|((name, _), _)| format!("{sign}{name}"))
            .collect::<Vec<_>>()
            .join(",")
    }
}

pub(super) fn resolve(source: &mut Source<'_>) -> AuthMethods {
    let parsed = source.filled("require_auth").map(parse);
    parsed
        .unwrap_or_else(|| Ok(AuthMethods::default()))
        .unwrap_or_else(|message| {
            source.error("require_auth", message);
            AuthMethods::default()
        })
}

/// Methods, or `!` methods, separated by commas; not both, and none twice.
fn parse(text: &str) -> Result<AuthMethods, String> {
    let listed = !text.trim_start().starts_with('!');
    let mut methods = AuthMethods {
        allowed: [!listed; METHODS.len()],
        listed,
    };
    for word in text.split(',').map(str::trim) {
        let name = match (listed, word.strip_prefix('!')) {
            (true, None) => word,
            (false, Some(name)) => name,
            _ => return Err("expected methods, or exceptions with \"!\", and not both".to_owned()),
        };
        let known = METHODS
            .iter()
            .zip(&mut methods.allowed)
            .find(|((known, _), _)| *known == name);
        let (_, allowed) = known.ok_or_else(|| format!("expected a list of {}", names()))?;
        if *allowed == listed {
            return Err(format!("{name} stands there twice"));
        }
        *allowed = listed;
    }
    Ok(methods)
}

fn names() -> String {
    METHODS.map(|(name, _)| name).join(", ")
}

const METHODS: [(&str, AuthMethod); 7] = [
    ("password", AuthMethod::Password),
    ("md5", AuthMethod::Md5),
    ("gss", AuthMethod::Gss),
    ("sspi", AuthMethod::Sspi),
    ("scram-sha-256", AuthMethod::Scram),
    ("oauth", AuthMethod::Oauth),
    ("none", AuthMethod::Nothing),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, allowed: &[AuthMethod], lists_password: bool) {
        let methods = parse(text).unwrap();
        let found: Vec<_> = METHODS
            .iter()
            .map(|(_, method)| *method)
            .filter(|method| methods.allows(*method))
            .collect();
        assert_eq!(
            (found.as_slice(), methods.lists(AuthMethod::Password)),
            (allowed, lists_password),
            "{text:?}"
        );
        assert_eq!(
            parse(&methods.to_keyword()).as_ref(),
            Ok(&methods),
            "{text:?} read back"
        );
    }

    #[test]
    fn reads_lists_and_exceptions() {
        use AuthMethod::*;
        check("scram-sha-256", &[Scram], false);
        check("scram-sha-256, password", &[Password, Scram], true);
        check("none", &[Nothing], false);
        check("!none", &[Password, Md5, Gss, Sspi, Scram, Oauth], false);
        check("!password,!md5", &[Gss, Sspi, Scram, Oauth, Nothing], false);
    }

    #[test]
    fn refuses_what_libpq_refuses() {
        for text in [
            "scram",
            "scram-sha-256,!md5",
            "!md5,password",
            "md5,md5",
            "!md5,!md5",
            "md5,",
            ",",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
