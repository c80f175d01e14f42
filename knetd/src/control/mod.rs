//! The control socket: who may connect, what may be asked, what is answered.

mod act;
mod authorize;
pub(crate) mod certificates;
mod client;
mod groups;
mod hubs;
mod invitations;
pub(crate) mod limits;
pub(crate) mod listener;
mod monitor;
pub(crate) mod names;
mod output;
mod ping;
pub(crate) mod pools;
mod requests;
pub(crate) mod server;
pub(crate) mod show;
mod tables;
mod versions;
mod workspace;
