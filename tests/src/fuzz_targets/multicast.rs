//! What hosts and routers say of multicast groups, from a few ports and VLANs, and who gets them then, while we ask, too.

use knet_proto::{
    ids::{MacAddr, PeerId},
    l2::{
        multicast::{
            self, ListenerTable, MAX_MEMBERSHIPS, Protocol,
            message::Message,
            query::{INTERVAL, Query},
        },
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
    for protocol in [Protocol::Igmp, Protocol::Mld] {
        table.set_querier(Time::ZERO, protocol, Some(INTERVAL), true);
    }
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
        ask(&mut table, now);
        let group = multicast::destination(frame);
        assert!(group.is_none_or(|group| group.is_multicast()));
        let Some(message) = Message::parse(frame) else {
            continue;
        };
        table.learn(now, vlan, port, &message);
        assert!(table.len() <= MAX_MEMBERSHIPS);
        // What a peer says too often is not taken in.
        if let Message::Query(query) = message
            && port == Port::Tap
        {
            check_query(&table, now, vlan, &query);
        }
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

/// Asks where it is time, unless somebody else does.
fn ask(table: &mut ListenerTable, now: Time) {
    while let Some(protocol) = table.rounds().begin(now) {
        for vlan in [0, 1] {
            table.rounds().ask(protocol, VlanId(vlan));
        }
    }
    while let Some((protocol, vlan)) = table.rounds().next(now) {
        let source = match protocol {
            Protocol::Igmp => [10, 0, 0, 1].into(),
            Protocol::Mld => [0xfe80, 0, 0, 0, 0, 0, 0, 1].into(),
        };
        let ours = Query::ours(source, MacAddr([2, 0, 0, 0, 0, 1]), INTERVAL);
        if table.queriers().is_for(now, vlan, &ours) {
            table.asked(now, vlan, &ours);
            assert!(table.we_ask(now, vlan, protocol));
        }
    }
}

/// Nobody asks whom the sender of this would silence, and it says what it would say if it were ours.
fn check_query(table: &ListenerTable, now: Time, vlan: VlanId, query: &Query) {
    let querier = table.queriers().get(now, vlan, query.protocol());
    assert!(querier.is_none_or(|querier| querier.query.rank() <= query.rank()));
    assert!(query.within <= query.interval && query.presence() <= query.membership());
    let frame = query.frame();
    let Some(Message::Query(read)) = Message::parse(&frame) else {
        panic!("{query:?} is not read as one");
    };
    assert_eq!(
        (read.source, read.mac, read.robustness),
        (query.source, query.mac, query.robustness)
    );
    assert!(read.within <= query.within && read.interval <= query.interval);
}
