//! Super-frames: what a TAP with offloads gives in one piece and takes in one piece, up to 64 KiB of TCP or UDP.
//!
//! On the wire there are whole, finished Ethernet frames only. So a super-frame is cut just before its segments are
//! sealed ([`segment`]), and consecutive segments are joined just before they are written to the TAP ([`join`]).
//! What is joined is exactly what cutting gives back, so nobody behind the TAP sees a difference.

use alloc::borrow::Cow;

use crate::{
    l2::vlan::VlanId,
    wire::virtio_net_header::{VirtioNetHeader, flags, gso},
};

pub mod checksum;
pub mod join;
mod layout;
pub mod segment;
#[cfg(test)]
pub(crate) mod tests;

/// An Ethernet frame or a super-frame on its way through the core.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What is left to be done: to cut it up, or nothing.
    pub header: VirtioNetHeader,
    /// The VLAN that it is in, whatever tag it has now; [`VlanId::NONE`] where VLANs are not told apart, or once it is as its
    /// port is to have it.
    pub vlan: VlanId,
    /// From the Ethernet header on, without FCS.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A finished frame.
    pub fn plain(bytes: &'a [u8]) -> Self {
        Self::new(VirtioNetHeader::default(), bytes)
    }

    /// What came in.
    pub const fn new(header: VirtioNetHeader, bytes: &'a [u8]) -> Self {
        Self {
            header,
            vlan: VlanId::NONE,
            bytes,
        }
    }

    /// The frame, with its checksum done if it was left to do. Not for a super-frame.
    pub fn complete(&self) -> Cow<'a, [u8]> {
        let mut bytes = Cow::Borrowed(self.bytes);
        if self.header.flags & flags::NEEDS_CSUM != 0 {
            // Where the field is was found in the frame, or checked against it.
            let _ = checksum::complete(bytes.to_mut(), self.header.csum_start, self.header.csum_offset);
        }
        bytes
    }

    /// Whether it is to be cut up.
    pub const fn is_super(&self) -> bool {
        self.header.gso_type != gso::NONE
    }

    /// As how many frames it counts where frames are rationed: as many as its payload would make, and those of its
    /// headers.
    pub const fn count(&self) -> u32 {
        if !self.is_super() || self.header.gso_size == 0 {
            return 1;
        }
        self.bytes.len().div_ceil(self.header.gso_size as usize) as u32
    }
}
