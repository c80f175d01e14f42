//! Whose link leads where: for what the network says of an address, and for our own datagrams that come back.

use alloc::collections::BTreeMap;
use core::{hash::BuildHasher, net::SocketAddr, num::NonZeroU64};

use crate::{
    ids::{PeerId, SocketId},
    l2::seeded_hash::SeededHash,
};

/// The bits of a [`Place`] that are the socket's.
const SOCKET: u64 = 0xff;

/// Stands for a remote address as seen from one of our sockets: 56 bits of a hash with a secret, and the socket. There is half
/// a million of them where 65,536 peers have eight links each. If two were the same, once in half a million such hubs, a link would be
/// asked whether it still lives for what another's network says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(NonZeroU64);

/// The places of one shard.
#[derive(Debug)]
pub(super) struct Places {
    hash: SeededHash,
    peers: BTreeMap<Place, PeerId>,
}

impl Places {
    /// None, to be kept under `seed`, which must be random.
    pub(super) fn new(seed: [u64; 2]) -> Self {
        Self {
            hash: SeededHash::new(seed),
            peers: BTreeMap::new(),
        }
    }

    /// The place of `remote` as seen from `socket`.
    pub(super) fn of(&self, remote: SocketAddr, socket: SocketId) -> Place {
        place(&self.hash, remote, socket)
    }

    /// Whose link leads from `socket` to `remote`.
    pub(super) fn peer_at(&self, remote: SocketAddr, socket: SocketId) -> Option<PeerId> {
        self.peers.get(&self.of(remote, socket)).copied()
    }

    /// Whose links lead to `remote`, from whichever socket.
    pub(super) fn peers_at(&self, remote: SocketAddr) -> impl Iterator<Item = PeerId> {
        let all = self.of(remote, SocketId(0))..=self.of(remote, SocketId(u8::MAX));
        self.peers.range(all).map(|(_, id)| *id)
    }

    /// A link of `peer` leads there now.
    pub(super) fn insert(&mut self, place: Place, peer: PeerId) {
        self.peers.insert(place, peer);
    }

    /// None of `peer` does any more.
    pub(super) fn remove(&mut self, place: Place, peer: PeerId) {
        if self.peers.get(&place) == Some(&peer) {
            self.peers.remove(&place);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}

fn place(hash: &SeededHash, remote: SocketAddr, socket: SocketId) -> Place {
    let place = hash.hash_one(remote) & !SOCKET | u64::from(socket.0);
    Place(NonZeroU64::new(place).unwrap_or(NonZeroU64::MAX))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn addresses_and_sockets_are_told_apart() {
        let mut places = Places::new([1, 2]);
        let remote = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let all = [
            "192.0.2.1:7",
            "192.0.2.1:8",
            "192.0.2.2:7",
            "[2001:db8::1]:7",
            "[2001:db8::2]:7",
        ];
        for (n, text) in all.into_iter().enumerate() {
            for socket in [0, 1, 255] {
                let place = places.of(remote(text), SocketId(socket));
                places.insert(place, PeerId(n as u16 * 256 + u16::from(socket)));
            }
        }
        assert_eq!(places.len(), 3 * all.len());
        for (n, text) in all.into_iter().enumerate() {
            let n = n as u16 * 256;
            assert_eq!(places.peer_at(remote(text), SocketId(1)), Some(PeerId(n + 1)));
            assert_eq!(places.peer_at(remote(text), SocketId(2)), None);
            let at: Vec<_> = places.peers_at(remote(text)).collect();
            assert_eq!(at, [PeerId(n), PeerId(n + 1), PeerId(n + 255)]);
        }
    }

    #[test]
    fn a_place_is_taken_back_by_whose_it_is() {
        let mut places = Places::new([1, 2]);
        let place = places.of("192.0.2.1:7".parse().expect("an address"), SocketId(0));
        places.insert(place, PeerId(1));
        places.insert(place, PeerId(2));
        places.remove(place, PeerId(1));
        assert_eq!(places.len(), 1);
        places.remove(place, PeerId(2));
        assert_eq!(places.len(), 0);
    }
}
