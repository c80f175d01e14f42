//! How the kernel treats several sockets at one address: what several threads for one interface are built on. What needs
//! root says so and passes without it.
#![allow(clippy::unwrap_used)]

mod namespace;

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket as Plain},
    num::NonZeroU8,
    time::{Duration, Instant},
};

use knet_io::udp::{
    BindError, Group, IcmpKind, Instruction, MERGED, RecvBatch, SendBatch, SendItem, UdpOptions, UdpSocket,
};
use namespace::{addr, in_namespace, sh, wait_for};

const FOUR: NonZeroU8 = NonZeroU8::new(4).unwrap();

/// By the byte at 4, of datagrams that begin with 2 by the byte at 8. Those that begin with 1 go where the kernel likes,
/// or, if one of at most 50 bytes is merged with others, by the fifth byte of the next one.
const PROGRAM: [Instruction; 14] = [
    Instruction::LoadByte(0),
    Instruction::SkipIfEqual { value: 1, skip: 7 },
    Instruction::SkipIfEqual { value: 2, skip: 3 },
    Instruction::LoadByte(4),
    Instruction::And(7),
    Instruction::ReturnTaken,
    Instruction::LoadByte(8),
    Instruction::And(7),
    Instruction::ReturnTaken,
    Instruction::LoadLength,
    Instruction::SkipUnlessGreater { value: 50, skip: 2 },
    Instruction::LoadByte(54),
    Instruction::ReturnTaken,
    Instruction::ReturnNone,
];

fn group(address: &str, program: &[Instruction]) -> Result<Vec<UdpSocket>, BindError> {
    let group = Group {
        count: FOUR,
        program,
        replaces: false,
    };
    UdpSocket::bind_group(addr(address), &UdpOptions::default(), &group)
}

/// Sends these and gives what each socket received: its datagrams, and in how many buffers they came.
fn spread(sender: &UdpSocket, sockets: &[UdpSocket], datagrams: &[Vec<u8>]) -> Vec<(Vec<Vec<u8>>, usize)> {
    let to = sockets[0].local_addr();
    let report = sender.send(
        &mut SendBatch::new(),
        datagrams.len(),
        |i| SendItem::plain(to, &datagrams[i]),
        &mut Vec::new(),
    );
    assert_eq!(report.done, datagrams.len());
    let mut got = vec![(Vec::new(), 0); sockets.len()];
    let mut batch = RecvBatch::new(64, MERGED);
    wait_for("all of them", || {
        for (socket, (datagrams, buffers)) in sockets.iter().zip(&mut got) {
            *buffers += socket.receive(&mut batch).unwrap().received;
            for (bytes, meta) in batch.iter_mut() {
                datagrams.extend(bytes.chunks(meta.piece.max(1)).map(<[u8]>::to_vec));
            }
        }
        got.iter().map(|(d, _)| d.len()).sum::<usize>() >= datagrams.len()
    });
    got
}

fn numbered(kind: u8, at_4: u8, at_8: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[0] = kind;
    bytes[4] = at_4;
    bytes[8] = at_8;
    bytes
}

/// The place in the group is the place in the result, and the program decides by the content, also of several datagrams
/// that the kernel passes on as one.
#[test]
fn the_program_chooses_the_socket() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let sockets = group(address, &PROGRAM).unwrap();
        assert!(sockets.iter().all(|s| s.local_addr() == sockets[0].local_addr()));
        let sender = UdpSocket::bind(addr(address), &UdpOptions::default()).unwrap();
        for place in 0..4_u8 {
            // Bits beyond the mask do not count.
            let by_4 = vec![numbered(4, 0xf8 | place, !place, 90); 30];
            let by_8 = vec![numbered(2, !place, place, 1000); 30];
            let by_next = vec![numbered(1, !place, 0, 50), numbered(4, place, 0, 20)];
            for sent in [by_4, by_8, by_next] {
                let got = spread(&sender, &sockets, &sent);
                for (other, (datagrams, buffers)) in got.iter().enumerate() {
                    if other == usize::from(place) {
                        assert_eq!(*datagrams, sent, "{address}, place {place}");
                        assert!(*buffers < sent.len(), "merged");
                    } else {
                        assert!(datagrams.is_empty(), "{address}, place {place}, at {other}");
                    }
                }
            }
        }
        // For short ones the program ends early, with 0. Places that do not exist leave it to the kernel: all from one
        // sender go to the same.
        let got = spread(&sender, &sockets, &vec![vec![4, 0, 0]; 3]);
        assert_eq!(got[0].0.len(), 3);
        let nowhere = [
            numbered(4, 6, 0, 60),
            numbered(1, 0, 0, 50),
            numbered(2, 0, 255, 200),
        ];
        let homes: Vec<Vec<usize>> = nowhere
            .into_iter()
            .map(|d| {
                spread(&sender, &sockets, &[d])
                    .iter()
                    .map(|(d, _)| d.len())
                    .collect()
            })
            .collect();
        assert!(
            homes.iter().all(|h| *h == homes[0] && h.contains(&1)),
            "{homes:?}"
        );
    }
    // Others come from elsewhere and are hashed elsewhere.
    let sockets = group("127.0.0.1:0", &PROGRAM).unwrap();
    let mut used = [0; 4];
    for _ in 0..64 {
        let sender = UdpSocket::bind(addr("127.0.0.1:0"), &UdpOptions::default()).unwrap();
        for (place, (datagrams, _)) in spread(&sender, &sockets, &[numbered(1, 0, 0, 50)])
            .iter()
            .enumerate()
        {
            used[place] += datagrams.len();
        }
    }
    assert!(used.iter().all(|n| *n > 0), "{used:?}");
}

#[test]
fn an_address_belongs_to_one_group() {
    // No other test has this address, and so none is given the port while it is free.
    let sockets = group("127.0.0.77:0", &PROGRAM).unwrap();
    let address = sockets[0].local_addr();
    let in_use = |e: &BindError| matches!(e, BindError::InUse(a) if *a == address);
    assert!(in_use(&group(&address.to_string(), &PROGRAM).unwrap_err()));
    assert!(in_use(
        &UdpSocket::bind(address, &UdpOptions::default()).unwrap_err()
    ));
    let wildcard = SocketAddr::from(([0; 4], address.port()));
    assert!(matches!(
        group(&wildcard.to_string(), &PROGRAM),
        Err(BindError::InUse(a)) if a == wildcard
    ));
    assert_eq!(Plain::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(sockets);

    // And a group does not join whoever is there.
    let plain = Plain::bind(address).unwrap();
    assert!(in_use(&group(&address.to_string(), &PROGRAM).unwrap_err()));
    drop(plain);
    group(&address.to_string(), &PROGRAM).unwrap();

    // A program that the kernel refuses is no group: this one jumps out of itself.
    let refused = group("127.0.0.1:0", &[Instruction::SkipIfEqual { value: 0, skip: 9 }]).unwrap_err();
    let step = "SO_ATTACH_REUSEPORT_CBPF";
    assert!(
        matches!(refused, BindError::Other { step: s, .. } if s == step),
        "{refused}"
    );
    assert!(refused.to_string().contains(step));
}

/// Nobody knows which one gets it, but it is one, and the datagrams of the others are not disturbed.
#[test]
fn an_icmp_error_comes_to_one_socket_of_the_group() {
    let sockets = group("127.0.0.1:0", &PROGRAM).unwrap();
    let nobody = Plain::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for sender in &sockets {
        sender.send(
            &mut SendBatch::new(),
            1,
            |_| SendItem::plain(nobody, b"x"),
            &mut Vec::new(),
        );
        let until = Instant::now() + Duration::from_millis(50);
        let mut hints = Vec::new();
        while Instant::now() < until {
            for socket in &sockets {
                socket.drain_errors(10, &mut hints).unwrap();
            }
        }
        assert_eq!(hints.len(), 1, "{hints:?}");
        assert_eq!((hints[0].remote, hints[0].kind), (nobody, IcmpKind::Unreachable));
    }
}

/// A socket whose device changes leaves its group, so that a group for the other device is bound beside it; when the old
/// one goes everything comes to the new one, by its program.
#[test]
fn a_group_moves_to_another_device() {
    in_namespace(|| {
        sh("ip link add va type veth peer name vb; ip link set va up; ip addr add 10.5.0.1/24 dev va");
        let bind = |device: Option<&str>, replaces| {
            let options = UdpOptions {
                device: device.map(Into::into),
                ..UdpOptions::default()
            };
            let group = Group {
                count: FOUR,
                program: &PROGRAM,
                replaces,
            };
            UdpSocket::bind_group(addr("10.5.0.1:7700"), &options, &group)
        };
        let sender = UdpSocket::bind(addr("10.5.0.1:0"), &UdpOptions::default()).unwrap();
        let works = |sockets: &[UdpSocket]| {
            for place in 0..4 {
                let got = spread(&sender, sockets, &[numbered(4, place, 0, 50)]);
                assert_eq!(got[usize::from(place)].0.len(), 1);
            }
        };
        let mut now = bind(None, false).unwrap();
        works(&now);
        for device in [Some("va"), None, Some("va")] {
            assert!(matches!(bind(device, false), Err(BindError::InUse(_))));
            let next = bind(device, true).unwrap();
            drop(std::mem::replace(&mut now, next));
            works(&now);
        }
        assert!(matches!(bind(Some("eth9"), true), Err(BindError::NoDevice(d)) if d == "eth9"));
        works(&now);

        // Why it is done so.
        now[1].set_device(None).unwrap();
        let got = spread(&sender, &now, &[numbered(4, 1, 0, 50)]);
        assert!(
            got[1].0.is_empty(),
            "the group still chooses the socket that left"
        );
    });
}
