//! What happens in the world: its queue of events, and what each does.

use std::{cmp::Reverse, net::SocketAddr};

use knet_proto::{
    event::Event,
    handshake::message::{Input, Output},
    ids::{SocketId, WorkerId},
    l2::loop_guard,
    path::Path,
    rng::Entropy,
    shard::{News, Shard},
    time::{Span, Time},
    wire::virtio_net_header::VirtioNetHeader,
};

use super::{ALL, RECENT, World, network::Network, node};

/// How long the handshake thread needs to take something up and finish it.
const HANDSHAKE_TIME: Span = Span::from_micros(400);
/// What one worker tells or hands another takes less than so many nanoseconds.
const MAIL_TIME: u64 = 200_000;
/// A slice of a flood takes so long, in which something else can come.
const SLICE_TIME: Span = Span::from_micros(500);
/// I15: more events than this at one instant are a storm that does not end.
const MOST_AT_ONCE: u32 = 1_000_000;

#[derive(Debug)]
pub(super) enum What {
    Datagram {
        to: usize,
        /// If it is not the one that it should be.
        worker: Option<WorkerId>,
        socket: u8,
        remote: SocketAddr,
        bytes: Vec<u8>,
    },
    Handshake {
        to: usize,
        worker: WorkerId,
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
        worker: WorkerId,
        at: Time,
    },
    Resume {
        node: usize,
        worker: WorkerId,
    },
    /// A worker is woken because another has told something.
    News {
        node: usize,
        worker: WorkerId,
        life: u32,
    },
    /// One worker has something for another.
    Parcel {
        node: usize,
        from: WorkerId,
        to: WorkerId,
        life: u32,
    },
}

impl What {
    /// Whether it waits for a worker that stands still.
    const fn is_kept(&self) -> bool {
        match self {
            Self::Datagram { .. } | Self::Handshake { .. } | Self::News { .. } | Self::Parcel { .. } => true,
            Self::Traffic { .. } | Self::Wake { .. } | Self::Resume { .. } => false,
        }
    }
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
        let Some((n, worker)) = self.whose(&what) else {
            return;
        };
        if self.nodes[n].stands_still(worker) && what.is_kept() {
            return self.nodes[n].keep(worker, what);
        }
        match what {
            What::Datagram {
                to,
                socket,
                remote,
                mut bytes,
                ..
            } => {
                let path = Path {
                    socket: SocketId(socket),
                    local: Some(Network::home(to, socket).ip()),
                    remote,
                };
                let piece = bytes.len();
                self.act(n, worker, |shard| {
                    shard.handle_datagrams(now, &path, &mut bytes, piece);
                });
                self.write_frames(n, worker, &bytes);
                self.drain(n);
            }
            What::Handshake { output, .. } => {
                self.act(n, worker, |shard| shard.handle_handshake(now, *output));
                self.drain(n);
            }
            What::Traffic {
                from,
                to,
                size,
                every,
                until,
            } => {
                // A host that stands still or is dead sends nothing.
                if !self.nodes[from].stands_still(worker) && self.nodes[from].life().is_some() {
                    let number = self.ledger.send(now, from, to);
                    let mut frame = node::frame(from, to, number, size);
                    let header = VirtioNetHeader::default();
                    self.act(from, worker, |shard| shard.handle_frame(now, &header, &mut frame));
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
            What::Wake { node, at, .. } => {
                if *self.nodes[node].wake_at(worker) != Some(at) || self.nodes[node].stands_still(worker) {
                    return;
                }
                *self.nodes[node].wake_at(worker) = None;
                self.nodes[node].wakes += 1;
                self.act(node, worker, |shard| {
                    shard.handle_timeout(now);
                    shard.continue_floods(now);
                });
                self.drain(node);
            }
            What::Resume { node, .. } => {
                let (kept, gap) = self.nodes[node].resume(now, worker);
                self.act(node, worker, |shard| shard.handle_gap(now, gap));
                for what in kept {
                    self.happen(what);
                }
                self.act(node, worker, |shard| shard.handle_timeout(now));
                self.drain(node);
            }
            What::News { node, .. } => {
                self.act(node, worker, |_| {});
                self.drain(node);
            }
            What::Parcel { node, from, to, .. } => {
                let life = self.nodes[node].life_mut();
                let parcel = life.and_then(|l| l.mail.take_parcel(from.index(), to.index()));
                if let Some(mut parcel) = parcel {
                    self.act(node, worker, |shard| shard.handle_parcel(now, &mut parcel));
                    self.write_frames(node, worker, parcel.bytes());
                    self.drain(node);
                }
            }
        }
    }

    /// Which worker of which host it happens to; `None`: the process that it was for is gone.
    fn whose(&self, what: &What) -> Option<(usize, WorkerId)> {
        let life = |n: usize| self.nodes[n].life();
        let lives = |n: usize, number: u32| life(n).is_some_and(|l| l.number == number);
        match what {
            What::Datagram {
                to,
                worker,
                remote,
                bytes,
                ..
            } => {
                let steered = || life(*to).map(|l| l.steer(bytes, remote.port()));
                Some((*to, worker.or_else(steered)?))
            }
            What::Traffic { from, to, size, .. } => {
                let queue = life(*from).map(|l| l.queue_of(&node::frame(*from, *to, 0, *size)));
                Some((*from, queue.unwrap_or_default()))
            }
            What::Handshake {
                to: n, worker, life, ..
            }
            | What::News {
                node: n,
                worker,
                life,
            }
            | What::Parcel {
                node: n,
                to: worker,
                life,
                ..
            } => lives(*n, *life).then_some((*n, *worker)),
            What::Wake { node, worker, .. } | What::Resume { node, worker } => Some((*node, *worker)),
        }
    }

    /// A worker does something, after it has taken in what the others have told it.
    pub(super) fn act(&mut self, n: usize, worker: WorkerId, what: impl FnOnce(&mut Shard)) {
        let now = self.now;
        let Some(life) = self.nodes[n].life_mut() else {
            return;
        };
        let Some(shard) = life.shards.get_mut(worker.index()) else {
            return;
        };
        while let Some(news) = life.mail.take_news(worker.index()) {
            shard.handle_news(now, news);
        }
        what(shard);
    }

    /// Gives the TAP what a worker has for it, part of which is in `received`.
    fn write_frames(&mut self, n: usize, worker: WorkerId, received: &[u8]) {
        let life = self.nodes[n].life_mut();
        let Some(shard) = life.and_then(|l| l.shards.get_mut(worker.index())) else {
            return;
        };
        for frame in std::mem::take(&mut shard.outbox().frames) {
            self.arrive(n, frame.bytes(received));
        }
    }

    /// A frame comes out of the TAP of `at`. Unknown destinations are flooded: like any network card, a host ignores
    /// what is for others, and what only looks for loops.
    fn arrive(&mut self, at: usize, frame: &[u8]) {
        if loop_guard::nonce_of(frame).is_some() {
            return;
        }
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
        if destination == ALL {
            self.ledger.arrive_flooded(self.now, at, number);
        }
    }

    /// Takes everything out of the node's outboxes, and plans its next wake-ups.
    pub(super) fn drain(&mut self, n: usize) {
        for worker in self.setup.workers.all() {
            self.drain_worker(n, worker);
        }
    }

    fn drain_worker(&mut self, n: usize, worker: WorkerId) {
        let now = self.now;
        self.post(n, worker);
        self.write_frames(n, worker, &[]);
        let Some(life) = self.nodes[n].life_mut() else {
            return;
        };
        let (number, workers) = (life.number, life.workers);
        let outbox = life.shards[worker.index()].outbox();
        let sent: Vec<(Path, Vec<u8>)> = outbox
            .transmits
            .iter()
            .map(|t| (t.path, outbox.bytes(t).to_vec()))
            .collect();
        let inputs: Vec<Input> = outbox.handshake.drain(..).collect();
        let events: Vec<Event> = outbox.events.drain(..).collect();
        outbox.clear();
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
                    worker: output.route(worker, workers),
                    life: number,
                    output: Box::new(output),
                };
                self.plan(now + HANDSHAKE_TIME, what);
            }
        }
        let Some(life) = self.nodes[n].life_mut() else {
            return;
        };
        let shard = &life.shards[worker.index()];
        let flood = shard.has_floods().then(|| now + SLICE_TIME);
        let wake = [shard.poll_timeout(), flood].into_iter().flatten().min();
        let wake_at = self.nodes[n].wake_at(worker);
        if let Some(at) = wake.filter(|at| wake_at.is_none_or(|w| *at < w)) {
            let at = at.max(now);
            *wake_at = Some(at);
            self.plan(at, What::Wake { node: n, worker, at });
        }
    }

    /// What one worker has for the others of its host: first what it tells, then what it hands over.
    fn post(&mut self, n: usize, from: WorkerId) {
        let Some(life) = self.nodes[n].life_mut().filter(|l| l.shards.len() > 1) else {
            return;
        };
        let (number, workers) = (life.number, life.workers);
        let mut planned = Vec::new();
        let outbox = life.shards[from.index()].outbox();
        for (to, news) in std::mem::take(&mut outbox.news) {
            for worker in workers
                .all()
                .filter(|w| *w != from && to.is_none_or(|to| to == *w))
            {
                life.mail.post_news(worker.index(), News::clone(&news));
                planned.push(What::News {
                    node: n,
                    worker,
                    life: number,
                });
            }
        }
        for to in workers.all().filter(|to| *to != from) {
            let parcel = &mut life.shards[from.index()].outbox().parcels[to.index()];
            if life.mail.post_parcel(from.index(), to.index(), parcel) {
                planned.push(What::Parcel {
                    node: n,
                    from,
                    to,
                    life: number,
                });
            }
        }
        for what in planned {
            let at = self.now + Span::from_nanos(self.rng.below(MAIL_TIME));
            self.plan(at, what);
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
        let astray = self.astray_ppm > 0 && self.rng.below(1_000_000) < u64::from(self.astray_ppm);
        let workers = u64::from(self.setup.workers.get());
        let what = What::Datagram {
            to,
            worker: astray.then(|| WorkerId(self.rng.below(workers) as u8)),
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
