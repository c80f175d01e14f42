//! Hosts that are all peers of each other, over several underlay networks: what most tests begin with.

use std::{net::IpAddr, time::Duration};

use super::{
    Family, HostId, Lab, LabError, NetworkId, Result,
    config::{self, ConfigFile, Interface},
    daemon::{Daemon, KeyPair, Link, generate_preshared_key, write_secret},
    time::wait_until,
    wire::Direction,
};

/// Names of the hosts.
pub const NAMES: [&str; 8] = ["fra1", "ams1", "lon1", "par1", "vie1", "zrh1", "mad1", "osl1"];
/// UDP port of every local.
pub const PORT: u16 = 7700;

/// How a mesh is built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Hosts, 2..=8.
    pub hosts: usize,
    /// Underlay networks, and links of each peer, 1..=8.
    pub links: usize,
    /// Policy of every peer.
    pub policy: &'static str,
    /// Addresses of the underlay.
    pub family: Family,
    /// MTU of the underlay.
    pub underlay_mtu: u16,
    /// Where the links are wires: the properties of each in both directions, in the words of `knet-wire`. Empty: the
    /// links are cables to switches.
    pub wires: Vec<String>,
    /// The two hosts are joined by cables without switches, for measurements of speed.
    pub cables: bool,
    /// `workers` of every interface. `None`: as the daemon thinks best, or, for a run of tests with another number,
    /// what `KNET_LAB_WORKERS` says.
    pub workers: Option<u8>,
}

impl Plan {
    /// Two hosts with a wire for each link, with these properties in both directions.
    pub fn wired(properties: &[&str]) -> Self {
        Self {
            links: properties.len(),
            wires: properties.iter().copied().map(str::to_owned).collect(),
            ..Self::default()
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            hosts: 2,
            links: 1,
            policy: "passive",
            family: Family::V4,
            underlay_mtu: 1500,
            wires: Vec::new(),
            cables: false,
            workers: None,
        }
    }
}

/// The hosts, with their daemons.
#[derive(Debug)]
pub struct Mesh {
    // Before the laboratory, so that the daemons end before their namespaces go.
    /// One daemon per host.
    pub daemons: Vec<Daemon>,
    /// The file of each host, to be changed before the start.
    pub configs: Vec<ConfigFile>,
    /// Where they are.
    pub lab: Lab,
    /// How it was built.
    pub plan: Plan,
}

impl Mesh {
    /// Builds and starts it, and waits until every link of every peer is up.
    pub fn start(plan: Plan) -> Result<Self> {
        let mut mesh = Self::build(plan)?;
        mesh.start_all()?;
        mesh.wait_until_all_up(Duration::from_secs(20))?;
        Ok(mesh)
    }

    /// Builds it without starting a daemon.
    pub fn build(plan: Plan) -> Result<Self> {
        let mut lab = Lab::new()?;
        let networks = (0..plan.links)
            .map(|_| {
                if plan.cables {
                    Ok(lab.add_cable(plan.family, plan.underlay_mtu))
                } else if plan.wires.is_empty() {
                    lab.add_network(plan.family, plan.underlay_mtu)
                } else {
                    Ok(lab.add_wire(plan.family, plan.underlay_mtu))
                }
            })
            .collect::<Result<Vec<NetworkId>>>()?;
        let hosts = NAMES[..plan.hosts]
            .iter()
            .map(|n| lab.add_host(n, &networks))
            .collect::<Result<Vec<HostId>>>()?;
        lab.start_wires()?;
        for (network, properties) in networks.iter().zip(&plan.wires) {
            lab.wire(*network)?.set(Direction::Both, properties)?;
        }
        let keys = hosts
            .iter()
            .map(|_| KeyPair::generate())
            .collect::<Result<Vec<_>>>()?;
        for a in &hosts {
            write_secret(&lab.host_directory(*a).join("knet0.key"), &keys[a.0].private)?;
            for b in &hosts[a.0 + 1..] {
                let secret = generate_preshared_key()?;
                write_secret(
                    &lab.host_directory(*a).join(format!("{}.psk", lab.host_name(*b))),
                    &secret,
                )?;
                write_secret(
                    &lab.host_directory(*b).join(format!("{}.psk", lab.host_name(*a))),
                    &secret,
                )?;
            }
        }
        let workers = match plan.workers {
            Some(number) => Some(number.to_string()),
            None => std::env::var("KNET_LAB_WORKERS").ok(),
        };
        let peer = |b: HostId| config::Peer {
            name: lab.host_name(b).into(),
            public_key: keys[b.0].public.clone(),
            preshared_key: Some(format!("{}.psk", lab.host_name(b))),
            policy: plan.policy.into(),
            lines: Vec::new(),
            links: networks
                .iter()
                .map(|n| config::Link {
                    local: n.0,
                    remote: Some((lab.address(b, *n), PORT).into()),
                    lines: Vec::new(),
                })
                .collect(),
        };
        let configs = hosts
            .iter()
            .map(|a| ConfigFile {
                hostname: lab.host_name(*a).into(),
                interfaces: vec![Interface {
                    name: "knet0".into(),
                    private_key: "knet0.key".into(),
                    lines: workers.iter().map(|number| format!("workers {number}")).collect(),
                    addresses: vec![format!("{}/24", overlay_v4(*a)), format!("{}/64", overlay_v6(*a))],
                    locals: networks
                        .iter()
                        .map(|n| format!("{} port {PORT}", lab.address(*a, *n)))
                        .collect(),
                    peers: hosts.iter().filter(|b| *b != a).map(|b| peer(*b)).collect(),
                }],
            })
            .collect();
        let daemons = hosts.iter().map(|h| Daemon::new(&lab, *h)).collect();
        Ok(Self {
            daemons,
            configs,
            lab,
            plan,
        })
    }

    /// Writes the files and starts every daemon.
    pub fn start_all(&mut self) -> Result<()> {
        for (daemon, config) in self.daemons.iter_mut().zip(&self.configs) {
            daemon.configure(&config.to_string())?;
            daemon.spawn(&self.lab)?;
        }
        self.daemons
            .iter_mut()
            .try_for_each(Daemon::wait_until_it_answers)
    }

    /// Starts the daemon of `host` again.
    pub fn restart(&mut self, host: HostId) -> Result<()> {
        self.daemons[host.0].spawn(&self.lab)
    }

    /// The daemon of `host`.
    pub fn daemon(&self, host: HostId) -> &Daemon {
        &self.daemons[host.0]
    }

    /// The links of `from` to `to`, by id.
    pub fn links(&self, from: HostId, to: HostId) -> Result<Vec<Link>> {
        self.daemon(from).links_to(self.lab.host_name(to))
    }

    /// The link that `from` sends frames to `to` on; the first, if there are several.
    pub fn link_in_use(&self, from: HostId, to: HostId) -> Result<usize> {
        let links = self.links(from, to)?;
        let used = links.iter().find(|l| l.in_use);
        used.map(|l| l.link)
            .ok_or_else(|| LabError::new(format!("no link in use: {links:?}")))
    }

    /// Waits until every link of every peer is up in both directions.
    pub fn wait_until_all_up(&self, patience: Duration) -> Result<()> {
        let expected = (self.plan.hosts - 1) * self.plan.links;
        wait_until("all links up", patience, || {
            for daemon in &self.daemons {
                let links = daemon.links().map_err(|e| e.to_string())?;
                let missing: Vec<_> = links.iter().filter(|l| !l.may_be_used()).collect();
                if !missing.is_empty() || links.len() != expected {
                    return Err(format!(
                        "{} of {expected} links; not up: {missing:?}",
                        links.len()
                    ));
                }
            }
            Ok(())
        })
    }

    /// Leaves hosts and daemons as they are when this program ends.
    pub fn keep(mut self) -> Result<()> {
        self.lab.keep()?;
        self.daemons.into_iter().for_each(Daemon::leave);
        Ok(())
    }
}

/// The IPv4 address of a host in the overlay.
pub fn overlay_v4(host: HostId) -> IpAddr {
    IpAddr::from([10, 200, 0, host.0 as u8 + 1])
}

/// The IPv6 address of a host in the overlay.
pub fn overlay_v6(host: HostId) -> IpAddr {
    IpAddr::from([0xfd00, 0x200, 0, 0, 0, 0, 0, host.0 as u16 + 1])
}
