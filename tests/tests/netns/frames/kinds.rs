//! Every kind of frame that crosses the tunnel.

use knet_tests::lab::station::Line;

use super::build::{
    Ip, TCP, Tcp, UDP, both, ethernet, noise, plain, sum,
    tcp_flag::{ACK, CWR, ECE, FIN, PSH, RST, SYN, URG},
    udp, v4, v6,
};

/// Payload of segments that are never cut shorter: what is left of the smallest MTU of IPv6, and of the first guess at
/// that of the path, behind all headers.
const SEGMENT: u16 = 1000;
/// Longer than any path here, but not than the TAP's MTU.
const LONG_SEGMENT: u16 = 8000;
const PRIORITY_5: [u16; 2] = [0x8100, 0xa007];
const SERVICE: [u16; 2] = [0x88a8, 100];

/// How what arrives is compared with what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// The same frames, byte for byte.
    Frames,
    /// The same stream of TCP, in segments of any length.
    Stream,
}

#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) sent: Vec<Line>,
    pub(super) compare: Compare,
}

pub(super) fn all() -> Vec<Kind> {
    let frames = [
        ethernet_kinds(),
        ip_kinds(),
        tcp_kinds(),
        udp_kinds(),
        super_frames(),
        runs(),
    ];
    let streams = recut().into_iter().map(|(name, line)| Kind {
        name,
        sent: vec![line],
        compare: Compare::Stream,
    });
    let frames = frames.into_iter().flatten().map(|(name, sent)| Kind {
        name,
        sent,
        compare: Compare::Frames,
    });
    frames.chain(streams).collect()
}

type Named = Vec<(&'static str, Vec<Line>)>;

fn ethernet_kinds() -> Named {
    let both_tagged = |tags: &[[u16; 2]]| both().map(|ip| ip.tagged(tags).udp(&noise(333))).to_vec();
    let mut shortest_udp = v4().udp(b"short");
    shortest_udp.frame.extend(b"padding!padding!");
    shortest_udp.frame.truncate(60);
    vec![
        ("one VLAN tag", both_tagged(&[PRIORITY_5])),
        ("two VLAN tags", both_tagged(&[SERVICE, PRIORITY_5])),
        (
            "EtherType 0x88b5",
            vec![plain(ethernet(&[], 0x88b5, &noise(700)))],
        ),
        (
            "60 bytes",
            vec![plain(ethernet(&[], 0x88b5, &noise(46))), shortest_udp],
        ),
        (
            "jumbo frames",
            vec![
                plain(ethernet(&[], 0x88b5, &noise(9000))),
                v4().udp(&noise(9000 - 28)),
                v6().tcp(&Tcp::default(), &noise(9000 - 72)),
                v4().tagged(&[PRIORITY_5]).udp(&noise(9000 - 28)),
            ],
        ),
    ]
}

/// With Record Route, and padding.
fn record_route() -> Ip {
    Ip {
        options: vec![1, 7, 7, 4, 0, 0, 0, 0],
        ..v4()
    }
}

/// IPv6 with extension headers: the number of the first, all of them, and where the number of the transport belongs. A
/// header begins with the number of the next, and how many times 8 bytes it has beyond the first; `PadN` fills it.
fn extended(first: u8, options: Vec<u8>, at: usize) -> Ip {
    Ip {
        options,
        extension: Some((first, at)),
        ..v6()
    }
}

fn destination_options() -> Ip {
    extended(60, vec![0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0)
}

fn ip_kinds() -> Named {
    let chain = extended(0, vec![60, 0, 1, 4, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0], 8);
    // Offset in units of 8 bytes, and "more" in the last bit.
    let fragment = |units: u16, more: u16| {
        let [a, b] = (units << 3 | more).to_be_bytes();
        extended(44, vec![0, 0, a, b, 1, 2, 3, 4], 0)
    };
    let with_options = |ip: &Ip| vec![ip.udp(&noise(100)), ip.tcp(&Tcp::default(), &noise(900))];
    let v4_fragment = |fragment| Ip { fragment, ..v4() };
    let datagram = udp(&noise(2992));
    let echo = |kind| [&[kind, 0, 0, 0, 0, 1, 0, 2][..], &noise(56)].concat();
    let classes = |ip: Ip| (0..4).map(move |class| Ip { class, ..ip.clone() }.udp(&noise(50)));
    vec![
        ("IPv4 with options", with_options(&record_route())),
        (
            "IPv6 with hop-by-hop options",
            with_options(&extended(0, vec![0, 0, 1, 4, 0, 0, 0, 0], 0)),
        ),
        (
            "IPv6 with destination options",
            with_options(&destination_options()),
        ),
        ("IPv6 with two extension headers", with_options(&chain)),
        (
            "IPv6 fragments",
            vec![
                plain(fragment(0, 1).carry(UDP, &datagram[..1200])),
                plain(fragment(150, 1).carry(UDP, &datagram[1200..2400])),
                plain(fragment(300, 0).carry(UDP, &datagram[2400..])),
                plain(fragment(0, 0).carry(UDP, &datagram[..200])),
            ],
        ),
        (
            "IPv4 fragments",
            vec![
                plain(v4_fragment(0x2000).carry(UDP, &datagram[..1200])),
                plain(v4_fragment(0x2000 + 150).carry(UDP, &datagram[1200..2400])),
                plain(v4_fragment(300).carry(UDP, &datagram[2400..])),
            ],
        ),
        (
            "ICMP",
            vec![
                // Its checksum has no pseudo-header.
                {
                    let mut echo = echo(8);
                    let checksum = !sum(&[&echo]);
                    echo[2..4].copy_from_slice(&checksum.to_be_bytes());
                    plain(v4().carry(1, &echo))
                },
                v6().whole(58, 2, echo(128)),
            ],
        ),
        ("ECN of IP", both().into_iter().flat_map(classes).collect()),
    ]
}

fn tcp_kinds() -> Named {
    let each = |tcp: &Tcp, payload: &[u8]| both().map(|ip| ip.tcp(tcp, payload)).to_vec();
    let syn = Tcp {
        // MSS (low enough to be left alone), SACK permitted, timestamps, window scale, one of no standard.
        options: vec![
            2, 4, 2, 24, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 3, 3, 7, 253, 4, 0xf9, 0x89, 0,
        ],
        ..Tcp::with(SYN | ECE | CWR)
    };
    let urgent = Tcp {
        urgent: 5,
        ..Tcp::with(ACK | PSH | URG)
    };
    let bare = |flags| Tcp {
        options: Vec::new(),
        ..Tcp::with(flags)
    };
    let many = |all: &[Tcp]| all.iter().flat_map(|tcp| each(tcp, &noise(200))).collect();
    let partial = |ip: Ip| {
        [
            ip.tcp_left(&Tcp::default(), &noise(801), 0),
            ip.udp_left(&noise(801), 0),
        ]
    };
    // The field as it is, between two that are as usual.
    let odd_field = |protocol, at: usize, field: [u8; 2]| -> Vec<Line> {
        let transport = match protocol {
            TCP => Tcp::default().segment(&noise(600)),
            _ => udp(&noise(600)),
        };
        let three = |ip: Ip| {
            let mut balanced = ip.balanced(protocol, at, transport.clone());
            balanced[at..at + 2].copy_from_slice(&field);
            let usual = ip.whole(protocol, at, transport.clone());
            [usual.clone(), plain(ip.carry(protocol, &balanced)), usual]
        };
        both().into_iter().flat_map(three).collect()
    };
    let zero_left = |ip: Ip| {
        let tcp = ip.balanced(TCP, 16, Tcp::default().segment(&noise(600)));
        let udp = ip.balanced(UDP, 6, udp(&noise(600)));
        [ip.left(TCP, 16, tcp, 0), ip.left(UDP, 6, udp, 0)]
    };
    vec![
        ("checksum of TCP that is zero", odd_field(TCP, 16, [0; 2])),
        ("checksum of TCP that is all ones", odd_field(TCP, 16, [0xff; 2])),
        ("checksum of UDP that is all ones", odd_field(UDP, 6, [0xff; 2])),
        (
            "checksums left to do that are zero",
            both().into_iter().flat_map(zero_left).collect(),
        ),
        ("SYN", each(&syn, &[])),
        ("URG", each(&urgent, b"urgent and not urgent")),
        ("FIN", each(&Tcp::with(ACK | FIN), b"the end")),
        ("RST", each(&bare(RST), &[])),
        ("ACK without payload", each(&bare(ACK), &[])),
        (
            "ECN of TCP",
            many(&[ACK | ECE, ACK | CWR, ACK | ECE | CWR].map(Tcp::with)),
        ),
        (
            "checksums left to do",
            both().into_iter().flat_map(partial).collect(),
        ),
        (
            "checksums left to do behind a VLAN tag",
            both()
                .into_iter()
                .flat_map(|ip| partial(ip.tagged(&[PRIORITY_5])))
                .collect(),
        ),
    ]
}

fn udp_kinds() -> Named {
    vec![
        ("UDP", both().map(|ip| ip.udp(&noise(1001))).to_vec()),
        ("UDP without payload", both().map(|ip| ip.udp(&[])).to_vec()),
        (
            "UDP without checksum",
            vec![plain(v4().carry(UDP, &udp(&noise(300)))); 3],
        ),
    ]
}

/// That are cut as the sender asks.
fn super_frames() -> Named {
    let tcp = |tcp: &Tcp| {
        both()
            .map(|ip| ip.tcp_left(tcp, &noise(47_123), SEGMENT))
            .to_vec()
    };
    let tagged = |tags: &[[u16; 2]]| {
        let frames = |ip: Ip| {
            let ip = ip.tagged(tags);
            [
                ip.tcp_left(&Tcp::default(), &noise(31_000), SEGMENT),
                ip.udp_left(&noise(20_200), SEGMENT),
            ]
        };
        both().into_iter().flat_map(frames).collect()
    };
    let with_options = |ip: &Ip| {
        vec![
            ip.tcp_left(&Tcp::default(), &noise(31_000), SEGMENT),
            ip.udp_left(&noise(20_200), SEGMENT),
        ]
    };
    vec![
        ("TCP super-frames", tcp(&Tcp::default())),
        (
            "TCP super-frames with ECE and CWR",
            tcp(&Tcp::with(ACK | ECE | CWR)),
        ),
        ("TCP super-frames with PSH", tcp(&Tcp::with(ACK | PSH))),
        ("TCP super-frames with FIN", tcp(&Tcp::with(ACK | PSH | FIN))),
        (
            "a TCP super-frame of 65,000 bytes",
            vec![v4().tcp_left(&Tcp::default(), &noise(65_000), SEGMENT)],
        ),
        (
            "TCP super-frames of two segments",
            both()
                .map(|ip| ip.tcp_left(&Tcp::default(), &noise(1001), SEGMENT))
                .to_vec(),
        ),
        ("super-frames with a VLAN tag", tagged(&[PRIORITY_5])),
        ("super-frames with two VLAN tags", tagged(&[SERVICE, PRIORITY_5])),
        (
            // The kernel does not count options when it looks for these, so 999 bytes would be lost in it.
            "super-frames of one segment",
            both()
                .into_iter()
                .flat_map(|ip| {
                    [
                        ip.tcp_left(&Tcp::with(ACK | CWR | FIN), &noise(900), SEGMENT),
                        ip.udp_left(&noise(900), SEGMENT),
                    ]
                })
                .collect(),
        ),
        (
            "TCP super-frames of short segments",
            both()
                .map(|ip| ip.tcp_left(&Tcp::default(), &noise(20_010), 100))
                .to_vec(),
        ),
        (
            "UDP super-frames of short segments",
            both().map(|ip| ip.udp_left(&noise(12_800), 128)).to_vec(),
        ),
        ("super-frames with options of IPv4", with_options(&record_route())),
        (
            "super-frames with options of IPv6",
            with_options(&destination_options()),
        ),
        (
            "super-frames whose identification and sequence number wrap",
            vec![
                Ip { id: 0xfff0, ..v4() }.tcp_left(
                    &Tcp {
                        sequence: 0xffff_ff01,
                        ..Tcp::default()
                    },
                    &noise(30_000),
                    SEGMENT,
                ),
                Ip { id: 0xfff0, ..v4() }.udp_left(&noise(30_000), SEGMENT),
            ],
        ),
        (
            "UDP super-frames",
            both().map(|ip| ip.udp_left(&noise(30_500), SEGMENT)).to_vec(),
        ),
        (
            "UDP super-frames with segments longer than the path",
            both()
                .map(|ip| ip.udp_left(&noise(45_000), LONG_SEGMENT))
                .to_vec(),
        ),
    ]
}

/// TCP super-frames whose segments are longer than the path.
fn recut() -> Vec<(&'static str, Line)> {
    let long = |ip: Ip, flags| ip.tcp_left(&Tcp::with(flags), &noise(50_001), LONG_SEGMENT);
    vec![
        ("TCPv4 cut shorter", long(v4(), ACK)),
        ("TCPv6 cut shorter", long(v6(), ACK)),
        (
            "TCPv4 cut shorter, with CWR and FIN",
            long(v4(), ACK | CWR | PSH | FIN),
        ),
        ("TCPv6 cut shorter, with ECE and PSH", long(v6(), ACK | ECE | PSH)),
        (
            "TCPv4 cut shorter, with a VLAN tag",
            long(v4().tagged(&[PRIORITY_5]), ACK),
        ),
    ]
}

/// Plain frames one after the other of which most could be joined, but not all.
fn runs() -> Named {
    const LONG: usize = 9;
    /// The one that does not fit.
    const ODD: usize = 4;
    // What is told for each frame: whether it is the odd one, its number, and the frame as it would fit.
    let run = |build: &dyn Fn(bool, usize, Ip, Tcp) -> Line| -> Vec<Line> {
        let frames = |ip: Ip| (0..LONG).map(move |number| (number, ip.clone()));
        let build_one = |(number, mut ip): (usize, Ip)| {
            ip.id = ip.id.wrapping_add(number as u16);
            let mut tcp = Tcp::default();
            tcp.sequence = tcp.sequence.wrapping_add(number as u32 * 1000);
            build(number == ODD, number, ip, tcp)
        };
        both().into_iter().flat_map(frames).map(build_one).collect()
    };
    let change = |change: &dyn Fn(&mut Ip, &mut Tcp)| {
        run(&|odd, _, mut ip, mut tcp| {
            if odd {
                change(&mut ip, &mut tcp);
            }
            ip.tcp(&tcp, &noise(1000))
        })
    };
    let damaged = |at: usize| {
        run(&|odd, _, ip, tcp| {
            let mut line = ip.tcp(&tcp, &noise(1000));
            if odd {
                let at = if at == 0 {
                    line.frame.len() - 1
                } else {
                    ip.transport_at() + at
                };
                line.frame[at] ^= 0x10;
            }
            line
        })
    };
    let udp_run = |len: &dyn Fn(usize) -> usize| run(&|_, number, ip, _| ip.udp(&noise(len(number))));
    vec![
        ("a run of TCP", change(&|_, _| {})),
        ("a run of TCP with a damaged payload in it", damaged(0)),
        ("a run of TCP with a wrong checksum in it", damaged(16)),
        (
            "a run of TCP with another acknowledgement in it",
            change(&|_, tcp| tcp.acknowledged += 1),
        ),
        (
            "a run of TCP with another TTL in it",
            change(&|ip, _| ip.ttl -= 1),
        ),
        (
            "a run of TCP with congestion experienced in it",
            change(&|ip, _| ip.class = 3),
        ),
        (
            "a run of TCP with another identification in it",
            change(&|ip, _| ip.id += 7),
        ),
        (
            "a run of TCP with a gap",
            change(&|_, tcp| tcp.sequence = tcp.sequence.wrapping_add(3)),
        ),
        ("a run of TCP with PSH in it", change(&|_, tcp| tcp.flags |= PSH)),
        ("a run of TCP with CWR in it", change(&|_, tcp| tcp.flags |= CWR)),
        (
            "a run of TCP with another option in it",
            change(&|_, tcp| tcp.options[7] ^= 1),
        ),
        (
            "a run of TCP with one identification",
            run(&|_, _, mut ip, tcp| {
                ip.id = 0;
                ip.tcp(&tcp, &noise(1000))
            }),
        ),
        (
            "a run of TCP with one segment twice",
            run(&|_, number, ip, mut tcp| {
                tcp.sequence = tcp.sequence.wrapping_sub(u32::from(number > ODD) * 1000);
                ip.tcp(&tcp, &noise(1000))
            }),
        ),
        (
            "a run of TCP whose checksums are left to do",
            run(&|_, _, ip, tcp| ip.tcp_left(&tcp, &noise(1000), 0)),
        ),
        (
            "a run of TCP whose end is padded",
            run(&|_, number, ip, tcp| {
                let tcp = Tcp {
                    options: Vec::new(),
                    ..tcp
                };
                let mut line = ip.tcp(&tcp, &noise(if number % 3 == 2 { 1 } else { 1000 }));
                line.frame.resize(line.frame.len().max(60), 0);
                line
            }),
        ),
        ("a run of UDP", udp_run(&|_| 1000)),
        ("a run of UDP that grows", udp_run(&|number| 900 + number)),
        ("a run of UDP that shrinks", udp_run(&|number| 900 - number)),
        (
            "a run of UDP without checksum",
            vec![plain(v4().carry(UDP, &udp(&noise(500)))); LONG],
        ),
    ]
}
