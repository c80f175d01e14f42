//! The simulated underlay: one network per link id, with a channel for each ordered pair of hosts.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use knet_proto::{
    rng::Entropy,
    time::{Span, Time},
};

/// IPv4 and UDP header.
const OUTER: usize = 28;

/// How one direction between two hosts on one network treats datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// One-way delay.
    pub delay: Span,
    /// Added at random, 0..this. Order is kept unless `reorder` says otherwise.
    pub jitter: Span,
    /// Lost, in parts per million.
    pub loss_ppm: u32,
    /// Lost in bursts of this mean length (Gilbert: exponential), and for what share of the time, in parts per million.
    pub bursts: Option<(Span, u32)>,
    /// Longer IP packets vanish, in bytes.
    pub mtu: usize,
    /// Delivered twice, in parts per million.
    pub duplicate_ppm: u32,
    /// Delivered out of order (late by up to 5 ms), in parts per million.
    pub reorder_ppm: u32,
    /// Nothing passes.
    pub cut: bool,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            delay: Span::from_micros(150),
            jitter: Span::from_micros(50),
            loss_ppm: 0,
            bursts: None,
            mtu: 1_500,
            duplicate_ppm: 0,
            reorder_ppm: 0,
            cut: false,
        }
    }
}

impl Channel {
    /// Loses nothing that is short enough for every path, and keeps the order.
    pub fn is_faithful(&self) -> bool {
        self.loss_ppm == 0 && self.bursts.is_none() && self.reorder_ppm == 0
    }
}

/// Whether a channel is within a burst of loss, and until when.
#[derive(Clone, Copy, Debug, Default)]
struct Burst {
    bad: bool,
    until: Time,
}

/// A place where datagrams arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The host.
    pub node: usize,
    /// Its socket, which is also the number of the network.
    pub network: u8,
}

impl Burst {
    /// Lets time pass until `now`; returns whether that is within a burst.
    fn pass(&mut self, now: Time, length: Span, share_ppm: u32, rng: &mut dyn Entropy) -> bool {
        if self.until == Time::ZERO {
            self.until = now;
        }
        while self.until <= now {
            self.bad = !self.bad;
            let mean = if self.bad {
                length.as_nanos()
            } else {
                length.as_nanos() * u64::from(1_000_000 - share_ppm) / u64::from(share_ppm.max(1))
            };
            // Exponential, by inversion.
            let uniform = (rng.below(1 << 32) + 1) as f64 / (1_u64 << 32) as f64;
            let stay = -(mean as f64) * uniform.ln();
            self.until = self.until + Span::from_nanos(stay as u64 + 1);
        }
        self.bad
    }
}

/// All networks.
#[derive(Debug, Default)]
pub struct Network {
    /// Used where nothing else was said.
    pub default: Channel,
    channels: HashMap<(u8, usize, usize), Channel>,
    /// When the last datagram of a channel arrives: channels are FIFO.
    last_arrival: HashMap<(u8, usize, usize), Time>,
    bursts: HashMap<(u8, usize, usize), Burst>,
    addresses: HashMap<SocketAddr, Port>,
    current: HashMap<(usize, u8), SocketAddr>,
    moves: u8,
}

impl Network {
    /// The address that `node` has on `network` at first.
    pub fn home(node: usize, network: u8) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, network, 0, node as u8 + 1)), 7700)
    }

    /// Puts `node` on `network`.
    pub fn attach(&mut self, node: usize, network: u8) {
        let address = Self::home(node, network);
        self.addresses.insert(address, Port { node, network });
        self.current.insert((node, network), address);
    }

    /// Gives `node` another address on `network`; the old one leads nowhere.
    pub fn roam(&mut self, node: usize, network: u8) {
        self.moves = self.moves.wrapping_add(1).max(1);
        if let Some(old) = self.current.get(&(node, network)) {
            self.addresses.remove(old);
        }
        let new = SocketAddr::new(
            IpAddr::V4(Ipv4Addr::new(10, network, self.moves, node as u8 + 1)),
            7700,
        );
        self.addresses.insert(new, Port { node, network });
        self.current.insert((node, network), new);
    }

    /// Gives `node` back the address that it had on `network` at first.
    pub fn go_home(&mut self, node: usize, network: u8) {
        if self.address(node, network) != Self::home(node, network) {
            let old = self.address(node, network);
            self.addresses.remove(&old);
            self.attach(node, network);
        }
    }

    /// The address from which `node` sends on `network`.
    pub fn address(&self, node: usize, network: u8) -> SocketAddr {
        self.current[&(node, network)]
    }

    /// Who has `address`.
    pub fn port(&self, address: &SocketAddr) -> Option<Port> {
        self.addresses.get(address).copied()
    }

    /// The channel from one host to another, as it is.
    pub fn state(&self, network: u8, from: usize, to: usize) -> Channel {
        let known = self.channels.get(&(network, from, to));
        known.copied().unwrap_or(self.default)
    }

    /// The channel from one host to another.
    pub fn channel(&mut self, network: u8, from: usize, to: usize) -> &mut Channel {
        let default = self.default;
        self.channels.entry((network, from, to)).or_insert(default)
    }

    /// Cuts or mends a network between two hosts, in both directions.
    pub fn cut(&mut self, network: u8, a: usize, b: usize, cut: bool) {
        self.channel(network, a, b).cut = cut;
        self.channel(network, b, a).cut = cut;
    }

    /// When the copies of a datagram sent now arrive: none, one or two times.
    pub fn arrivals(
        &mut self,
        now: Time,
        network: u8,
        from: usize,
        to: usize,
        bytes: usize,
        rng: &mut dyn Entropy,
    ) -> Vec<Time> {
        let c = self.state(network, from, to);
        if c.cut || bytes + OUTER > c.mtu {
            return Vec::new();
        }
        if let Some((length, share_ppm)) = c.bursts {
            let burst = self.bursts.entry((network, from, to)).or_default();
            if burst.pass(now, length, share_ppm, rng) {
                return Vec::new();
            }
        }
        let mut hit = |ppm: u32| ppm > 0 && rng.below(1_000_000) < u64::from(ppm);
        if hit(c.loss_ppm) {
            return Vec::new();
        }
        let (late, twice) = (hit(c.reorder_ppm), hit(c.duplicate_ppm));
        let mut at = now + c.delay + Span::from_nanos(rng.below(c.jitter.as_nanos().max(1)));
        if late {
            at = at + Span::from_nanos(rng.below(5_000_000));
        } else {
            let last = self.last_arrival.entry((network, from, to)).or_insert(at);
            at = at.max(*last + Span::from_nanos(1));
            *last = at;
        }
        let mut times = vec![at];
        if twice {
            times.push(at + Span::from_nanos(rng.below(3_000_000)));
        }
        times
    }
}
