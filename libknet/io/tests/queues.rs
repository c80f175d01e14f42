//! How the kernel treats several queues of one TAP: what several threads for one interface are built on, and no man page
//! promises. Needs root, as `netns.rs`.
#![allow(clippy::unwrap_used)]

mod namespace;

use std::{
    net::UdpSocket as Plain,
    num::NonZeroU8,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use knet_io::{
    netlink::Netlink,
    tap::{PLAIN, Tap, TapError, TapOffloads, TapWrite, VNET_HEADER, is_gone},
};
use namespace::{addr, in_namespace, sh, wait_for};

const FOUR: NonZeroU8 = NonZeroU8::new(4).unwrap();
/// Conversations between this host and one behind the TAP.
const FLOWS: usize = 64;

/// The TAP with four handles, and sockets of this host that talk to port 7 of a host behind it.
struct Queues {
    taps: Vec<Tap>,
    flows: Vec<Plain>,
}

impl Queues {
    fn new() -> Self {
        let taps = Tap::create_queues("knet0", TapOffloads::default(), FOUR).unwrap();
        sh("ip addr add 10.1.0.1/24 dev knet0; ip link set knet0 up; \
            ip neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev knet0 nud permanent");
        let flow = |_| {
            let socket = Plain::bind(addr("10.1.0.1:0")).unwrap();
            socket.connect(addr("10.1.0.2:7")).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket
        };
        let flows = (0..FLOWS).map(flow).collect();
        Self { taps, flows }
    }

    /// Each flow sends a datagram. Which handle it was read from, and the frame, by flow.
    fn ask(&self) -> Vec<(usize, Vec<u8>)> {
        for (i, flow) in self.flows.iter().enumerate() {
            flow.send(&[i as u8]).unwrap();
        }
        let mut seen = vec![None; FLOWS];
        let mut buffer = vec![0; 2000];
        wait_for("a frame of each flow", || {
            for (place, tap) in self.taps.iter().enumerate() {
                while let Some(n) = tap.read(&mut [0; VNET_HEADER], &mut buffer).unwrap() {
                    // IPv4, UDP, port 7; others have nothing to do with it.
                    if n == 43 && buffer[12..14] == [8, 0] && buffer[23] == 17 && buffer[36..38] == [0, 7] {
                        let flow = usize::from(buffer[42]);
                        assert!(seen[flow].is_none(), "flow {flow} twice");
                        seen[flow] = Some((place, buffer[..n].to_vec()));
                    }
                }
            }
            seen.iter().all(Option::is_some)
        });
        seen.into_iter().flatten().collect()
    }

    fn is_answered(&self, flow: usize) {
        let mut byte = [0];
        assert_eq!(self.flows[flow].recv(&mut byte).unwrap(), 1);
        assert_eq!(usize::from(byte[0]), flow);
    }
}

/// The same datagram on its way back. The checksum of the IP header stays, that of UDP is left out.
fn answer_to(question: &[u8]) -> Vec<u8> {
    let q = question;
    let parts = [
        &q[6..12],
        &q[..6],
        &q[12..26],
        &q[30..34],
        &q[26..30],
        &q[36..38],
        &q[34..36],
        &q[38..40],
        &[0, 0],
        &q[42..],
    ];
    parts.concat()
}

/// All frames of a flow are read from one handle for ever, wherever its answers are written, and each answer arrives.
#[test]
fn a_flow_stays_at_its_queue_whoever_writes_the_answers() {
    in_namespace(|| {
        let queues = Queues::new();
        let home: Vec<usize> = queues.ask().iter().map(|(place, _)| *place).collect();
        for place in 0..4 {
            let flows = home.iter().filter(|h| **h == place).count();
            assert!(flows > 0, "{home:?}");
        }
        for round in 1..=4 {
            let asked = queues.ask();
            assert_eq!(asked.iter().map(|(place, _)| *place).collect::<Vec<_>>(), home);
            for (flow, (place, question)) in asked.iter().enumerate() {
                let other = &queues.taps[(place + round) % 4];
                assert_eq!(other.write(&PLAIN, &answer_to(question)).unwrap(), TapWrite::Done);
                queues.is_answered(flow);
            }
            if round == 3 {
                // The kernel forgets a flow after 3 s, if it has heard of it.
                std::thread::sleep(Duration::from_millis(3200));
            }
        }
        let asked = queues.ask();
        assert_eq!(asked.iter().map(|(place, _)| *place).collect::<Vec<_>>(), home);

        // What would happen otherwise: an answer that comes through the queue that another thread reads from.
        for (flow, (place, question)) in asked.iter().enumerate() {
            let attached = queues.taps[(place + 1) % 4].as_fd().as_raw_fd();
            let bytes = [&PLAIN[..], &answer_to(question)].concat();
            // SAFETY: the bytes are readable for their length.
            let n = unsafe { libc::write(attached, bytes.as_ptr().cast(), bytes.len()) };
            assert_eq!(n, bytes.len() as isize);
            queues.is_answered(flow);
        }
        let moved: Vec<usize> = queues.ask().iter().map(|(place, _)| *place).collect();
        assert!(
            moved
                .iter()
                .zip(&home)
                .all(|(now, before)| *now == (before + 1) % 4),
            "{moved:?}, before {home:?}: if nothing moves here, the test above proves nothing"
        );
    });
}

#[test]
fn queues_are_one_interface_with_one_life() {
    in_namespace(|| {
        let one = Tap::create_queues("knet1", TapOffloads::default(), NonZeroU8::MIN).unwrap();
        assert_eq!(one.len(), 1);
        let all = TapOffloads { tso: true, uso: true };
        let mut taps = Tap::create_queues("knet0", all, FOUR).unwrap();
        let mut netlink = Netlink::open().unwrap();
        let ifindex = netlink.link_by_name("knet0").unwrap().ifindex;
        assert!(taps.iter().all(|t| t.ifindex() == ifindex && t.name() == "knet0"));
        assert!(
            taps.iter()
                .all(|t| t.offloads() == taps[0].offloads() && t.offloads().tso)
        );
        for again in [FOUR, NonZeroU8::MIN] {
            let taken = Tap::create_queues("knet0", all, again).unwrap_err();
            assert!(
                matches!(&taken, TapError::NameTaken(n) if n == "knet0"),
                "{taken}"
            );
        }
        let bad = Tap::create_queues("kn/t0", all, FOUR).unwrap_err();
        assert!(matches!(bad, TapError::BadName(_)), "{bad}");
        netlink.set_up(ifindex, true).unwrap();
        assert!(netlink.link(ifindex).unwrap().carrier);

        // As long as one is left it is there; then it is not.
        let last = taps.pop().unwrap();
        drop(taps);
        assert!(netlink.link(ifindex).unwrap().carrier);
        drop(last);
        // What another test starts holds all descriptors until it has become another program.
        wait_for("the interface to go", || netlink.link(ifindex).is_err());

        let taps = Tap::create_queues("knet0", all, FOUR).unwrap();
        sh("ip link delete knet0");
        for tap in &taps {
            assert!(is_gone(
                &tap.read(&mut [0; VNET_HEADER], &mut [0; 100]).unwrap_err()
            ));
            assert!(is_gone(&tap.write(&PLAIN, &[0; 60]).unwrap_err()));
        }
    });
}
