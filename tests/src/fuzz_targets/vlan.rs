//! Frames that come in by one port and leave by another, each with its VLANs.

use knet_proto::{
    l2::vlan::{Switchport, VlanId, tag},
    offload::Frame,
};

use super::Input;

/// What a port may be: 16 kinds of a few VLANs.
fn port(kind: u8) -> Switchport {
    let vlan = VlanId(u16::from(kind >> 2 & 3) + 1);
    match kind & 3 {
        0 => Switchport::Access(vlan),
        1 => Switchport::Trunk {
            allowed: [(1, 4094)].into(),
            native: Some(vlan),
        },
        2 => Switchport::Trunk {
            allowed: [(vlan.0, vlan.0 + 1)].into(),
            native: None,
        },
        _ => Switchport::Trunk {
            allowed: [(1, 2), (4, 4000)].into(),
            native: Some(VlanId(2)),
        },
    }
}

/// A frame is in the VLAN that its port has it in, and where it leaves it is in that VLAN for whoever is there.
pub fn vlan(bytes: &[u8]) {
    let mut input = Input(bytes);
    let kinds = input.byte().unwrap_or(0);
    let (from, to) = (port(kinds), port(kinds >> 4));
    let frame = input.0;
    let Ok(vlan) = tag::vlan_of(&from, frame) else {
        return;
    };
    assert!(from.contains(vlan) && (1..=4094).contains(&vlan.0));
    if !to.contains(vlan) {
        return;
    }
    let mut buffer = Vec::new();
    let frame = Frame {
        vlan,
        ..Frame::plain(frame)
    };
    let Ok(left) = tag::retag(frame, to.is_tagged(vlan), &mut buffer) else {
        return;
    };
    if left.bytes.len() >= 18 {
        assert_eq!(tag::vlan_of(&to, left.bytes), Ok(vlan));
    }
    // And back: what it was, but for a tag that had only a priority.
    let mut buffer = Vec::new();
    if let Ok(back) = tag::retag(left, tag::tci(frame.bytes).is_some(), &mut buffer)
        && tag::tci(frame.bytes).is_none()
    {
        assert_eq!(back.bytes, frame.bytes);
    }
}
