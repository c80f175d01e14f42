//! `sockaddr_in` and `sockaddr_in6` as bytes: made and read without unsafe code.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A socket address in the kernel's layout, aligned as it demands.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(8))]
pub(crate) struct RawAddr([u8; Self::ROOM]);

impl RawAddr {
    /// Large enough for both families.
    pub(crate) const ROOM: usize = 28;

    /// The address and its length in the kernel's layout.
    pub(crate) fn encode(addr: SocketAddr) -> (Self, libc::socklen_t) {
        let mut raw = [0; Self::ROOM];
        let [f0, f1, p0, p1, rest @ ..] = &mut raw;
        let (family, len) = match addr {
            SocketAddr::V4(a) => {
                if let Some(ip) = rest.first_chunk_mut() {
                    *ip = a.ip().octets();
                }
                (libc::AF_INET, 16)
            }
            SocketAddr::V6(a) => {
                let (flow, rest) = rest.split_at_mut(4);
                let (ip, scope) = rest.split_at_mut(16);
                flow.copy_from_slice(&a.flowinfo().to_ne_bytes());
                ip.copy_from_slice(&a.ip().octets());
                scope.copy_from_slice(&a.scope_id().to_ne_bytes());
                (libc::AF_INET6, Self::ROOM as libc::socklen_t)
            }
        };
        [*f0, *f1] = (family as libc::sa_family_t).to_ne_bytes();
        [*p0, *p1] = addr.port().to_be_bytes();
        (Self(raw), len)
    }

    /// The address that the kernel wrote, if it is one of the two families.
    pub(crate) fn decode(&self) -> Option<SocketAddr> {
        decode(&self.0)
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6` from any bytes.
pub(crate) fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let port = u16::from_be_bytes(*port);
    match i32::from(libc::sa_family_t::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
            Some(SocketAddrV4::new(ip, port).into())
        }
        libc::AF_INET6 => {
            let (flow, rest) = rest.split_first_chunk()?;
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            let scope = rest.first_chunk()?;
            let (flow, scope) = (u32::from_ne_bytes(*flow), u32::from_ne_bytes(*scope));
            Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, flow, scope).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_and_matches_the_c_layout() {
        for text in ["192.0.2.7:7700", "[2001:db8::1]:65535", "[fe80::1%3]:1"] {
            let Ok(addr) = text.parse::<SocketAddr>() else {
                panic!("{text}")
            };
            let (raw, len) = RawAddr::encode(addr);
            assert_eq!(raw.decode(), Some(addr));
            assert_eq!(len as usize, socket2::SockAddr::from(addr).len() as usize);
        }
        assert_eq!(std::mem::offset_of!(libc::sockaddr_in6, sin6_scope_id), 24);
        assert_eq!(std::mem::offset_of!(libc::sockaddr_in, sin_addr), 4);
    }

    #[test]
    fn short_or_foreign_bytes_are_refused() {
        let (raw, _) = RawAddr::encode(SocketAddr::from(([0; 16], 9)));
        for n in 0..RawAddr::ROOM {
            assert_eq!(decode(&raw.0[..n]), None, "{n} bytes");
        }
        assert_eq!(decode(&[1, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
