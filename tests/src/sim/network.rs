//! The simulated underlay: one network per link id, with a channel for each ordered pair of hosts.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use knet_proto::{
    rng::Entropy,
    time::{Span, Time},
};

/// How one direction between two hosts on one network treats datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// One-way delay.
    pub delay: Span,
    /// Added at random, 0..this. Order is kept unless `reorder` says otherwise.
    pub jitter: Span,
    /// Lost, in parts per million.
    pub loss_ppm: u32,
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
            duplicate_ppm: 0,
            reorder_ppm: 0,
            cut: false,
        }
    }
}

/// A place where datagrams arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The host.
    pub node: usize,
    /// Its socket, which is also the number of the network.
    pub network: u8,
}

/// All networks.
#[derive(Debug, Default)]
pub struct Network {
    /// Used where nothing else was said.
    pub default: Channel,
    channels: HashMap<(u8, usize, usize), Channel>,
    /// When the last datagram of a channel arrives: channels are FIFO.
    last_arrival: HashMap<(u8, usize, usize), Time>,
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
        self.moves += 1;
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

    /// The address from which `node` sends on `network`.
    pub fn address(&self, node: usize, network: u8) -> SocketAddr {
        self.current[&(node, network)]
    }

    /// Who has `address`.
    pub fn port(&self, address: &SocketAddr) -> Option<Port> {
        self.addresses.get(address).copied()
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
        rng: &mut dyn Entropy,
    ) -> Vec<Time> {
        let c = *self.channel(network, from, to);
        let mut hit = |ppm: u32| ppm > 0 && rng.below(1_000_000) < u64::from(ppm);
        if c.cut || hit(c.loss_ppm) {
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
