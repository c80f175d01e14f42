use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use super::*;

fn bind(address: &str) -> UdpSocket {
    let address = address.parse().unwrap_or_else(|e| panic!("{address}: {e}"));
    UdpSocket::bind(address, &UdpOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn send_all(from: &UdpSocket, items: &[SendItem<'_>]) -> (SendReport, Vec<SendFailure>) {
    let mut failures = Vec::new();
    let report = from.send(&mut SendBatch::new(), items.len(), |i| items[i], &mut failures);
    (report, failures)
}

/// Receives until `wanted` datagrams have come (which takes a moment: the kernel may deliver on another thread) and
/// nothing more is waiting.
fn receive(socket: &UdpSocket, wanted: usize) -> Vec<(Vec<u8>, ReceiveMeta)> {
    receive_buffers(socket, wanted).0
}

/// The same, and in how many buffers they came.
fn receive_buffers(socket: &UdpSocket, wanted: usize) -> (Vec<(Vec<u8>, ReceiveMeta)>, usize) {
    let mut batch = RecvBatch::new(64, MERGED);
    let (mut all, mut buffers) = (Vec::new(), 0);
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let outcome = socket.receive(&mut batch).unwrap_or_else(|e| panic!("{e}"));
        buffers += outcome.received;
        for (bytes, meta) in batch.iter_mut() {
            if bytes.is_empty() {
                all.push((vec![], meta));
            }
            all.extend(bytes.chunks(meta.piece.max(1)).map(|b| (b.to_vec(), meta)));
        }
        let idle = outcome.received == 0 && !outcome.more;
        if idle && (all.len() >= wanted || Instant::now() > until) {
            return (all, buffers);
        }
    }
}

/// Whatever the lengths, the receivers and the classes of service: what leaves as one packet arrives as it was given.
#[test]
fn datagrams_that_leave_as_one_packet_arrive_as_they_were() {
    let mut random = 1_u32;
    let mut below = |n: u32| {
        random = random.wrapping_mul(1_103_515_245).wrapping_add(12345);
        (random >> 16) % n
    };
    for (gso, gro) in [(true, true), (true, false), (false, true), (false, false)] {
        let options = UdpOptions {
            gso,
            gro,
            ..UdpOptions::default()
        };
        let bind = || {
            UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &options)
                .unwrap_or_else(|e| panic!("{e}"))
        };
        let (a, b, c) = (bind(), bind(), bind());
        assert_eq!((a.segments(), b.merges()), (gso, gro));
        let mut packed = 0;
        for round in 0..20_u32 {
            // Long rows of one length with others in between, some of no length at all, in several places.
            let mut lengths = Vec::new();
            while lengths.len() < 300 {
                let (times, length) = (below(90) + 1, [0, 1, 64, 1400, 1472, 2000][below(6) as usize]);
                lengths.extend((0..times).map(|_| length));
                lengths.push(below(2000) as usize);
            }
            let bytes: Vec<Vec<u8>> = lengths
                .iter()
                .enumerate()
                .map(|(i, n)| vec![(i as u32 ^ round) as u8; *n])
                .collect();
            let arena = bytes.concat();
            let (mut at, mut items) = (0, Vec::new());
            for bytes in &bytes {
                let to = if below(40) == 0 { &c } else { &b };
                items.push(SendItem {
                    remote: to.local_addr(),
                    local: None,
                    dscp: (below(60) == 0).then_some(48),
                    confirms: false,
                    begins: false,
                    // Some lie one after the other, some do not.
                    bytes: if round % 2 == 0 {
                        &arena[at..at + bytes.len()]
                    } else {
                        bytes
                    },
                });
                at += bytes.len();
            }
            let (report, failures) = send_all(&a, &items);
            assert_eq!(
                (report.done, report.queue_drops, failures.len()),
                (items.len(), 0, 0)
            );
            for to in [&b, &c] {
                let sent: Vec<Vec<u8>> = items
                    .iter()
                    .filter(|i| i.remote == to.local_addr())
                    .map(|i| i.bytes.to_vec())
                    .collect();
                let (got, buffers) = receive_buffers(to, sent.len());
                let got: Vec<Vec<u8>> = got.into_iter().map(|(bytes, _)| bytes).collect();
                assert_eq!(got, sent, "gso {gso}, gro {gro}, round {round}");
                packed += sent.len() - buffers;
            }
        }
        assert_eq!(
            packed > 1000,
            gso && gro,
            "{packed} arrived together with another"
        );
    }
}

/// A packet that the kernel refuses is tried again as the datagrams that it consists of.
#[test]
fn a_refused_packet_is_sent_as_single_datagrams() {
    let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    // Without checksums the kernel does not cut (EINVAL).
    assert!(set(&a.socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).is_ok());
    let item = SendItem::plain(b.local_addr(), &[7; 100]);
    let (report, failures) = send_all(&a, &[item; 150]);
    assert_eq!((report.done, failures.len()), (150, 0));
    let (got, buffers) = receive_buffers(&b, 150);
    assert!(got.len() == 150 && got.iter().all(|(bytes, _)| *bytes == [7; 100]));
    assert_eq!(buffers, 150);
}

#[test]
fn two_hundred_datagrams_in_order_with_their_addresses() {
    for ip in ["127.0.0.1:0", "[::1]:0"] {
        let (a, b) = (bind(ip), bind(ip));
        let payloads: Vec<Vec<u8>> = (0..200_u16).map(|i| vec![i as u8; usize::from(i) + 1]).collect();
        let items: Vec<_> = payloads
            .iter()
            .map(|p| SendItem::plain(b.local_addr(), p))
            .collect();
        let (report, failures) = send_all(&a, &items);
        assert_eq!(
            report,
            SendReport {
                done: 200,
                blocked: false,
                queue_drops: 0,
                // All of different length: 64 packets in a call, and a datagram in each.
                calls: 4,
            }
        );
        assert!(failures.is_empty());
        let got = receive(&b, 200);
        assert_eq!(
            got.iter().map(|(bytes, _)| bytes.clone()).collect::<Vec<_>>(),
            payloads
        );
        for (_, meta) in &got {
            assert_eq!(meta.remote, a.local_addr());
            assert_eq!(meta.local, Some(b.local_addr().ip()));
            assert!(meta.ifindex > 0 && !meta.truncated);
        }
    }
}

/// Thirty datagrams and thirty more are two packets of thirty, if the second thirty belong together.
#[test]
fn what_belongs_together_begins_a_packet() {
    let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let bytes = [5; 1400];
    let lengths = |begins_at: usize| {
        let items: Vec<_> = (0..60)
            .map(|i| SendItem {
                remote: b.local_addr(),
                local: None,
                dscp: None,
                confirms: false,
                begins: i == begins_at,
                bytes: &bytes,
            })
            .collect();
        let (report, failures) = send_all(&a, &items);
        assert!(report.done == 60 && report.calls == 1 && failures.is_empty());
        let mut batch = RecvBatch::new(4, MERGED);
        let mut lengths = Vec::new();
        let until = Instant::now() + Duration::from_secs(5);
        while lengths.iter().sum::<usize>() < 60 && Instant::now() < until {
            b.receive(&mut batch).unwrap_or_else(|e| panic!("{e}"));
            lengths.extend(batch.iter_mut().map(|(bytes, _)| bytes.len() / 1400));
        }
        lengths
    };
    assert_eq!(lengths(30), [30, 30]);
    // Half empty packets are filled first.
    assert_eq!(lengths(10), [46, 14]);
}

#[test]
fn answers_leave_from_the_address_that_was_addressed() {
    let server = bind("0.0.0.0:0");
    let client = bind("127.0.0.1:0");
    let port = server.local_addr().port();
    let remote = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port));
    send_all(
        &client,
        &[SendItem {
            remote,
            local: None,
            dscp: None,
            confirms: false,
            begins: false,
            bytes: b"to 2",
        }],
    );
    let got = receive(&server, 1);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].1.local, Some(remote.ip()));
    let answer = SendItem {
        remote: client.local_addr(),
        local: got[0].1.local,
        dscp: None,
        confirms: false,
        begins: false,
        bytes: b"from 2",
    };
    let (_, failures) = send_all(&server, &[answer]);
    assert!(failures.is_empty(), "{failures:?}");
    let got = receive(&client, 1);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].1.remote, remote);
}

#[test]
fn an_explicit_ipv6_source_is_taken_and_a_foreign_one_is_refused() {
    let server = bind("[::]:0");
    let client = bind("[::1]:0");
    let remote = client.local_addr();
    let item = |ip: Ipv6Addr| SendItem {
        remote,
        local: Some(ip.into()),
        dscp: None,
        confirms: false,
        begins: false,
        bytes: b"x",
    };
    let (report, failures) = send_all(
        &server,
        &[
            item(Ipv6Addr::LOCALHOST),
            item(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        ],
    );
    assert_eq!(report.done, 2);
    assert_eq!(failures.iter().map(|f| f.index).collect::<Vec<_>>(), [1]);
    assert_eq!(receive(&client, 1).len(), 1);
}

#[test]
fn a_longer_datagram_is_marked_as_cut_off() {
    let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    send_all(&a, &[SendItem::plain(b.local_addr(), &[1; 3000])]);
    let mut batch = RecvBatch::new(4, 2048);
    let until = Instant::now() + Duration::from_secs(5);
    while b.receive(&mut batch).unwrap_or_else(|e| panic!("{e}")).received == 0 {
        assert!(Instant::now() < until, "nothing came");
    }
    let got: Vec<_> = batch.iter_mut().map(|(b, m)| (b.len(), m.truncated)).collect();
    assert_eq!(got, [(2048, true)]);
}

/// On the loopback the ICMP error is there before the send returns, so that each send to the closed port leaves an
/// error for whatever comes next.
#[test]
fn errors_left_by_icmp_cost_no_datagram() {
    for ip in ["127.0.0.1:0", "[::1]:0"] {
        let a = bind(ip);
        let b = bind(ip);
        let closed = bind(ip).local_addr();
        let item = |remote, bytes| SendItem {
            remote,
            local: None,
            dscp: None,
            confirms: false,
            begins: false,
            bytes,
        };
        let mut items = Vec::new();
        for i in 0..100 {
            items.push(item(
                if i % 3 == 0 { closed } else { b.local_addr() },
                &b"data"[..],
            ));
        }
        let (report, failures) = send_all(&a, &items);
        assert_eq!(report.done, 100);
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(receive(&b, 66).len(), 66);

        // What waits is received although an error is pending.
        send_all(&b, &[item(a.local_addr(), b"answer")]);
        send_all(&a, &[item(closed, b"leaves an error")]);
        assert_eq!(receive(&a, 1).len(), 1);

        let mut hints = Vec::new();
        let until = Instant::now() + Duration::from_secs(5);
        while hints.len() < 35 && Instant::now() < until {
            a.drain_errors(1000, &mut hints).unwrap_or_else(|e| panic!("{e}"));
        }
        assert_eq!(hints.len(), 35);
        for hint in hints {
            assert_eq!(hint.remote, closed);
            assert_eq!(
                (hint.kind, hint.errno, hint.is_local),
                (IcmpKind::Unreachable, libc::ECONNREFUSED, false)
            );
        }
    }
}

#[test]
fn a_refused_datagram_is_named_and_the_rest_goes() {
    let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
    let good = SendItem::plain(b.local_addr(), b"good");
    // Broadcast without SO_BROADCAST is refused.
    let bad = SendItem::plain(SocketAddr::from(([255; 4], 9)), b"bad");
    let other_family = SendItem::plain(SocketAddr::from((Ipv6Addr::LOCALHOST, 9)), b"bad");
    let items = [bad, good, good, bad, other_family, good];
    let (report, failures) = send_all(&a, &items);
    assert_eq!((report.done, report.blocked), (6, false));
    assert_eq!(failures.iter().map(|f| f.index).collect::<Vec<_>>(), [0, 3, 4]);
    assert_eq!(receive(&b, 3).len(), 3);
}

#[test]
fn what_the_kernel_drops_is_counted() {
    let options = UdpOptions {
        receive_buffer: 16 << 10,
        gro: false,
        ..UdpOptions::default()
    };
    let a = bind("127.0.0.1:0");
    let Ok(b) = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &options) else {
        panic!()
    };
    let item = SendItem::plain(b.local_addr(), &[0; 1000]);
    send_all(&a, &vec![item; 500]);
    // The count travels with the next datagram that fits.
    let (mut sent, mut got) = (500, 0);
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until && got + b.overflows() < sent {
        std::thread::sleep(Duration::from_millis(20));
        got += receive(&b, 1).len() as u64;
        send_all(&a, &[item]);
        sent += 1;
        got += receive(&b, 1).len() as u64;
    }
    assert!(got > 0 && b.overflows() > 0);
    assert_eq!(got + b.overflows(), sent);
}

#[test]
fn errors_of_binding_name_the_address_and_the_remedy() {
    let a = bind("127.0.0.1:0");
    let options = UdpOptions::default();
    let text = |address: SocketAddr, options: &UdpOptions| match UdpSocket::bind(address, options) {
        Ok(_) => panic!("{address} could be bound"),
        Err(e) => e.to_string(),
    };
    let used = text(a.local_addr(), &options);
    assert!(
        used.contains(&a.local_addr().to_string()) && used.contains("in use"),
        "{used}"
    );
    let foreign = text(SocketAddr::from(([192, 0, 2, 77], 7700)), &options);
    assert!(
        foreign.contains("192.0.2.77:7700") && foreign.contains("not an address of this host"),
        "{foreign}"
    );
    let device = UdpOptions {
        device: Some("no-such-dev".into()),
        ..options.clone()
    };
    let missing = text(SocketAddr::from(([127, 0, 0, 1], 0)), &device);
    assert!(missing.contains("'no-such-dev'"), "{missing}");
    let Ok(link_local) = "[fe80::1]:7700".parse() else {
        panic!()
    };
    let unscoped = text(link_local, &options);
    assert!(unscoped.contains("link-local"), "{unscoped}");
}

#[test]
fn the_options_are_in_force() {
    let options = UdpOptions {
        dscp: 46,
        ..UdpOptions::default()
    };
    let Ok(v4) = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &options) else {
        panic!()
    };
    assert_eq!(v4.socket.tos_v4().ok(), Some(46 << 2));
    assert!(v4.socket.nonblocking().is_ok_and(|n| n));
    let Ok(v6) = UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), &options) else {
        panic!()
    };
    // Both families on one port: the IPv6 socket takes IPv6 only.
    let same_port = SocketAddr::from((Ipv4Addr::UNSPECIFIED, v6.local_addr().port()));
    assert!(UdpSocket::bind(same_port, &options).is_ok());
    assert!(v4.receive_buffer() >= 200 << 10);
}

/// What a receiver that asks for it (`IP_RECVTOS`, `IPV6_RECVTCLASS`) is told of the traffic class of each datagram.
#[test]
fn each_datagram_has_its_class_and_the_others_the_sockets() {
    for ip in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        let options = UdpOptions {
            dscp: 10,
            ..UdpOptions::default()
        };
        let address: SocketAddr = ip.parse().unwrap_or_else(|e| panic!("{ip}: {e}"));
        let a = UdpSocket::bind(address, &options).unwrap_or_else(|e| panic!("{e}"));
        let v6 = address.is_ipv6();
        let b = bind(if v6 { "[::1]:0" } else { "127.0.0.1:0" });
        let (level, name) = if v6 {
            (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)
        } else {
            (libc::IPPROTO_IP, libc::IP_RECVTOS)
        };
        assert!(set(&b.socket, level, name, 1).is_ok());
        // A wildcard socket names the source as well: both messages must fit.
        let local = address.ip().is_unspecified().then_some(b.local_addr().ip());
        let item = |dscp| SendItem {
            remote: b.local_addr(),
            local,
            dscp,
            confirms: false,
            begins: false,
            bytes: b"x",
        };
        let (_, failures) = send_all(
            &a,
            &[
                item(None),
                item(Some(48)),
                item(None),
                item(Some(0)),
                item(Some(63)),
            ],
        );
        assert!(failures.is_empty(), "{failures:?}");
        assert!(a.set_dscp(46).is_ok());
        send_all(&a, &[item(None), item(Some(48))]);
        let classes: Vec<u8> = (0..7).map(|_| class_of_next(&b)).collect();
        assert_eq!(classes, [10, 48, 10, 0, 63, 46, 48].map(|dscp| dscp << 2), "{ip}");
    }
}

fn class_of_next(socket: &UdpSocket) -> u8 {
    let until = Instant::now() + Duration::from_secs(5);
    let mut control = crate::cmsg::ControlBuffer::<256>::EMPTY;
    let mut bytes = [0_u8; 16];
    loop {
        let mut slice = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        };
        // SAFETY: a msghdr is integers and pointers; all zero is valid.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut slice;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr();
        header.msg_controllen = 256;
        // SAFETY: the header points to one slice of `bytes` and to 256 bytes of `control`, all alive during the call.
        let n = unsafe { libc::recvmsg(socket.socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
        if n < 0 {
            assert!(Instant::now() < until, "nothing came");
            continue;
        }
        #[allow(clippy::unnecessary_cast, reason = "its type differs between C libraries")]
        let len = header.msg_controllen as usize;
        let class = control.received(len).find_map(|m| {
            let v4 = m.level == libc::IPPROTO_IP && m.kind == libc::IP_TOS;
            let v6 = m.level == libc::IPPROTO_IPV6 && m.kind == libc::IPV6_TCLASS;
            // One byte for IPv4, an int for IPv6.
            (v4.then(|| m.data.first().copied()).flatten())
                .or_else(|| v6.then(|| m.u32_at(0).map(|c| c as u8)).flatten())
        });
        return class.unwrap_or_else(|| panic!("no class"));
    }
}
