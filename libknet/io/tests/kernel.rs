//! TAP, netlink and UDP against a real kernel. Each test runs in a network namespace of its own, which vanishes with
//! its thread. Needs root; without it the tests say so and pass.
#![allow(clippy::unwrap_used)]

mod namespace;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    process::Command,
    time::{Duration, Instant},
};

use knet_io::{
    netlink::{Address, Monitor, NetEvent, Netlink, NetlinkError},
    tap::{PLAIN, Tap, TapError, TapOffloads, TapWrite, VNET_HEADER, is_gone},
    udp::{RecvBatch, SendBatch, SendFailure, SendItem, UdpOptions, UdpSocket},
};

use namespace::{addr, in_namespace, sh, wait_for};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn tap_carries_frames_both_ways_and_disappears_with_its_handle() {
    in_namespace(|| {
        let tap = Tap::create("knet0", TapOffloads::default()).unwrap();
        let mut netlink = Netlink::open().unwrap();
        assert_eq!(netlink.link_by_name("knet0").unwrap().ifindex, tap.ifindex());
        let mut buffer = vec![0; 65_550];
        assert_eq!(tap.read(&mut [0; VNET_HEADER], &mut buffer).unwrap(), None);
        assert_eq!(
            tap.write(&PLAIN, &[0; 60]).unwrap(),
            TapWrite::Refused,
            "the interface is down"
        );

        netlink.set_mac(tap.ifindex(), [2, 0, 0, 0, 0, 1]).unwrap();
        netlink.set_mtu(tap.ifindex(), 1400).unwrap();
        netlink.add_address(tap.ifindex(), ip("10.1.0.1"), 24).unwrap();
        netlink.set_up(tap.ifindex(), true).unwrap();
        let link = netlink.link(tap.ifindex()).unwrap();
        assert_eq!(
            (link.mac, link.mtu, link.up, link.carrier),
            (Some([2, 0, 0, 0, 0, 1]), 1400, true, true)
        );
        for on in [false, true] {
            tap.set_carrier(on).unwrap();
            let link = netlink.link(tap.ifindex()).unwrap();
            assert_eq!((link.up, link.carrier), (true, on));
        }

        // The kernel asks for a neighbour: an ARP request comes out.
        let socket = UdpSocket::bind(addr("10.1.0.1:0"), &UdpOptions::default()).unwrap();
        let item = SendItem::plain(addr("10.1.0.2:7"), b"hello");
        socket.send(&mut SendBatch::new(), 1, |_| item, &mut Vec::new());
        let mut arp = Vec::new();
        wait_for("the ARP request", || {
            match tap.read(&mut [0; VNET_HEADER], &mut buffer).unwrap() {
                Some(n) if buffer[12..14] == [8, 6] => {
                    arp = buffer[..n].to_vec();
                    true
                }
                _ => false,
            }
        });
        assert_eq!(arp[6..12], [2, 0, 0, 0, 0, 1]);
        assert_eq!(arp[38..42], [10, 1, 0, 2]);

        // It is answered, and the datagram comes out.
        let mut reply = arp.clone();
        reply[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        reply[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
        reply[21] = 2;
        reply[22..28].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
        reply[28..32].copy_from_slice(&[10, 1, 0, 2]);
        reply[32..38].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        reply[38..42].copy_from_slice(&[10, 1, 0, 1]);
        assert_eq!(tap.write(&PLAIN, &reply).unwrap(), TapWrite::Done);
        wait_for("the datagram", || {
            tap.read(&mut [0; VNET_HEADER], &mut buffer)
                .unwrap()
                .is_some_and(|n| buffer[..n].ends_with(b"hello"))
        });
        assert_eq!(buffer[..6], [2, 0, 0, 0, 0, 2]);

        for odd in [0, 1, 13] {
            assert_eq!(
                tap.write(&PLAIN, &vec![0; odd]).unwrap(),
                TapWrite::Refused,
                "{odd} bytes"
            );
        }

        drop(tap);
        assert!(matches!(netlink.link_by_name("knet0"), Err(NetlinkError::NoLink(n)) if n == "knet0"));
    });
}

#[test]
fn a_name_that_is_taken_is_refused_and_a_deleted_tap_says_so() {
    in_namespace(|| {
        let tap = Tap::create("knet0", TapOffloads::default()).unwrap();
        let taken = Tap::create("knet0", TapOffloads::default()).unwrap_err();
        assert!(
            matches!(&taken, TapError::NameTaken(n) if n == "knet0"),
            "{taken}"
        );
        assert!(taken.to_string().contains("ip link show knet0"));
        assert!(matches!(
            Tap::create("lo", TapOffloads::default()),
            Err(TapError::NameTaken(_))
        ));
        sh("ip link delete knet0");
        let error = tap.read(&mut [0; VNET_HEADER], &mut [0; 100]).unwrap_err();
        assert!(is_gone(&error), "{error}");
        assert!(is_gone(&tap.write(&PLAIN, &[0; 60]).unwrap_err()));
    });
}

#[test]
fn addresses_can_be_set_twice_used_at_once_and_removed_twice() {
    in_namespace(|| {
        let tap = Tap::create("knet0", TapOffloads::default()).unwrap();
        let mut netlink = Netlink::open().unwrap();
        netlink.set_up(tap.ifindex(), true).unwrap();
        for (address, prefix) in [("10.1.0.1", 24), ("fd00::1", 64)] {
            for _ in 0..2 {
                netlink.add_address(tap.ifindex(), ip(address), prefix).unwrap();
            }
            let of_tap = |netlink: &mut Netlink| {
                let all = netlink.addresses().unwrap();
                all.into_iter()
                    .filter(|a| a.ip == ip(address))
                    .collect::<Vec<_>>()
            };
            let want = Address {
                ifindex: tap.ifindex(),
                ip: ip(address),
                prefix,
                unusable: false,
            };
            assert_eq!(of_tap(&mut netlink), [want]);
            UdpSocket::bind(SocketAddr::new(ip(address), 7700), &UdpOptions::default()).unwrap();
            for _ in 0..2 {
                netlink
                    .remove_address(tap.ifindex(), ip(address), prefix)
                    .unwrap();
            }
            assert_eq!(of_tap(&mut netlink), []);
        }
        let error = netlink
            .add_address(tap.ifindex(), ip("10.1.0.1"), 77)
            .unwrap_err()
            .to_string();
        assert!(error.contains("10.1.0.1/77"), "{error}");
        let error = netlink.set_mtu(tap.ifindex(), 10).unwrap_err().to_string();
        assert!(error.contains("MTU") && error.contains("10"), "{error}");
        assert!(netlink.set_up(99_999, true).is_err());
    });
}

#[test]
fn the_monitor_tells_of_carrier_addresses_and_removal() {
    in_namespace(|| {
        let mut monitor = Monitor::open().unwrap();
        sh("ip link add va type veth peer name vb");
        let a = Netlink::open().unwrap().link_by_name("va").unwrap().ifindex;
        let mut after = |command: &str, wanted: &[&dyn Fn(&NetEvent) -> bool]| {
            sh(command);
            let start = Instant::now();
            let mut events = Vec::new();
            wait_for(command, || {
                monitor.drain(64, &mut events).unwrap();
                wanted.iter().all(|w| events.iter().any(w))
            });
            println!("{:?} after '{command}' returned", start.elapsed());
            events
        };
        let carrier = |up: bool| move |e: &NetEvent| matches!(e, NetEvent::LinkChanged(l) if l.ifindex == a && l.up && l.carrier == up);
        let added = |e: &NetEvent| matches!(e, NetEvent::AddressChanged(x) if x.ifindex == a && x.ip == ip("10.9.0.1"));
        let removed = |e: &NetEvent| matches!(e, NetEvent::AddressRemoved(x) if x.ip == ip("10.9.0.1"));
        after(
            "ip link set va up; ip link set vb up; ip addr add 10.9.0.1/24 dev va",
            &[&carrier(true), &added],
        );
        after("ip link set vb down", &[&carrier(false)]);
        after("ip link set vb up", &[&carrier(true)]);
        after("ip addr del 10.9.0.1/24 dev va", &[&removed]);
        let down =
            |e: &NetEvent| matches!(e, NetEvent::LinkChanged(l) if l.ifindex == a && !l.up && !l.carrier);
        after("ip link set va down", &[&down]);

        // A bridge port that leaves its bridge is not a deleted interface.
        let joined =
            |e: &NetEvent| matches!(e, NetEvent::LinkChanged(l) if l.ifindex == a && l.master.is_some());
        let gone = |e: &NetEvent| matches!(e, NetEvent::LinkRemoved { ifindex, .. } if *ifindex == a);
        after(
            "ip link add vbr type bridge; ip link set va master vbr",
            &[&joined],
        );
        let left = after(
            "ip link set va nomaster; ip addr add 10.9.0.1/24 dev va",
            &[&added],
        );
        assert!(!left.iter().any(gone), "{left:?}");
        after("ip link del va", &[&gone]);
    });
}

#[test]
fn lost_events_are_noticed() {
    in_namespace(|| {
        let mut monitor = Monitor::open().unwrap();
        sh(
            "for i in $(seq 1 20); do for j in $(seq 1 200); do echo addr add 10.2.$i.$j/32 dev lo; done; done \
            | ip -batch -",
        );
        let mut events = Vec::new();
        monitor.drain(100_000, &mut events).unwrap();
        assert!(
            events.contains(&NetEvent::Resync),
            "{} events, none lost",
            events.len()
        );
    });
}

/// The socket stays bound to an address that vanishes, and works again when it returns.
#[test]
fn a_socket_survives_the_loss_of_its_address() {
    in_namespace(|| {
        sh(
            "ip addr add 10.3.0.1/32 dev lo; ip addr add fd03::1/128 dev lo nodad; \
            ip addr add 10.3.0.2/32 dev lo; ip addr add fd03::2/128 dev lo nodad",
        );
        for (a, b, del) in [
            ("10.3.0.1:77", "10.3.0.2:77", "10.3.0.1/32"),
            ("[fd03::1]:77", "[fd03::2]:77", "fd03::1/128"),
        ] {
            let a = UdpSocket::bind(addr(a), &UdpOptions::default()).unwrap();
            let b = UdpSocket::bind(addr(b), &UdpOptions::default()).unwrap();
            // Whether a datagram gets across within `millis`, and the errno of sending it.
            let exchange = |from: &UdpSocket, to: &UdpSocket, millis| {
                let mut batch = RecvBatch::new(64, 100);
                while to.receive(&mut batch).unwrap().received > 0 {}
                let item = SendItem::plain(to.local_addr(), b"x");
                let mut failures = Vec::new();
                from.send(&mut SendBatch::new(), 1, |_| item, &mut failures);
                let until = Instant::now() + Duration::from_millis(millis);
                let mut received = false;
                while !received && Instant::now() < until {
                    received = to.receive(&mut batch).unwrap().received > 0;
                }
                (received, failures.pop().and_then(|f| f.error.raw_os_error()))
            };
            assert_eq!(exchange(&a, &b, 2000), (true, None));
            assert_eq!(exchange(&b, &a, 2000), (true, None));
            sh(&format!("ip addr del {del} dev lo"));
            let (received, errno) = exchange(&a, &b, 50);
            println!("{del} gone: received {received}, errno {errno:?}");
            // IPv4 refuses to send from it. IPv6 sends, and only the answers fail to arrive: netlink alone tells.
            if del.contains('.') {
                assert!(
                    !received && errno == Some(libc::ENETUNREACH),
                    "{received} {errno:?}"
                );
            }
            assert!(!exchange(&b, &a, 50).0);
            sh(&format!("ip addr add {del} dev lo"));
            // Not at once: an IPv6 address is tentative at first.
            wait_for("traffic", || exchange(&a, &b, 100) == (true, None));
            wait_for("traffic back", || exchange(&b, &a, 100) == (true, None));
        }
    });
}

/// Two ends of a wire in one namespace, the far one without an address: what goes there is counted by its interface.
const WIRE: &str = "ip link add va type veth peer name vb; ip link set va up; ip link set vb up; \
    ip addr add 10.4.0.1/24 dev va; ip neigh add 10.4.0.2 lladdr 02:00:00:00:00:02 dev va nud permanent";

fn received_by(interface: &str) -> u64 {
    let output = Command::new("ip")
        .args(["-s", "-j", "link", "show", interface])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rx = text.split_once("\"rx\":").unwrap().1;
    let bytes = rx.split_once("\"packets\":").unwrap().1;
    bytes
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// Among datagrams that would leave as one packet those that the device does not take are refused, and no others.
#[test]
fn datagrams_too_long_for_the_device_take_no_others_with_them() {
    in_namespace(|| {
        sh(WIRE);
        let socket = UdpSocket::bind(addr("10.4.0.1:0"), &UdpOptions::default()).unwrap();
        let bytes = [0; 1600];
        let lengths = [1400, 1400, 1600, 1600, 1600, 1473, 1472, 1472, 1400];
        let item = |i: usize| SendItem::plain(addr("10.4.0.2:7"), &bytes[..lengths[i]]);
        let mut failures = Vec::new();
        let report = socket.send(&mut SendBatch::new(), lengths.len(), item, &mut failures);
        assert_eq!((report.done, report.blocked), (lengths.len(), false));
        assert!(failures.iter().all(SendFailure::is_too_big));
        assert_eq!(failures.iter().map(|f| f.index).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert!(socket.segments(), "nothing is wrong with the device");
    });
}

/// Kernels before 6.11 do not cut up packets for a device that completes no checksums (EIO), later ones do it in
/// software. Neither way anything is lost.
#[test]
fn a_device_without_checksums_loses_nothing() {
    in_namespace(|| {
        sh(WIRE);
        switch_checksums_off("va");
        let socket = UdpSocket::bind(addr("10.4.0.1:0"), &UdpOptions::default()).unwrap();
        assert!(socket.segments());
        let item = SendItem::plain(addr("10.4.0.2:7"), &[0; 1000]);
        let before = received_by("vb");
        let mut failures = Vec::new();
        let report = socket.send(&mut SendBatch::new(), 200, |_| item, &mut failures);
        assert_eq!((report.done, report.blocked, failures.len()), (200, false, 0));
        wait_for("all of them", || received_by("vb") >= before + 200);
        println!(
            "packets are still made of several datagrams: {}",
            socket.segments()
        );
    });
}

/// A neighbour whose answers come through us needs not be asked by the kernel whether it is still there. One of which
/// nothing is said is, and does not answer: it is given up.
#[test]
fn a_confirmed_neighbour_is_not_asked() {
    in_namespace(|| {
        sh(WIRE);
        sh(
            "cd /proc/sys/net/ipv4/neigh/va; echo 400 > base_reachable_time_ms; echo 1 > delay_first_probe_time; \
            echo 1 > ucast_solicit; echo 0 > mcast_solicit; echo 100 > retrans_time_ms; \
            for n in 3 4; do ip neigh add 10.4.0.$n lladdr 02:00:00:00:00:0$n dev va nud reachable; done",
        );
        let socket = UdpSocket::bind(addr("10.4.0.1:0"), &UdpOptions::default()).unwrap();
        let items = [("10.4.0.3:7", true), ("10.4.0.4:7", false)].map(|(remote, confirms)| SendItem {
            remote: addr(remote),
            local: None,
            dscp: None,
            confirms,
            begins: false,
            bytes: b"x",
        });
        let state = |neighbour: &str| {
            let output = Command::new("ip")
                .args(["neigh", "show", neighbour])
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let mut failures = Vec::new();
        wait_for("the other to be given up", || {
            socket.send(&mut SendBatch::new(), 2, |i| items[i], &mut failures);
            std::thread::sleep(Duration::from_millis(50));
            assert!(state("10.4.0.3").contains("lladdr"), "{}", state("10.4.0.3"));
            !state("10.4.0.4").contains("lladdr")
        });
    });
}

/// `ETHTOOL_STXCSUM`.
fn switch_checksums_off(interface: &str) {
    let mut value = [0x17_u32, 0];
    // SAFETY: an ifreq is integers and a union of integers and pointers; all zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // SAFETY: the request names an `ethtool_value { u32 cmd, data; }`, which `value` is; both outlive the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// A slow device fills the send buffer: the batch is handed back for later, nothing waits, nothing is lost.
#[test]
fn a_full_send_buffer_is_back_pressure() {
    in_namespace(|| {
        sh(
            "ip link add va type veth peer name vb; ip link set va up; ip link set vb up; ip addr add 10.4.0.1/24 dev va; \
            ip neigh add 10.4.0.2 lladdr 02:00:00:00:00:02 dev va nud permanent; \
            tc qdisc add dev va root tbf rate 1mbit burst 4kb limit 100mb",
        );
        let options = UdpOptions {
            send_buffer: 64 << 10,
            ..UdpOptions::default()
        };
        let socket = UdpSocket::bind(addr("10.4.0.1:0"), &options).unwrap();
        let item = SendItem::plain(addr("10.4.0.2:7"), &[0; 1400]);
        let mut failures = Vec::new();
        let start = Instant::now();
        let report = socket.send(&mut SendBatch::new(), 1000, |_| item, &mut failures);
        assert!(
            report.blocked && report.done > 0 && report.done < 1000,
            "{report:?}"
        );
        assert!(failures.is_empty() && start.elapsed() < Duration::from_millis(200));

        // A queue of the device that is shorter than the buffer drops instead.
        sh("tc qdisc replace dev va root tbf rate 1mbit burst 4kb limit 8kb");
        let options = UdpOptions {
            send_buffer: 4 << 20,
            ..UdpOptions::default()
        };
        let roomy = UdpSocket::bind(addr("10.4.0.1:0"), &options).unwrap();
        let report = roomy.send(&mut SendBatch::new(), 100, |_| item, &mut failures);
        assert_eq!((report.done, report.blocked), (100, false));
        assert!(report.queue_drops > 50 && failures.is_empty(), "{report:?}");
    });
}
