//! What peers present to each other, and how a stranger gets in.

use super::{super::*, rig::*};
use crate::{
    config::{Credential, PeerConfig},
    event::Event,
};

#[test]
fn a_stranger_gets_in_with_the_first_retry_after_it_was_made_a_peer() {
    let mut net = Net::hub(2, 2);
    net.leave(PeerId(1));
    net.hosts[HUB].take_credentials();
    let now = net.now;
    let config = PeerConfig {
        credential: Credential::new(b"let me in"),
        ..net.peer_config(HUB)
    };
    net.hosts[2].shards[0].set_peer(now, PeerId(0), config).unwrap();
    // Until the old session is given up.
    net.pass(Span::from_secs(30));
    let event = net.hosts[HUB].events.iter().find_map(|event| match event {
        Event::Credential(presented) => Some(presented.clone()),
        _ => None,
    });
    let presented = event.expect("it is told of");
    assert_eq!(presented.public_key, net.hosts[2].key.public_key());
    assert_eq!(
        (presented.peer, &presented.credential[..]),
        (None, &b"let me in"[..])
    );
    assert_eq!(net.hosts[HUB].up(), 1);
    net.enter(PeerId(1), 1);
    net.pass(Span::from_secs(16));
    assert_eq!(net.hosts[HUB].up(), 2);
}

#[test]
fn another_credential_is_presented_at_once_and_disturbs_nobody() {
    let mut net = Net::hub(1, 1);
    net.hosts[HUB].take_credentials();
    net.take();
    let now = net.now;
    let config = PeerConfig {
        credential: Credential::new(b"renewed"),
        ..net.peer_config(HUB)
    };
    net.hosts[1].shards[0].set_peer(now, PeerId(0), config).unwrap();
    net.send(1, 0, &frame(BROADCAST, station(1), b"meanwhile"));
    net.pass(Span::from_secs(1));
    let hub = &net.hosts[HUB];
    assert_eq!(hub.up(), 1);
    assert!(
        !hub.events
            .iter()
            .any(|event| matches!(event, Event::SessionDown { .. }))
    );
    let told = hub.events.iter().filter(|event| {
        matches!(event, Event::Credential(p) if p.peer == Some(PeerId(0)) && p.credential == b"renewed")
    });
    assert_eq!(told.count(), 1);
    assert_eq!(net.take()[HUB].len(), 1);
}
