//! Ethernet II frames without FCS (IEEE 802.3, 802.1Q), as far as a bridge looks at them.

use crate::{drop_reason::DropReason, ids::MacAddr};

/// Bytes of an Ethernet header without VLAN tags.
pub const ETHERNET_HEADER_LEN: usize = 14;
/// Tags that are looked through; a third is opaque (limits: row 37).
pub const MAX_VLAN_TAGS: usize = 2;

const VLAN_TPIDS: [u16; 2] = [0x8100, 0x88a8];

/// A view of a frame that is at least as long as an Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetFrame<'a> {
    header: &'a [u8; ETHERNET_HEADER_LEN],
    rest: &'a [u8],
}

/// A VLAN tag (IEEE 802.1Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// The `EtherType` that announced it: 0x8100 or 0x88a8.
    pub tpid: u16,
    /// Priority, drop eligibility and VLAN id.
    pub tci: u16,
}

impl VlanTag {
    /// The VLAN id, 0..=4095; 0 is a priority tag.
    pub const fn vid(self) -> u16 {
        self.tci & 0x0fff
    }

    /// The priority code point, 0..=7.
    pub const fn pcp(self) -> u8 {
        (self.tci >> 13) as u8
    }
}

impl<'a> EthernetFrame<'a> {
    /// A view of `frame`.
    ///
    /// # Errors
    /// [`DropReason::FrameShort`] below 14 bytes.
    pub fn new(frame: &'a [u8]) -> Result<Self, DropReason> {
        let (header, rest) = frame.split_first_chunk().ok_or(DropReason::FrameShort)?;
        Ok(Self { header, rest })
    }

    /// The destination address.
    pub const fn dst(&self) -> MacAddr {
        let [dst @ .., _, _, _, _, _, _, _, _] = *self.header;
        MacAddr(dst)
    }

    /// The source address.
    pub const fn src(&self) -> MacAddr {
        let [_, _, _, _, _, _, src @ .., _, _] = *self.header;
        MacAddr(src)
    }

    /// The two bytes after the addresses: an `EtherType`, the TPID of a VLAN tag, or (up to 1500) a length.
    pub const fn ethertype(&self) -> u16 {
        let [.., hi, lo] = *self.header;
        u16::from_be_bytes([hi, lo])
    }

    /// Whether it is addressed to 01:80:c2:00:00:00..=0f, which no bridge forwards (IEEE 802.1Q table 8-1).
    pub const fn is_reserved_group(&self) -> bool {
        matches!(self.dst().0, [0x01, 0x80, 0xc2, 0, 0, 0..=0x0f])
    }

    /// Up to two VLAN tags from outside in, and the `EtherType` behind them. A tag that the frame is too short
    /// to hold ends the list, and its TPID is the `EtherType`.
    pub fn vlan_tags(&self) -> ([Option<VlanTag>; MAX_VLAN_TAGS], u16) {
        let mut ethertype = self.ethertype();
        let mut rest = self.rest;
        let mut tags = [None; MAX_VLAN_TAGS];
        for tag in &mut tags {
            let Some(([t0, t1, e0, e1], after)) = rest.split_first_chunk::<4>() else {
                break;
            };
            if !VLAN_TPIDS.contains(&ethertype) {
                break;
            }
            *tag = Some(VlanTag {
                tpid: ethertype,
                tci: u16::from_be_bytes([*t0, *t1]),
            });
            ethertype = u16::from_be_bytes([*e0, *e1]);
            rest = after;
        }
        (tags, ethertype)
    }
}
