//! Where metrics are told to who asks (`metrics listen`).

use std::net::{IpAddr, SocketAddr};

use crate::{
    edit::{Context, Leaf, Place},
    problem::{Problem, Severity},
};

/// The word for: others than this host may ask.
pub const EXPOSED: &str = "exposed";

/// Most peers that are told of one by one (`metrics peers`): the first ones, by interface and name.
pub const MAX_PEERS: usize = 1000;

/// The socket that metrics are told at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsListener {
    /// Of this host, or an unspecified one: all of them.
    pub address: IpAddr,
    /// TCP port, 1..=65535.
    pub port: u16,
    /// Others than this host may ask. Without it the address has to be a loopback address.
    pub exposed: bool,
}

impl MetricsListener {
    /// Address and port.
    pub const fn socket(self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Why it is refused, if so.
    pub(crate) fn problem(self) -> Option<Problem> {
        if self.exposed || self.address.to_canonical().is_loopback() {
            return None;
        }
        let place = Place {
            argument: Some(0),
            ..Place::leaf(Context::Global, Leaf::MetricsListen)
        };
        Some(Problem {
            severity: Severity::Error,
            place: Some(place),
            span: None,
            text: format!(
                "whoever reaches {} could read the names of peers and what they do, unencrypted",
                self.address
            ),
            expected: Some(format!(
                "127.0.0.1 or ::1, or the word `{EXPOSED}` behind the port"
            )),
        })
    }
}
