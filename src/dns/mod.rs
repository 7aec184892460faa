//! Names to addresses: cache, stale answers, literals. Looks nothing up itself.
