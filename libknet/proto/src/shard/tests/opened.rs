//! Links that a peer opens, and what they begin with.

use super::{super::*, rig::*};
use crate::{
    config::{LinkConfig, LinkConfigs, PeerConfig, Remote},
    status::LinkState,
};

/// The hub has no link to its peer; those that the peer opens cost so much.
fn listen(net: &mut Net, cost: u8) {
    let link = LinkConfig {
        cost,
        ..LinkConfig::new(None, Remote::Dynamic)
    };
    let config = PeerConfig {
        links: LinkConfigs::default(),
        opened: [(LinkId::default(), link)].into_iter().collect(),
        ..net.peer_config(1)
    };
    let now = net.now;
    net.hosts[HUB].shards[0].set_peer(now, PeerId(0), config).unwrap();
}

#[test]
fn links_that_a_peer_opens_begin_as_configured_and_follow_it() {
    let mut net = Net::hub(1, 1);
    let now = net.now;
    let mut config = net.peer_config(HUB);
    let mut link = config.links.get(LinkId::default()).unwrap().clone();
    link.priority = 42;
    config.links.set(LinkId::default(), link);
    net.hosts[1].shards[0].set_peer(now, PeerId(0), config).unwrap();
    net.leave(PeerId(0));
    listen(&mut net, 7);
    net.pass(Span::from_secs(20));
    let status = |net: &Net| {
        let status = net.hosts[HUB].shards[0].peer_status(PeerId(0)).unwrap();
        let link = &status.links[0];
        let handshakes = net.hosts[HUB].shards[0].interface_status().handshakes;
        (link.cost, link.priority, link.state, handshakes)
    };
    let (cost, priority, state, handshakes) = status(&net);
    assert_eq!((cost, priority, state), (7, 42, LinkState::Up));
    listen(&mut net, 9);
    net.pass(Span::from_secs(2));
    let (cost, priority, state, since) = status(&net);
    assert_eq!(
        (cost, priority, state),
        (9, 42, LinkState::Up),
        "nothing was lost"
    );
    assert_eq!(since, handshakes);
}
