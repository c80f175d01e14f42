//! A laboratory of network namespaces: hosts, switches, cables that can be cut, and real programs (`knetd`,
//! `ping -f`, `tcpdump`) running in them.
//!
//! A [`Lab`] is a set of namespaces with a name of its own. Each host is a namespace; all switches are Linux
//! bridges in one more. A *cut* happens at the switch's port, so that the host cannot know of it unless the
//! carrier goes. A network may be a [`wire`] between two hosts instead, with delay, loss and a rate, or a cable
//! from one to the other, where the speed of the network is not to be that of the laboratory.
//! Whatever ends the program (return, panic, Ctrl-C, SIGKILL), everything is removed: see [`guardian`].

pub mod capture;
pub mod config;
pub mod daemon;
pub mod echo;
pub mod guardian;
pub mod hubs;
pub mod mesh;
pub mod monitor;
pub mod netstat;
pub mod ping;
pub mod process;
pub mod progress;
pub mod stall;
pub mod station;
pub mod stream;
pub mod switch;
pub mod time;
pub mod wire;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use guardian::Guardian;
pub use switch::Cut;
use switch::Switch;
use wire::{Wire, Wires};

/// What went wrong, in one line for people.
pub struct LabError(String);

impl LabError {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// A test that returns the error shows it by `Debug`.
impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LabError {}

impl From<std::io::Error> for LabError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for LabError {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("not the JSON that was expected: {error}"))
    }
}

/// What the laboratory's functions return.
pub type Result<T> = std::result::Result<T, LabError>;

/// Which kinds of addresses an underlay network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 10.70.NETWORK.HOST/24.
    V4,
    /// `fd70:NETWORK::HOST/64`.
    V6,
    /// Both.
    Dual,
}

/// An underlay network of a [`Lab`]: the number of its switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetworkId(pub usize);

/// A host of a [`Lab`], from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(pub usize);

#[derive(Debug)]
struct Network {
    family: Family,
    mtu: u16,
    medium: Medium,
    /// Hosts with a device on it, in the order in which they were added.
    hosts: Vec<HostId>,
}

/// What joins the hosts of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Switch,
    /// The wire of this number.
    Wire(usize),
    Cable,
}

impl Medium {
    fn wire(self) -> Option<usize> {
        match self {
            Self::Wire(number) => Some(number),
            Self::Switch | Self::Cable => None,
        }
    }
}

#[derive(Debug)]
struct Host {
    name: String,
}

/// A set of namespaces. Dropping it removes them and ends every process in them.
#[derive(Debug)]
pub struct Lab {
    name: String,
    directory: PathBuf,
    switch: Switch,
    wires: Option<Wires>,
    networks: Vec<Network>,
    hosts: Vec<Host>,
    // Dropped last: it clears away what the fields above have left.
    guardian: Guardian,
}

impl Lab {
    /// An empty laboratory. Needs root.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        require_root()?;
        let name = format!(
            "kn{}x{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let directory = std::env::temp_dir().join(format!("knet-lab-{name}"));
        let guardian = Guardian::start(&name, &directory)?;
        std::fs::create_dir_all(&directory)?;
        let switch = Switch::new(&format!("{name}-switch"))?;
        Ok(Self {
            name,
            directory,
            switch,
            wires: None,
            networks: Vec::new(),
            hosts: Vec::new(),
            guardian,
        })
    }

    /// What the names of all its namespaces begin with, before a `-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where configurations, keys, sockets and logs are; removed with the laboratory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Adds an underlay network: a switch without ports.
    pub fn add_network(&mut self, family: Family, mtu: u16) -> Result<NetworkId> {
        let id = self.add(family, mtu, Medium::Switch);
        self.switch.add_bridge(id, mtu)?;
        Ok(id)
    }

    /// Adds an underlay network that is a wire between the first two hosts on it. It is there after
    /// [`Lab::start_wires`].
    pub fn add_wire(&mut self, family: Family, mtu: u16) -> NetworkId {
        let wires = self.networks.iter().filter_map(|n| n.medium.wire()).count();
        self.add(family, mtu, Medium::Wire(wires))
    }

    /// Adds an underlay network that is a cable between the first two hosts on it, as fast as the kernel makes it: a
    /// pair of veth devices, which can be neither cut nor limited.
    pub fn add_cable(&mut self, family: Family, mtu: u16) -> NetworkId {
        self.add(family, mtu, Medium::Cable)
    }

    fn add(&mut self, family: Family, mtu: u16, medium: Medium) -> NetworkId {
        self.networks.push(Network {
            family,
            mtu,
            medium,
            hosts: Vec::new(),
        });
        NetworkId(self.networks.len() - 1)
    }

    /// Starts all wires, each a cable at first, and gives the hosts their addresses on them.
    pub fn start_wires(&mut self) -> Result<()> {
        let wires: Vec<NetworkId> = (0..self.networks.len())
            .map(NetworkId)
            .filter(|n| self.networks[n.0].medium.wire().is_some())
            .collect();
        let Some(first) = wires.first() else {
            return Ok(());
        };
        let mtu = self.networks[first.0].mtu;
        let mut ends = Vec::new();
        for network in &wires {
            let [a, b] = self.networks[network.0].hosts[..] else {
                return Err(LabError::new("a wire joins two hosts, no more and no less"));
            };
            ends.push([a, b].map(|host| (self.namespace(host), Self::device(*network))));
        }
        self.wires = Some(Wires::start(self.switch.namespace(), &ends, mtu)?);
        for network in wires {
            for host in self.networks[network.0].hosts.clone() {
                self.raise(host, &[network])?;
            }
        }
        Ok(())
    }

    /// A network that is a wire.
    pub fn wire(&self, network: NetworkId) -> Result<Wire<'_>> {
        let Network { medium, hosts, .. } = &self.networks[network.0];
        match (&self.wires, medium, &hosts[..]) {
            (Some(wires), Medium::Wire(number), [a, _]) => Ok(Wire::new(wires, *number, *a)),
            _ => Err(LabError::new(format!("network {} is no wire", network.0))),
        }
    }

    /// Adds a host with a cable to each of `networks`; the device on network N is `linkN`.
    pub fn add_host(&mut self, name: &str, networks: &[NetworkId]) -> Result<HostId> {
        let id = HostId(self.hosts.len());
        self.hosts.push(Host { name: name.into() });
        let namespace = self.namespace(id);
        process::run("ip", &["netns", "add", &namespace])?;
        process::run("ip", &["-n", &namespace, "link", "set", "dev", "lo", "up"])?;
        let mut there = Vec::new();
        let mut cabled = Vec::new();
        for network in networks {
            let Network {
                mtu, medium, hosts, ..
            } = &mut self.networks[network.0];
            hosts.push(id);
            match (medium, &hosts[..]) {
                (Medium::Switch, _) => {
                    self.switch.add_port(id, *network, &namespace, *mtu)?;
                    there.push(*network);
                }
                (Medium::Cable, [other, _]) => cabled.push((*other, *network, *mtu)),
                (Medium::Cable | Medium::Wire(_), _) => {}
            }
        }
        for (other, network, mtu) in cabled {
            let device = Self::device(network);
            let line = format!(
                "link add {device} mtu {mtu} type veth peer name {device} mtu {mtu} netns {namespace}\n"
            );
            process::feed("ip", &["-n", &self.namespace(other), "-batch", "-"], &line)?;
            self.raise(other, &[network])?;
            there.push(network);
        }
        self.raise(id, &there)?;
        // Removing the first address of a subnet would remove all of them; what the kernel sends by itself to find
        // routers is not to be taken for the cost of an idle link; and what one TCP stream has learned about the
        // path is not to help, or to harm, the next one.
        let settings = "echo 1 > /proc/sys/net/ipv4/conf/all/promote_secondaries
                        echo 0 > /proc/sys/net/ipv6/conf/default/router_solicitations
                        echo 1 > /proc/sys/net/ipv4/tcp_no_metrics_save";
        process::output(process::in_namespace(&namespace, "sh").args(["-c", settings]))?;
        std::fs::create_dir_all(self.directory.join(name))?;
        Ok(id)
    }

    /// Gives the devices of `host` on `networks` their addresses, and sets them up.
    #[allow(clippy::format_push_string, reason = "a handful of lines: brevity wins")]
    fn raise(&self, host: HostId, networks: &[NetworkId]) -> Result<()> {
        let mut batch = String::new();
        for network in networks {
            let device = Self::device(*network);
            for address in self.addresses(host, *network) {
                let (length, nodad) = if address.is_ipv4() {
                    (24, "")
                } else {
                    (64, " nodad")
                };
                batch += &format!("address add {address}/{length} dev {device}{nodad}\n");
            }
            batch += &format!("link set dev {device} up\n");
        }
        process::feed("ip", &["-n", &self.namespace(host), "-batch", "-"], &batch).map(drop)
    }

    /// The name of a host's namespace.
    pub fn namespace(&self, host: HostId) -> String {
        format!("{}-{}", self.name, self.hosts[host.0].name)
    }

    /// The host's name.
    pub fn host_name(&self, host: HostId) -> &str {
        &self.hosts[host.0].name
    }

    /// The directory of a host's files.
    pub fn host_directory(&self, host: HostId) -> PathBuf {
        self.directory.join(&self.hosts[host.0].name)
    }

    /// The name of a host's device on `network`.
    pub fn device(network: NetworkId) -> String {
        format!("link{}", network.0)
    }

    /// The address of `host` on `network`: IPv6 only where there is no IPv4.
    pub fn address(&self, host: HostId, network: NetworkId) -> IpAddr {
        self.addresses(host, network)[0]
    }

    fn addresses(&self, host: HostId, network: NetworkId) -> Vec<IpAddr> {
        let number = host.0 as u8 + 1;
        let v4 = IpAddr::V4(Ipv4Addr::new(10, 70, network.0 as u8, number));
        let v6 = IpAddr::V6(Ipv6Addr::new(
            0xfd70,
            network.0 as u16,
            0,
            0,
            0,
            0,
            0,
            u16::from(number),
        ));
        match self.networks[network.0].family {
            Family::V4 => vec![v4],
            Family::V6 => vec![v6],
            Family::Dual => vec![v4, v6],
        }
    }

    /// A command that runs `program` in the namespace of `host`.
    pub fn command(&self, host: HostId, program: impl AsRef<std::ffi::OsStr>) -> Command {
        process::in_namespace(&self.namespace(host), program)
    }

    /// Runs `program` in the namespace of `host` to its end and returns what it printed.
    pub fn run(&self, host: HostId, program: &str, arguments: &[&str]) -> Result<String> {
        process::output(self.command(host, program).args(arguments))
    }

    /// Runs `ip` in the namespace of `host` with the words of `line`.
    pub fn ip(&self, host: HostId, line: &str) -> Result<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.run(host, "ip", &words).map(drop)
    }

    /// The MAC address of the TAP of `host`, as the kernel prints it.
    pub fn tap_mac(&self, host: HostId) -> Result<String> {
        let text = self.run(host, "cat", &["/sys/class/net/knet0/address"])?;
        Ok(text.trim().to_owned())
    }

    /// Makes `cuts`, all of those at switches at one moment except for carriers. Returns a time just before.
    pub fn cut(&self, cuts: &[Cut]) -> Result<time::UnixMicros> {
        let (switched, wired) = self.by_kind(cuts)?;
        let before = self.switch.cut(&switched)?;
        for cut in wired {
            self.wire(cut.network())?.cut(cut)?;
        }
        Ok(before)
    }

    /// Undoes `cuts`. Returns a time just before.
    pub fn restore(&self, cuts: &[Cut]) -> Result<time::UnixMicros> {
        let (switched, wired) = self.by_kind(cuts)?;
        let before = self.switch.restore(&switched)?;
        for cut in wired {
            self.wire(cut.network())?.restore(cut)?;
        }
        Ok(before)
    }

    /// The cuts at switches, and those of wires.
    fn by_kind(&self, cuts: &[Cut]) -> Result<(Vec<Cut>, Vec<Cut>)> {
        let medium = |cut: &Cut| self.networks[cut.network().0].medium;
        if let Some(cut) = cuts.iter().find(|c| medium(c) == Medium::Cable) {
            return Err(LabError::new(format!(
                "{cut:?}: a cable cannot be cut, a switch or a wire can"
            )));
        }
        Ok(cuts.iter().partition(|cut| medium(cut) == Medium::Switch))
    }

    /// Lets the switch send no more than this to `host` on `network`, with the parameters of `tc ... tbf`
    /// (`rate 100mbit burst 16kb latency 20ms`). The host's own queue does not notice.
    pub fn limit_to(&self, host: HostId, network: NetworkId, tbf: &str) -> Result<()> {
        self.switch.limit_to(host, network, tbf)
    }

    /// Lets `host` send no more than this to `network`: its own queue is the narrow place.
    pub fn limit_from(&self, host: HostId, network: NetworkId, tbf: &str) -> Result<()> {
        switch::limit(&self.namespace(host), &Self::device(network), tbf)
    }

    /// UDP datagrams counted at the switch's port of `host` on `network` since the laboratory began.
    pub fn datagrams(&self, host: HostId, network: NetworkId) -> Result<switch::Datagrams> {
        self.switch.datagrams(host, network)
    }

    /// Leaves everything as it is when this program ends.
    pub fn keep(&mut self) -> Result<()> {
        self.guardian.keep()
    }
}

/// Whether a test can make network namespaces; says so if it cannot. `scripts/test` demands root, so that
/// nothing is left out there.
pub fn can_run() -> bool {
    let root = require_root();
    if let Err(reason) = &root {
        eprintln!("SKIPPED: {reason}");
    }
    root.is_ok()
}

/// An error unless this is root.
pub fn require_root() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let effective = status
        .lines()
        .find_map(|l| l.strip_prefix("Uid:"))
        .and_then(|l| l.split_whitespace().nth(1));
    match effective {
        Some("0") => Ok(()),
        _ => Err(LabError::new("making network namespaces needs root")),
    }
}

/// The path of one of our programs, which cargo has put beside (or one above) the program that is running.
pub fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    here.ancestors()
        .skip(1)
        .take(2)
        .map(|d| d.join(name))
        .find(|p| p.is_file())
        .ok_or_else(|| {
            LabError::new(format!(
                "no {name} near {}: build it first (cargo build -p knetd -p knet-cli, with the same profile)",
                here.display()
            ))
        })
}
