//! The two network namespaces: ours, with an address for each peer, and the hub's, with a cable between them.
//!
//! No address is configured for any peer: the kernel is told that a whole prefix is local ("any IP"), and so takes what
//! comes for it, and lets us send from it.

use std::{net::Ipv4Addr, os::unix::process::CommandExt, process::Command};

use knet_tests::lab::{HostId, Lab, LabError, Result, process};

/// The hub's address on the cable.
pub(crate) const HUB: Ipv4Addr = Ipv4Addr::new(10, 71, 0, 1);
/// Ours, which routes to it lead through.
const SWARM: Ipv4Addr = Ipv4Addr::new(10, 71, 0, 2);
/// Where the addresses of peers begin; there are 65,536.
const PEERS: Ipv4Addr = Ipv4Addr::new(10, 72, 0, 0);
/// Where those begin that are nobody's.
const STRANGERS: Ipv4Addr = Ipv4Addr::new(10, 73, 0, 0);
/// The UDP port of link 0 at both ends; those of the others follow.
pub(crate) const PORT: u16 = 7700;
/// That of those who have sockets of their own.
pub(crate) const WITNESS_PORT: u16 = 7800;

/// The address of a peer.
pub(crate) fn peer(number: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(PEERS.to_bits() | u32::from(number))
}

/// An address that nobody has.
pub(crate) fn stranger(number: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(STRANGERS.to_bits() | u32::from(number))
}

/// Whose address this is.
pub(crate) fn peer_at(address: Ipv4Addr) -> Option<u16> {
    let bits = address.to_bits();
    (bits & 0xffff_0000 == PEERS.to_bits()).then_some(bits as u16)
}

/// Becomes the same program in a network namespace of its own, which ends with it. Returns only if that fails.
pub(crate) fn enter_own_namespace() -> LabError {
    let here = match std::env::current_exe() {
        Ok(here) => here,
        Err(error) => return error.into(),
    };
    let error = Command::new("unshare")
        .arg("--net")
        .arg(here)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .exec();
    LabError::new(format!("cannot run unshare (of util-linux): {error}"))
}

/// Lays the cable between our namespace and that of `hub`, and the routes.
pub(crate) fn connect(lab: &Lab, hub: HostId) -> Result<()> {
    let hub_namespace = lab.namespace(hub);
    let ours = format!(
        "link set dev lo up\n\
         link add link0 mtu 1500 type veth peer name link0 mtu 1500 netns {hub_namespace}\n\
         address add {SWARM}/24 dev link0\n\
         link set dev link0 up\n\
         route add local {PEERS}/16 dev lo\n\
         route add local {STRANGERS}/16 dev lo\n"
    );
    process::feed("ip", &["-batch", "-"], &ours)?;
    let theirs = format!(
        "address add {HUB}/24 dev link0\n\
         link set dev link0 up\n\
         route add {PEERS}/16 via {SWARM}\n\
         route add {STRANGERS}/16 via {SWARM}\n"
    );
    process::feed("ip", &["-n", &hub_namespace, "-batch", "-"], &theirs).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_numbers() {
        assert_eq!(peer(0x1234).to_string(), "10.72.18.52");
        for number in [0, 1, 255, 256, u16::MAX] {
            assert_eq!(peer_at(peer(number)), Some(number));
            assert_eq!(peer_at(stranger(number)), None);
        }
    }
}
