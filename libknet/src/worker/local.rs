//! What the kernel tells of interfaces and addresses (netlink), and what of it the core has to know. The first worker
//! hears it and tells the others.

use std::{collections::BTreeMap, io};

use knet_io::netlink::{Monitor, NetEvent, Netlink};
use knet_proto::{ids::SocketId, shard::TapMtuWish, time::Time};

use super::{Worker, tap_is_gone};
use crate::{
    local_links::LocalLinks,
    mail::{Letter, SocketState},
    query::Event,
};

/// Events per turn.
const NETLINK: usize = 64;

/// How a worker knows which sockets can be used.
pub(super) enum Local {
    /// The first one: from the kernel.
    Heard(Box<Watch>),
    /// The others: from the first one.
    Told(BTreeMap<SocketId, SocketState>),
}

/// The kernel's view, kept up to date.
pub(super) struct Watch {
    pub(super) monitor: Monitor,
    pub(super) netlink: Netlink,
    links: LocalLinks,
    events: Vec<NetEvent>,
    tap_mtu: Option<u32>,
}

impl Watch {
    pub(super) fn new(monitor: Monitor, netlink: Netlink) -> Self {
        Self {
            monitor,
            netlink,
            links: LocalLinks::default(),
            events: Vec::new(),
            tap_mtu: None,
        }
    }
}

impl Worker {
    pub(super) fn take_net_events(&mut self, now: Time) -> Result<(), String> {
        let Local::Heard(watch) = &mut self.local else {
            return Ok(());
        };
        let mut events = std::mem::take(&mut watch.events);
        watch
            .monitor
            .drain(NETLINK, &mut events)
            .map_err(|e| format!("netlink: {e}"))?;
        let mut complete = true;
        for event in events.drain(..) {
            if matches!(event, NetEvent::LinkRemoved { ifindex, .. } if ifindex == self.tap.ifindex()) {
                return Err(tap_is_gone(&self.tap, &io::Error::from(io::ErrorKind::NotFound)));
            }
            complete &= watch.links.apply(event);
        }
        watch.events = events;
        if complete {
            self.judge_sockets(now);
            return Ok(());
        }
        self.resync(now)
    }

    /// Asks for the whole state: at the start, and after events were lost.
    pub(super) fn resync(&mut self, now: Time) -> Result<(), String> {
        let Local::Heard(watch) = &mut self.local else {
            return Ok(());
        };
        let links = watch.netlink.links().map_err(|e| e.to_string())?;
        let addresses = watch.netlink.addresses().map_err(|e| e.to_string())?;
        watch.links.replace(links, addresses);
        self.judge_sockets(now);
        Ok(())
    }

    /// Tells the core which sockets can be used, where that has changed.
    fn judge_sockets(&mut self, now: Time) {
        let Local::Heard(watch) = &mut self.local else {
            return;
        };
        let tap_mtu = watch.links.mtu(self.tap.ifindex());
        if tap_mtu != watch.tap_mtu {
            watch.tap_mtu = tap_mtu;
            let mtu = tap_mtu.and_then(|m| u16::try_from(m).ok()).unwrap_or(u16::MAX);
            self.shard.set_tap_mtu(now, mtu);
            if let Some(mail) = &mut self.mail {
                mail.tell(None, &Letter::TapMtu(mtu));
            }
        }
        for entry in self.sockets.iter_mut() {
            let mtu = watch.links.socket_mtu(&entry.setup);
            let down = watch.links.socket_down(&entry.setup);
            if (mtu, down) == (entry.mtu, entry.down) {
                continue;
            }
            if mtu != entry.mtu {
                self.shard.set_socket_mtu(now, entry.id, mtu);
            }
            if down.is_none() != entry.down.is_none() {
                self.shard.handle_socket(now, entry.id, down.is_none());
            }
            if down != entry.down {
                (self.on_event)(Event::Socket {
                    socket: entry.id,
                    down,
                });
            }
            (entry.mtu, entry.down) = (mtu, down);
            let up = down.is_none();
            if let Some(mail) = &mut self.mail {
                mail.tell(None, &Letter::Socket(entry.id, SocketState { up, mtu }));
            }
        }
        self.flush(now);
    }

    /// A socket is new, or another one of its number.
    pub(super) fn socket_added(&mut self, now: Time, id: SocketId) {
        let watch = match &self.local {
            Local::Heard(watch) => watch,
            Local::Told(states) => {
                let up = states.get(&id).is_none_or(|state| state.up);
                self.shard.handle_socket(now, id, up);
                return;
            }
        };
        let Some(entry) = self.sockets.iter_mut().find(|e| e.id == id) else {
            return;
        };
        entry.down = watch.links.socket_down(&entry.setup);
        let (down, mtu) = (entry.down, entry.mtu);
        let up = down.is_none();
        self.shard.handle_socket(now, id, up);
        if down.is_some() {
            (self.on_event)(Event::Socket { socket: id, down });
        }
        if let Some(mail) = &mut self.mail {
            mail.tell(None, &Letter::Socket(id, SocketState { up, mtu }));
        }
    }

    /// The first worker says so of a socket, which need not be there yet.
    pub(super) fn hear_of_socket(&mut self, now: Time, id: SocketId, state: SocketState) {
        let Local::Told(states) = &mut self.local else {
            return;
        };
        let before = states.insert(id, state);
        if before.and_then(|b| b.mtu) != state.mtu {
            self.shard.set_socket_mtu(now, id, state.mtu);
        }
        if self.sockets.get(id).is_some() {
            self.shard.handle_socket(now, id, state.up);
        }
    }

    /// The core learns by netlink that it is so.
    pub(super) fn set_tap_mtu(&mut self, wish: TapMtuWish) {
        let Local::Heard(watch) = &mut self.local else {
            return;
        };
        let result = watch.netlink.set_mtu(self.tap.ifindex(), wish.to.into());
        (self.on_event)(Event::TapMtu {
            wish,
            error: result.err().map(|e| e.to_string()),
        });
    }
}
