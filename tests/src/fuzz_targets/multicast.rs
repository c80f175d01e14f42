//! What hosts say of multicast groups, from a few ports and VLANs, and who gets them then.

use knet_proto::{
    ids::PeerId,
    l2::{
        multicast::{self, ListenerTable, MAX_MEMBERSHIPS, Protocol, message::Message},
        vlan::VlanId,
    },
    status::Port,
    time::{Span, Time},
};

use super::Input;

/// Frames one after the other, each behind a byte of port and VLAN, one of time, and one of its length.
pub fn multicast(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut table = ListenerTable::default();
    table.set(true, true);
    let mut now = Time::ZERO;
    while let Some(place) = input.byte() {
        let port = match place & 3 {
            0 => Port::Tap,
            n => Port::Peer(PeerId(u16::from(n) - 1)),
        };
        let vlan = VlanId(u16::from(place >> 2 & 1));
        now = now + Span::from_secs(u64::from(input.byte().unwrap_or(0)));
        let len = usize::from(input.byte().unwrap_or(0));
        let frame = input.take(len);
        table.expire(now, 1_000);
        let group = multicast::destination(frame);
        assert!(group.is_none_or(|group| group.is_multicast()));
        let Some(message) = Message::parse(frame) else {
            continue;
        };
        table.learn(now, vlan, port, &message);
        assert!(table.len() <= MAX_MEMBERSHIPS);
        if let Message::Report(report) = message {
            for (group, listens) in report.groups() {
                assert!(group.is_multicast() && !multicast::is_for_all(group));
                let protocol = Protocol::of(group);
                assert_eq!(protocol, report.protocol);
                let wants = match port {
                    Port::Tap => table.tap_wants(vlan, protocol, Some(group)),
                    Port::Peer(peer) => table.next(vlan, protocol, Some(group), peer) == Some(peer),
                };
                // Whoever said it last in this report decides; who leaves stays for three seconds.
                assert!(wants || !listens);
            }
        }
    }
}
