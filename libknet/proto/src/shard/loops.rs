//! Loops: probes go out, other workers hear of them, and of what they have found.

use super::{News, Shard};
use crate::{
    event::Event,
    ids::PeerId,
    l2::{
        bridge::LoopNews,
        loop_guard::{self, Nonce},
    },
    offload::Frame,
    status::Port,
    time::Time,
};

impl Shard {
    /// Acts on what the bridge has found out.
    #[cold]
    pub(super) fn follow_loops(&mut self) {
        match self.bridge.take_loop_news() {
            Some(LoopNews::Suspicion { peer, vlan, tag }) => {
                let mut nonce = Nonce::default();
                self.env.entropy.fill(&mut nonce);
                self.bridge.probe_sent(self.env.real, nonce, peer);
                self.tell_all(News::LoopProbe { nonce, peer });
                let probe = loop_guard::probe(nonce, tag);
                let frame = Frame::plain(&probe);
                self.send(peer, Port::Tap, Frame { vlan, ..frame });
            }
            Some(LoopNews::Found { peer, other }) => {
                if let Some(hold) = self.bridge.close(self.env.real, peer, other) {
                    self.env.event(Event::LoopFound { peer, other, hold });
                    if let Some(generation) = self.bridge.generation(Port::Peer(peer)) {
                        self.tell_all(News::LoopFound {
                            peer,
                            other,
                            generation,
                        });
                    }
                }
            }
            Some(LoopNews::Opened(peer)) if self.seat.owns(peer) => {
                self.env.event(Event::LoopOpened { peer });
            }
            Some(LoopNews::Opened(_)) | None => {}
        }
    }

    /// A probe of another knet, which may be on its way round through here. Returns whether it is for the TAP.
    #[cold]
    pub(super) fn pass_probe(&mut self, from: Port, frame: Frame<'_>) -> bool {
        self.tell_all(News::PassProbe {
            from,
            vlan: frame.vlan,
            frame: frame.bytes.into(),
        });
        self.pass_probe_here(from, frame);
        from != Port::Tap && self.bridge.is_in(Port::Tap, frame.vlan)
    }

    /// Sends it to neighbours that are this worker's.
    pub(super) fn pass_probe_here(&mut self, from: Port, frame: Frame<'_>) {
        for peer in self.bridge.mesh_neighbors(from, frame.vlan) {
            if Port::Peer(peer) != from {
                self.send(peer, from, frame);
            }
        }
    }

    /// Somebody says that there is no loop, at this peer or anywhere: what is closed is open again. To be said to all workers.
    pub fn open_ports(&mut self, now: Time, only: Option<PeerId>) {
        self.tick(now);
        for peer in self.bridge.open_ports(only) {
            if self.seat.owns(peer) {
                self.env.event(Event::LoopOpened { peer });
            }
        }
    }

    /// Switches off what finds and cuts loops, or on again. What is closed is open then.
    pub(super) fn set_loop_guard_off(&mut self, is_off: bool) {
        self.bridge.set_loop_guard_off(is_off);
        if is_off {
            self.open_ports(self.env.real, None);
        }
    }

    /// Another worker has found a loop.
    pub(super) fn close_port(&mut self, peer: PeerId, other: Port, generation: u16) {
        if self.bridge.generation(Port::Peer(peer)) == Some(generation) {
            self.bridge.close(self.env.real, peer, other);
        }
    }
}
