//! Questions for all groups: what they say, and how they are written (IGMP version 3, RFC 3376, 4.1; MLD
//! version 2, RFC 3810, 5.1).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Protocol;
use crate::{
    ids::MacAddr,
    internet_checksum::InternetChecksum,
    l2::ip_packet::{Addresses, ETHERTYPE_IPV4, ETHERTYPE_IPV6, protocol},
    time::Span,
};

/// Query interval of who does not say another one (RFC 3376, 8.2).
pub const INTERVAL: Span = Span::from_secs(125);
/// The longest that is believed, and can be configured.
pub const LONGEST_INTERVAL: Span = Span::from_secs(3_600);
/// How many questions may get lost one after the other before who listens is forgotten, and one (RFC 3376, 8.1).
pub const ROBUSTNESS: u8 = 2;
/// How long hosts may take to answer, where the interval is long enough (RFC 3376, 8.3).
const WITHIN: Span = Span::from_secs(10);
/// The shortest frame of Ethernet, without FCS.
const MIN_FRAME: usize = 60;

/// A question for all groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Query {
    /// Whose. Of IPv4 it may be 0.0.0.0, of a switch that has no address (RFC 4541, 2.1.1).
    pub source: IpAddr,
    /// Whose, in its frame.
    pub mac: MacAddr,
    /// 1..=3 of IGMP, 1..=2 of MLD.
    pub version: u8,
    /// How long hosts may take to answer.
    pub within: Span,
    /// How often is asked, at most [`LONGEST_INTERVAL`].
    pub interval: Span,
    /// See [`ROBUSTNESS`]; 1..=7.
    pub robustness: u8,
}

impl Query {
    /// Ours, which is asked every `interval`.
    pub fn ours(source: IpAddr, mac: MacAddr, interval: Span) -> Self {
        Self {
            source,
            mac,
            version: match source {
                IpAddr::V4(_) => 3,
                IpAddr::V6(_) => 2,
            },
            within: WITHIN.min(interval.divided_by(2)),
            interval,
            robustness: ROBUSTNESS,
        }
    }

    /// Which of the two it is of.
    pub const fn protocol(&self) -> Protocol {
        Protocol::of(self.source)
    }

    /// For so long who has answered counts as listening (RFC 3376, 8.4; RFC 3810, 9.4).
    pub fn membership(&self) -> Span {
        self.interval.times(self.robustness.into()) + self.within
    }

    /// For so long who has asked counts as somebody who asks (RFC 3376, 8.5; RFC 3810, 9.5).
    pub fn presence(&self) -> Span {
        self.interval.times(self.robustness.into()) + self.within.divided_by(2)
    }

    /// Who of two asks: the one that is less. The RFCs say the lower address; one of all zeros is of a switch, which leaves it
    /// to routers, and of two such ones the MAC address decides.
    pub fn rank(&self) -> (bool, IpAddr, MacAddr) {
        (self.source.is_unspecified(), self.source, self.mac)
    }

    /// Its frame, without a tag.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(14 + 40 + 8 + 28);
        match self.source {
            IpAddr::V4(source) => self.frame_v4(source, &mut frame),
            IpAddr::V6(source) => self.frame_v6(source, &mut frame),
        }
        frame.resize(frame.len().max(MIN_FRAME), 0);
        frame
    }

    /// To all systems, with what routers are to look at it for (RFC 2113).
    fn frame_v4(&self, source: Ipv4Addr, frame: &mut Vec<u8>) {
        let within = contracted(self.within.as_millis() / 100, 8);
        let [_, within] = within.to_be_bytes();
        let mut query = [0x11, within, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.put_rest(query.last_chunk_mut());
        let sum = InternetChecksum::default().add(&query).finish();
        put(&mut query, 2, &sum.to_be_bytes());

        let mut header = [0; 24];
        let len = header.len().saturating_add(query.len()) as u16;
        put(&mut header, 0, &[0x46, 0xc0]);
        put(&mut header, 2, &len.to_be_bytes());
        put(&mut header, 8, &[1, 2]);
        put(&mut header, 12, &source.octets());
        put(&mut header, 16, &[224, 0, 0, 1]);
        put(&mut header, 20, &[0x94, 4, 0, 0]);
        let sum = InternetChecksum::default().add(&header).finish();
        put(&mut header, 10, &sum.to_be_bytes());

        frame.extend_from_slice(&[0x01, 0x00, 0x5e, 0, 0, 1]);
        frame.extend_from_slice(&self.mac.0);
        frame.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
        frame.extend_from_slice(&header);
        frame.extend_from_slice(&query);
    }

    /// To all nodes, likewise (RFC 2711).
    fn frame_v6(&self, source: Ipv6Addr, frame: &mut Vec<u8>) {
        let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let mut query = [0; 28];
        put(&mut query, 0, &[130]);
        put(
            &mut query,
            4,
            &contracted(self.within.as_millis(), 16).to_be_bytes(),
        );
        self.put_rest(query.last_chunk_mut());
        let addresses = Addresses::V6 {
            src: source,
            dst: all_nodes,
        };
        let sum =
            InternetChecksum::default().add_pseudo_header(addresses, protocol::ICMPV6, query.len() as u16);
        let sum = sum.add(&query).finish();
        put(&mut query, 2, &sum.to_be_bytes());

        let options = [protocol::ICMPV6, 0, 5, 2, 0, 0, 1, 0];
        let len = options.len().saturating_add(query.len()) as u16;
        frame.extend_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
        frame.extend_from_slice(&self.mac.0);
        frame.extend_from_slice(&ETHERTYPE_IPV6.to_be_bytes());
        frame.extend_from_slice(&[0x60, 0, 0, 0]);
        frame.extend_from_slice(&len.to_be_bytes());
        frame.extend_from_slice(&[protocol::HOP_BY_HOP, 1]);
        frame.extend_from_slice(&source.octets());
        frame.extend_from_slice(&all_nodes.octets());
        frame.extend_from_slice(&options);
        frame.extend_from_slice(&query);
    }

    /// Both versions end alike: robustness, interval, no sources.
    fn put_rest(&self, rest: Option<&mut [u8; 4]>) {
        let [_, interval] = contracted(self.interval.as_secs(), 8).to_be_bytes();
        if let Some(rest) = rest {
            *rest = [self.robustness & 7, interval, 0, 0];
        }
    }

    /// What the end of a question of the later version says: how many may get lost, and how often is asked. An interval of
    /// nothing, or longer than is believed, counts as the usual one, or the longest.
    pub(super) fn read_rest(rest: &[u8]) -> Option<(u8, Span)> {
        let [robustness, interval, ..] = rest.first_chunk::<4>()?;
        let robustness = match robustness & 7 {
            0 => ROBUSTNESS,
            said => said,
        };
        let interval = match expanded(u32::from(*interval), 8) {
            0 => INTERVAL,
            seconds => Span::from_secs(seconds).min(LONGEST_INTERVAL),
        };
        Some((robustness, interval))
    }
}

/// The link-local address that MLD is asked from: `fe80::ffff:` and the MAC address. It is nobody else's, and higher than what
/// hosts and routers make of their MAC addresses (RFC 4291, appendix A): the lowest is who asks, and a multicast router is
/// to do that rather than a switch.
pub fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d, e, f])
}

/// A number that is written in so many bits, from the half of them on with a mantissa and three bits of exponent (RFC 3376,
/// 4.1.1; RFC 3810, 5.1.3).
pub(super) fn expanded(code: u32, bits: u32) -> u64 {
    let half = 1_u32 << bits.saturating_sub(1);
    if code < half {
        return code.into();
    }
    let mantissa_bits = bits.saturating_sub(4);
    let implied = 1_u32 << mantissa_bits;
    let mantissa = u64::from(code & implied.saturating_sub(1) | implied);
    mantissa << (code >> mantissa_bits & 7).saturating_add(3)
}

/// The largest code that says no more than `number`.
fn contracted(number: u64, bits: u32) -> u16 {
    let (mut low, mut high) = (0_u32, (1_u32 << bits).saturating_sub(1));
    while low < high {
        let middle = low.midpoint(high.saturating_add(1));
        if expanded(middle, bits) <= number {
            low = middle;
        } else {
            high = middle.saturating_sub(1);
        }
    }
    low as u16
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..value.len())) {
        place.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests;
