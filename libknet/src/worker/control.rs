//! What the control side says to a worker.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{SendError, SyncSender},
    },
};

use knet_io::{eventfd::Waker, udp::UdpSocket};
use knet_proto::{
    config::{DomainConfig, MtuPolicy, PeerConfig, PortConfig, TapMtu},
    handshake::message::Input,
    ids::{LinkId, MacAddr, PeerId, SocketId},
    time::{Span, Time},
};

use super::Worker;
use crate::{
    pings::PingReply,
    query::{Query, Reply},
    setup::SocketSetup,
    sockets::token,
};

/// Commands per turn.
const COMMANDS: usize = 64;
/// Changes per turn.
const CHANGES: usize = 256;

/// Where a worker takes its commands from.
#[derive(Clone)]
pub(crate) struct WorkerHandle {
    pub(crate) commands: SyncSender<Command>,
    pub(crate) waker: Waker,
}

impl WorkerHandle {
    /// Waits for room, if need be. Fails where the worker has ended.
    pub(crate) fn send(&self, command: Command) -> Result<(), SendError<Command>> {
        self.commands.send(command)?;
        self.waker.wake();
        Ok(())
    }

    /// Never waits: where the worker has ended, or far too many commands wait, this one is dropped, and the callback in
    /// it.
    pub(crate) fn post(&self, command: Command) {
        if self.commands.try_send(command).is_ok() {
            self.waker.wake();
        }
    }
}

/// A message to a worker.
pub(crate) enum Command {
    /// Do these; none of them can fail any more.
    Apply {
        changes: Vec<Prepared>,
        done: SyncSender<()>,
    },
    /// Answer this: for all workers, one after the other, of which those before have answered so far.
    Query {
        query: Query,
        so_far: Option<Reply>,
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
#[derive(Clone)]
pub(crate) enum Prepared {
    Leave(PeerId),
    SetPort(PeerId, PortConfig),
    RemovePort(PeerId),
    Enter(PeerId, Arc<PeerConfig>),
    Sockets(SocketChange),
    SetMacAgeing(Span),
    SetDomain(Box<DomainConfig>),
    TakeCredentials(bool),
    SetMtuPolicy(MtuPolicy),
    SetMtu(TapMtu),
    SetTapMac(MacAddr),
}

/// Sockets to close and then to open. Those that stay are in neither.
#[derive(Clone, Default)]
pub(crate) struct SocketChange {
    pub(crate) remove: Vec<SocketId>,
    pub(crate) add: Vec<(SocketId, SocketSetup, Arc<UdpSocket>)>,
}

/// Changes under way: many of them take several turns, so that traffic goes on.
pub(super) struct Applying {
    changes: VecDeque<Prepared>,
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
                        done,
                    });
                }
                Ok(Command::Query { query, so_far, reply }) => self.answer(now, query, so_far, reply),
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
                // Nobody waits any more if the control side has given up.
                let _ = applying.done.send(());
                return;
            };
            match change {
                Prepared::Leave(peer) => self.shard.leave(now, peer),
                Prepared::SetPort(peer, port) => {
                    // Refused only where somebody else has one of its static addresses: they have been given up before,
                    // and that nobody else takes them was checked.
                    let _ = self.shard.set_port(now, peer, &port);
                }
                Prepared::RemovePort(peer) => self.shard.remove_port(now, peer),
                Prepared::Enter(peer, config) => self.shard.enter(now, peer, config),
                Prepared::Sockets(change) => self.change_sockets(now, change),
                Prepared::SetMacAgeing(ageing) => self.shard.set_mac_ageing(ageing),
                Prepared::SetDomain(domain) => self.shard.set_domain(now, &domain),
                Prepared::TakeCredentials(takes) => {
                    self.handshake.send(Input::TakeCredentials(takes));
                }
                Prepared::SetMtuPolicy(policy) => self.shard.set_mtu_policy(policy),
                Prepared::SetMtu(mtu) => self.shard.configure_tap_mtu(now, mtu),
                Prepared::SetTapMac(mac) => {
                    // Likewise.
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
            // Fails only where the kernel has no memory to watch one more descriptor: the link then stays down.
            if self
                .sockets
                .set(&self.epoll, token(id), (id, setup, socket))
                .is_ok()
            {
                self.socket_added(now, id);
            }
        }
    }
}
