//! How large a datagram may be: measured per link, used for the whole peer.

use super::{Peer, send::DATA_OVERHEAD};
use crate::{
    ids::{LinkId, LinkSet},
    link::{
        LINK_BITS, Link,
        path_mtu::{LimitReason, Limits},
    },
    path::Path,
    shard::env::Env,
    status::LinkState,
    wire::{control_record::Record, ethernet::ETHERNET_HEADER_LEN},
};

impl Peer {
    /// Sends the probe of the path MTU of `id` that is due, if one is.
    pub(super) fn probe_mtu(&mut self, env: &mut Env, id: LinkId) {
        let now = env.now;
        let Some(link) = self.link_mut(id).filter(|l| l.state() >= LinkState::Suspect) else {
            return;
        };
        let (srtt, rt) = (link.rtt.srtt(), link.report_timeout());
        let before = link.mtu.current();
        let probe = link.mtu.poll(now, srtt, rt);
        if link.mtu.current() != before {
            link.forget_large();
            self.measure_room();
        }
        if let Some(probe) = probe {
            // The id names the link, too: the answer may come over any.
            let id_on_wire = probe.id << LINK_BITS | u32::from(id.get());
            self.send_ctrl(env, id, |records| {
                records.push(&Record::PmtuProbe {
                    size: probe.size,
                    id: id_on_wire,
                });
            });
        }
    }

    /// A probe of this size has come through.
    pub(super) fn answer_mtu_probe(&mut self, env: &mut Env, over: LinkId, size: u16, id: u32) {
        let back = match self.link(over) {
            Some(l) if l.state() == LinkState::Up => over,
            _ => self.best_link(LinkSet::EMPTY).unwrap_or(over),
        };
        self.send_ctrl(env, back, |records| {
            records.push(&Record::PmtuAck { size, id });
        });
    }

    /// The peer says so of one of ours.
    pub(super) fn mtu_acked(&mut self, env: &mut Env, size: u16, id: u32) {
        let now = env.now;
        let link = LinkId::new((id & ((1 << LINK_BITS) - 1)) as u8);
        let Some(link) = link.and_then(|l| self.link_mut(l)) else {
            return;
        };
        let before = link.mtu.current();
        link.mtu.acked(now, size, id >> LINK_BITS);
        if link.mtu.current() != before {
            link.forget_large();
        }
        self.measure_room();
    }

    /// The device takes no datagram of `size` along `path`.
    pub fn too_big(&mut self, env: &mut Env, path: &Path, size: usize) {
        let Some(id) = self.link_of(path) else { return };
        if let Some(link) = self.link_mut(id) {
            link.mtu.too_big(u16::try_from(size).unwrap_or(u16::MAX));
        }
        self.measure_room();
        self.probe_mtu(env, id);
    }

    /// Somebody claims that packets of more than `mtu` bytes do not pass.
    pub fn mtu_hint(&mut self, env: &mut Env, path: &Path, mtu: u32) {
        let Some(id) = self.link_of(path) else { return };
        if let Some(link) = self.link_mut(id) {
            link.mtu.hint(env.now, mtu);
        }
        self.probe_mtu(env, id);
    }

    /// There is use for longer or shorter datagrams now, or a device takes others.
    pub fn limits_changed(&mut self, env: &mut Env) {
        for link in self.links.iter_mut().flatten() {
            let socket = link.config.local.or(link.endpoint.current().map(|p| p.socket));
            link.mtu.set_limits(Limits {
                interface_mtu: socket.and_then(|s| env.socket_mtus.get(&s).copied()),
                largest_datagram: env.largest_datagram,
            });
        }
        self.measure_room();
    }

    /// The longest IP packet that passes whole to the peer, once that has been measured.
    pub fn inner_mtu(&self) -> Option<u16> {
        let measured = |l: &Link| !matches!(l.mtu.limit_reason(), LimitReason::Base | LimitReason::Searching);
        let room = self.room.checked_sub(DATA_OVERHEAD + ETHERNET_HEADER_LEN)?;
        let all = self.set.all().filter_map(|id| self.link(id)).all(measured);
        all.then(|| u16::try_from(room).unwrap_or(u16::MAX))
    }

    /// Frames are made to fit the narrowest link in use.
    pub(super) fn measure_room(&mut self) {
        let in_use = self.set.all().filter_map(|id| self.link(id));
        self.room = in_use.map(|l| l.mtu.current()).min().unwrap_or(0);
    }
}
