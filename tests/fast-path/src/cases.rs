//! What is measured: ways to send frames that together pass every part of the fast path.

use knet_proto::{config::PolicyKind, ids::Workers, status::Traffic, time::Span};

use crate::{
    frames::{self, Frame},
    hosts::Hosts,
};

/// Rounds in five seconds, and the pause after each. Heartbeats are a second apart, so each link has some of them.
const BUSY: (usize, Span) = (2_500, Span::from_millis(2));

/// A way to send frames: some at once, and again after a pause.
#[derive(Debug)]
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// What is sent.
    pub about: &'static str,
    hosts: u8,
    /// Of the first host.
    workers: u8,
    policy: PolicyKind,
    partial_checksums: bool,
    from: u8,
    to: u8,
    frame: fn(u8, u8) -> Frame,
    /// Frames at once.
    burst: usize,
}

/// Two hosts, from the first to the second.
const PAIR: Case = Case {
    name: "",
    about: "",
    hosts: 2,
    workers: 1,
    policy: PolicyKind::Passive,
    partial_checksums: true,
    from: 0,
    to: 1,
    frame: frames::super_frame,
    burst: 1,
};

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "bulk",
        about: "super-frames of TCP: cut, sealed, kept for resending, opened, joined",
        ..PAIR
    },
    Case {
        name: "summed",
        about: "the same with a peer that wants all checksums done",
        partial_checksums: false,
        ..PAIR
    },
    Case {
        name: "short",
        about: "frames of 64 bytes, one at a time",
        frame: frames::short,
        ..PAIR
    },
    Case {
        name: "acknowledgements",
        about: "TCP acknowledgements, 20 at once",
        frame: frames::acknowledgement,
        burst: 20,
        ..PAIR
    },
    Case {
        name: "active",
        about: "super-frames of TCP over two links at once; the second copy is dropped",
        policy: PolicyKind::Active,
        ..PAIR
    },
    Case {
        name: "round-robin",
        about: "frames of 1514 bytes over two links in turn; they arrive in order",
        policy: PolicyKind::RoundRobin,
        frame: frames::full,
        ..PAIR
    },
    Case {
        name: "relay",
        about: "super-frames of TCP from a spoke to another one through the hub",
        hosts: 3,
        from: 1,
        to: 2,
        ..PAIR
    },
    Case {
        name: "parcels",
        about: "the same through a hub with two workers: one opens, the other seals",
        hosts: 3,
        workers: 2,
        from: 1,
        to: 2,
        ..PAIR
    },
];

/// The case of this name.
pub fn find(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|c| c.name == name)
}

impl Case {
    /// Connects the hosts. Nothing is sent yet.
    pub fn begin(&'static self) -> Run {
        Run {
            case: self,
            hosts: Hosts::connected(
                self.hosts,
                Workers::new(self.workers).expect("there is at least one"),
                self.policy,
                self.partial_checksums,
            ),
            frame: (self.frame)(self.from, self.to),
        }
    }
}

/// A case under way.
pub struct Run {
    case: &'static Case,
    hosts: Hosts,
    frame: Frame,
}

impl Run {
    /// Packets in a round: frames as they go over the wire, each counted once, however many copies and hops it makes.
    pub fn packets(&self) -> usize {
        self.case.burst * self.frame.segments
    }

    /// Bytes in a round, from TAP to TAP.
    pub fn bytes(&self) -> usize {
        self.case.burst * self.frame.bytes.len()
    }

    /// Sends what a round has, carries it, and lets `pause` pass.
    pub fn round(&mut self, pause: Span) {
        for _ in 0..self.case.burst {
            self.hosts.send(self.case.from, &mut self.frame);
        }
        self.hosts.pass(pause);
    }

    /// Five busy seconds, in which buffers and tables grow to what the case needs.
    pub fn warm_up(&mut self) {
        let (count, pause) = BUSY;
        for _ in 0..count {
            self.round(pause);
        }
    }

    /// Five more of them.
    pub fn go_on(&mut self) {
        let (count, pause) = BUSY;
        self.rounds(count, pause);
    }

    /// So many rounds. Not inlined: `scripts/instructions` looks for what is executed in here.
    ///
    /// # Panics
    /// If what the one TAP gave is not, in the same pieces, what the other one got.
    #[inline(never)]
    pub fn rounds(&mut self, count: usize, pause: Span) {
        let before = self.written();
        for _ in 0..count {
            self.round(pause);
        }
        let after = self.written();
        assert_eq!(
            (after.packets - before.packets, after.bytes - before.bytes),
            ((count * self.case.burst) as u64, (count * self.bytes()) as u64),
            "{}: frames were lost, or changed on the way",
            self.case.name
        );
    }

    fn written(&self) -> Traffic {
        let written = self.hosts.status(self.case.to).map(|status| status.tap_tx);
        written.fold(Traffic::default(), |sum, part| Traffic {
            packets: sum.packets + part.packets,
            bytes: sum.bytes + part.bytes,
        })
    }
}
