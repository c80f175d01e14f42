//! The real `knetd`, started in network namespaces of its own and talked to over its control socket. Needs root.
#![allow(
    clippy::format_collect,
    clippy::result_large_err,
    clippy::unwrap_used,
    missing_docs
)]

mod act;
mod candidates;
mod certificates;
mod configuration;
mod confirmations;
mod control;
mod crowd;
mod groups;
mod host;
mod invitations;
mod keys;
mod leases;
mod lifecycle;
mod metrics;
mod names;
mod one_file;
mod revisions;
mod tunnel;
