//! Configuration files for the daemons of the laboratory, in the words of the configuration language.

use std::{fmt, net::SocketAddr};

/// The file of one daemon.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    /// `hostname`.
    pub hostname: String,
    /// Interfaces.
    pub interfaces: Vec<Interface>,
}

/// `interface NAME`.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// The TAP.
    pub name: String,
    /// `private-key file`.
    pub private_key: String,
    /// Further lines of the interface (`mtu 1190`).
    pub lines: Vec<String>,
    /// `ip address` or `ipv6 address`, with prefix length.
    pub addresses: Vec<String>,
    /// `local N ADDRESS port PORT`: the text after the number.
    pub locals: Vec<String>,
    /// Peers.
    pub peers: Vec<Peer>,
}

/// `peer NAME`.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// `public-key`.
    pub public_key: String,
    /// `preshared-key file`.
    pub preshared_key: Option<String>,
    /// `policy`.
    pub policy: String,
    /// Further lines of the peer.
    pub lines: Vec<String>,
    /// Links by id.
    pub links: Vec<Link>,
}

/// `link N`.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Its local; the same as its id in a mesh.
    pub local: usize,
    /// `remote ADDRESS port PORT`, or `remote dynamic`.
    pub remote: Option<SocketAddr>,
    /// Further lines of the link (`priority 200`).
    pub lines: Vec<String>,
}

impl fmt::Display for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "hostname {}", self.hostname)?;
        self.interfaces
            .iter()
            .try_for_each(|interface| write!(f, "!\n{interface}"))
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "interface {}", self.name)?;
        writeln!(f, " private-key file {}", self.private_key)?;
        for line in &self.lines {
            writeln!(f, " {line}")?;
        }
        for address in &self.addresses {
            let keyword = if address.contains(':') { "ipv6" } else { "ip" };
            writeln!(f, " {keyword} address {address}")?;
        }
        for (number, local) in self.locals.iter().enumerate() {
            writeln!(f, " local {number} {local}")?;
        }
        self.peers.iter().try_for_each(|peer| write!(f, " !\n{peer}"))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, " peer {}", self.name)?;
        writeln!(f, "  public-key {}", self.public_key)?;
        if let Some(file) = &self.preshared_key {
            writeln!(f, "  preshared-key file {file}")?;
        }
        writeln!(f, "  policy {}", self.policy)?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        for (id, link) in self.links.iter().enumerate() {
            match link.remote {
                Some(remote) => {
                    writeln!(
                        f,
                        "  link {id} local {} remote {} port {}",
                        link.local,
                        remote.ip(),
                        remote.port()
                    )?;
                }
                None => writeln!(f, "  link {id} local {} remote dynamic", link.local)?,
            }
            for line in &link.lines {
                writeln!(f, "   {line}")?;
            }
        }
        Ok(())
    }
}
