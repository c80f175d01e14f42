//! What the control side says to the data thread.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc::SyncSender},
};

use knet_io::udp::UdpSocket;
use knet_proto::{
    config::{MtuPolicy, PeerConfig, TapMtu},
    ids::{LinkId, MacAddr, PeerId, SocketId},
    shard::Shard,
    time::{Span, Time},
};

use super::Worker;
use crate::{
    pings::PingReply,
    query::{Event, InterfaceReport, PingResult, Query, Reply, SocketReport, SystemCalls},
    setup::SocketSetup,
    sockets::token,
};

/// Commands per turn.
const COMMANDS: usize = 64;
/// Rows of one answer.
const PAGE: usize = 1000;
/// Changes per turn.
const CHANGES: usize = 256;

/// A message to the data thread.
pub(crate) enum Command {
    /// Do these; none of them can fail any more.
    Apply {
        changes: Vec<Prepared>,
        done: SyncSender<()>,
    },
    /// Answer this.
    Query {
        query: Query,
        reply: Box<dyn FnOnce(Reply) + Send>,
    },
    /// Ask a peer for a sign of life.
    Ping {
        peer: PeerId,
        link: Option<LinkId>,
        timeout: Span,
        reply: PingReply,
    },
    /// End.
    Stop,
}

/// A change of which everything that can fail is done.
pub(crate) enum Prepared {
    SetPeer { peer: PeerId, config: Box<PeerConfig> },
    RemovePeer(PeerId),
    Sockets(SocketChange),
    SetMacAgeing(Span),
    SetMtuPolicy(MtuPolicy),
    SetMtu(TapMtu),
    SetTapMac(MacAddr),
}

/// Sockets to close and then to open. Those that stay are in neither.
#[derive(Default)]
pub(crate) struct SocketChange {
    pub(crate) remove: Vec<SocketId>,
    pub(crate) add: Vec<(SocketId, SocketSetup, Arc<UdpSocket>)>,
}

/// Changes under way: many of them take several turns, so that traffic goes on.
pub(super) struct Applying {
    changes: VecDeque<Prepared>,
    /// Peers whose static MAC addresses are still behind another port, which gives them up later in the list.
    postponed: Vec<(PeerId, Box<PeerConfig>)>,
    done: SyncSender<()>,
}

impl Worker {
    /// Takes commands; says whether more wait, or `None` to stop.
    pub(super) fn take_commands(&mut self, now: Time) -> Option<bool> {
        for _ in 0..COMMANDS {
            if self.applying.is_some() {
                self.go_on_applying(now);
                // One portion per turn, and nothing may overtake it.
                return Some(true);
            }
            match self.commands.try_recv() {
                Ok(Command::Apply { changes, done }) => {
                    self.applying = Some(Applying {
                        changes: changes.into(),
                        postponed: Vec::new(),
                        done,
                    });
                }
                Ok(Command::Query { query, reply }) => reply(self.answer(now, &query)),
                Ok(Command::Ping {
                    peer,
                    link,
                    timeout,
                    reply,
                }) => self.ping(now, peer, link, timeout, reply),
                Ok(Command::Stop) => return None,
                // Disconnected: the handle sends Stop before it goes, so that this is the queue being empty too.
                Err(_) => return Some(false),
            }
        }
        Some(true)
    }

    fn go_on_applying(&mut self, now: Time) {
        let Some(mut applying) = self.applying.take() else {
            return;
        };
        for _ in 0..CHANGES {
            let Some(change) = applying.changes.pop_front() else {
                set_postponed(&mut self.shard, now, applying.postponed);
                // Nobody waits any more if the control side has given up.
                let _ = applying.done.send(());
                return;
            };
            match change {
                Prepared::SetPeer { peer, config } => {
                    if self.shard.set_peer(now, peer, (*config).clone()).is_err() {
                        applying.postponed.push((peer, config));
                    }
                }
                Prepared::RemovePeer(peer) => self.shard.remove_peer(now, peer),
                Prepared::Sockets(change) => self.change_sockets(now, change),
                Prepared::SetMacAgeing(ageing) => self.shard.set_mac_ageing(ageing),
                Prepared::SetMtuPolicy(policy) => self.shard.set_mtu_policy(policy),
                Prepared::SetMtu(mtu) => self.shard.configure_tap_mtu(now, mtu),
                Prepared::SetTapMac(mac) => {
                    // Refused only where a peer is configured to have it, which was checked.
                    let _ = self.shard.set_tap_macs(now, &[mac]);
                }
            }
        }
        self.applying = Some(applying);
    }

    fn change_sockets(&mut self, now: Time, change: SocketChange) {
        for id in change.remove {
            self.sockets.remove(&self.epoll, id);
            self.shard.handle_socket(now, id, false);
        }
        for (id, setup, socket) in change.add {
            let down = self.local.socket_down(&setup);
            // Fails only where the kernel has no memory to watch one more descriptor: the link then stays down.
            if self
                .sockets
                .set(&self.epoll, token(id), (id, setup, socket))
                .is_ok()
            {
                self.shard.handle_socket(now, id, down.is_none());
            }
            for entry in self.sockets.iter_mut().filter(|e| e.id == id) {
                entry.down = down;
            }
            if down.is_some() {
                (self.on_event)(Event::Socket { socket: id, down });
            }
        }
    }

    fn answer(&mut self, now: Time, query: &Query) -> Reply {
        match *query {
            Query::Interface => Reply::Interface(Box::new(InterfaceReport {
                status: self.shard.interface_status(),
                ifindex: self.tap.ifindex(),
                uptime: now.since(self.started),
                calls: self.calls,
                sockets: self.sockets.iter().map(report).collect(),
            })),
            Query::Peers { from, limit } => {
                let (peers, next) = self.shard.peers_page(from.unwrap_or(PeerId(0)), limit.min(PAGE));
                Reply::Peers { peers, next }
            }
            Query::Peer(peer) => Reply::Peer(self.shard.peer_status(peer).map(Box::new)),
            Query::Macs { cursor, limit } => {
                let (entries, next) = self.shard.macs_page(cursor, limit.min(PAGE));
                Reply::Macs { entries, next }
            }
            Query::ClearCounters => {
                self.shard.clear_counters();
                self.calls = SystemCalls::default();
                Reply::Done
            }
            Query::ClearMacs => {
                self.shard.clear_macs();
                Reply::Done
            }
        }
    }

    fn ping(&mut self, now: Time, peer: PeerId, link: Option<LinkId>, timeout: Span, reply: PingReply) {
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

/// By now every address has been given up by whoever had it before, except where two of these peers exchange theirs:
/// so first all of them without.
fn set_postponed(shard: &mut Shard, now: Time, postponed: Vec<(PeerId, Box<PeerConfig>)>) {
    for (peer, config) in &postponed {
        let without = PeerConfig {
            static_macs: Vec::new(),
            ..(**config).clone()
        };
        let _ = shard.set_peer(now, *peer, without);
    }
    for (peer, config) in postponed {
        let _ = shard.set_peer(now, peer, *config);
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
