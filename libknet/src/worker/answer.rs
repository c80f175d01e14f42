//! Questions and pings of the control side.

use knet_proto::{
    ids::{LinkId, PeerId},
    l2::vlan::VlanId,
    time::{Span, Time},
};

use super::{Worker, control::Command};
use crate::{
    pings::PingReply,
    query::{InterfaceReport, PAGE, PingResult, Query, Reply, SocketReport, SystemCalls, WorkerReport},
};

impl Worker {
    /// Adds what is to be said here, and passes the question on to the next worker, or the answer to whoever asked.
    pub(super) fn answer(
        &mut self,
        now: Time,
        query: Query,
        so_far: Option<Reply>,
        reply: Box<dyn FnOnce(Reply) + Send>,
    ) {
        let own = self.own_answer(now, &query);
        let answer = match so_far {
            Some(so_far) => so_far.merge(&query, own),
            None => own,
        };
        match self.next.as_ref().filter(|_| query.is_for_all()) {
            Some(next) => next.post(Command::Query {
                query,
                so_far: Some(answer),
                reply,
            }),
            None => reply(answer),
        }
    }

    fn own_answer(&mut self, now: Time, query: &Query) -> Reply {
        match *query {
            Query::Interface => Reply::Interface(Box::new(self.report(now))),
            Query::Peers { from, limit } => {
                let (peers, next) = self.shard.peers_page(from.unwrap_or(PeerId(0)), limit.min(PAGE));
                Reply::Peers { peers, next }
            }
            Query::Peer(peer) => Reply::Peer(self.shard.peer_status(peer).map(Box::new)),
            Query::Macs { cursor, limit } => {
                let (entries, next) = self.shard.macs_page(cursor, limit.min(PAGE));
                Reply::Macs { entries, next }
            }
            Query::Neighbors { cursor, limit } => {
                let (entries, next) = self.shard.neighbors_page(cursor, limit.min(PAGE));
                Reply::Neighbors { entries, next }
            }
            Query::Vlans { cursor, limit } => {
                let from = VlanId(cursor.try_into().unwrap_or(u16::MAX));
                let (entries, next) = self.shard.vlans_page(from, limit.min(PAGE));
                let next = next.map(|vlan| vlan.0.into());
                Reply::Vlans { entries, next }
            }
            Query::Listeners { cursor, limit } => {
                let (entries, next) = self.shard.listeners_page(cursor, limit.min(PAGE));
                Reply::Listeners { entries, next }
            }
            Query::HubGroups => Reply::HubGroups(self.shard.hub_groups()),
            Query::ClearCounters => {
                self.shard.clear_counters();
                self.calls = SystemCalls::default();
                Reply::Done
            }
            Query::ClearMacs => {
                self.shard.clear_macs();
                Reply::Done
            }
            Query::OpenPorts(only) => {
                self.shard.open_ports(now, only);
                Reply::Done
            }
            Query::ClearNeighbors => {
                self.shard.clear_neighbors();
                Reply::Done
            }
        }
    }

    fn report(&self, now: Time) -> InterfaceReport {
        let status = self.shard.interface_status();
        InterfaceReport {
            holdings: self.shard.holdings(),
            ifindex: self.tap.ifindex(),
            uptime: now.since(self.started),
            calls: self.calls,
            workers: vec![WorkerReport {
                peers: status.peers,
                peers_up: status.peers_up,
                handed: status.handed,
                taken: status.taken,
                gaps: status.gaps,
            }],
            sockets: self.sockets.iter().map(report).collect(),
            status,
        }
    }

    pub(super) fn ping(
        &mut self,
        now: Time,
        peer: PeerId,
        link: Option<LinkId>,
        timeout: Span,
        reply: PingReply,
    ) {
        let Some(token) = self.pings.add(now, timeout, reply) else {
            return;
        };
        if self.shard.probe(now, peer, link, token) {
            return;
        }
        let refusal = match self.shard.peer_status(peer) {
            None => PingResult::UnknownPeer,
            Some(status) if status.session.is_none() => PingResult::NoSession,
            Some(_) => PingResult::NoLink,
        };
        self.pings.end(token, refusal);
    }
}

fn report(entry: &crate::sockets::SocketEntry) -> SocketReport {
    SocketReport {
        id: entry.id,
        address: entry.setup.address,
        device: entry.setup.device.clone(),
        down: entry.down,
        overflows: entry.socket.overflows(),
        receive_buffer: entry.socket.receive_buffer(),
    }
}
