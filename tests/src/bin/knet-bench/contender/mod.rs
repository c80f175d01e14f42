//! What is compared: each knows how to begin between two hosts.

mod fastd;
mod kernel;
mod knet;
mod n2n;
mod openvpn;
mod tinc;
mod vpncloud;
mod wireguard_go;

use std::fmt::Write;

use knet_tests::lab;

use crate::bed::Bed;

/// Which of several kinds a contender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// knet over one link.
    Knet,
    /// What the kernel does by itself.
    Kernel,
    /// Other VPNs that carry Ethernet frames, encrypted.
    Peers,
    /// knet by policy and number of links: one TCP stream only.
    Links,
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Knet => "knet",
            Self::Kernel => "kernel",
            Self::Peers => "peers",
            Self::Links => "links",
        }
    }
}

/// How it begins.
#[derive(Clone, Copy, Debug)]
enum Start {
    Wire {
        offloads: bool,
    },
    Vxlan,
    Knet {
        policy: &'static str,
        links: usize,
        cipher: &'static str,
    },
    Fastd,
    Tinc,
    OpenVpn,
    N2n,
    WireGuardGo,
    VpnCloud,
}

/// A network between two hosts.
#[derive(Debug)]
pub(crate) struct Contender {
    /// For `--only`, and in JSON.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// Its kind.
    pub(crate) group: Group,
    start: Start,
}

const fn single(name: &'static str, title: &'static str, group: Group, start: Start) -> Contender {
    Contender {
        name,
        title,
        group,
        start,
    }
}

const fn knet(name: &'static str, title: &'static str, cipher: &'static str) -> Contender {
    let start = Start::Knet {
        policy: "passive",
        links: 1,
        cipher,
    };
    single(name, title, Group::Knet, start)
}

const fn links(name: &'static str, policy: &'static str, links: usize) -> Contender {
    let start = Start::Knet {
        policy,
        links,
        cipher: "any",
    };
    single(name, name, Group::Links, start)
}

/// All of them, in the order of the table.
pub(crate) static CONTENDERS: &[Contender] = &[
    knet("knet-aes", "**knet**, AES-256-GCM", "aes-256-gcm"),
    knet("knet-chacha", "**knet**, ChaCha20-Poly1305", "chacha20-poly1305"),
    single("veth", "bare veth", Group::Kernel, Start::Wire { offloads: true }),
    single(
        "veth-bare",
        "bare veth without offloads",
        Group::Kernel,
        Start::Wire { offloads: false },
    ),
    single(
        "vxlan",
        "VXLAN (kernel, in the clear)",
        Group::Kernel,
        Start::Vxlan,
    ),
    single("fastd", "fastd, Salsa2012 + UMAC", Group::Peers, Start::Fastd),
    single(
        "tinc",
        "tinc 1.0, AES-256-CBC + SHA-256",
        Group::Peers,
        Start::Tinc,
    ),
    single("openvpn", "OpenVPN, AES-256-GCM", Group::Peers, Start::OpenVpn),
    single("n2n", "n2n 1.3, Twofish", Group::Peers, Start::N2n),
    single(
        "wireguard-go",
        "VXLAN over wireguard-go",
        Group::Peers,
        Start::WireGuardGo,
    ),
    single("vpncloud", "vpncloud, AES-256-GCM", Group::Peers, Start::VpnCloud),
    links("passive-1", "passive", 1),
    links("passive-2", "passive", 2),
    links("passive-4", "passive", 4),
    links("passive-8", "passive", 8),
    links("active-2", "active", 2),
    links("active-4", "active", 4),
    links("active-8", "active", 8),
    links("round-robin-2", "round-robin", 2),
    links("round-robin-4", "round-robin", 4),
    links("round-robin-8", "round-robin", 8),
    links("flow-hash-2", "flow-hash", 2),
    links("flow-hash-4", "flow-hash", 4),
    links("adaptive-2", "adaptive", 2),
    links("adaptive-4", "adaptive", 4),
];

impl Contender {
    /// Begins: the hosts reach each other when it returns.
    pub(crate) fn start(&self) -> lab::Result<Bed> {
        let bed = match self.start {
            Start::Wire { offloads } => kernel::wire(offloads),
            Start::Vxlan => kernel::vxlan(),
            Start::Knet {
                policy,
                links,
                cipher,
            } => knet::start(policy, links, cipher),
            Start::Fastd => fastd::start(),
            Start::Tinc => tinc::start(),
            Start::OpenVpn => openvpn::start(),
            Start::N2n => n2n::start(),
            Start::WireGuardGo => wireguard_go::start(),
            Start::VpnCloud => vpncloud::start(),
        }?;
        bed.wait_until_it_works()?;
        Ok(bed)
    }

    /// The programs that it needs, each as `PROGRAM:PACKAGE` of Debian or as `PROGRAM:cargo:CRATE`.
    pub(crate) fn requires(&self) -> &'static [&'static str] {
        match self.start {
            Start::Wire { offloads: true } | Start::Vxlan | Start::Knet { .. } => &[],
            Start::Wire { offloads: false } => &["ethtool:ethtool"],
            Start::Fastd => &["fastd:fastd"],
            Start::Tinc => &["tincd:tinc"],
            Start::OpenVpn => &["openssl:openssl", "openvpn:openvpn"],
            Start::N2n => &["edge:n2n"],
            Start::WireGuardGo => &["wg:wireguard-tools", "wireguard-go:wireguard-go"],
            Start::VpnCloud => &["vpncloud:cargo:vpncloud"],
        }
    }
}

/// Those of these names or groups; all of them without any.
pub(crate) fn choose(words: &[String]) -> Result<Vec<&'static Contender>, String> {
    let is = |contender: &Contender, word: &str| contender.name == word || contender.group.name() == word;
    if let Some(word) = words.iter().find(|w| !CONTENDERS.iter().any(|c| is(c, w))) {
        return Err(format!("there is no `{word}`\n{}", help()));
    }
    Ok(CONTENDERS
        .iter()
        .filter(|c| words.is_empty() || words.iter().any(|w| is(c, w)))
        .collect())
}

/// The names by group.
pub(crate) fn help() -> String {
    let mut text = String::from("What can be measured:");
    for group in [Group::Knet, Group::Kernel, Group::Peers, Group::Links] {
        let names: Vec<_> = CONTENDERS
            .iter()
            .filter(|c| c.group == group)
            .map(|c| c.name)
            .collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {:<8}{}", group.name(), names.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_groups() {
        let names: BTreeSet<_> = CONTENDERS.iter().map(|c| c.name).collect();
        assert_eq!(names.len(), CONTENDERS.len(), "no name twice");
        let chosen = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            choose(&words).map(|c| c.iter().map(|c| c.name).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[]).expect("all").len(), CONTENDERS.len());
        assert_eq!(
            chosen(&["tinc", "knet"]).expect("three"),
            ["knet-aes", "knet-chacha", "tinc"]
        );
        assert!(
            chosen(&["tin"])
                .expect_err("no such name")
                .contains("there is no `tin`")
        );
    }
}
