//! A hub whose clients come and go, with all that makes state grow for a while: `scripts/soak-sim memory` plays it for a
//! day, and looks whether everything is given back.

use std::net::{Ipv4Addr, SocketAddr};

use knet_proto::{
    config::PolicyKind,
    ids::Workers,
    rng::{Entropy, SeededEntropy},
    time::Span,
};

use super::Play;
use crate::sim::{FULL, Setup, World, network::Channel};

const LINKS: u8 = 2;
/// Peace at the end of an hour: what a host has learned is forgotten after five minutes, and keys are renewed every two.
const REST: Span = Span::from_secs(900);
/// Strangers that throw the same recorded datagrams at the hub.
const STRANGERS: u64 = 50;

/// The hub, its clients, and what happens to them.
pub struct Churn {
    /// Where it happens.
    pub world: World,
    pick: SeededEntropy,
    clients: usize,
}

impl Churn {
    /// A hub with so many clients, all up. The same seed gives the same life.
    pub fn new(seed: u64, clients: usize, workers: Workers) -> Self {
        let mut bytes = [0xc4; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut world = World::new(Setup {
            seed,
            nodes: 1 + clients,
            links: LINKS,
            policy: PolicyKind::Passive,
            hubs: 1,
            workers,
            ..Setup::default()
        });
        world.run(Span::from_secs(12));
        Self {
            world,
            pick: SeededEntropy::new(bytes),
            clients,
        }
    }

    /// An hour of it, the last quarter of which is peace.
    pub fn hour(&mut self) {
        let end = self.world.now + Span::from_secs(3_600);
        while end.since(self.world.now) > REST.times(2) {
            self.trouble();
        }
        let left = end.since(self.world.now);
        self.world.run(left - REST);
        self.rest();
    }

    /// Everything is mended, and nothing happens for a while.
    pub fn rest(&mut self) {
        self.world.check_losses();
        self.world.mend();
        self.world.run(REST);
    }

    /// One thing that happens in the life of a hub, and some seconds.
    fn trouble(&mut self) {
        let (a, b) = (self.client(), self.client());
        let link = self.pick.below(LINKS.into()) as u8;
        let world = &mut self.world;
        match self.pick.below(12) {
            0 => {
                let gone: Vec<usize> = (0..8).map(|_| self.client()).collect();
                for n in &gone {
                    self.world.kill(*n);
                }
                self.pass(60_000);
                for n in gone {
                    self.world.start(n);
                }
            }
            1 => {
                world.remove_peer(0, a);
                self.pass(60_000);
                self.world.restore_peer(0, a);
            }
            2 => world.network.roam(a, link),
            3 => world.network.cut(link, 0, a, true),
            4 => world.network.cut(link, 0, a, false),
            5 => {
                let channel = world.network.channel(link, 0, a);
                channel.loss_ppm = self.pick.below(200_000) as u32;
                channel.reorder_ppm = self.pick.below(200_000) as u32;
                channel.mtu = 1_300 + self.pick.below(200) as usize;
            }
            6 => *world.network.channel(link, 0, a) = Channel::default(),
            7 => {
                for (from, to) in [(a, 0), (0, a), (a, b), (b, a)] {
                    world.traffic_of(FULL, from, to, Span::from_micros(500), Span::from_secs(2));
                }
            }
            8 => {
                world.broadcasts(a, Span::from_millis(20), Span::from_secs(1));
                // Who says nothing is not known, and what is flooded to all is rationed.
                world.traffic(b, 0, Span::from_secs(1), Span::from_secs(10));
                world.traffic(0, b, Span::from_millis(3), Span::from_secs(10));
            }
            9 => {
                for _ in 0..self.pick.below(400) {
                    let station = self.pick.next_u64();
                    self.world.announce_station(a, station);
                }
            }
            10 => self.strangers(a),
            _ => world.pause(a, Span::from_millis(self.pick.below(5_000))),
        }
        self.pass(20_000);
    }

    /// What a client says when it starts is said again by many who have heard it, and as much that nobody has ever said.
    fn strangers(&mut self, client: usize) {
        self.world.tap = true;
        self.world.start(client);
        self.world.run(Span::from_millis(200));
        self.world.tap = false;
        let heard = std::mem::take(&mut self.world.tapped);
        for n in 0..STRANGERS {
            let address = Ipv4Addr::from((203 << 24 | 113 << 8) + self.pick.below(1 << 8) as u32);
            let stranger = SocketAddr::from((address, 1_024 + n as u16));
            for (path, _, bytes) in heard.iter().filter(|(_, to, _)| *to == 0) {
                let mut bytes = bytes.clone();
                if self.pick.below(2) == 0 {
                    let at = self.pick.below(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 << self.pick.below(8);
                }
                self.world.inject(0, path.socket.0, stranger, bytes);
            }
        }
    }

    fn client(&mut self) -> usize {
        1 + self.pick.below(self.clients as u64) as usize
    }

    fn pass(&mut self, up_to_ms: u64) {
        let span = Span::from_millis(self.pick.below(up_to_ms));
        self.world.run(span);
    }
}

/// The same with few clients, under the rules that hold in every world.
pub(super) fn churn(play: &mut Play) {
    let clients = 2 + play.below(6) as usize;
    let mut churn = Churn::new(play.seed, clients, play.workers);
    for _ in 0..play.rounds {
        for _ in 0..10 {
            churn.trouble();
        }
    }
    play.finish(churn.world);
}
