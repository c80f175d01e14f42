//! What workers tell each other: where MAC and IP addresses are, and of each peer what it takes to do for it what needs no keys:
//! to flood to those that are up, and to know whose a network address is.
//!
//! It is soft state: what has not arrived yet costs a copy too many or too few.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::net::SocketAddr;

use super::Shard;
use crate::{
    hub_group::{Standing, TakeOverReason},
    ids::{PeerId, ReceiverIndex, SocketId},
    l2::{
        loop_guard::Nonce, mac_table::MacNews, multicast::ListenerNews, neighbor::NeighborNews, vlan::VlanId,
    },
    offload::Frame,
    path::Path,
    peer::{Peer, path_mtu::Narrowest},
    status::Port,
    time::Time,
};

/// Something for other workers, to be given to [`Shard::handle_news`] there. What one worker has to say arrives in order.
#[derive(Clone, Debug)]
pub enum News {
    /// Where an address was seen. If it is lost, that is told again within half a minute, or an eighth of the time for
    /// which addresses are kept.
    Mac(MacNews),
    /// What a station said of its IP address. If it is lost, that is told again, likewise.
    Neighbor(NeighborNews),
    /// Who listens to a group, or asks who does. If it is lost, that is told again when it is said again.
    Listener(ListenerNews),
    /// What there is to know of a peer. Only the latest of each counts, and that must not be lost.
    Peer(Box<PeerFacts>),
    /// A client that has several hubs says whether it uses this one.
    Attached {
        /// Who.
        peer: PeerId,
        /// Whether it does.
        attached: bool,
    },
    /// The receiver is to ask its peer, which is in a hub group, whether it is there.
    Prove {
        /// Whom.
        peer: PeerId,
        /// The number of the question, which comes back with [`PeerFacts`].
        question: u32,
    },
    /// The same, of which nothing is to be told. May be lost.
    Ask(PeerId),
    /// Another hub of a group is in use.
    TakeOver {
        /// Which group.
        group: Arc<str>,
        /// Which of its peers.
        to: PeerId,
        /// Why.
        reason: TakeOverReason,
    },
    /// A probe goes out by this port: whoever sees it has found a loop. May be lost: there will be another one.
    LoopProbe {
        /// Its number.
        nonce: Nonce,
        /// Whose port.
        peer: PeerId,
    },
    /// A probe of another knet goes on to mesh neighbours. May be lost.
    PassProbe {
        /// Where it came in.
        from: Port,
        /// Where VLANs are told apart.
        vlan: VlanId,
        /// The probe.
        frame: Box<[u8]>,
    },
    /// There is a loop, and this port is closed.
    LoopFound {
        /// Whose.
        peer: PeerId,
        /// The other end of the loop.
        other: Port,
        /// Which of the peers that had this slot one after the other.
        generation: u16,
    },
    /// The network claims something about the path to one of the receiver's peers. May be lost.
    Hint {
        /// Our socket.
        socket: SocketId,
        /// Its address.
        remote: SocketAddr,
        /// Packets of more bytes do not pass; `None`: it cannot be reached.
        mtu: Option<u32>,
    },
}

/// What its owner tells of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFacts {
    /// Which.
    pub peer: PeerId,
    /// Whether frames can be sent to it.
    up: bool,
    /// Where its links lead.
    places: Vec<(SocketAddr, SocketId)>,
    /// How it knows our sessions with it.
    indices: [Option<ReceiverIndex>; 3],
    /// The link that limits the MTU of the TAP, where that follows the paths.
    narrowest: Option<Narrowest>,
    /// How it stands, and the last question that it has answered, where it is in a hub group.
    hub: Option<(Standing, u32)>,
}

impl PeerFacts {
    fn of(peer: &mut Peer) -> Self {
        Self {
            hub: peer.as_hub(),
            peer: peer.id,
            up: peer.is_up(),
            places: peer.leads_to().collect(),
            indices: peer.their_indices(),
            narrowest: peer.narrowest_measured(),
        }
    }

    /// There is no such peer.
    const fn none(peer: PeerId) -> Self {
        Self {
            peer,
            up: false,
            places: Vec::new(),
            indices: [None; 3],
            narrowest: None,
            hub: None,
        }
    }

    /// Whether that is how it still is.
    fn hold_for(&self, peer: &mut Peer) -> bool {
        self.hub == peer.as_hub()
            && self.up == peer.is_up()
            && self.indices == peer.their_indices()
            && self.places.iter().copied().eq(peer.leads_to())
            && self.narrowest == peer.narrowest_measured()
    }
}

/// The peers of other workers, as these have told of them.
#[derive(Debug, Default)]
pub(super) struct Others {
    peers: Vec<Option<Box<PeerFacts>>>,
}

impl Others {
    /// Those of which anything is known.
    fn ids(&self) -> Vec<PeerId> {
        self.peers.iter().flatten().map(|facts| facts.peer).collect()
    }

    fn facts(&self, peer: PeerId) -> Option<&PeerFacts> {
        self.peers.get(usize::from(peer.0))?.as_deref()
    }

    /// Whether `peer` knows a session with us by this index.
    pub(super) fn knows_as(&self, peer: PeerId, index: ReceiverIndex) -> bool {
        self.facts(peer).is_some_and(|f| f.indices.contains(&Some(index)))
    }

    /// Whether frames can be sent to `peer`.
    pub(super) fn is_up(&self, peer: PeerId) -> bool {
        self.facts(peer).is_some_and(|f| f.up)
    }

    /// How `peer` stands that is in a hub group, and the last question that it has answered.
    pub(super) fn as_hub(&self, peer: PeerId) -> Option<(Standing, u32)> {
        self.facts(peer)?.hub
    }

    /// The narrowest link to `peer`.
    pub(super) fn narrowest(&self, peer: PeerId) -> Option<Narrowest> {
        self.facts(peer)?.narrowest
    }

    /// Takes the place of what was known, and returns that.
    fn replace(&mut self, facts: Box<PeerFacts>) -> Option<Box<PeerFacts>> {
        let id = facts.peer;
        let index = usize::from(id.0);
        if index >= self.peers.len() {
            self.peers.resize_with(index + 1, || None);
        }
        let known = (*facts != PeerFacts::none(id)).then_some(facts);
        core::mem::replace(self.peers.get_mut(index)?, known)
    }
}

impl Shard {
    /// Another worker says this. Nothing that it has done since is to arrive earlier: all news is taken in before a
    /// parcel is, and after the system call that brought a frame or a datagram.
    pub fn handle_news(&mut self, now: Time, news: News) {
        self.tick(now);
        match news {
            News::Mac(news) => {
                self.bridge.hear(&news);
                if let Some(answer) = self.bridge.take_news() {
                    self.env.outbox.news.push((None, News::Mac(answer)));
                }
            }
            News::Neighbor(news) => {
                if self.bridge.generation(news.port) == Some(news.generation) {
                    self.neighbors.hear(&news);
                }
            }
            News::Listener(news) => {
                if self.bridge.generation(news.port) == Some(news.generation) {
                    self.listeners.hear(self.env.real, &news);
                }
            }
            News::Peer(facts) => self.learn_of(facts),
            News::Attached { peer, attached } => self.attached(peer, attached),
            News::Prove { peer, question } if self.seat.owns(peer) => self.prove_hub(peer, question),
            News::Ask(peer) if self.seat.owns(peer) => self.ask_again(peer),
            News::TakeOver { group, to, reason } => {
                self.take_over(&group, to, reason);
            }
            News::Prove { .. } | News::Ask(_) => {}
            News::LoopProbe { nonce, peer } => self.bridge.probe_sent(self.env.real, nonce, peer),
            News::LoopFound {
                peer,
                other,
                generation,
            } => self.close_port(peer, other, generation),
            News::PassProbe { from, vlan, frame } => {
                let frame = Frame::plain(&frame);
                self.pass_probe_here(from, Frame { vlan, ..frame });
            }
            News::Hint { socket, remote, mtu } => {
                // Not any further: whose the address is may be in dispute.
                if let Some(id) = self.peer_at(socket, remote).filter(|id| self.seat.owns(*id)) {
                    self.take_hint(id, socket, remote, mtu);
                }
            }
        }
    }

    /// Whose link leads there, whichever worker that belongs to.
    fn peer_at(&self, socket: SocketId, remote: SocketAddr) -> Option<PeerId> {
        self.places.peer_at(remote, socket)
    }

    /// The network claims something about a path; see [`News::Hint`].
    pub(super) fn hint(&mut self, socket: SocketId, remote: SocketAddr, mtu: Option<u32>) {
        let Some(id) = self.peer_at(socket, remote) else {
            return;
        };
        if self.seat.owns(id) {
            return self.take_hint(id, socket, remote, mtu);
        }
        let owner = self.seat.workers.owner(id);
        let news = News::Hint { socket, remote, mtu };
        self.env.outbox.news.push((Some(owner), news));
    }

    fn take_hint(&mut self, id: PeerId, socket: SocketId, remote: SocketAddr, mtu: Option<u32>) {
        let path = Path {
            socket,
            local: None,
            remote,
        };
        self.with(id, |peer, env| match mtu {
            Some(mtu) => peer.mtu_hint(env, &path, mtu),
            None => peer.icmp_hint(env, &path),
        });
    }

    /// Tells all other workers, if there are any.
    pub(super) fn tell_all(&mut self, news: News) {
        if !self.seat.is_alone() {
            self.env.outbox.news.push((None, news));
        }
    }

    /// Tells the others of a peer, if something about it is new to them.
    pub(super) fn tell_of(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(usize::from(id.0)).and_then(Option::as_mut) else {
            return;
        };
        let told = peer.told.take();
        if told.as_ref().is_some_and(|told| told.hold_for(peer)) {
            peer.told = told;
            return;
        }
        let facts = Box::new(PeerFacts::of(peer));
        peer.told = Some(facts.clone());
        self.env.outbox.news.push((None, News::Peer(facts)));
    }

    /// Tells the others that a peer is gone.
    pub(super) fn tell_gone(&mut self, peer: &Peer) {
        if peer.told.is_some() {
            let facts = Box::new(PeerFacts::none(peer.id));
            self.env.outbox.news.push((None, News::Peer(facts)));
        }
    }

    fn learn_of(&mut self, facts: Box<PeerFacts>) {
        let id = facts.peer;
        if self.seat.owns(id) {
            return;
        }
        let hub = facts.hub;
        let places = facts.places.clone();
        for (remote, socket) in self.others.replace(facts).iter().flat_map(|f| &f.places) {
            self.places.remove(self.places.of(*remote, *socket), id);
        }
        for (remote, socket) in places {
            self.places.insert(self.places.of(remote, socket), id);
        }
        self.follow_paths(id);
        self.show_up(id);
        if let Some((standing, proof)) = hub {
            self.hub_heard(id, standing, proof);
        }
    }

    /// What the links to the peers of other workers carry counts from now on.
    pub(super) fn follow_paths_of_others(&mut self) {
        for id in self.others.ids() {
            self.follow_paths(id);
        }
    }
}
