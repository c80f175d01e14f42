//! The handle of a running interface.

use knet_proto::{
    ids::{LinkId, PeerId},
    time::Span,
};

use crate::{
    query::{Event, PingResult, Query, Reply},
    setup::{Change, InterfaceSetup},
};

/// A running interface: a TAP, its sockets, its peers, and the threads that serve them. Dropping it stops it.
#[derive(Debug)]
pub struct Interface {}

impl Interface {
    /// Creates the TAP, binds the sockets and starts the threads. On an error nothing is left behind.
    ///
    /// `events` is called on the data thread: it must be short and never block.
    pub fn start(setup: InterfaceSetup, events: Box<dyn Fn(Event) + Send>) -> Result<Self, StartError> {
        let _ = (setup, events);
        unimplemented!()
    }

    /// Applies all of these changes, or none: whatever can fail is prepared first. Blocks until the data thread
    /// has taken them over (a few milliseconds).
    pub fn apply(&self, changes: Vec<Change>) -> Result<(), ApplyError> {
        let _ = changes;
        unimplemented!()
    }

    /// Asks; `reply` is called on the data thread, soon. If the interface stops first, `reply` is dropped without
    /// being called. Never blocks.
    pub fn query(&self, query: Query, reply: Box<dyn FnOnce(Reply) + Send>) {
        let _ = (query, reply);
        unimplemented!()
    }

    /// Sends one ping over the control plane, over `link` or over the best one; `result` is called on the data
    /// thread, once, within `timeout`. If the interface stops first it is dropped without being called.
    pub fn ping(
        &self,
        peer: PeerId,
        link: Option<LinkId>,
        timeout: Span,
        result: Box<dyn FnOnce(PingResult) + Send>,
    ) {
        let _ = (peer, link, timeout, result);
        unimplemented!()
    }

    /// The TAP's name.
    pub fn name(&self) -> &str {
        unimplemented!()
    }

    /// The kernel's number of the TAP.
    pub fn ifindex(&self) -> u32 {
        unimplemented!()
    }

    /// Says goodbye to all peers, ends the threads and removes the TAP. Takes less than a second.
    pub fn stop(self) {}
}

/// Why an interface could not be started. The text names the thing and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {}

/// Why changes could not be applied; nothing was changed. The text names the thing and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {}
