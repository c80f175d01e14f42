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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn frame(ethertype_and_rest: &[u8]) -> Vec<u8> {
        [
            &[1, 2, 3, 4, 5, 6, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f],
            ethertype_and_rest,
        ]
        .concat()
    }

    #[test]
    fn fourteen_bytes_are_enough_and_thirteen_are_not() {
        let bytes = frame(&[0x08, 0x00]);
        assert_eq!(EthernetFrame::new(&bytes[..13]), Err(DropReason::FrameShort));
        assert_eq!(EthernetFrame::new(&[]), Err(DropReason::FrameShort));
        let view = EthernetFrame::new(&bytes).unwrap();
        assert_eq!(view.dst(), MacAddr([1, 2, 3, 4, 5, 6]));
        assert_eq!(view.src(), MacAddr([0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f]));
        assert_eq!(view.ethertype(), 0x0800);
        assert_eq!(view.vlan_tags(), ([None, None], 0x0800));
    }

    #[test]
    fn exactly_sixteen_group_addresses_are_reserved() {
        let mut bytes = frame(&[0x08, 0x00]);
        bytes[..6].copy_from_slice(&[0x01, 0x80, 0xc2, 0, 0, 0]);
        for last in 0..=255 {
            bytes[5] = last;
            assert_eq!(
                EthernetFrame::new(&bytes).unwrap().is_reserved_group(),
                last <= 0x0f
            );
        }
        for at in 0..5 {
            let mut other = bytes.clone();
            other[5] = 0;
            other[at] ^= 0x10;
            assert!(!EthernetFrame::new(&other).unwrap().is_reserved_group());
        }
    }

    #[test]
    fn two_tags_are_looked_through_and_no_more() {
        let tagged = [
            0x88, 0xa8, 0xe0, 0x64, 0x81, 0x00, 0x0f, 0xff, 0x81, 0x00, 0x00, 0x01, 0x86, 0xdd,
        ];
        let bytes = frame(&tagged);
        let (tags, ethertype) = EthernetFrame::new(&bytes).unwrap().vlan_tags();
        let [outer, inner] = tags.map(Option::unwrap);
        assert_eq!((outer.tpid, outer.vid(), outer.pcp()), (0x88a8, 100, 7));
        assert_eq!((inner.tpid, inner.vid(), inner.pcp()), (0x8100, 4095, 0));
        assert_eq!(ethertype, 0x8100);

        let one = frame(&[0x81, 0x00, 0x00, 0x05, 0x08, 0x06]);
        let (tags, ethertype) = EthernetFrame::new(&one).unwrap().vlan_tags();
        assert_eq!((tags[0].unwrap().vid(), tags[1], ethertype), (5, None, 0x0806));
    }

    #[test]
    fn a_tag_cut_off_is_no_tag() {
        for len in 0..4 {
            let bytes = frame(&[&[0x81, 0x00][..], &[0; 4][..len]].concat());
            assert_eq!(
                EthernetFrame::new(&bytes).unwrap().vlan_tags(),
                ([None, None], 0x8100)
            );
        }
    }
}
