//! Names of database nodes and observers as the operator wrote them; two types, so that neither is
//! taken for the other.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as it stands in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $type {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A database node: a key of `remote_conns`. Ordered by code point, as the last tie-break
    /// between candidates wants.
    NodeName
}

name! {
    /// Another pglookout whose `/state.json` we read: a key of `observers`.
    ObserverName
}

name! {
    /// A cluster that votes: a key of `voting`. One observer may vote in several.
    ClusterName
}

name! {
    /// A pglookout that votes: a key of `voters`. A database host's is named like its node.
    VoterName
}
