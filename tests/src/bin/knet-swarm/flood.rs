//! Floods: datagrams of strangers that no peer would send, and frames of a peer that does not mean well.

use std::net::Ipv4Addr;

use knet_proto::{
    config::PublicKey,
    handshake::cookie::Mac1Key,
    rng::{Entropy, SeededEntropy},
    time::Time,
    wire::{
        handshake_message::{HsInit, VERSION_MAX, VERSION_MIN},
        header::HS_INIT_LEN,
    },
};

use crate::{
    args::Flood,
    network,
    swarm::{MTU, Swarm},
    wire::Parcel,
};

/// Datagrams sent between two turns, at most.
const BURST: u64 = 256;
/// Lengths of garbage: those of real messages, their neighbours, and some more.
const LENGTHS: [usize; 14] = [0, 1, 11, 12, 29, 30, 42, 64, 131, 132, 183, 184, 185, 1400];

/// Length of the shortest Ethernet frame, and of the longest here.
const SHORT: usize = 60;
const LONG: usize = 14 + MTU as usize;

/// Sends one of the floods.
pub(crate) struct Flooder {
    flood: Flood,
    rate: Option<u32>,
    mac1: Mac1Key,
    links: u8,
    /// The peer that does not mean well, where it is one.
    insider: u16,
    rng: SeededEntropy,
    began: Time,
    sent: u64,
}

impl Flooder {
    /// From now on.
    pub(crate) fn new(
        (flood, rate): (Flood, Option<u32>),
        hub: &PublicKey,
        links: u8,
        insider: u16,
        now: Time,
    ) -> Self {
        Self {
            flood,
            rate,
            mac1: Mac1Key::new(hub),
            links,
            insider,
            rng: SeededEntropy::new([9; 32]),
            began: now,
            sent: 0,
        }
    }

    /// Sends what is due.
    pub(crate) fn send_due(&mut self, swarm: &mut Swarm, at: Time) {
        let due = self.rate.map_or(BURST, |rate| {
            let elapsed = at.since(self.began).as_nanos();
            let due = (u128::from(elapsed) * u128::from(rate) / 1_000_000_000) as u64;
            due.saturating_sub(self.sent).min(BURST)
        });
        if self.flood == Flood::Insider {
            for _ in 0..due {
                let frame = self.frame();
                swarm.send_frame(self.insider, &frame);
            }
        } else {
            let parcels: Vec<_> = (0..due).filter_map(|_| self.parcel(swarm)).collect();
            swarm.send_raw(&parcels);
        }
        self.sent += due;
    }

    /// How many datagrams or frames were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// The next datagram of a stranger.
    fn parcel(&mut self, swarm: &Swarm) -> Option<Parcel<Vec<u8>>> {
        let link = self.rng.below(self.links.into()) as u8;
        let stranger = network::stranger(self.rng.next_u32() as u16);
        let parcel = |from: Ipv4Addr, bytes| Parcel { link, from, bytes };
        Some(match self.flood {
            Flood::Insider => return None,
            Flood::Init => parcel(stranger, self.init()),
            Flood::Spoofed => {
                let somebody = self.rng.below(swarm.len().into()) as u16;
                parcel(network::peer(somebody), self.init())
            }
            Flood::Garbage => {
                let length = LENGTHS[self.rng.below(LENGTHS.len() as u64) as usize];
                let mut bytes = vec![0; length];
                self.rng.fill(&mut bytes);
                // A known type, and reserved bytes as they must be: so it comes a step further.
                if let Some(start) = bytes.first_chunk_mut::<4>() {
                    *start = [1 + self.rng.below(8) as u8, 0, 0, 0];
                }
                parcel(stranger, bytes)
            }
            Flood::Replay => {
                let all = swarm.overheard();
                match all.get(self.rng.below(all.len() as u64) as usize) {
                    Some((link, from, bytes)) => Parcel {
                        link: *link,
                        from: *from,
                        bytes: bytes.clone(),
                    },
                    None => parcel(stranger, Vec::new()),
                }
            }
        })
    }

    /// The next frame of the insider.
    fn frame(&mut self) -> Vec<u8> {
        let ([from, to], kind) = ([(); 2].map(|()| self.mac()), self.rng.below(3));
        let mut frame = vec![0xa5; if kind == 2 { LONG } else { SHORT }];
        frame[..6].copy_from_slice(if kind == 1 { &to } else { &[0xff; 6] });
        frame[6..12].copy_from_slice(&from);
        frame
    }

    /// A MAC address that nobody has: locally administered, unicast.
    fn mac(&mut self) -> [u8; 6] {
        let [a, b, c, d, ..] = self.rng.next_u64().to_le_bytes();
        [6, 0, a, b, c, d]
    }

    /// A first message that is right as far as somebody without a key can make it.
    fn init(&mut self) -> Vec<u8> {
        let mut noise = [0; HS_INIT_LEN];
        self.rng.fill(&mut noise);
        let mut bytes = noise.to_vec();
        bytes[..4].copy_from_slice(&HsInit::header(VERSION_MIN, VERSION_MAX, false));
        bytes[HS_INIT_LEN - 32..].fill(0);
        self.mac1.put(&mut bytes);
        bytes
    }
}
