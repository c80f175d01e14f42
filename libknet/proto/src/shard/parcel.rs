//! What one worker has for another: frames for a peer that belongs to it, and datagrams that came to the wrong one.
//!
//! Each flow has one worker that takes it in, and one that owns the peer it goes to. What the first hands to the second
//! stays in order, because all of it goes in parcels, and parcels arrive as they were sent.

use alloc::vec::Vec;
use core::ops::Range;

use super::Shard;
use crate::{
    drop_reason::DropReason,
    ids::{PeerId, WorkerId},
    l2::vlan::VlanId,
    offload::Frame,
    path::Path,
    status::Port,
    time::Time,
    wire::virtio_net_header::VirtioNetHeader,
};

/// With so much in it a parcel is handed over rather than filled further ...
const FULL_BYTES: usize = 128 << 10;
const FULL_ITEMS: usize = 256;
/// ... and with so much in it, it takes no more. It is filled so far only while the other worker does not keep up.
const MOST_BYTES: usize = 512 << 10;
const MOST_ITEMS: usize = 2_048;
/// What a parcel keeps of its memory when it has been emptied: room for a full one and what made it so.
const KEPT_BYTES: usize = 2 * FULL_BYTES;
const KEPT_ITEMS: usize = 2 * FULL_ITEMS;

/// Frames and datagrams for another worker, with their bytes. Make one for each use and let it go back and forth: an
/// emptied parcel keeps its memory.
#[derive(Debug, Default)]
pub struct Parcel {
    items: Vec<Item>,
    bytes: Vec<u8>,
}

/// Where an item is in the bytes of its parcel.
type Place = Range<u32>;

#[derive(Debug)]
enum Item {
    /// A frame for one peer.
    Frame {
        to: PeerId,
        /// That of the port it was sent to.
        generation: u16,
        from: Port,
        header: VirtioNetHeader,
        vlan: VlanId,
        at: Place,
    },
    /// A frame for all of the worker's peers that may have it.
    Flood {
        from: Port,
        /// That of the port it came from.
        generation: u16,
        /// To so many at most.
        copies: u32,
        header: VirtioNetHeader,
        vlan: VlanId,
        at: Place,
    },
    /// A datagram whose receiver index names the worker.
    Datagram { path: Path, at: Place },
}

impl Parcel {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether it is better handed over now than filled further.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES || self.items.len() >= FULL_ITEMS
    }

    /// The buffer to be given to [`super::TapFrame::bytes`] after [`Shard::handle_parcel`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Empties it, for the next use.
    pub fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.items.shrink_to(KEPT_ITEMS);
    }

    /// Adds `bytes` as the item that `item` makes of their place. Returns false if there is no room.
    fn push(&mut self, bytes: &[u8], item: impl FnOnce(Place) -> Item) -> bool {
        let start = self.bytes.len();
        let end = start.saturating_add(bytes.len());
        if end > MOST_BYTES || self.items.len() >= MOST_ITEMS {
            return false;
        }
        self.bytes.extend_from_slice(bytes);
        self.items.push(item(start as u32..end as u32));
        true
    }
}

impl Shard {
    /// Another worker has this for us. The frames for the TAP that come of it are in [`super::Outbox::frames`] then,
    /// partly in the bytes of the parcel, and have to be taken before the next call; after that the parcel is to be
    /// cleared.
    pub fn handle_parcel(&mut self, now: Time, parcel: &mut Parcel) {
        self.tick(now);
        let Parcel { items, bytes } = parcel;
        for item in items.drain(..) {
            match item {
                Item::Datagram { path, at } => {
                    let at = range(&at);
                    let len = at.len();
                    self.env.status.taken.datagrams.count(len);
                    self.take_datagrams(&path, bytes, at, len);
                }
                Item::Frame {
                    to,
                    generation,
                    from,
                    header,
                    vlan,
                    at,
                } => {
                    let frame = self.take_frame(header, vlan, bytes, &at);
                    if self.bridge.generation(Port::Peer(to)) == Some(generation) {
                        self.send_known(to, from, frame);
                    } else {
                        self.count_drops(DropReason::NoPort, frame.count().into());
                    }
                }
                Item::Flood {
                    from,
                    generation,
                    copies,
                    header,
                    vlan,
                    at,
                } => {
                    let frame = self.take_frame(header, vlan, bytes, &at);
                    let audience = self.audience(&frame);
                    if self.bridge.generation(from) == Some(generation)
                        && self.targets(from, &frame, audience, self.seat.me) > 0
                    {
                        self.flood_here(from, frame, copies);
                    } else {
                        self.count_drops(DropReason::NoPort, frame.count().into());
                    }
                }
            }
        }
    }

    fn take_frame<'a>(
        &mut self,
        header: VirtioNetHeader,
        vlan: VlanId,
        bytes: &'a [u8],
        at: &Place,
    ) -> Frame<'a> {
        let bytes = bytes.get(range(at)).unwrap_or_default();
        self.env.status.taken.frames.count(bytes.len());
        Frame { header, vlan, bytes }
    }

    /// Hands a frame for a peer that is not here to its owner.
    #[inline(never)]
    pub(super) fn hand_over_frame(&mut self, to: PeerId, from: Port, frame: &Frame<'_>) {
        let owner = self.seat.workers.owner(to);
        let generation = self.bridge.generation(Port::Peer(to));
        let (Some(generation), false) = (generation, owner == self.seat.me) else {
            return self.count_drops(DropReason::NoPort, frame.count().into());
        };
        let (header, vlan) = (frame.header, frame.vlan);
        let handed = self.hand_over(owner, frame.bytes, |at| Item::Frame {
            to,
            generation,
            from,
            header,
            vlan,
            at,
        });
        if handed {
            self.env.status.handed.frames.count(frame.bytes.len());
        } else {
            self.count_drops(DropReason::HandoverFull, frame.count().into());
        }
    }

    /// Hands a frame to a worker that has peers it is to be flooded to: `copies` of them.
    pub(super) fn hand_over_flood(&mut self, to: WorkerId, from: Port, frame: &Frame<'_>, copies: u32) {
        let Some(generation) = self.bridge.generation(from) else {
            return;
        };
        let (header, vlan) = (frame.header, frame.vlan);
        let handed = self.hand_over(to, frame.bytes, |at| Item::Flood {
            from,
            generation,
            copies,
            header,
            vlan,
            at,
        });
        if handed {
            self.env.status.handed.frames.count(frame.bytes.len());
        } else {
            let frames = u64::from(copies) * u64::from(frame.count());
            self.count_drops(DropReason::HandoverFull, frames);
        }
    }

    /// Hands a datagram to the worker that its receiver index names. Returns why it was dropped, if it was.
    #[inline(never)]
    pub(super) fn hand_over_datagram(
        &mut self,
        to: WorkerId,
        path: &Path,
        datagram: &[u8],
    ) -> Option<DropReason> {
        let path = *path;
        if !self.hand_over(to, datagram, |at| Item::Datagram { path, at }) {
            return Some(DropReason::HandoverFull);
        }
        self.env.status.handed.datagrams.count(datagram.len());
        None
    }

    fn hand_over(&mut self, to: WorkerId, bytes: &[u8], item: impl FnOnce(Place) -> Item) -> bool {
        let parcel = self.env.outbox.parcels.get_mut(to.index());
        parcel.is_some_and(|parcel| parcel.push(bytes, item))
    }
}

fn range(at: &Place) -> Range<usize> {
    at.start as usize..at.end as usize
}
