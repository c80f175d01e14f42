//! The frame with which a station that has moved says where it is: bridges on its way learn from the source address.
//!
//! It is what hypervisors send for a machine that has moved to another host: a request of reverse ARP (RFC 903) to all, in
//! which nobody is asked for anything. Unlike a gratuitous ARP it needs no IP address.

use crate::ids::MacAddr;

/// Bytes of it: the shortest frame of Ethernet, without FCS.
pub const ANNOUNCEMENT_LEN: usize = 60;

/// It for the station `mac`.
pub fn announcement(mac: MacAddr) -> [u8; ANNOUNCEMENT_LEN] {
    const ETHERTYPE_RARP: [u8; 2] = [0x80, 0x35];
    // Ethernet, IPv4, their lengths, and "request reverse".
    const HEAD: [u8; 8] = [0, 1, 0x08, 0, 6, 4, 0, 3];
    let mut frame = [0; ANNOUNCEMENT_LEN];
    let fields: [&[u8]; 7] = [
        &[0xff; 6],
        &mac.0,
        &ETHERTYPE_RARP,
        &HEAD,
        &mac.0,
        &[0; 4],
        &mac.0,
    ];
    for (to, from) in frame.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_request_of_reverse_arp_to_all() {
        let frame = announcement(MacAddr([2, 0, 0, 0, 0, 7]));
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[6..12], [2, 0, 0, 0, 0, 7]);
        assert_eq!(frame[12..22], [0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3]);
        assert_eq!(frame[22..28], [2, 0, 0, 0, 0, 7], "the sender");
        assert_eq!(frame[28..32], [0; 4]);
        assert_eq!(frame[32..38], [2, 0, 0, 0, 0, 7], "the target");
        assert_eq!(frame[38..], [0; 22]);
    }
}
