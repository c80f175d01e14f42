//! What the kernel tells of interfaces and addresses (netlink), and what of it the core has to know.

use std::io;

use knet_io::netlink::NetEvent;
use knet_proto::{shard::TapMtuWish, time::Time};

use super::{Worker, tap_is_gone};
use crate::query::Event;

/// Events per turn.
const NETLINK: usize = 64;

impl Worker {
    pub(super) fn take_net_events(&mut self, now: Time) -> Result<(), String> {
        let mut events = std::mem::take(&mut self.net_events);
        self.monitor
            .drain(NETLINK, &mut events)
            .map_err(|e| format!("netlink: {e}"))?;
        let mut complete = true;
        for event in events.drain(..) {
            if matches!(event, NetEvent::LinkRemoved { ifindex, .. } if ifindex == self.tap.ifindex()) {
                return Err(tap_is_gone(&self.tap, &io::Error::from(io::ErrorKind::NotFound)));
            }
            complete &= self.local.apply(event);
        }
        self.net_events = events;
        if complete {
            self.judge_sockets(now);
            return Ok(());
        }
        self.resync(now)
    }

    /// Asks for the whole state: at the start, and after events were lost.
    pub(super) fn resync(&mut self, now: Time) -> Result<(), String> {
        let links = self.netlink.links().map_err(|e| e.to_string())?;
        let addresses = self.netlink.addresses().map_err(|e| e.to_string())?;
        self.local.replace(links, addresses);
        self.judge_sockets(now);
        Ok(())
    }

    /// Tells the core which sockets can be used, where that has changed.
    fn judge_sockets(&mut self, now: Time) {
        let tap_mtu = self.local.mtu(self.tap.ifindex());
        if tap_mtu != self.tap_mtu {
            self.tap_mtu = tap_mtu;
            let mtu = tap_mtu.and_then(|m| u16::try_from(m).ok()).unwrap_or(u16::MAX);
            self.shard.set_tap_mtu(now, mtu);
        }
        for entry in self.sockets.iter_mut() {
            let mtu = self.local.socket_mtu(&entry.setup);
            if mtu != entry.mtu {
                entry.mtu = mtu;
                self.shard.set_socket_mtu(now, entry.id, mtu);
            }
            let down = self.local.socket_down(&entry.setup);
            if down == entry.down {
                continue;
            }
            if down.is_none() != entry.down.is_none() {
                self.shard.handle_socket(now, entry.id, down.is_none());
            }
            entry.down = down;
            (self.on_event)(Event::Socket {
                socket: entry.id,
                down,
            });
        }
        self.flush(now);
    }

    /// The core learns by netlink that it is so.
    pub(super) fn set_tap_mtu(&mut self, wish: TapMtuWish) {
        let result = self.netlink.set_mtu(self.tap.ifindex(), wish.to.into());
        (self.on_event)(Event::TapMtu {
            wish,
            error: result.err().map(|e| e.to_string()),
        });
    }
}
