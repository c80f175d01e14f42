//! What is done to a frame from the TAP besides forwarding it: its flow, its MSS, and the answer if it is too
//! long.

use knet_proto::{
    ids::{LinkId, LinkSet},
    l2::{
        flow_hash::FlowHash,
        ip_packet::{Addresses, IpPacket},
        mss_clamp,
        packet_too_big::{self, OwnAddresses},
    },
    policy,
};

use super::Input;

/// Any frame, behind two bytes of MTU and one that says which own addresses there are.
pub fn tap_frame(bytes: &[u8]) {
    run(bytes);
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    clamped: bool,
    answered: bool,
}

fn run(bytes: &[u8]) -> Outcome {
    let mut input = Input(bytes);
    let mtu = input.number(2) as u16;
    let own = own_addresses(input.byte().unwrap_or(0));
    let frame = input.0;
    check_flow(frame);
    Outcome {
        clamped: check_clamp(frame, mtu),
        answered: check_answer(frame, mtu, own),
    }
}

fn own_addresses(flags: u8) -> OwnAddresses {
    let given = |bit: u8| flags & 1 << bit != 0;
    OwnAddresses {
        mac: given(0).then_some(super::station(9)),
        v4: given(1).then_some([192, 0, 2, 9].into()),
        v6: given(2).then_some([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9].into()),
    }
}

/// Neither padding nor the priority in a VLAN tag changes the flow, and a flow has a link.
fn check_flow(frame: &[u8]) {
    let flows = FlowHash::new([1, 2]);
    let flow = flows.hash(frame);
    if IpPacket::in_frame(frame).is_some() {
        let padded = [frame, &[0xff; 7]].concat();
        assert_eq!(flows.hash(&padded), flow);
    }
    if frame.len() >= 18 && frame[12..14] == [0x81, 0x00] {
        let mut urgent = frame.to_vec();
        urgent[14] ^= 0xe0;
        assert_eq!(flows.hash(&urgent), flow);
    }
    let mut links = LinkSet::EMPTY;
    for link in LinkId::all() {
        links = links.with(link);
        let chosen =
            policy::flow_hash::pick(flow, links, |l| frame.get(l.index()).map_or(1, |b| u16::from(*b)));
        assert!(chosen.is_some_and(|l| links.contains(l)));
    }
}

/// Nothing but the MSS and the checksum of TCP changes, and what was intact stays intact.
fn check_clamp(frame: &[u8], mtu: u16) -> bool {
    let mut after = frame.to_vec();
    let clamped = mss_clamp::clamp(&mut after, mtu);
    assert_eq!(clamped, after != frame);
    if !clamped {
        return false;
    }
    assert_eq!(after.len(), frame.len());
    let packet = IpPacket::in_frame(frame).expect("only TCP is clamped");
    let segment_at = packet.header_at + packet.payload_at;
    let options_end = segment_at + usize::from(frame[segment_at + 12] >> 4) * 4;
    let mut changed = (0..frame.len()).filter(|at| frame[*at] != after[*at]);
    assert!(changed.all(|at| {
        (segment_at + 16..segment_at + 18).contains(&at) || (segment_at + 20..options_end).contains(&at)
    }));
    let sum = |frame: &[u8]| {
        let packet = IpPacket::in_frame(frame).expect("still one");
        checksum(&[&pseudo_header(&packet, 6), packet.payload()])
    };
    assert_eq!(sum(&after), sum(frame), "intact as before, or damaged as before");
    assert!(!mss_clamp::clamp(&mut after, mtu), "twice");
    true
}

/// An answer goes back to the sender, quotes its packet, names an MTU that is shorter, has right checksums and is
/// no longer than it may be.
fn check_answer(frame: &[u8], mtu: u16, own: OwnAddresses) -> bool {
    let mut answer = vec![0xee; 3];
    if !packet_too_big::answer(frame, mtu, own, &mut answer) {
        assert_eq!(answer, [0xee; 3]);
        return false;
    }
    assert_eq!(answer[..6], frame[6..12]);
    assert!(answer[0] & 1 == 0 && answer[6] & 1 == 0);
    let asked = IpPacket::in_frame(frame).expect("only IP is answered");
    let packet = IpPacket::in_frame(&answer).expect("an answer is IP");
    assert_eq!(answer[12..packet.header_at], frame[12..asked.header_at]);
    assert_eq!(packet.header_at + packet.bytes.len(), answer.len());
    let message = packet.payload();
    let (told, quote) = match (asked.addresses, packet.addresses) {
        (
            Addresses::V4 {
                src: sender,
                dst: receiver,
            },
            Addresses::V4 { src, dst },
        ) => {
            assert_eq!(dst, sender);
            assert!(src == receiver || Some(src) == own.v4);
            assert!(packet.bytes.len() <= 576);
            assert_eq!(checksum(&[&packet.bytes[..packet.payload_at]]), 0);
            assert_eq!(checksum(&[message]), 0);
            assert_eq!(
                (packet.protocol, &message[..2], &message[4..6]),
                (1, &[3, 4][..], &[0, 0][..])
            );
            (u16::from_be_bytes([message[6], message[7]]), &message[8..])
        }
        (
            Addresses::V6 {
                src: sender,
                dst: receiver,
            },
            Addresses::V6 { src, dst },
        ) => {
            assert_eq!(dst, sender);
            assert!(src == receiver || Some(src) == own.v6);
            assert!(!src.is_multicast() && packet.bytes.len() <= 1280);
            assert_eq!(checksum(&[&pseudo_header(&packet, 58), message]), 0);
            assert_eq!(
                (packet.protocol, &message[..2], &message[4..6]),
                (58, &[2, 0][..], &[0, 0][..])
            );
            (u16::from_be_bytes([message[6], message[7]]), &message[8..])
        }
        _ => panic!("answered in another version"),
    };
    assert!(told >= mtu && usize::from(told) < asked.bytes.len());
    assert!(asked.bytes.starts_with(quote) && quote.len() >= 28);
    assert!(
        !packet_too_big::answer(&answer, 0, own, &mut Vec::new()),
        "an error answered"
    );
    true
}

/// The checksum of RFC 1071, plainly.
fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut bytes = pieces.concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let sum: u32 = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

fn pseudo_header(packet: &IpPacket<'_>, protocol: u8) -> Vec<u8> {
    let addresses = match packet.addresses {
        Addresses::V4 { .. } => &packet.bytes[12..20],
        Addresses::V6 { .. } => &packet.bytes[8..40],
    };
    let len = packet.payload().len() as u32;
    [addresses, &len.to_be_bytes(), &[0, 0, 0, protocol]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corpus gets as far as it should: else the replay would show nothing.
    #[test]
    fn the_corpus_is_clamped_and_answered() {
        let outcome = |clamped, answered| Outcome { clamped, answered };
        let ran = |name: &str| {
            let path = format!("{}/corpus/tap_frame/{name}", env!("CARGO_MANIFEST_DIR"));
            run(&std::fs::read(path).expect("a file of the corpus"))
        };
        for name in [
            "syn_v4",
            "syn_v6",
            "syn_ack_two_tags",
            "syn_odd_mss",
            "syn_extension_headers",
        ] {
            assert_eq!(ran(name), outcome(true, false), "{name}");
        }
        for name in [
            "long_v4",
            "long_v4_options",
            "long_v6",
            "long_v6_multicast",
            "long_v6_two_tags",
        ] {
            assert_eq!(ran(name), outcome(false, true), "{name}");
        }
        for name in [
            "arp",
            "llc",
            "echo_v6",
            "fragment_v4",
            "fragment_v6",
            "long_icmp_error",
            "sctp",
        ] {
            assert_eq!(ran(name), outcome(false, false), "{name}");
        }
    }
}
