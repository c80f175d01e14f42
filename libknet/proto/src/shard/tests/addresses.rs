//! Addresses that a hub gives to its spokes: told, acknowledged, changed and taken back.

use std::vec;

use super::{super::*, rig::*};
use crate::{
    config::{AddressList, AddressPrefix, PeerConfig},
    event::Event,
};

fn list(last: &[u8]) -> AddressList {
    let prefix = |n: &u8| AddressPrefix::new([10, 200, 4, *n].into(), 16).unwrap();
    AddressList::new(last.iter().map(prefix)).unwrap()
}

impl Net {
    /// The hub gives these to spoke 1.
    fn gives(&mut self, last: &[u8]) {
        let config = PeerConfig {
            spoke: true,
            gives: list(last),
            ..self.peer_config(1)
        };
        let now = self.now;
        for shard in &mut self.hosts[HUB].shards {
            shard.enter(now, PeerId(0), config.clone().into());
        }
    }

    fn takes(&mut self, takes: bool) {
        let config = PeerConfig {
            takes,
            ..self.peer_config(HUB)
        };
        let now = self.now;
        self.hosts[1].shards[0].set_peer(now, PeerId(0), config).unwrap();
    }

    /// What spoke 1 has been given since the last call.
    fn given(&mut self) -> Vec<AddressList> {
        let events = std::mem::take(&mut self.hosts[1].events);
        let given = events.into_iter().filter_map(|event| match event {
            Event::Addresses { peer, addresses } => {
                assert_eq!(peer, PeerId(0));
                Some(addresses)
            }
            _ => None,
        });
        given.collect()
    }

    /// Whether spoke 1 has acknowledged what it is given, as the hub sees it.
    fn taken(&self) -> Option<bool> {
        let hub = &self.hosts[HUB];
        let status = hub.shards.iter().find_map(|shard| shard.peer_status(PeerId(0)));
        status.unwrap().addresses_taken
    }

    fn session_ends(&mut self) {
        let now = self.now;
        for shard in &mut self.hosts[HUB].shards {
            shard.leave(now, PeerId(0));
        }
    }
}

#[test]
fn they_come_at_once_change_and_go() {
    let mut net = Net::hub(2, 1);
    net.takes(true);
    net.pass(Span::from_secs(3));
    assert_eq!(net.given(), [list(&[])], "it has asked, and there is none");
    net.gives(&[1, 9]);
    net.exchange();
    assert_eq!(net.given(), [list(&[1, 9])]);
    assert_eq!(net.taken(), Some(false));
    net.pass(Span::from_secs(3));
    assert_eq!((net.given(), net.taken()), (Vec::new(), Some(true)));
    net.gives(&[2]);
    net.pass(Span::from_secs(3));
    assert_eq!((net.given(), net.taken()), (vec![list(&[2])], Some(true)));
    net.gives(&[]);
    net.pass(Span::from_secs(3));
    assert_eq!((net.given(), net.taken()), (vec![list(&[])], None));
}

#[test]
fn who_does_not_take_them_hears_of_none_until_it_does() {
    let mut net = Net::hub(1, 1);
    net.gives(&[1]);
    net.pass(Span::from_secs(60));
    assert_eq!((net.given(), net.taken()), (Vec::new(), Some(false)));
    net.takes(true);
    net.pass(Span::from_secs(3));
    assert_eq!((net.given(), net.taken()), (vec![list(&[1])], Some(true)));
    // Not any more, and then again: it is told of them anew.
    net.takes(false);
    net.gives(&[2]);
    net.pass(Span::from_secs(3));
    assert_eq!(net.given(), [] as [AddressList; 0]);
    net.takes(true);
    net.pass(Span::from_secs(3));
    assert_eq!(net.given(), [list(&[2])]);
}

#[test]
fn who_changes_them_all_the_time_is_heard_now_and_then_and_at_last() {
    let mut net = Net::hub(1, 1);
    net.takes(true);
    net.pass(Span::from_secs(20));
    net.given();
    for n in 0..50 {
        net.gives(&[n + 1]);
        net.exchange();
    }
    let at_once = net.given();
    assert_eq!(at_once.len(), 8);
    assert_eq!(net.hosts[1].drops(DropReason::RecordRate), 42);
    net.pass(Span::from_secs(30));
    assert_eq!((net.given(), net.taken()), (vec![list(&[50])], Some(true)));
}

#[test]
fn each_session_tells_them_anew() {
    let mut net = Net::hub(1, 1);
    net.takes(true);
    net.gives(&[1]);
    net.pass(Span::from_secs(3));
    net.given();
    net.session_ends();
    net.pass(Span::from_secs(1));
    net.gives(&[7]);
    net.pass(Span::from_secs(40));
    assert_eq!((net.given(), net.taken()), (vec![list(&[7])], Some(true)));
}
