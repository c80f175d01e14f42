//! What is left to do of a transaction when nothing can fail any more: by whom, and in which order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use knet_proto::{
    config::{PeerConfig, PortConfig},
    ids::{MacAddr, PeerId, Workers},
};

use crate::{interface::ApplyError, worker::Prepared};

/// A step of a transaction, in their order. All workers have done one before any of them begins the next.
#[derive(Clone, Copy)]
enum Step {
    /// Peers that go are let go by their owners.
    Leave,
    /// What all workers have is changed at all of them: in between a peer is at worst not yet there.
    Everywhere,
    /// Peers that come enter at their owners.
    Enter,
}

/// What each worker has to do in each step.
pub(crate) struct Plan {
    workers: Workers,
    /// By step, and by worker.
    steps: [Vec<Vec<Prepared>>; 3],
}

impl Plan {
    pub(super) fn new(workers: Workers) -> Self {
        let nothing = || workers.all().map(|_| Vec::new()).collect();
        Self {
            workers,
            steps: [nothing(), nothing(), nothing()],
        }
    }

    /// What each worker has to do, step by step. Where that is nothing at all, there is no step.
    pub(crate) fn into_steps(self) -> impl Iterator<Item = Vec<Vec<Prepared>>> {
        let has_work = |step: &Vec<Vec<Prepared>>| step.iter().any(|worker| !worker.is_empty());
        self.steps.into_iter().filter(has_work)
    }

    /// At all workers.
    pub(super) fn everywhere(&mut self, change: &Prepared) {
        self.everywhere_its_own(std::iter::repeat_with(|| change.clone()));
    }

    /// At all workers, in their order.
    pub(super) fn everywhere_its_own(&mut self, changes: impl Iterator<Item = Prepared>) {
        let step = self.steps.get_mut(Step::Everywhere as usize);
        for (worker, change) in step.into_iter().flatten().zip(changes) {
            worker.push(change);
        }
    }

    fn at_owner(&mut self, step: Step, peer: PeerId, change: Prepared) {
        let owner = self.workers.owner(peer).index();
        let step = self.steps.get_mut(step as usize);
        if let Some(changes) = step.and_then(|workers| workers.get_mut(owner)) {
            changes.push(change);
        }
    }
}

/// What has to be known of the peers to change them.
#[derive(Default)]
pub(super) struct Ports {
    ports: BTreeMap<PeerId, Port>,
    /// Behind whom each static address is.
    holders: BTreeMap<MacAddr, PeerId>,
    /// Given to the last port that was new.
    generation: u16,
}

/// A peer's port: what its configuration says of it, which the peer's worker has as well.
struct Port {
    peer: Arc<PeerConfig>,
    generation: u16,
}

impl Port {
    fn config(&self) -> PortConfig {
        self.peer.port(self.generation)
    }
}

/// Peers as they are to be, or `None` where they are to go.
pub(super) type Peers = BTreeMap<PeerId, Option<Arc<PeerConfig>>>;

/// Changes of ports, of which nothing is in force yet.
pub(super) struct NewPorts(BTreeMap<PeerId, Option<Port>>);

impl Ports {
    /// The ports of these peers.
    pub(super) fn of(&mut self, peers: &Peers) -> NewPorts {
        let port = |(peer, config): (&PeerId, &Option<Arc<PeerConfig>>)| {
            let port = config.as_ref().map(|config| {
                let same = self.ports.get(peer);
                let same = same.filter(|p| p.peer.public_key == config.public_key);
                let generation = if let Some(same) = same {
                    same.generation
                } else {
                    self.generation = self.generation.wrapping_add(1);
                    self.generation
                };
                Port {
                    peer: config.clone(),
                    generation,
                }
            });
            (*peer, port)
        };
        NewPorts(peers.iter().map(port).collect())
    }

    /// Refuses a static address that two have, of the peers and the TAP, when `new` is in force.
    pub(super) fn check_macs(&self, new: &NewPorts, tap: MacAddr) -> Result<(), ApplyError> {
        let stays = |mac| {
            let holder = self.holders.get(&mac);
            holder.is_some_and(|peer| !new.0.contains_key(peer))
        };
        let come = new.0.values().flatten().flat_map(|port| &port.peer.static_macs);
        let mut seen = BTreeSet::new();
        for mac in std::iter::once(&tap).chain(come).copied() {
            if stays(mac) || !seen.insert(mac) {
                return Err(ApplyError::StaticMac { mac });
            }
        }
        Ok(())
    }

    /// Plans that `new` comes into force and `peers` with it. `tap_mac`: the TAP gets another address, when peers have
    /// given up theirs and before they take new ones.
    pub(super) fn plan(&mut self, new: NewPorts, peers: Peers, tap_mac: Option<&Prepared>, plan: &mut Plan) {
        for (peer, new) in &new.0 {
            let Some(old) = self.ports.get(peer) else { continue };
            for mac in &old.peer.static_macs {
                self.holders.remove(mac);
            }
            if new
                .as_ref()
                .is_none_or(|new| new.peer.public_key != old.peer.public_key)
            {
                plan.at_owner(Step::Leave, *peer, Prepared::Leave(*peer));
            }
            let Some(new) = new else {
                plan.everywhere(&Prepared::RemovePort(*peer));
                continue;
            };
            let before = old.config();
            let mut without = before.clone();
            without
                .static_macs
                .retain(|mac| new.peer.static_macs.contains(mac));
            if without != before {
                plan.everywhere(&Prepared::SetPort(*peer, without));
            }
        }
        if let Some(change) = tap_mac {
            plan.everywhere(change);
        }
        for (peer, new) in new.0 {
            let Some(new) = new else {
                self.ports.remove(&peer);
                continue;
            };
            let macs = new.peer.static_macs.iter();
            self.holders.extend(macs.map(|mac| (*mac, peer)));
            let config = new.config();
            if self.ports.get(&peer).is_none_or(|old| old.config() != config) {
                plan.everywhere(&Prepared::SetPort(peer, config));
            }
            self.ports.insert(peer, new);
        }
        for (peer, config) in peers {
            if let Some(config) = config {
                plan.at_owner(Step::Enter, peer, Prepared::Enter(peer, config));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use knet_proto::{
        config::{AddressList, LinkConfigs, PolicyKind, PortRules, PresharedKey, PrivateKey, PublicKey},
        ids::WorkerId,
    };

    use super::*;
    use crate::identity::OsEntropy;

    fn peer(key: PublicKey, macs: &[u8]) -> PeerConfig {
        PeerConfig {
            public_key: key,
            preshared_key: PresharedKey::default(),
            credential: None,
            policy: PolicyKind::Passive,
            isolate: false,
            spoke: false,
            shutdown: false,
            lossless: true,
            rules: PortRules::default(),
            static_macs: macs.iter().map(|n| mac(*n)).collect(),
            hub: None,
            links: LinkConfigs::default(),
            opened: LinkConfigs::default(),
            gives: AddressList::default(),
            takes: false,
        }
    }

    fn mac(n: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, n])
    }

    /// What is done, a line for each thing: at which worker, step by step.
    fn plan(ports: &mut Ports, workers: Workers, peers: Vec<(u16, Option<PeerConfig>)>) -> Vec<String> {
        let peers: Peers = peers
            .into_iter()
            .map(|(id, config)| (PeerId(id), config.map(Arc::new)))
            .collect();
        let new = ports.of(&peers);
        let mut plan = Plan::new(workers);
        ports.plan(new, peers, Some(&Prepared::SetTapMac(mac(0xff))), &mut plan);
        let mut lines = Vec::new();
        for step in plan.into_steps() {
            for (worker, changes) in step.iter().enumerate() {
                lines.extend(changes.iter().map(|change| {
                    let what = match change {
                        Prepared::Leave(peer) => format!("leave {}", peer.0),
                        Prepared::RemovePort(peer) => format!("remove port {}", peer.0),
                        Prepared::SetPort(peer, port) => {
                            let macs: Vec<u8> = port.static_macs.iter().map(|m| m.0[5]).collect();
                            format!("port {} generation {} {macs:?}", peer.0, port.generation)
                        }
                        Prepared::Enter(peer, _) => format!("enter {}", peer.0),
                        Prepared::SetTapMac(_) => "tap".to_owned(),
                        _ => "other".to_owned(),
                    };
                    format!("{worker}: {what}")
                }));
            }
            lines.push("--".to_owned());
        }
        lines
    }

    /// Owners let go and take in, all change the ports in between, and a static address is given up before it is taken.
    #[test]
    fn peers_leave_ports_change_and_peers_enter() {
        let key = || PrivateKey::generate(&mut OsEntropy).public_key();
        let (a, b, c) = (key(), key(), key());
        let Some(two) = Workers::new(2) else { panic!() };
        assert_eq!(two.owner(PeerId(3)), WorkerId(1));
        let mut ports = Ports::default();
        let first = plan(
            &mut ports,
            two,
            vec![(2, Some(peer(a, &[1, 2]))), (3, Some(peer(b, &[3])))],
        );
        let ports_of = |worker: u8| {
            [
                format!("{worker}: tap"),
                format!("{worker}: port 2 generation 1 [1, 2]"),
                format!("{worker}: port 3 generation 2 [3]"),
            ]
        };
        let enter = ["--", "0: enter 2", "1: enter 3", "--"].map(String::from);
        assert_eq!(first, [&ports_of(0)[..], &ports_of(1), &enter].concat());

        // Two exchange addresses: nobody leaves.
        let one = Workers::ONE;
        let exchange = plan(
            &mut ports,
            one,
            vec![(2, Some(peer(a, &[1, 3]))), (3, Some(peer(b, &[2])))],
        );
        assert_eq!(
            exchange,
            [
                "0: port 2 generation 1 [1]",
                "0: port 3 generation 2 []",
                "0: tap",
                "0: port 2 generation 1 [1, 3]",
                "0: port 3 generation 2 [2]",
                "--",
                "0: enter 2",
                "0: enter 3",
                "--"
            ]
        );
        // A slot that another peer gets is another port; one that goes is one no more.
        let replaced = plan(
            &mut ports,
            one,
            vec![(2, Some(peer(c, &[]))), (3, None), (4, None)],
        );
        assert_eq!(
            replaced,
            [
                "0: leave 2",
                "0: leave 3",
                "--",
                "0: port 2 generation 1 []",
                "0: remove port 3",
                "0: tap",
                "0: port 2 generation 3 []",
                "--",
                "0: enter 2",
                "--"
            ]
        );
        assert!(ports.holders.is_empty());
        let again = plan(&mut ports, one, vec![(3, Some(peer(b, &[])))]);
        assert_eq!(
            again,
            ["0: tap", "0: port 3 generation 4 []", "--", "0: enter 3", "--"]
        );
    }

    #[test]
    fn a_static_address_is_behind_one_peer_or_the_tap() {
        let key = || PrivateKey::generate(&mut OsEntropy).public_key();
        let mut ports = Ports::default();
        plan(
            &mut ports,
            Workers::ONE,
            vec![(2, Some(peer(key(), &[1, 3]))), (3, Some(peer(key(), &[2])))],
        );
        let mut refused = |peers: &[(u16, &[u8])], tap| {
            let new = peers
                .iter()
                .map(|(id, macs)| (PeerId(*id), Some(Arc::new(peer(key(), macs)))));
            let new = ports.of(&new.collect());
            ports.check_macs(&new, mac(tap)).is_err()
        };
        assert!(!refused(&[(4, &[4])], 9));
        assert!(!refused(&[(2, &[2]), (3, &[1, 3])], 9), "an exchange");
        assert!(refused(&[(4, &[2])], 9), "of one that stays");
        assert!(refused(&[(4, &[4, 4])], 9), "twice");
        assert!(refused(&[(4, &[5]), (5, &[5])], 9), "of another that comes");
        assert!(refused(&[(4, &[9])], 9), "the TAP's");
        assert!(refused(&[], 1), "the TAP gets one");
    }
}
