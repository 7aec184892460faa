//! libpq's keywords: which exist, which environment variable gives a default, which we honour.

/// One keyword of libpq.
pub(super) struct KnownKeyword {
    pub(super) name: &'static str,
    /// Environment variable that gives the default; empty if there is none.
    pub(super) variable: &'static str,
    pub(super) support: Support,
}

/// Do we do what the keyword says.
pub(super) enum Support {
    /// Yes.
    Honoured,
    /// No; but these values ask for what we do anyway.
    Ignored(&'static [&'static str]),
    /// No; values of the first list ask for what we do anyway, those of the second for something
    /// that we do not do, and libpq takes no others.
    OneOf(&'static [&'static str], &'static [&'static str]),
}

use Support::{Honoured, Ignored, OneOf};

/// The keyword of that name.
pub(super) fn find(name: &str) -> Option<&'static KnownKeyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

/// All of them up to PostgreSQL 18, and those that older ones took.
pub(super) const KEYWORDS: &[KnownKeyword] = &[
    keyword("host", "PGHOST", Honoured),
    keyword("hostaddr", "PGHOSTADDR", Honoured),
    keyword("port", "PGPORT", Honoured),
    keyword("dbname", "PGDATABASE", Honoured),
    keyword("user", "PGUSER", Honoured),
    keyword("password", "PGPASSWORD", Honoured),
    keyword("passfile", "PGPASSFILE", Honoured),
    keyword("connect_timeout", "PGCONNECT_TIMEOUT", Honoured),
    keyword("application_name", "PGAPPNAME", Honoured),
    keyword("fallback_application_name", "", Honoured),
    keyword("options", "PGOPTIONS", Honoured),
    keyword("keepalives", "", Honoured),
    keyword("keepalives_idle", "", Honoured),
    keyword("keepalives_interval", "", Honoured),
    keyword("keepalives_count", "", Honoured),
    keyword("tcp_user_timeout", "", Honoured),
    keyword("sslmode", "PGSSLMODE", Honoured),
    keyword("requiressl", "PGREQUIRESSL", Honoured),
    keyword("sslrootcert", "PGSSLROOTCERT", Honoured),
    keyword("sslcert", "PGSSLCERT", Honoured),
    keyword("sslkey", "PGSSLKEY", Honoured),
    keyword("channel_binding", "PGCHANNELBINDING", Honoured),
    keyword("target_session_attrs", "PGTARGETSESSIONATTRS", Honoured),
    keyword(
        "client_encoding",
        "PGCLIENTENCODING",
        Ignored(&["UTF8", "UTF-8", "utf8", "utf-8", "auto"]),
    ),
    keyword(
        "gssencmode",
        "PGGSSENCMODE",
        OneOf(&["disable", "prefer"], &["require"]),
    ),
    keyword(
        "load_balance_hosts",
        "PGLOADBALANCEHOSTS",
        OneOf(&["disable"], &["random"]),
    ),
    keyword("sslnegotiation", "PGSSLNEGOTIATION", Honoured),
    keyword("sslcompression", "PGSSLCOMPRESSION", Ignored(&["0"])),
    keyword("sslsni", "PGSSLSNI", Honoured),
    keyword("replication", "", Ignored(&["false", "off", "no", "0"])),
    keyword("service", "PGSERVICE", Honoured),
    keyword("servicefile", "PGSERVICEFILE", Honoured),
    keyword("requirepeer", "PGREQUIREPEER", Honoured),
    keyword("require_auth", "PGREQUIREAUTH", Honoured),
    keyword(
        "min_protocol_version",
        "PGMINPROTOCOLVERSION",
        OneOf(&["3.0"], &["3.2", "latest"]),
    ),
    keyword(
        "max_protocol_version",
        "PGMAXPROTOCOLVERSION",
        OneOf(&["3.0", "3.2", "latest"], &[]),
    ),
    keyword("sslpassword", "", Ignored(&[])),
    keyword("sslcertmode", "PGSSLCERTMODE", Honoured),
    keyword("sslcrl", "PGSSLCRL", Honoured),
    keyword("sslcrldir", "PGSSLCRLDIR", Ignored(&[])),
    keyword("sslkeylogfile", "", Ignored(&[])),
    keyword(
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        Honoured,
    ),
    keyword(
        "ssl_max_protocol_version",
        "PGSSLMAXPROTOCOLVERSION",
        Honoured,
    ),
    keyword("krbsrvname", "PGKRBSRVNAME", Ignored(&[])),
    keyword("gsslib", "PGGSSLIB", Ignored(&[])),
    keyword("gssdelegation", "PGGSSDELEGATION", Ignored(&["0"])),
    keyword("scram_client_key", "", Ignored(&[])),
    keyword("scram_server_key", "", Ignored(&[])),
    keyword("oauth_issuer", "", Ignored(&[])),
    keyword("oauth_client_id", "", Ignored(&[])),
    keyword("oauth_client_secret", "", Ignored(&[])),
    keyword("oauth_scope", "", Ignored(&[])),
    keyword("authtype", "", Ignored(&[])),
    keyword("tty", "", Ignored(&[])),
];

const fn keyword(name: &'static str, variable: &'static str, support: Support) -> KnownKeyword {
    KnownKeyword {
        name,
        variable,
        support,
    }
}
