use std::vec;

use proptest::prelude::*;

use super::*;
use crate::{
    l2::ip_packet::{protocol::UDP, test_packets as build},
    offload::checksum,
    wire::virtio_net_header::gso,
};

const V: VlanId = VlanId(100);

fn in_vlan(bytes: &[u8]) -> Frame<'_> {
    Frame {
        vlan: V,
        ..Frame::plain(bytes)
    }
}

fn retagged(bytes: &[u8], tagged: bool) -> Result<Vec<u8>, DropReason> {
    let mut buffer = vec![0xee; 3];
    retag(in_vlan(bytes), tagged, &mut buffer).map(|frame| frame.bytes.to_vec())
}

fn frame(tags: &[[u16; 2]]) -> Vec<u8> {
    build::frame(tags, &build::ipv4(UDP, &build::udp(1, 2)))
}

fn trunk(native: Option<u16>) -> Switchport {
    Switchport::Trunk {
        allowed: [(10, 20), (100, 100)].into(),
        native: native.map(VlanId),
    }
}

#[test]
fn a_frame_is_in_the_vlan_of_its_tag_or_of_its_port() {
    let access = Switchport::Access(V);
    let vlan = |port: &Switchport, tags: &[[u16; 2]]| vlan_of(port, &frame(tags)).map(|vlan| vlan.0);
    assert_eq!(vlan(&access, &[]), Ok(100));
    assert_eq!(vlan(&access, &[[0x8100, 0x6000]]), Ok(100), "a priority only");
    assert_eq!(vlan(&access, &[[0x8100, 0x6064]]), Ok(100));
    assert_eq!(vlan(&access, &[[0x8100, 11]]), Err(DropReason::VlanIngress));
    assert_eq!(vlan(&access, &[[0x8100, 0xffff]]), Err(DropReason::VlanTag));
    assert_eq!(
        vlan_of(&access, &frame(&[[0x8100, 100]])[..17]),
        Err(DropReason::VlanTag)
    );
    // A service tag is none of ours, whatever is behind it.
    assert_eq!(vlan(&access, &[[0x88a8, 11], [0x8100, 12]]), Ok(100));
    assert_eq!(vlan(&trunk(None), &[]), Err(DropReason::VlanIngress));
    assert_eq!(vlan(&trunk(None), &[[0x8100, 0]]), Err(DropReason::VlanIngress));
    assert_eq!(vlan(&trunk(None), &[[0x8100, 20]]), Ok(20));
    assert_eq!(vlan(&trunk(None), &[[0x8100, 21]]), Err(DropReason::VlanIngress));
    assert_eq!(vlan(&trunk(Some(10)), &[]), Ok(10));
    assert_eq!(vlan(&trunk(Some(10)), &[[0x8100, 20], [0x8100, 4000]]), Ok(20));
}

#[test]
fn tags_come_and_go_and_a_priority_stays_while_there_is_one() {
    let bare = frame(&[]);
    assert_eq!(retagged(&bare, true), Ok(frame(&[[0x8100, 100]])));
    assert_eq!(retagged(&bare, false), Ok(bare.clone()));
    assert_eq!(
        retagged(&frame(&[[0x8100, 0xb000]]), true),
        Ok(frame(&[[0x8100, 0xb064]]))
    );
    assert_eq!(retagged(&frame(&[[0x8100, 0xb000]]), false), Ok(bare.clone()));
    assert_eq!(retagged(&frame(&[[0x8100, 0xb064]]), false), Ok(bare));
    let service = frame(&[[0x88a8, 7], [0x8100, 9]]);
    let three = [&service[..12], &[0x81, 0x00, 0, 100], &service[12..]].concat();
    assert_eq!(retagged(&service, true), Ok(three.clone()));
    assert_eq!(retagged(&three, false), Ok(service));
}

/// Two tags, of which the first is taken off on the way: that is how stations get frames into VLANs that are not theirs.
#[test]
fn a_frame_does_not_hop_into_another_vlan() {
    let double = frame(&[[0x8100, 100], [0x8100, 11]]);
    assert_eq!(retagged(&double, false), Err(DropReason::VlanTag));
    assert_eq!(retagged(&double, true), Ok(double));
}

#[test]
fn what_was_left_to_do_is_where_the_headers_are() {
    for (tags, tagged) in [(&[][..], true), (&[[0x8100, 100]][..], false)] {
        let mut bytes = frame(tags);
        let start = bytes.len() - build::udp(1, 2).len();
        let header = VirtioNetHeader {
            flags: flags::NEEDS_CSUM,
            gso_type: gso::UDP_L4,
            hdr_len: start as u16 + 8,
            gso_size: 3,
            csum_start: start as u16,
            csum_offset: 6,
        };
        let mut buffer = Vec::new();
        let whole = Frame {
            header,
            ..in_vlan(&bytes)
        };
        let moved = retag(whole, tagged, &mut buffer).unwrap();
        let (start, mut after) = (moved.header.csum_start, moved.bytes.to_vec());
        assert_eq!(usize::from(start), after.len() - build::udp(1, 2).len());
        assert_eq!(moved.header.hdr_len, start + 8);
        assert_eq!((moved.header.gso_size, moved.header.csum_offset), (3, 6));
        checksum::complete(&mut after, start, 6).unwrap();
        checksum::complete(&mut bytes, header.csum_start, 6).unwrap();
        assert_eq!(retagged(&bytes, tagged), Ok(after));
    }
}

proptest! {
    /// Any bytes: what has a VLAN can be given a tag, and then it is in that VLAN wherever that is allowed.
    #[test]
    fn any_bytes_are_told_apart_without_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..40), tpid in prop::option::of(Just(0x8100_u16)),
    ) {
        if let (Some(tpid), Some(place)) = (tpid, bytes.get_mut(12..14)) {
            place.copy_from_slice(&tpid.to_be_bytes());
        }
        let Ok(vlan) = vlan_of(&trunk(Some(10)), &bytes) else { return Ok(()) };
        let mut buffer = Vec::new();
        let Ok(tagged) = retag(Frame { vlan, ..Frame::plain(&bytes) }, true, &mut buffer) else {
            prop_assert!(bytes.len() < 14);
            return Ok(());
        };
        let tagged = tagged.bytes.to_vec();
        prop_assert!(is_as(&tagged, vlan, true));
        let mut buffer = Vec::new();
        if let Ok(bare) = retag(Frame { vlan, ..Frame::plain(&tagged) }, false, &mut buffer) {
            prop_assert!(tci(bare.bytes).is_none());
        }
    }
}
