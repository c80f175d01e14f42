//! Frames, built header by header. The addresses of Ethernet are left to the station that sends them.

use knet_proto::wire::virtio_net_header::{VirtioNetHeader, flags, gso};
use knet_tests::lab::station::Line;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

pub(super) mod tcp_flag {
    pub(in super::super) const FIN: u8 = 0x01;
    pub(in super::super) const SYN: u8 = 0x02;
    pub(in super::super) const RST: u8 = 0x04;
    pub(in super::super) const PSH: u8 = 0x08;
    pub(in super::super) const ACK: u8 = 0x10;
    pub(in super::super) const URG: u8 = 0x20;
    pub(in super::super) const ECE: u8 = 0x40;
    pub(in super::super) const CWR: u8 = 0x80;
}
use tcp_flag::ACK;

/// The sum of RFC 1071 in ones' complement, plainly.
pub(super) fn sum(pieces: &[&[u8]]) -> u16 {
    let bytes = pieces.concat();
    let words = bytes
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |b| u32::from(*b)));
    words.fold(0, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    }) as u16
}

/// Bytes that look random.
pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut state = len as u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A frame in which nothing is left to be done.
pub(super) fn plain(frame: Vec<u8>) -> Line {
    Line {
        frame,
        ..Line::default()
    }
}

/// Ethernet with these tags (TPID and TCI).
pub(super) fn ethernet(tags: &[[u16; 2]], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    let numbers = tags.as_flattened().iter().chain([&ethertype]);
    frame.extend(numbers.flat_map(|n| n.to_be_bytes()));
    frame.extend(payload);
    frame
}

/// What is before TCP and UDP.
#[derive(Clone, Debug)]
pub(super) struct Ip {
    pub(super) tags: Vec<[u16; 2]>,
    pub(super) is_v6: bool,
    /// The byte with DSCP and ECN.
    pub(super) class: u8,
    pub(super) ttl: u8,
    /// IPv4.
    pub(super) id: u16,
    /// IPv4: flags and fragment offset.
    pub(super) fragment: u16,
    /// Options of IPv4; extension headers of IPv6, each with the number of the next in it but the last, which gets that
    /// of the transport.
    pub(super) options: Vec<u8>,
    /// IPv6: the number of the first extension header, and where in the options that of the transport belongs.
    pub(super) extension: Option<(u8, usize)>,
}

pub(super) fn v4() -> Ip {
    Ip {
        tags: Vec::new(),
        is_v6: false,
        class: 0,
        ttl: 64,
        id: 0x1234,
        fragment: 0x4000,
        options: Vec::new(),
        extension: None,
    }
}

pub(super) fn v6() -> Ip {
    Ip { is_v6: true, ..v4() }
}

/// Both versions.
pub(super) fn both() -> [Ip; 2] {
    [v4(), v6()]
}

impl Ip {
    pub(super) fn tagged(&self, tags: &[[u16; 2]]) -> Self {
        Self {
            tags: tags.to_vec(),
            ..self.clone()
        }
    }

    /// Where in the frame the transport begins.
    pub(super) fn transport_at(&self) -> usize {
        14 + 4 * self.tags.len() + if self.is_v6 { 40 } else { 20 } + self.options.len()
    }

    fn addresses(&self) -> Vec<u8> {
        if self.is_v6 {
            let address = |last| {
                let mut address = [0; 16];
                (address[0], address[15]) = (0xfd, last);
                address
            };
            [address(1), address(2)].concat()
        } else {
            vec![10, 1, 0, 1, 10, 1, 0, 2]
        }
    }

    pub(super) fn pseudo_header(&self, protocol: u8, len: usize) -> Vec<u8> {
        [
            &self.addresses()[..],
            &(len as u32).to_be_bytes(),
            &[0, 0, 0, protocol],
        ]
        .concat()
    }

    /// The frame.
    pub(super) fn carry(&self, protocol: u8, transport: &[u8]) -> Vec<u8> {
        let [i0, i1] = self.id.to_be_bytes();
        let [f0, f1] = self.fragment.to_be_bytes();
        if self.is_v6 {
            let [l0, l1] = ((self.options.len() + transport.len()) as u16).to_be_bytes();
            let mut options = self.options.clone();
            let first = match self.extension {
                Some((first, at)) => {
                    options[at] = protocol;
                    first
                }
                None => protocol,
            };
            let [c0, c1] = [0x60 | self.class >> 4, self.class << 4];
            let header = [c0, c1, 0xab, 0xcd, l0, l1, first, self.ttl];
            let packet = [&header[..], &self.addresses(), &options, transport].concat();
            return ethernet(&self.tags, 0x86dd, &packet);
        }
        let header_len = 20 + self.options.len();
        let [l0, l1] = ((header_len + transport.len()) as u16).to_be_bytes();
        let version = 0x40 | (header_len / 4) as u8;
        let fixed = [
            version, self.class, l0, l1, i0, i1, f0, f1, self.ttl, protocol, 0, 0,
        ];
        let mut header = [&fixed[..], &self.addresses(), &self.options].concat();
        let checksum = !sum(&[&header]);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        ethernet(&self.tags, 0x0800, &[&header, transport].concat())
    }

    /// The frame with the checksum of the transport at `at` in it.
    pub(super) fn whole(&self, protocol: u8, at: usize, mut transport: Vec<u8>) -> Line {
        let checksum = !sum(&[&self.pseudo_header(protocol, transport.len()), &transport]);
        transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        plain(self.carry(protocol, &transport))
    }

    /// The frame with the checksum at `at` left to be done, and to be cut to payloads of `gso_size`, if not 0.
    pub(super) fn left(&self, protocol: u8, at: usize, mut transport: Vec<u8>, gso_size: u16) -> Line {
        let pseudo = sum(&[&self.pseudo_header(protocol, transport.len())]);
        transport[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
        let (header_len, ecn) = match protocol {
            TCP => (usize::from(transport[12] >> 4) * 4, transport[13] & tcp_flag::CWR),
            _ => (8, 0),
        };
        let gso_type = match (gso_size, protocol, self.is_v6) {
            (0, _, _) => gso::NONE,
            (_, UDP, _) => gso::UDP_L4,
            // The flag CWR and the bit that says so have the same place.
            (_, _, false) => gso::TCPV4 | ecn,
            (_, _, true) => gso::TCPV6 | ecn,
        };
        let start = self.transport_at();
        let header = VirtioNetHeader {
            flags: flags::NEEDS_CSUM,
            gso_type,
            hdr_len: if gso_size == 0 {
                0
            } else {
                (start + header_len) as u16
            },
            gso_size,
            csum_start: start as u16,
            csum_offset: at as u16,
        };
        Line {
            header: header.emit(),
            frame: self.carry(protocol, &transport),
        }
    }

    /// A transport whose checksum at `at` is zero: the last two bytes are changed. Its length is even.
    pub(super) fn balanced(&self, protocol: u8, at: usize, mut transport: Vec<u8>) -> Vec<u8> {
        let last = transport.len() - 2;
        transport[at..at + 2].fill(0);
        transport[last..].fill(0);
        let missing = !sum(&[&self.pseudo_header(protocol, transport.len()), &transport]);
        transport[last..].copy_from_slice(&missing.to_be_bytes());
        transport
    }

    pub(super) fn udp(&self, payload: &[u8]) -> Line {
        self.whole(UDP, 6, udp(payload))
    }

    pub(super) fn udp_left(&self, payload: &[u8], gso_size: u16) -> Line {
        self.left(UDP, 6, udp(payload), gso_size)
    }

    pub(super) fn tcp(&self, tcp: &Tcp, payload: &[u8]) -> Line {
        self.whole(TCP, 16, tcp.segment(payload))
    }

    pub(super) fn tcp_left(&self, tcp: &Tcp, payload: &[u8], gso_size: u16) -> Line {
        self.left(TCP, 16, tcp.segment(payload), gso_size)
    }
}

/// A datagram without checksum.
pub(super) fn udp(payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (payload.len() as u16 + 8).to_be_bytes();
    [&[0x9c, 0x40, 0, 99, l0, l1, 0, 0], payload].concat()
}

/// What can differ in headers of TCP.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) urgent: u16,
    pub(super) options: Vec<u8>,
}

impl Default for Tcp {
    /// Amid a stream, with timestamps.
    fn default() -> Self {
        Self {
            flags: ACK,
            sequence: 0xffff_f000,
            acknowledged: 77,
            urgent: 0,
            options: vec![1, 1, 8, 10, 0, 0, 1, 2, 0, 0, 3, 4],
        }
    }
}

impl Tcp {
    pub(super) fn with(flags: u8) -> Self {
        Self {
            flags,
            ..Self::default()
        }
    }

    pub(super) fn segment(&self, payload: &[u8]) -> Vec<u8> {
        let mut segment = vec![0x9c, 0x40, 0, 99];
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledged.to_be_bytes());
        segment.extend([
            (5 + self.options.len() / 4) as u8 * 16,
            self.flags,
            0xfa,
            0xf0,
            0,
            0,
        ]);
        segment.extend(self.urgent.to_be_bytes());
        segment.extend(&self.options);
        segment.extend(payload);
        segment
    }
}
