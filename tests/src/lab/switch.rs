//! The namespace of switches: one bridge for each underlay network, one port for each cable, and the knife.
//!
//! A silent cut is a drop in the port's netdev ingress or egress hook: no ICMP, no carrier change, nothing
//! that the host could notice. The same hooks count UDP datagrams from outside the hosts.

use super::{HostId, Lab, LabError, NetworkId, Result, process, time};

/// Something done to the cables of the laboratory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing passes the host's cable in either direction, and nothing tells.
    Silent(HostId, NetworkId),
    /// What the host sends is lost; what others send arrives.
    SilentFrom(HostId, NetworkId),
    /// What others send to the host is lost; what it sends arrives.
    SilentTo(HostId, NetworkId),
    /// The host sees its carrier go (the far end of the cable is set down).
    Carrier(HostId, NetworkId),
}

impl Cut {
    /// Where it happens.
    pub fn network(self) -> NetworkId {
        match self {
            Self::Silent(_, network)
            | Self::SilentFrom(_, network)
            | Self::SilentTo(_, network)
            | Self::Carrier(_, network) => network,
        }
    }
}

/// UDP datagrams at a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Datagrams {
    /// Sent by the host, whether or not they are cut off.
    pub from_host: u64,
    /// Bytes of those, with IP and Ethernet headers.
    pub from_host_bytes: u64,
    /// Delivered to the host.
    pub to_host: u64,
    /// Bytes of those.
    pub to_host_bytes: u64,
}

/// All switches.
#[derive(Debug)]
pub struct Switch {
    namespace: String,
}

/// Limits what leaves `device` in `namespace` by a token bucket.
pub(super) fn limit(namespace: &str, device: &str, tbf: &str) -> Result<()> {
    let words = ["qdisc", "replace", "dev", device, "root", "tbf"];
    let mut command = process::in_namespace(namespace, "tc");
    process::output(command.args(words).args(tbf.split_whitespace())).map(drop)
}

fn port(host: HostId, network: NetworkId) -> String {
    format!("h{}n{}", host.0, network.0)
}

impl Switch {
    /// A namespace without bridges.
    pub fn new(namespace: &str) -> Result<Self> {
        process::run("ip", &["netns", "add", namespace])?;
        let switch = Self {
            namespace: namespace.into(),
        };
        switch
            .nft("table netdev lab {\n set cut_from { type ifname; }\n set cut_to { type ifname; }\n}\n")?;
        Ok(switch)
    }

    /// The namespace of the switches.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Limits what leaves the port of `host` by a token bucket.
    pub fn limit_to(&self, host: HostId, network: NetworkId, tbf: &str) -> Result<()> {
        limit(&self.namespace, &port(host, network), tbf)
    }

    /// A bridge that forwards at once and learns, without spanning tree and without snooping.
    pub fn add_bridge(&self, network: NetworkId, mtu: u16) -> Result<()> {
        let bridge = format!("net{}", network.0);
        let batch = format!(
            "link add {bridge} mtu {mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             link set dev {bridge} up\n"
        );
        process::feed("ip", &["-n", &self.namespace, "-batch", "-"], &batch).map(drop)
    }

    /// A cable from the bridge of `network` to the device `linkN` in `namespace`.
    pub fn add_port(&self, host: HostId, network: NetworkId, namespace: &str, mtu: u16) -> Result<()> {
        let port = port(host, network);
        let device = Lab::device(network);
        let batch = format!(
            "link add {port} mtu {mtu} type veth peer name {device} mtu {mtu} netns {namespace}\n\
             link set dev {port} master net{} up\n",
            network.0
        );
        process::feed("ip", &["-n", &self.namespace, "-batch", "-"], &batch)?;
        let rules = format!(
            "table netdev lab {{
                counter {port}_from {{}}
                counter {port}_to {{}}
                chain from_{port} {{
                    type filter hook ingress device \"{port}\" priority 0
                    meta l4proto udp counter name {port}_from
                    meta iifname @cut_from drop
                }}
                chain to_{port} {{
                    type filter hook egress device \"{port}\" priority 0
                    meta oifname @cut_to drop
                    meta l4proto udp counter name {port}_to
                }}
            }}\n"
        );
        self.nft(&rules)
    }

    /// Makes `cuts`.
    pub fn cut(&self, cuts: &[Cut]) -> Result<time::UnixMicros> {
        self.change("add", "down", cuts)
    }

    /// Undoes `cuts`.
    pub fn restore(&self, cuts: &[Cut]) -> Result<time::UnixMicros> {
        self.change("delete", "up", cuts)
    }

    #[allow(clippy::format_push_string, reason = "a handful of lines: brevity wins")]
    fn change(&self, verb: &str, carrier: &str, cuts: &[Cut]) -> Result<time::UnixMicros> {
        let (mut rules, mut links) = (String::new(), String::new());
        for cut in cuts {
            let mut element = |set: &str, host, network| {
                rules += &format!(
                    "{verb} element netdev lab {set} {{ \"{}\" }}\n",
                    port(host, network)
                );
            };
            match *cut {
                Cut::Silent(host, network) => {
                    element("cut_from", host, network);
                    element("cut_to", host, network);
                }
                Cut::SilentFrom(host, network) => element("cut_from", host, network),
                Cut::SilentTo(host, network) => element("cut_to", host, network),
                Cut::Carrier(host, network) => {
                    links += &format!("link set dev {} {carrier}\n", port(host, network));
                }
            }
        }
        if rules.is_empty() && links.is_empty() {
            return Ok(time::now());
        }
        // The programs are started before the time is taken, for starting one takes longer than its work.
        let nft = if rules.is_empty() {
            None
        } else {
            Some(self.prepare("nft", &["-f", "-"])?)
        };
        let ip = if links.is_empty() {
            None
        } else {
            Some(self.prepare("ip", &["-batch", "-"])?)
        };
        std::thread::sleep(std::time::Duration::from_millis(20));
        let before = time::now();
        if let Some(nft) = nft {
            nft.finish(&rules)?;
        }
        if let Some(ip) = ip {
            ip.finish(&links)?;
        }
        Ok(before)
    }

    /// The counters of a port.
    pub fn datagrams(&self, host: HostId, network: NetworkId) -> Result<Datagrams> {
        let text =
            process::output(process::in_namespace(&self.namespace, "nft").args(["-j", "list", "counters"]))?;
        let listing: serde_json::Value = serde_json::from_str(&text)?;
        let counter = |suffix: &str| {
            let name = format!("{}_{suffix}", port(host, network));
            listing["nftables"]
                .as_array()
                .and_then(|all| {
                    all.iter()
                        .map(|o| &o["counter"])
                        .find(|c| c["name"] == name.as_str())
                })
                .and_then(|c| Some((c["packets"].as_u64()?, c["bytes"].as_u64()?)))
                .ok_or_else(|| LabError::new(format!("nft has no counter {name}")))
        };
        let ((from_host, from_host_bytes), (to_host, to_host_bytes)) = (counter("from")?, counter("to")?);
        Ok(Datagrams {
            from_host,
            from_host_bytes,
            to_host,
            to_host_bytes,
        })
    }

    fn prepare(&self, program: &str, arguments: &[&str]) -> Result<process::Feeding> {
        process::Feeding::prepare(process::in_namespace(&self.namespace, program).args(arguments))
    }

    fn nft(&self, rules: &str) -> Result<()> {
        self.prepare("nft", &["-f", "-"])?.finish(rules).map(drop)
    }
}
