//! What the lines about multicast take.

use super::{ArgumentType, Form};

pub(super) const QUERY_INTERVAL: ArgumentType = ArgumentType {
    name: "query-interval",
    forms: &[Form::Range {
        low: 1,
        high: 3600,
        unit: "seconds",
    }],
    help: "Time between two questions (default 125)",
    live: None,
};

pub(super) const QUERIER_ADDRESS: ArgumentType = ArgumentType {
    name: "querier-address",
    forms: &[Form::Ipv4],
    help: "Address of this host that questions come from",
    live: None,
};
