//! knet as a library: the data plane of one or more interfaces (overlays), run by plain threads.
//!
//! [`Interface::start`] opens the TAP and the UDP sockets and runs the protocol core ([`proto`]) over them.
//! Everything else is said to the returned handle: configuration changes, queries, pings, stop. [`io`] is the
//! rim towards the kernel, [`api`] the configuration model and the control messages.
#![forbid(unsafe_code)]

pub use knet_api as api;
pub use knet_io as io;
pub use knet_proto as proto;

mod apply;
mod fate;
mod handshake_thread;
mod identity;
mod interface;
mod local_links;
mod mail;
mod pings;
mod query;
mod setup;
mod sockets;
mod steering;
mod time;
mod worker;

pub use handshake_thread::HANDSHAKE_QUEUE;
pub use identity::{OsEntropy, stable_mac, suites_of_this_machine};
pub use interface::{ApplyError, Interface, StartError};
pub use query::{
    Event, InterfaceReport, PingResult, Query, Reply, SocketDown, SocketReport, SystemCalls, WorkerReport,
};
pub use setup::{Change, InterfaceSetup, Offloads, SocketSetup};
