//! What is read of ARP, neighbour discovery, router advertisements and DHCP in a station's frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use knet_proto::{
    drop_reason::DropReason,
    ids::MacAddr,
    l2::{
        first_hop::{Role, role_of},
        neighbor::{Claim, Message},
        source_guard::{GuardRules, IpNetwork, SourceGuard},
    },
};

/// Any frame.
pub fn first_hop(bytes: &[u8]) {
    check_role(bytes);
    check_guard(bytes);
    check_router_guard(bytes);
    check_message(bytes);
}

/// Neither a priority tag, which stations ignore, nor padding makes another sender of a frame.
fn check_role(frame: &[u8]) {
    let role = role_of(frame);
    let padded = [frame, &[0; 5]].concat();
    if role.is_some() {
        assert_eq!(role_of(&padded), role);
        if frame[12..14] != [0x81, 0x00] && frame[12..14] != [0x88, 0xa8] {
            let tagged = [&frame[..12], &[0x81, 0, 0xe0, 0], &frame[12..]].concat();
            assert_eq!(role_of(&tagged), role);
        }
    }
    if role == Some(Role::DhcpServer) {
        assert!(frame.len() >= 14 + 20 + 8);
    }
}

/// Rules of these networks, that enforce what was given.
fn rules(given: &[(IpAddr, u8)]) -> GuardRules {
    let network = |(address, length): &(IpAddr, u8)| IpNetwork {
        address: *address,
        length: *length,
    };
    GuardRules {
        bindings: given.iter().map(network).collect(),
        verify_source: true,
        arp_inspection: true,
        ..GuardRules::default()
    }
}

/// Who is no multicast router passes with everything else, and with nothing of that.
fn check_router_guard(frame: &[u8]) {
    let mut guard = SourceGuard::new(GuardRules {
        router_guard: true,
        ..GuardRules::default()
    });
    let admitted = guard.admit(MacAddr([2, 0, 0, 0, 0, 9]), frame);
    let is_router = matches!(role_of(frame), Some(Role::MulticastRouter | Role::Hidden));
    assert_eq!(admitted.is_err(), is_router);
    assert_eq!(guard.drops().routers, u64::from(is_router));
    assert!(!is_router || admitted == Err(DropReason::RouterGuard));
}

/// Who must name his own MAC address in what he says of addresses may say less, never more. Who was given nothing claims nothing but a link-local address; who was given all addresses claims what he likes; and a
/// priority tag, which stations ignore, hides nothing.
fn check_guard(frame: &[u8]) {
    let passes = |guard: &mut SourceGuard, frame: &[u8]| {
        let admitted = guard.admit(MacAddr([2, 0, 0, 0, 0, 9]), frame).is_ok();
        let drops = guard.drops();
        assert_eq!(admitted, drops.sources + drops.claims == 0);
        guard.clear_drops();
        admitted
    };
    let all = rules(&[
        (Ipv4Addr::UNSPECIFIED.into(), 0),
        (Ipv6Addr::UNSPECIFIED.into(), 0),
    ]);
    let mut own_mac = SourceGuard::new(GuardRules {
        validate_source_mac: true,
        ..all.clone()
    });
    let (mut nothing, mut everything) = (SourceGuard::new(rules(&[])), SourceGuard::new(all));
    let (strict, lax) = (passes(&mut nothing, frame), passes(&mut everything, frame));
    assert!(lax || !strict || frame.len() < 14);
    assert!(lax || !passes(&mut own_mac, frame));
    if let Some(claim) = Message::parse(frame).and_then(|message| message.claim) {
        let is_link_local = matches!(claim.ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        assert!(lax && (!strict || is_link_local), "{claim:?}");
    }
    if frame.len() > 14 && !matches!(frame[12..14], [0x81, 0x00] | [0x88, 0xa8]) {
        let tagged = [&frame[..12], &[0x81, 0, 0xe0, 0], &frame[12..]].concat();
        assert_eq!(passes(&mut nothing, &tagged), strict);
        assert_eq!(passes(&mut everything, &tagged), lax);
    }
}

/// What a frame says is true to it; what is answered is short, addressed to the asker, and understood by whoever reads
/// frames as we do.
fn check_message(frame: &[u8]) {
    let Some(message) = Message::parse(frame) else {
        return;
    };
    assert!(Message::may_be_in(frame));
    if let Some(claim) = message.claim {
        assert_eq!(claim.mac.0, frame[6..12]);
        assert!(!claim.ip.is_multicast() && !claim.ip.is_unspecified() && !claim.ip.is_loopback());
    }
    let Some(ip) = message.question else { return };
    let asker = message.claim.expect("who asks has an address");
    assert!(frame[0] & 1 == 1 && asker.ip != ip && asker.ip.is_ipv4() == ip.is_ipv4());
    let owner = |router| Claim {
        ip,
        mac: MacAddr([2, 0, 0, 0, 0, 9]),
        router,
    };
    if ip.is_ipv6() {
        assert_eq!(message.answer(&owner(None)), None);
    }
    let stranger = match ip {
        IpAddr::V4(ip) => IpAddr::from((u32::from(ip) ^ 1).to_be_bytes()),
        IpAddr::V6(ip) => IpAddr::from((u128::from(ip) ^ 1).to_be_bytes()),
    };
    let other = Claim {
        ip: stranger,
        ..owner(Some(false))
    };
    assert_eq!(message.answer(&other), None);
    for router in [true, false] {
        let answer = message.answer(&owner(Some(router))).expect("all is known");
        assert_eq!((&answer[..6], answer.len() <= 86), (&asker.mac.0[..], true));
        let read = Message::parse(&answer).expect("well-formed");
        let said = read.claim.expect("of the owner");
        assert_eq!((said.ip, said.mac, read.question), (ip, owner(None).mac, None));
        assert_eq!(said.router, ip.is_ipv6().then_some(router));
        assert_eq!(role_of(&answer), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corpus gets as far as it should: else the replay would show nothing.
    #[test]
    fn the_corpus_asks_says_and_serves() {
        let read = |name: &str| {
            let path = format!("{}/corpus/first_hop/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read(path).expect("a file of the corpus")
        };
        let what = |name: &str| {
            let message = Message::parse(&read(name));
            message.map(|m| (m.claim.is_some(), m.question.is_some()))
        };
        for name in ["arp_request", "solicitation"] {
            assert_eq!(what(name), Some((true, true)), "{name}");
        }
        for name in ["arp_gratuitous", "advertisement"] {
            assert_eq!(what(name), Some((true, false)), "{name}");
        }
        for name in ["arp_probe", "duplicate_address_detection"] {
            assert_eq!(what(name), Some((false, false)), "{name}");
        }
        for name in ["dhcp_offer", "dhcpv6_reply"] {
            assert_eq!(role_of(&read(name)), Some(Role::DhcpServer), "{name}");
        }
        assert_eq!(role_of(&read("router_advertisement")), Some(Role::Router));
        assert_eq!(
            role_of(&read("router_advertisement_in_pieces")),
            Some(Role::Hidden)
        );
    }
}
