//! The hub: a real knetd in a namespace of its own, with a block of its configuration for each peer.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use knet_proto::config::{PrivateKey, PublicKey};
use knet_tests::lab::{
    Lab, LabError, Result,
    config::{ConfigFile, Interface},
    daemon::{Daemon, write_secret},
};
use libknet::{OsEntropy, api::value::base64_encode};

use crate::{
    authority::{Authority, GROUP},
    network::{self, HUB, PORT},
    terminal::Terminal,
    usage::Usage,
};

/// How long it may take until the hub answers on its control socket.
const PATIENCE: Duration = Duration::from_secs(300);
/// Its interface, and its name.
pub(crate) const DEVICE: &str = "knet0";
const HOSTNAME: &str = "hub";
/// Addresses for all peers that there can be, and as many again.
const POOL: &str = "10.64.0.0/15";

/// The file of the authority that it believes, beside its configuration.
const AUTHORITY: &str = "ca.pub";

/// What peer `number` is called.
pub(crate) fn name(number: u16) -> String {
    format!("p{number:05}")
}

/// The hub.
pub(crate) struct Hub {
    // Before the laboratory, so that it ends before its namespace goes.
    daemon: Daemon,
    lab: Lab,
    directory: PathBuf,
    public_key: PublicKey,
}

/// What a start took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    /// Until it answered on its control socket.
    pub(crate) after: Duration,
    /// What it had used then.
    pub(crate) usage: Usage,
}

impl Hub {
    /// A hub that is not started yet, and the cable to it.
    pub(crate) fn new() -> Result<Self> {
        let mut lab = Lab::new()?;
        let host = lab.add_host("hub", &[])?;
        network::connect(&lab, host)?;
        let private_key = PrivateKey::generate(&mut OsEntropy);
        let directory = lab.host_directory(host);
        write_secret(&directory.join("hub.key"), &base64_encode(&private_key.0[..]))?;
        Ok(Self {
            daemon: Daemon::new(&lab, host),
            public_key: private_key.public_key(),
            directory,
            lab,
        })
    }

    /// The path of a file beside its configuration.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Its public key.
    pub(crate) fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// Writes its configuration: `links` sockets, and these peers, of a group if that has a pool or an authority. Returns its
    /// length in bytes.
    pub(crate) fn configure(
        &self,
        links: u8,
        pool: bool,
        authority: Option<&Authority>,
        peers: impl Iterator<Item = (u16, PublicKey)>,
    ) -> Result<usize> {
        let mut lines = Vec::new();
        lines.extend(pool.then(|| format!("  ip pool {POOL}\n")));
        if let Some(authority) = authority {
            std::fs::write(self.file(AUTHORITY), authority.line() + "\n")?;
            lines.push(format!("  certificate-authority {AUTHORITY}\n"));
        }
        let group =
            (!lines.is_empty()).then(|| format!(" !\n peer-group {GROUP}\n  spoke\n{}", lines.concat()));
        let role = match group {
            Some(_) => format!("group {GROUP}"),
            None => "spoke".to_owned(),
        };
        let block = |(number, key): (u16, PublicKey)| {
            let (name, key) = (name(number), base64_encode(key.as_bytes()));
            format!(" !\n peer {name}\n  public-key {key}\n  {role}\n")
        };
        self.configure_blocks(links, group.into_iter().chain(peers.map(block)))
    }

    /// The same with the lines of each peer.
    pub(crate) fn configure_blocks(&self, links: u8, blocks: impl Iterator<Item = String>) -> Result<usize> {
        let mut text = ConfigFile {
            hostname: HOSTNAME.into(),
            interfaces: vec![Interface {
                name: DEVICE.into(),
                private_key: "hub.key".into(),
                locals: (0..links)
                    .map(|link| format!("{HUB} port {}", PORT + u16::from(link)))
                    .collect(),
                ..Interface::default()
            }],
        }
        .to_string();
        text.extend(blocks);
        self.daemon.configure(&text)?;
        Ok(text.len())
    }

    /// How many peers it has given an address.
    pub(crate) fn leased(&self) -> Result<u64> {
        let shown = self.daemon.show("show ip pool")?;
        shown["ip_pools"][0]["leased"]
            .as_u64()
            .ok_or_else(|| LabError::new(format!("`show ip pool` printed other fields: {shown}")))
    }

    /// Starts it, and lets `meanwhile` go on until it answers.
    pub(crate) fn start(&mut self, mut meanwhile: impl FnMut() -> Result<()>) -> Result<Started> {
        let began = Instant::now();
        self.daemon.spawn(&self.lab)?;
        loop {
            // A question costs a process of its own: not before there is somebody to ask.
            if self.daemon.socket().exists() && self.daemon.show("show version").is_ok() {
                break;
            }
            if !self.daemon.is_running() || began.elapsed() > PATIENCE {
                return Err(LabError::new(format!(
                    "the hub does not start; its log:\n{}",
                    self.daemon.log_end(30)
                )));
            }
            meanwhile()?;
        }
        Ok(Started {
            after: began.elapsed(),
            usage: self.usage().unwrap_or_default(),
        })
    }

    /// A shell with it.
    pub(crate) fn terminal(&self) -> Result<Terminal> {
        Terminal::open(self.daemon.socket(), HOSTNAME)
    }

    /// Its configuration file.
    pub(crate) fn configuration(&self) -> Result<String> {
        self.daemon.configuration()
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.daemon.kill();
    }

    /// What it has used since its start; `None` if it is dead.
    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.daemon.id()?)
    }

    /// The end of its log.
    pub(crate) fn log_end(&self) -> String {
        self.daemon.log_end(10)
    }

    /// How many peers it says are up.
    pub(crate) fn peers_up(&self) -> Result<u64> {
        let shown = self.daemon.show(&format!("show interfaces {DEVICE}"))?;
        shown["interfaces"][0]["peers_up"]
            .as_u64()
            .ok_or_else(|| LabError::new(format!("`show interfaces` printed other fields: {shown}")))
    }

    /// What it has dropped, by reason.
    pub(crate) fn drops(&self) -> Result<std::collections::BTreeMap<String, u64>> {
        self.daemon.drops()
    }

    /// How long a command of the shell takes, and the length of its answer in bytes.
    pub(crate) fn time_command(&self, command: &str) -> Result<(Duration, usize)> {
        let began = Instant::now();
        let answer = knet_tests::lab::process::output(self.daemon.shell()?.args(["-c", command]))?;
        Ok((began.elapsed(), answer.len()))
    }
}
