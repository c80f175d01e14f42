//! Tags: which VLAN a frame says it is in, and frames with another tag, or none.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use alloc::vec::Vec;

use super::{MAX_VLAN, Switchport, VlanId};
use crate::{
    drop_reason::DropReason,
    offload::Frame,
    wire::virtio_net_header::{VirtioNetHeader, flags},
};

/// The `EtherType` of a customer tag.
const TPID: u16 = 0x8100;
/// Bytes of a tag.
pub const TAG_LEN: usize = 4;
/// Where it is: behind the two addresses.
const TAG_AT: usize = 12;
/// The bits of the VLAN id.
const VID: u16 = 0x0fff;

/// The tag of a frame: priority, drop eligibility and VLAN id. `None` where it has none, or is cut off.
pub fn tci(frame: &[u8]) -> Option<u16> {
    let [t0, t1, c0, c1, _, _] = frame.get(TAG_AT..)?.first_chunk::<6>()?;
    (u16::from_be_bytes([*t0, *t1]) == TPID).then_some(u16::from_be_bytes([*c0, *c1]))
}

/// Whether a tag follows.
fn is_tag(bytes: &[u8]) -> bool {
    bytes.starts_with(&TPID.to_be_bytes())
}

/// The VLAN of a frame that comes in by `port`.
///
/// # Errors
/// [`DropReason::VlanTag`] if its tag is cut off or names no VLAN, [`DropReason::VlanIngress`] if the port is not in it.
pub fn vlan_of(port: &Switchport, frame: &[u8]) -> Result<VlanId, DropReason> {
    let vlan = match tci(frame).map(|tci| tci & VID) {
        // Filled up to the least length of a frame, it would be whole.
        None if is_tag(frame.get(TAG_AT..).unwrap_or_default()) => return Err(DropReason::VlanTag),
        // The tag of a frame that has a priority and no VLAN.
        None | Some(0) => port.untagged().ok_or(DropReason::VlanIngress)?,
        Some(vlan) if vlan <= MAX_VLAN => VlanId(vlan),
        Some(_) => return Err(DropReason::VlanTag),
    };
    if port.contains(vlan) {
        Ok(vlan)
    } else {
        Err(DropReason::VlanIngress)
    }
}

/// Whether a tag names `vlan`.
pub const fn is_of(tci: u16, vlan: VlanId) -> bool {
    tci & VID == vlan.0
}

/// Whether a frame of `vlan` has its tag, or has none, as is wanted.
pub fn is_as(frame: &[u8], vlan: VlanId, tagged: bool) -> bool {
    match tci(frame) {
        Some(tci) => tagged && is_of(tci, vlan),
        None => !tagged,
    }
}

/// The same frame with the tag of its VLAN, or without one. Made in `buffer` where it is not the frame as it is.
///
/// # Errors
/// [`DropReason::VlanTag`]: without its tag it would look like a frame of another VLAN, because another tag follows.
/// [`DropReason::FrameShort`]: it has no whole Ethernet header.
pub fn retag<'a>(frame: Frame<'a>, tagged: bool, buffer: &'a mut Vec<u8>) -> Result<Frame<'a>, DropReason> {
    let (has, vlan) = (tci(frame.bytes), frame.vlan);
    if is_as(frame.bytes, vlan, tagged) {
        return Ok(frame);
    }
    let (addresses, rest) = frame
        .bytes
        .split_at_checked(TAG_AT)
        // With an EtherType, or the tag could not be found again.
        .filter(|(_, rest)| rest.len() >= 2)
        .ok_or(DropReason::FrameShort)?;
    // A priority stays, where there is a tag to hold it.
    let wanted = tagged.then(|| has.unwrap_or_default() & !VID | vlan.0);
    let behind = match has {
        Some(_) => rest.get(TAG_LEN..).unwrap_or_default(),
        None => rest,
    };
    buffer.clear();
    buffer.reserve(frame.bytes.len().saturating_add(TAG_LEN));
    buffer.extend_from_slice(addresses);
    if let Some(tci) = wanted {
        buffer.extend_from_slice(&TPID.to_be_bytes());
        buffer.extend_from_slice(&tci.to_be_bytes());
    } else if is_tag(behind) {
        return Err(DropReason::VlanTag);
    }
    buffer.extend_from_slice(behind);
    let header = match (has, wanted) {
        (None, Some(_)) => moved(frame.header, |at| at.saturating_add(TAG_LEN as u16)),
        (Some(_), None) => moved(frame.header, |at| at.saturating_sub(TAG_LEN as u16)),
        _ => frame.header,
    };
    Ok(Frame {
        header,
        vlan,
        bytes: buffer,
    })
}

/// What is said of a frame whose headers have moved.
fn moved(mut header: VirtioNetHeader, to: impl Fn(u16) -> u16) -> VirtioNetHeader {
    if header.hdr_len != 0 {
        header.hdr_len = to(header.hdr_len);
    }
    if header.flags & flags::NEEDS_CSUM != 0 {
        header.csum_start = to(header.csum_start);
    }
    header
}

#[cfg(test)]
mod tests;
