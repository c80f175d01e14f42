//! How large a datagram may be: measured per link, used for the whole peer.

use super::{Peer, send::DATA_OVERHEAD};
use crate::{
    ids::{LinkId, LinkSet},
    link::{
        LINK_BITS,
        path_mtu::{LimitReason, Limits},
    },
    path::Path,
    shard::env::Env,
    status::LinkState,
    wire::{control_record::Record, ethernet::ETHERNET_HEADER_LEN},
};

/// The narrowest link in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Narrowest {
    /// Which it is.
    pub link: LinkId,
    /// The longest IP packet that it carries whole, in bytes; a VLAN tag takes 4 of them.
    pub carries: u16,
    /// Why no longer one.
    pub reason: LimitReason,
}

/// The longest IP packet in a datagram of this many bytes.
pub(super) fn carries(datagram: usize) -> u16 {
    let packet = datagram.saturating_sub(DATA_OVERHEAD + ETHERNET_HEADER_LEN);
    u16::try_from(packet).unwrap_or(u16::MAX)
}

impl Peer {
    /// Sends the probe of the path MTU of `id` that is due, if one is.
    pub(super) fn probe_mtu(&mut self, env: &mut Env, id: LinkId) {
        let (now, driver) = (env.now, self.drives());
        let Some(link) = self.link_mut(id).filter(|l| l.may_probe_mtu(driver)) else {
            return;
        };
        let (srtt, rt) = (link.rtt.srtt(), link.report_timeout());
        let before = link.mtu.current();
        let probe = link.mtu.poll(now, srtt, rt);
        link.mtu_probes.0 = link.mtu_probes.0.wrapping_add(u32::from(probe.is_some()));
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
        if let Some(l) = self.link_mut(over) {
            l.mtu_probes.1 = l.mtu_probes.1.wrapping_add(1);
        }
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
            link.take_back(size);
            // Nothing else is longer than what is known to pass.
            if size > link.mtu.current() {
                link.mtu_probes.0 = link.mtu_probes.0.wrapping_sub(1);
            }
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
        let measured = self.room > 0 && self.links_in_use().all(|l| l.mtu.is_measured());
        measured.then(|| carries(self.room))
    }

    /// Of the links in use whose path has been measured, the one that carries the least.
    pub fn narrowest_measured(&self) -> Option<Narrowest> {
        let narrowest = self
            .links_in_use()
            .filter(|l| l.mtu.is_measured())
            .min_by_key(|l| l.mtu.current())?;
        Some(Narrowest {
            link: narrowest.id,
            carries: carries(narrowest.mtu.current()),
            reason: narrowest.mtu.limit_reason(),
        })
    }

    /// Frames are made to fit the narrowest link in use.
    pub(super) fn measure_room(&mut self) {
        self.room = self.links_in_use().map(|l| l.mtu.current()).min().unwrap_or(0);
    }
}
