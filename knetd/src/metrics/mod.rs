//! Metrics for Prometheus: what `show` tells, as counters and gauges that a program collects by HTTP.
//!
//! Nothing is counted here: each number is read from the rows that `show` has, when somebody asks.
//!
//! | question | module |
//! |---|---|
//! | which socket, and what if it cannot be had | [`endpoint`] |
//! | who is served, and for how long | [`server`] |
//! | what a request asks for | [`http`] |
//! | where the numbers come from | [`snapshot`] |
//! | which metric says what | [`families`], of peers and links [`peer_families`] |
//! | how it is written | [`exposition`] |

pub(crate) mod endpoint;
mod exposition;
mod families;
mod http;
mod peer_families;
mod server;
mod snapshot;

pub(crate) use endpoint::Endpoint;
pub(crate) use server::{CLIENTS, Count, serve};
