//! The sockets of a transaction: opened here, and closed or put back where it fails.

use std::{collections::BTreeMap, num::NonZeroU8, sync::Arc};

use knet_io::udp::{BindError, Group, UdpOptions, UdpSocket};
use knet_proto::ids::{SocketId, Workers};

use crate::{
    interface::ApplyError,
    setup::{Offloads, SocketSetup},
    steering,
    worker::SocketChange,
};

/// Sockets by the number of their `local` line: how each is set up, and what is bound there, one for each worker.
pub(super) type Sockets = BTreeMap<SocketId, (SocketSetup, Members)>;

/// One socket for each worker, in their order.
pub(super) type Members = Vec<Arc<UdpSocket>>;

/// How sockets are opened.
#[derive(Clone, Copy)]
pub(super) struct Opener {
    pub(super) workers: Workers,
    pub(super) offloads: Offloads,
    pub(super) dscp: u8,
}

/// What a transaction does to the sockets.
pub(super) struct Opened {
    pub(super) in_force: Sockets,
    /// For each worker.
    pub(super) changes: Vec<SocketChange>,
    moved: Moved,
}

impl Opened {
    /// Puts back what was changed of the sockets in force; what is new closes itself.
    pub(super) fn undo(self) {
        self.moved.undo();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes
            .iter()
            .all(|c| c.remove.is_empty() && c.add.is_empty())
    }
}

impl Opener {
    /// Opens what is new. A socket whose address stays keeps its descriptor under another number, and, where there is
    /// one worker, on another device.
    pub(super) fn open(
        self,
        old: &Sockets,
        wanted: BTreeMap<SocketId, Option<SocketSetup>>,
    ) -> Result<Opened, ApplyError> {
        let mut in_force = old.clone();
        let mut changes: Vec<_> = self.workers.all().map(|_| SocketChange::default()).collect();
        let mut moved = Moved::default();
        for (id, setup) in &wanted {
            if setup.as_ref() != old.get(id).map(|(setup, _)| setup) && in_force.remove(id).is_some() {
                for change in &mut changes {
                    change.remove.push(*id);
                }
            }
        }
        let to_add = wanted.into_iter().filter_map(|(id, setup)| Some((id, setup?)));
        for (id, setup) in to_add {
            if in_force.contains_key(&id) {
                continue;
            }
            if let Some((other, _)) = in_force.iter().find(|(_, (s, _))| s.address == setup.address) {
                moved.undo();
                return Err(ApplyError::SameAddress { a: *other, b: id });
            }
            let same = old.values().find(|(s, _)| s.address == setup.address);
            let members = match same {
                Some((before, members)) if before.device == setup.device => Ok(members.clone()),
                Some((before, members)) if self.workers == Workers::ONE => moved
                    .set_device(members, before, &setup)
                    .map(|()| members.clone()),
                same => self.bind(&setup, same.is_some()),
            };
            let members = match members {
                Ok(members) => members,
                Err(source) => {
                    moved.undo();
                    return Err(ApplyError::Socket { id, source });
                }
            };
            for (change, socket) in changes.iter_mut().zip(&members) {
                change.add.push((id, setup.clone(), Arc::clone(socket)));
            }
            in_force.insert(id, (setup, members));
        }
        Ok(Opened {
            in_force,
            changes,
            moved,
        })
    }

    fn bind(self, setup: &SocketSetup, replaces: bool) -> Result<Members, BindError> {
        let options = UdpOptions {
            device: setup.device.clone(),
            dscp: self.dscp,
            gso: self.offloads.gso,
            gro: self.offloads.gro,
            ..UdpOptions::default()
        };
        let group = Group {
            count: NonZeroU8::new(self.workers.get()).unwrap_or(NonZeroU8::MIN),
            program: &steering::program(self.workers),
            replaces,
        };
        let sockets = UdpSocket::bind_group(setup.address, &options, &group)?;
        Ok(sockets.into_iter().map(Arc::new).collect())
    }
}

/// Sockets that were bound to another device, and to which they belong if the transaction fails.
#[derive(Default)]
struct Moved(Vec<(Arc<UdpSocket>, Option<String>)>);

impl Moved {
    fn set_device(
        &mut self,
        members: &Members,
        before: &SocketSetup,
        after: &SocketSetup,
    ) -> Result<(), BindError> {
        for socket in members {
            socket.set_device(after.device.as_deref())?;
            self.0.push((Arc::clone(socket), before.device.clone()));
        }
        Ok(())
    }

    fn undo(self) {
        for (socket, device) in self.0 {
            let _ = socket.set_device(device.as_deref());
        }
    }
}
