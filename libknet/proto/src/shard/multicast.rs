//! Multicast that goes where it is wanted: who listens is heard here, and whom a frame is for is asked here.

use alloc::vec::Vec;
use core::{net::IpAddr, ops::Range};

use super::{News, Shard};
use crate::{
    ids::{MAX_PEERS, PeerId, WorkerId},
    l2::multicast::{self, Protocol, message::Message},
    offload::Frame,
    status::{ListenerEntry, Port},
};

/// Whom a frame is for that is not for one station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Everybody.
    All,
    /// Those who listen to this group, and routers; or, without a group, routers.
    Listeners(Protocol, Option<IpAddr>),
}

impl Shard {
    /// Whom a flooded frame is for.
    #[inline]
    pub(super) fn audience(&self, frame: &Frame<'_>) -> Audience {
        if self.listeners.is_on() {
            self.audience_of(frame)
        } else {
            Audience::All
        }
    }

    #[inline(never)]
    fn audience_of(&self, frame: &Frame<'_>) -> Audience {
        let Some(group) = multicast::destination(frame.bytes) else {
            return Audience::All;
        };
        let protocol = Protocol::of(group);
        let now = self.env.real;
        let is_known = self.listeners.is_known(now, frame.vlan, protocol);
        let we_ask = self.listeners.we_ask(now, frame.vlan, protocol);
        // Hosts are not to hear what others listen to: else they need not say it themselves (RFC 4541, 2.1.1).
        if (we_ask || is_known && self.listeners.has_router(frame.vlan, protocol))
            && let Some(Message::Report(_)) = Message::parse(frame.bytes)
        {
            return Audience::Listeners(protocol, None);
        }
        if !is_known || multicast::is_for_all(group) {
            return Audience::All;
        }
        Audience::Listeners(protocol, Some(group))
    }

    /// Reads what a frame that the bridge has let in says of groups.
    #[inline(never)]
    pub(super) fn snoop(&mut self, from: Port, frame: &Frame<'_>) {
        let is_group = frame.bytes.first().is_some_and(|first| first & 1 != 0);
        let Some(message) = Some(frame.bytes).filter(|_| is_group).and_then(Message::parse) else {
            return;
        };
        self.listeners.learn(self.env.real, frame.vlan, from, &message);
        self.tell_of_listeners(from);
    }

    /// Tells the other workers what is new of those behind `from`.
    pub(super) fn tell_of_listeners(&mut self, from: Port) {
        let Some(generation) = self.bridge.generation(from) else {
            return;
        };
        for mut news in self.listeners.take_news() {
            news.generation = generation;
            self.env.outbox.news.push((None, News::Listener(news)));
        }
    }

    /// To how many peers of `worker` a frame from `from` is flooded.
    pub(super) fn targets(&self, from: Port, frame: &Frame<'_>, audience: Audience, worker: WorkerId) -> u32 {
        match audience {
            Audience::All => self.bridge.flood_targets(from, frame.vlan, worker),
            Audience::Listeners(..) => {
                let mut count = 0;
                let mut slots = 0..MAX_PEERS;
                while let Some(peer) = self.next_listener(from, frame, audience, slots.clone(), worker) {
                    count += 1;
                    slots.start = usize::from(peer.0) + 1;
                }
                count
            }
        }
    }

    /// The first of them with its slot in `slots`, of those that belong to this worker.
    pub(super) fn first_target(
        &self,
        from: Port,
        frame: &Frame<'_>,
        audience: Audience,
        slots: Range<usize>,
    ) -> Option<PeerId> {
        match audience {
            Audience::All => self.bridge.next_target(from, frame.vlan, slots),
            Audience::Listeners(..) => self.next_listener(from, frame, audience, slots, self.seat.me),
        }
    }

    fn next_listener(
        &self,
        from: Port,
        frame: &Frame<'_>,
        audience: Audience,
        mut slots: Range<usize>,
        worker: WorkerId,
    ) -> Option<PeerId> {
        let Audience::Listeners(protocol, group) = audience else {
            return None;
        };
        loop {
            let first = PeerId(slots.start.try_into().ok()?);
            let peer = self.listeners.next(frame.vlan, protocol, group, first)?;
            if usize::from(peer.0) >= slots.end {
                return None;
            }
            // Of the hubs of a group it is the one in use that can be reached.
            let way = self.hubs.way(peer);
            if self.seat.workers.owner(peer) == worker && self.bridge.reaches(from, frame.vlan, way) {
                return Some(peer);
            }
            slots.start = usize::from(peer.0) + 1;
        }
    }

    /// Whether the TAP is to have a flooded frame from a peer.
    pub(super) fn tap_hears(&self, frame: &Frame<'_>, audience: Audience) -> bool {
        self.bridge.is_in(Port::Tap, frame.vlan)
            && match audience {
                Audience::All => true,
                Audience::Listeners(protocol, group) => self.listeners.tap_wants(frame.vlan, protocol, group),
            }
    }

    /// Who listens to what, from `cursor` (0 at first) on, and the cursor to go on with.
    pub fn listeners_page(&self, cursor: u32, limit: usize) -> (Vec<ListenerEntry>, Option<u32>) {
        self.listeners.page(self.env.real, cursor, limit)
    }
}
