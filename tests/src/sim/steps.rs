//! What happens in the world: its queue of events, and what each does.

use std::{cmp::Reverse, net::SocketAddr};

use knet_proto::{
    event::Event,
    handshake::message::{Input, Output},
    ids::SocketId,
    path::Path,
    rng::Entropy,
    time::{Span, Time},
    wire::virtio_net_header::VirtioNetHeader,
};

use super::{RECENT, World, network::Network, node};

/// How long the handshake thread needs to take something up and finish it.
const HANDSHAKE_TIME: Span = Span::from_micros(400);
/// I15: more events than this at one instant are a storm that does not end.
const MOST_AT_ONCE: u32 = 1_000_000;

#[derive(Debug)]
pub(super) enum What {
    Datagram {
        to: usize,
        socket: u8,
        remote: SocketAddr,
        bytes: Vec<u8>,
    },
    Handshake {
        to: usize,
        life: u32,
        output: Box<Output>,
    },
    Traffic {
        from: usize,
        to: usize,
        size: usize,
        every: Span,
        until: Time,
    },
    Wake {
        node: usize,
        at: Time,
    },
    Resume {
        node: usize,
    },
}

impl World {
    /// Lets `span` pass.
    pub fn run(&mut self, span: Span) {
        self.look();
        let end = self.now + span;
        let mut at_once = 0;
        while let Some(Reverse((at, serial))) =
            self.queue.peek().copied().filter(|Reverse((at, _))| *at <= end)
        {
            self.queue.pop();
            at_once = if at > self.now { 0 } else { at_once + 1 };
            self.now = self.now.max(at);
            if let Some(what) = self.due.remove(&serial) {
                assert!(
                    at_once < MOST_AT_ONCE,
                    "I15: time stands still at {} ns with {what:?}",
                    at.as_nanos()
                );
                self.happen(what);
            }
        }
        self.now = end;
    }

    pub(super) fn plan(&mut self, at: Time, what: What) {
        self.serial += 1;
        self.queue.push(Reverse((at, self.serial)));
        self.due.insert(self.serial, what);
    }

    pub(super) fn happen(&mut self, what: What) {
        let now = self.now;
        match what {
            What::Datagram {
                to,
                socket,
                remote,
                mut bytes,
            } => {
                let node = &mut self.nodes[to];
                if node.is_paused() {
                    return node.keep(What::Datagram {
                        to,
                        socket,
                        remote,
                        bytes,
                    });
                }
                let local = Some(Network::home(to, socket).ip());
                let path = Path {
                    socket: SocketId(socket),
                    local,
                    remote,
                };
                let Some(life) = node.life_mut() else { return };
                let piece = bytes.len();
                life.shard.handle_datagrams(now, &path, &mut bytes, piece);
                let frames = std::mem::take(&mut life.shard.outbox().frames);
                for frame in frames {
                    self.arrive(to, frame.bytes(&bytes));
                }
                self.drain(to);
            }
            What::Handshake { to, life, output } => {
                let node = &mut self.nodes[to];
                if node.is_paused() {
                    return node.keep(What::Handshake { to, life, output });
                }
                let Some(alive) = node.life_mut().filter(|l| l.number == life) else {
                    return;
                };
                alive.shard.handle_handshake(now, *output);
                self.drain(to);
            }
            What::Traffic {
                from,
                to,
                size,
                every,
                until,
            } => {
                // A host that stands still or is dead sends nothing.
                if !self.nodes[from].is_paused()
                    && let Some(life) = self.nodes[from].life_mut()
                {
                    let number = self.ledger.send(now, from, to);
                    let mut frame = node::frame(from, to, number, size);
                    life.shard
                        .handle_frame(now, &VirtioNetHeader::default(), &mut frame);
                    self.drain(from);
                }
                if now + every < until {
                    let again = What::Traffic {
                        from,
                        to,
                        size,
                        every,
                        until,
                    };
                    self.plan(now + every, again);
                }
            }
            What::Wake { node, at } => {
                if self.nodes[node].wake_at != Some(at) || self.nodes[node].is_paused() {
                    return;
                }
                self.nodes[node].wake_at = None;
                self.nodes[node].wakes += 1;
                if let Some(life) = self.nodes[node].life_mut() {
                    life.shard.handle_timeout(now);
                }
                self.drain(node);
            }
            What::Resume { node } => {
                let (kept, gap) = self.nodes[node].resume(now);
                if let Some(life) = self.nodes[node].life_mut() {
                    life.shard.handle_gap(now, gap);
                }
                for what in kept {
                    self.happen(what);
                }
                if let Some(life) = self.nodes[node].life_mut() {
                    life.shard.handle_timeout(now);
                }
                self.drain(node);
            }
        }
    }

    /// A frame comes out of the TAP of `at`. Unknown destinations are flooded: like any network card, a host ignores
    /// what is for others.
    fn arrive(&mut self, at: usize, frame: &[u8]) {
        let (destination, source, number) = node::read_frame(frame);
        if destination == at {
            if self.removed.contains(&(at, source)) {
                self.ledger.breach(
                    self.now,
                    format!("I11: {at} took a frame of {source}, which it has forgotten"),
                );
            }
            self.ledger.arrive(self.now, at, source, number);
        }
    }

    /// Takes everything out of the node's outbox, and plans its next wake-up.
    pub(super) fn drain(&mut self, n: usize) {
        let now = self.now;
        let Some(life) = self.nodes[n].life_mut() else {
            return;
        };
        let number = life.number;
        let outbox = life.shard.outbox();
        let sent: Vec<(Path, Vec<u8>)> = outbox
            .transmits
            .iter()
            .map(|t| (t.path, outbox.bytes(t).to_vec()))
            .collect();
        let frames = std::mem::take(&mut outbox.frames);
        let inputs: Vec<Input> = outbox.handshake.drain(..).collect();
        let events: Vec<Event> = outbox.events.drain(..).collect();
        outbox.clear();
        for frame in frames {
            self.arrive(n, frame.bytes(&[]));
        }
        for event in events {
            self.judge_event(n, &event);
            self.events.push((now, n, event));
        }
        for (path, bytes) in sent {
            self.transmit(n, &path, &bytes);
        }
        for input in inputs {
            let outputs = self.nodes[n].handshake(now, input);
            for output in outputs {
                let what = What::Handshake {
                    to: n,
                    life: number,
                    output: Box::new(output),
                };
                self.plan(now + HANDSHAKE_TIME, what);
            }
        }
        let Some(life) = self.nodes[n].life_mut() else {
            return;
        };
        let wake = life.shard.poll_timeout();
        if let Some(at) = wake.filter(|at| self.nodes[n].wake_at.is_none_or(|w| *at < w)) {
            let at = at.max(now);
            self.nodes[n].wake_at = Some(at);
            self.plan(at, What::Wake { node: n, at });
        }
    }

    fn transmit(&mut self, from: usize, path: &Path, bytes: &[u8]) {
        self.ledger.on_wire(self.now, bytes);
        let network = path.socket.0;
        let Some(port) = self.network.port(&path.remote) else {
            self.strangers.entry(path.remote).or_default().1 += bytes.len() as u64;
            return;
        };
        let remote = self.network.address(from, network);
        if self.tap {
            let seen = Path {
                socket: SocketId(port.network),
                local: None,
                remote,
            };
            self.tapped.push((seen, port.node, bytes.to_vec()));
        }
        if port.network != network {
            return;
        }
        let recent = self.recent.entry((from, port.node)).or_default();
        if recent.len() == RECENT {
            recent.pop_front();
        }
        let seen = Path {
            socket: SocketId(network),
            local: None,
            remote,
        };
        recent.push_back((seen, bytes.to_vec()));
        let (also, instead) = self.attack(from, port.node, network, bytes);
        let at = self
            .network
            .arrivals(self.now, network, from, port.node, bytes.len(), &mut self.rng);
        for at in at.into_iter().filter(|_| !instead) {
            if let Some(stranger) = also {
                self.strangers.entry(stranger).or_default().0 += bytes.len() as u64;
                self.deliver(at - Span::from_nanos(1), port.node, network, stranger, bytes);
            }
            self.deliver(at, port.node, network, remote, bytes);
        }
    }

    fn deliver(&mut self, at: Time, to: usize, socket: u8, remote: SocketAddr, bytes: &[u8]) {
        let what = What::Datagram {
            to,
            socket,
            remote,
            bytes: bytes.to_vec(),
        };
        self.plan(at, what);
    }

    /// Somebody on the way moves or copies the datagram to another network. Returns from whose address it is to come
    /// as well, and whether it is gone from its own network.
    fn attack(&mut self, from: usize, to: usize, network: u8, bytes: &[u8]) -> (Option<SocketAddr>, bool) {
        let mut hit = |ppm: u32| ppm > 0 && self.rng.below(1_000_000) < u64::from(ppm);
        let (moved, copied) = (hit(self.moved_ppm), hit(self.copied_ppm));
        if moved || copied {
            let other = self.rng.below(u64::from(self.setup.links)) as u8;
            let remote = self.network.address(from, other);
            self.misled += u64::from(other != network && bytes.first() == Some(&5));
            let at = self.now + Span::from_micros(self.rng.below(30_000));
            self.deliver(at, to, other, remote, bytes);
        }
        let stranger = self.spoof.filter(|(victim, _)| *victim == from);
        (stranger.map(|(_, address)| address), moved)
    }
}
