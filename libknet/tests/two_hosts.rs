//! Two hosts, each a process in a network namespace of its own, joined by veth cables: real TAPs, real sockets, the
//! kernel's own ping. Needs root; without it the tests say so and pass. Everything vanishes with the processes.
#![allow(clippy::unwrap_used)]

use std::{
    env,
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use libknet::{
    Change, Event, Interface, InterfaceSetup, Offloads, OsEntropy, PingResult, Query, Reply, SocketSetup,
    proto::{
        config::{
            AddressList, DomainConfig, InterfaceConfig, LinkConfig, LinkConfigs, MtuPolicy, PeerConfig,
            PolicyKind, PortRules, PresharedKey, PrivateKey, PublicKey, Remote, TapMtu,
        },
        ids::{LinkId, PeerId, SocketId, Workers},
        rng::Entropy,
        time::Span,
    },
    stable_mac, suites_of_this_machine,
};

const NODE: &str = "KNET_TEST_NODE";
/// The next event of a peer makes the data thread that it comes from panic.
static PANIC: AtomicBool = AtomicBool::new(false);

#[test]
fn frames_cross_and_a_cut_cable_costs_nothing() {
    for workers in [1, 2] {
        frames_cross(workers);
    }
}

fn frames_cross(workers: u8) {
    let Some(mut pair) = Pair::new(2, "192.0.2", "24") else {
        return;
    };
    pair.workers = workers;
    pair.start_both(PolicyKind::Passive, "10.77.0", |pair, side, cable| {
        pair.address(side, cable).to_string()
    });
    let ping = pair.ping(&["-c", "20", "-i", "0.02", "10.77.0.2"]);
    assert_eq!(lost(&ping), 0, "{ping:?}");

    // Both links carry control traffic.
    for link in ["0", "1", "best"] {
        pair.a.say(&format!("ping {link}"));
        let answer = pair.a.wait("pong", |l| l.starts_with("pong"));
        assert!(answer.contains("Answered"), "link {link}: {answer}");
    }

    // The cable in use loses its carrier under flood. What is on it at that moment may be lost, nothing else.
    let result = pair.cut_carrier_under_flood("10.77.0.2");
    assert!(lost(&result) <= 3, "{result:?}");
    pair.a.say("workers");
    let shares = pair.a.wait("workers", |l| l.starts_with("workers"));
    println!("{shares}");
    assert_eq!(shares.matches("peers_up").count(), usize::from(workers));
    // All of the peer is at the last one, as is all that comes from it.
    assert_eq!(shares.matches("peers: 1, peers_up: 1").count(), 1);
    let misfits = shares
        .matches("datagrams: Traffic { packets: 0, bytes: 0 }")
        .count();
    assert_eq!(misfits, 2 * usize::from(workers), "neither handed nor taken");

    // The end: TAP gone, goodbye heard.
    let start = Instant::now();
    pair.a.say("stop");
    pair.a.wait("stopped", |l| l == "stopped");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    pair.b.wait("goodbye", |l| {
        l.contains("SessionDown") && l.contains("ClosedByPeer")
    });
    assert!(!pair.a.output("ip link show knet0").status.success());
}

#[test]
fn ipv6_underlay_and_wildcard_sockets() {
    let Some(mut pair) = Pair::new(1, "fd00:1", "64") else {
        return;
    };
    pair.start_both(PolicyKind::Active, "10.78.0", |_, _, _| "[::]".to_owned());
    let ping = pair.ping(&["-c", "50", "-i", "0.01", "-s", "1372", "10.78.0.2"]);
    assert_eq!(lost(&ping), 0, "{ping:?}");
}

#[test]
fn an_address_that_vanishes_and_returns() {
    let Some(mut pair) = Pair::new(1, "192.0.2", "24") else {
        return;
    };
    pair.start_both(PolicyKind::Passive, "10.79.0", |pair, side, cable| {
        pair.address(side, cable).to_string()
    });
    assert_eq!(lost(&pair.ping(&["-c", "3", "-i", "0.05", "10.79.0.2"])), 0);
    pair.a.sh("ip addr del 192.0.2.1/24 dev c0");
    pair.a.wait("address gone", |l| {
        l.contains("Socket") && l.contains("AddressMissing")
    });
    pair.a.sh("ip addr add 192.0.2.1/24 dev c0");
    pair.a.wait("address back", |l| {
        l.contains("Socket") && l.contains("down: None")
    });
    pair.a
        .wait("link up", |l| l.contains("LinkState") && l.contains("to: Up"));
    assert_eq!(lost(&pair.ping(&["-c", "3", "-i", "0.05", "10.79.0.2"])), 0);
}

#[test]
fn changes_are_applied_whole_or_not_at_all() {
    for workers in [1, 2] {
        changes_are_applied(workers);
    }
}

fn changes_are_applied(workers: u8) {
    let Some(mut pair) = Pair::new(1, "192.0.2", "24") else {
        return;
    };
    pair.workers = workers;
    pair.start_both(PolicyKind::Passive, "10.80.0", |pair, side, cable| {
        pair.address(side, cable).to_string()
    });
    // The last of these cannot be done: no such address here.
    pair.a
        .say("apply mtu=1300 address=10.99.0.1/24 socket=7,192.0.2.1:7777 socket=8,203.0.113.9:7777");
    let answer = pair.a.wait("answer", |l| l.starts_with("applied"));
    assert!(
        answer.contains("local 8") && answer.contains("203.0.113.9:7777 is not an address"),
        "{answer}"
    );
    let link = String::from_utf8(pair.a.output("ip addr show knet0; ss -lun").stdout).unwrap();
    assert!(
        link.contains("mtu 1400") && !link.contains("10.99.0.1") && !link.contains("7777"),
        "{link}"
    );

    pair.a
        .say("apply mtu=1300 address=10.99.0.1/24 socket=7,192.0.2.1:7777 device=0,c0");
    assert_eq!(pair.a.wait("answer", |l| l.starts_with("applied")), "applied");
    let link = String::from_utf8(pair.a.output("ip addr show knet0; ss -lun").stdout).unwrap();
    assert!(
        link.contains("mtu 1300") && link.contains("10.99.0.1/24"),
        "{link}"
    );
    assert!(
        link.contains("192.0.2.1:7777") && link.contains("192.0.2.1%c0:7700"),
        "{link}"
    );
    // Traffic goes on over the socket that was bound to the device.
    let start = Instant::now();
    while lost(&pair.ping(&["-c", "1", "-W", "1", "10.80.0.2"])) > 0 {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    pair.a.sh("ip link set knet0 down");
    pair.a.say("apply down");
    pair.a.wait("answer", |l| l == "applied");
    pair.a.say("apply up");
    pair.a.wait("answer", |l| l == "applied");
    let link = String::from_utf8(pair.a.output("ip addr show knet0").stdout).unwrap();
    assert!(
        link.contains("fd77::1/64"),
        "IPv6 addresses are there again: {link}"
    );

    pair.a.sh("ip link delete knet0");
    let failed = pair.a.wait("failure", |l| l.contains("Failed"));
    assert!(failed.contains("knet0") && failed.contains("removed"), "{failed}");
    pair.a.say("apply mtu=1400");
    assert!(
        pair.a
            .wait("answer", |l| l.starts_with("applied"))
            .contains("knet0")
    );
}

/// The firewall of the other host counts what arrives by kind (the first byte of the datagram) and service class.
#[test]
fn control_datagrams_are_marked_cs6_and_data_as_configured() {
    for (prefix, length, family, tap) in [
        ("192.0.2", "24", "ip", "10.85.0"),
        ("fd00:1", "64", "ip6", "10.86.0"),
    ] {
        let Some(mut pair) = Pair::new(1, prefix, length) else {
            return;
        };
        let mut rules = String::new();
        for (kind, class) in [4, 5]
            .into_iter()
            .flat_map(|kind| [0, 10, 48].map(|class| (kind, class)))
        {
            let comment = format!("comment kind-{kind}-class-{class}");
            write!(
                rules,
                "udp dport 7700 @th,64,8 {kind} {family} dscp {class} counter {comment}; "
            )
            .unwrap();
        }
        pair.b.sh(&format!(
            "nft 'add table inet t; add chain inet t in {{ type filter hook input priority 0; {rules} }}'"
        ));
        pair.start_both(PolicyKind::Passive, tap, |pair, side, cable| {
            let ip = pair.address(side, cable);
            if family == "ip" {
                ip.to_string()
            } else {
                "[::]".to_owned()
            }
        });
        let other = format!("{tap}.2");
        let count = |pair: &Pair, kind: u8, class: u8| -> u32 {
            let output = pair.b.output("nft list chain inet t in").stdout;
            let text = String::from_utf8(output).unwrap();
            let rule = text
                .lines()
                .find(|l| l.contains(&format!("kind-{kind}-class-{class}")));
            let rule = rule.unwrap_or_else(|| panic!("{text}"));
            rule.split_once("packets ")
                .unwrap()
                .1
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        assert_eq!(lost(&pair.ping(&["-c", "20", "-i", "0.01", &other])), 0);
        assert!(count(&pair, 4, 0) >= 20);
        // While it runs, and nothing is disturbed.
        pair.a.say("apply dscp=10");
        assert_eq!(pair.a.wait("answer", |l| l.starts_with("applied")), "applied");
        let before = count(&pair, 4, 0);
        let ping = pair.ping(&["-c", "200", "-i", "0.01", &other]);
        assert_eq!(lost(&ping), 0, "{ping:?}");
        assert!(count(&pair, 4, 10) >= 200);
        assert!(count(&pair, 4, 0) <= before + 1, "what was just being sent");
        assert!(count(&pair, 5, 48) >= 3, "heartbeats and reports");
        let wrong = [(5, 0), (5, 10), (4, 48)].map(|(kind, class)| count(&pair, kind, class));
        assert_eq!(wrong, [0; 3], "{family}");
    }
}

#[test]
fn errors_at_the_start_name_the_thing() {
    let Some(mut pair) = Pair::new(1, "192.0.2", "24") else {
        return;
    };
    let line = |name: &str, socket: &str| {
        format!(
            "start {name} {} 10.1.0.1 {} passive {socket},192.0.2.2:7700",
            hex([7; 32]),
            hex([9; 32])
        )
    };
    let mut error = |name: &str, socket: &str| {
        pair.a.say(&line(name, socket));
        pair.a.wait("answer", |l| l.starts_with("error"))
    };
    let taken = error("c0", "192.0.2.1:7700");
    assert!(taken.contains("'c0' is taken"), "{taken}");
    let foreign = error("knet0", "192.0.2.9:7700");
    assert!(
        foreign.contains("local 0: 192.0.2.9:7700 is not an address of this host"),
        "{foreign}"
    );
    let bad = error("kn/t0", "192.0.2.1:7700");
    assert!(bad.contains("'kn/t0' cannot be the name"), "{bad}");
    assert!(
        !pair.a.output("ip link show knet0").status.success(),
        "nothing is left behind"
    );
}

#[test]
fn under_the_active_policy_a_cut_cable_costs_not_one_packet() {
    let Some(mut pair) = Pair::new(2, "192.0.2", "24") else {
        return;
    };
    pair.start_both(PolicyKind::Active, "10.81.0", |pair, side, cable| {
        pair.address(side, cable).to_string()
    });
    let result = pair.cut_carrier_under_flood("10.81.0.2");
    let text = String::from_utf8_lossy(&result.stdout);
    assert!(lost(&result) == 0 && !text.contains("duplicates"), "{text}");
}

/// More than the cable carries: frames wait in the TAP's queue, the thread neither spins nor stalls, and afterwards all is
/// as before.
#[test]
fn a_slow_cable_holds_the_frames_back() {
    let Some(mut pair) = Pair::new(1, "192.0.2", "24") else {
        return;
    };
    pair.start_both(PolicyKind::Passive, "10.82.0", |pair, side, cable| {
        pair.address(side, cable).to_string()
    });
    pair.ping(&["-c", "1", "10.82.0.2"]);
    pair.a
        .sh("tc qdisc add dev c0 root tbf rate 20mbit burst 20kb limit 10mb");
    let before = pair.a.cpu_ticks();
    let sent = Instant::now();
    // 5 MB take two seconds at this rate. The kernel drops what the TAP's queue cannot hold.
    pair.a.sh(
        "bash -c 'exec 3> /dev/udp/10.82.0.2/9; for i in $(seq 4000); do head -c 1300 /dev/zero >&3; done'",
    );
    let ticks = pair.a.cpu_ticks() - before;
    let took = sent.elapsed();
    assert!(
        (ticks as f64) < took.as_secs_f64() * 100.0 * 0.8,
        "{ticks} ticks of 10 ms in {took:?}: spinning"
    );
    pair.a.sh("tc qdisc del dev c0 root");
    assert_eq!(lost(&pair.ping(&["-c", "5", "-i", "0.05", "10.82.0.2"])), 0);
}

#[test]
fn an_idle_interface_hardly_uses_the_processor() {
    let Some(mut pair) = Pair::new(2, "192.0.2", "24") else {
        return;
    };
    pair.start_both(PolicyKind::Passive, "10.83.0", |pair, side, cable| {
        pair.address(side, cable).to_string()
    });
    let ticks_in_two_seconds = |host: &Host| {
        let before = host.cpu_ticks();
        std::thread::sleep(Duration::from_secs(2));
        host.cpu_ticks() - before
    };
    let idle = ticks_in_two_seconds(&pair.a);
    // The other end is gone: every datagram is answered by ICMP, which fills the error queue.
    pair.b.say("stop");
    pair.b.wait("stopped", |l| l == "stopped");
    let refused = ticks_in_two_seconds(&pair.a);
    assert!(
        idle <= 4 && refused <= 4,
        "ticks of 10 ms in 2 s: {idle} idle, {refused} with ICMP errors"
    );
}

#[test]
fn a_panic_on_a_data_thread_is_reported() {
    for workers in [1, 3] {
        a_panic_is_reported(workers);
    }
}

/// Of the peer's worker, which is the last one; the others end with it, and it is told once.
fn a_panic_is_reported(workers: u8) {
    let Some(mut pair) = Pair::new(1, "192.0.2", "24") else {
        return;
    };
    pair.workers = workers;
    pair.start_both(PolicyKind::Passive, "10.84.0", |pair, side, cable| {
        pair.address(side, cable).to_string()
    });
    pair.a.say("panic");
    pair.a.wait("order", |l| l == "armed");
    pair.a.sh("ip link set c0 down");
    let failed = pair.a.wait("failure", |l| l.contains("Failed"));
    assert!(failed.contains("data thread panicked: as ordered"), "{failed}");
    assert!(
        !pair.a.output("ip link show knet0").status.success(),
        "the TAP is gone"
    );
    // The handle stays usable: it says that nobody is there, and can be dropped.
    pair.a.say("apply mtu=1300");
    assert!(
        pair.a
            .wait("answer", |l| l.starts_with("applied"))
            .contains("stopped")
    );
    pair.a.say("stop");
    let mut after = Vec::new();
    pair.a.wait("stopped", |l| {
        after.push(l.to_owned());
        l == "stopped"
    });
    assert!(!after.iter().any(|l| l.contains("Failed")), "{after:?}");
}

/// Two hosts and the cables between them.
struct Pair {
    a: Host,
    b: Host,
    cables: usize,
    prefix: &'static str,
    /// Data workers of each; the peer belongs to the last one.
    workers: u8,
}

/// A process in a network namespace of its own.
struct Host {
    process: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Pair {
    /// Cable `n` is `c{n}` at both ends, with addresses `{prefix}...{1,2}`. `None` without root.
    fn new(cables: usize, prefix: &'static str, length: &str) -> Option<Self> {
        let id = Command::new("id").arg("-u").output().unwrap();
        if id.stdout != b"0\n" {
            println!("skipped: needs root");
            return None;
        }
        let pair = Self {
            a: Host::new(),
            b: Host::new(),
            cables,
            prefix,
            workers: 1,
        };
        let (a, b) = (pair.a.process.id(), pair.b.process.id());
        for n in 0..cables {
            pair.a
                .sh(&format!("ip link add c{n} type veth peer name c{n} netns {b}"));
            for (side, host) in [(1, &pair.a), (2, &pair.b)] {
                let ip = pair.ip(side, n);
                let dad = if ip.is_ipv6() { "nodad" } else { "" };
                host.sh(&format!(
                    "ip addr add {ip}/{length} dev c{n} {dad}; ip link set c{n} up; ip link set lo up"
                ));
            }
        }
        let _ = a;
        Some(pair)
    }

    fn ip(&self, side: usize, cable: usize) -> IpAddr {
        let text = match self.prefix {
            p if p.contains(':') => format!("{p}:{cable}::{side}"),
            // Successive networks from this one on.
            p => {
                let (head, last) = p.rsplit_once('.').unwrap();
                format!("{head}.{}.{side}", last.parse::<usize>().unwrap() + cable)
            }
        };
        text.parse().unwrap()
    }

    fn address(&self, side: usize, cable: usize) -> SocketAddr {
        SocketAddr::new(self.ip(side, cable), 7700)
    }

    /// Starts knet at both ends and waits for all links. `local` says where a side binds for a cable.
    fn start_both(&mut self, policy: PolicyKind, tap: &str, local: impl Fn(&Self, usize, usize) -> String) {
        let random = || {
            let mut bytes = [0; 32];
            OsEntropy.fill(&mut bytes);
            bytes
        };
        let keys = [
            PrivateKey::from_bytes(&random()),
            PrivateKey::from_bytes(&random()),
        ];
        for side in [1, 2] {
            let (own, other) = (&keys[side - 1], &keys[2 - side]);
            let mut line = format!(
                "start knet0 {} {tap}.{side} {} {policy:?}/{}",
                hex(*own.0),
                hex(*other.public_key().as_bytes()),
                self.workers
            );
            for cable in 0..self.cables {
                let mut local = local(self, side, cable);
                if !local.contains(":77") {
                    local.push_str(":7700");
                }
                write!(line, " {local},{}", self.address(3 - side, cable)).unwrap();
            }
            let host = if side == 1 { &mut self.a } else { &mut self.b };
            host.say(&line);
            host.wait("start", |l| l == "started");
        }
        for host in [&mut self.a, &mut self.b] {
            let mut up = 0;
            while up < self.cables {
                host.wait("links", |l| l.contains("LinkState") && l.contains("to: Up"));
                up += 1;
            }
        }
    }

    fn ping(&self, args: &[&str]) -> Output {
        self.a.output(&format!("ping {}", args.join(" ")))
    }

    /// Cable 0 is cut and restored while `ping -f` runs; gives what ping says at the end.
    fn cut_carrier_under_flood(&mut self, target: &str) -> Output {
        let pid = self.a.process.id().to_string();
        // By number and not by time, or the last one is counted as lost because it was still under way.
        let flood = Command::new("nsenter")
            .args([
                "-n", "-t", &pid, "ping", "-f", "-q", "-w", "60", "-c", "40000", target,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(300));
        self.b.sh("ip link set c0 down");
        let down = self.a.wait("link 0 down", |l| {
            l.contains("LinkState") && l.contains("LocalDown")
        });
        assert!(down.contains("LinkId(0)"), "{down}");
        std::thread::sleep(Duration::from_millis(500));
        self.b.sh("ip link set c0 up");
        self.a.wait("link 0 up", |l| {
            l.contains("LinkState") && l.contains("LinkId(0)") && l.contains("to: Up")
        });
        let result = flood.wait_with_output().unwrap();
        println!("carrier loss under flood: {}", summary(&result));
        for host in [&mut self.a, &mut self.b] {
            host.say("drops");
            println!("{}", host.wait("drops", |l| l.starts_with("drops")));
        }
        result
    }
}

impl Host {
    fn new() -> Self {
        let mut process = Command::new("unshare")
            .args(["--net", "--kill-child"])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "node", "--ignored", "--nocapture"])
            .env(NODE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .all(|l| sender.send(l).is_ok())
        });
        let mut host = Self {
            process,
            stdin,
            lines,
        };
        host.wait("node", |l| l.ends_with("ready"));
        host
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Reads lines until one is wanted.
    fn wait(&mut self, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut seen = Vec::new();
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => seen.push(line),
                Err(e) => panic!("no {what} ({e}); only:\n{}", seen.join("\n")),
            }
        }
    }

    /// Processor time of the node so far, in ticks of 10 ms.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    fn output(&self, command: &str) -> Output {
        let pid = self.process.id().to_string();
        Command::new("nsenter")
            .args(["-n", "-t", &pid, "sh", "-c", command])
            .output()
            .unwrap()
    }

    fn sh(&self, command: &str) {
        let output = self.output(&format!("set -e; {command}"));
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lost(ping: &Output) -> u64 {
    let text = String::from_utf8_lossy(&ping.stdout);
    let number = |before: &str| {
        let words: Vec<_> = text.split(before).next().unwrap().split_whitespace().collect();
        words
            .last()
            .and_then(|w| w.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("{ping:?}"))
    };
    number(" packets transmitted") - number(" received")
}

fn summary(ping: &Output) -> String {
    String::from_utf8_lossy(&ping.stdout)
        .lines()
        .skip_while(|l| !l.starts_with("---"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.map(|b| format!("{b:02x}")).concat()
}

fn unhex(text: &str) -> [u8; 32] {
    std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

/// The process of a [`Host`]: does what its standard input says.
#[test]
#[ignore = "started by the other tests"]
fn node() {
    if env::var_os(NODE).is_none() {
        return;
    }
    println!("ready");
    let mut interface = None;
    let mut sockets = Vec::new();
    let mut peer = PeerId(0);
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "start" => match start(&words[1..]) {
                Ok((started, its_sockets, its_peer)) => {
                    (interface, sockets, peer) = (Some(started), its_sockets, its_peer);
                    println!("started");
                }
                Err(e) => println!("error {e}"),
            },
            "ping" => {
                let link = words[1].parse().ok().and_then(LinkId::new);
                let reply = Box::new(|r: PingResult| println!("pong {r:?}"));
                interface
                    .as_ref()
                    .unwrap()
                    .ping(peer, link, Span::from_secs(1), reply);
            }
            "status" => {
                let reply = Box::new(|r: Reply| println!("status {r:?}"));
                interface.as_ref().unwrap().query(Query::Peer(peer), reply);
            }
            "drops" => {
                let reply = Box::new(|r: Reply| {
                    let Reply::Interface(report) = r else {
                        panic!("{r:?}")
                    };
                    let drops = report.status.drops.iter().filter(|(_, n)| *n > 0);
                    println!(
                        "drops {:?}",
                        drops.map(|(reason, n)| (reason.name(), n)).collect::<Vec<_>>()
                    );
                });
                interface.as_ref().unwrap().query(Query::Interface, reply);
            }
            "workers" => {
                let reply = Box::new(|r: Reply| {
                    let Reply::Interface(report) = r else {
                        panic!("{r:?}")
                    };
                    println!("workers {:?}", report.workers);
                });
                interface.as_ref().unwrap().query(Query::Interface, reply);
            }
            "apply" => {
                let changes = words[1..].iter().map(|w| change(w, &sockets)).collect();
                match interface.as_ref().unwrap().apply(changes) {
                    Ok(()) => println!("applied"),
                    Err(e) => println!("applied not: {e}"),
                }
            }
            "panic" => {
                PANIC.store(true, Ordering::Relaxed);
                println!("armed");
            }
            "stop" => {
                interface.take().unwrap().stop();
                println!("stopped");
            }
            other => panic!("{other}"),
        }
    }
}

/// What runs, its sockets, and the number of its peer.
type Started = (Interface, Vec<(SocketId, SocketSetup)>, PeerId);

fn start(words: &[&str]) -> Result<Started, String> {
    let [name, own, tap, peer, policy, links @ ..] = words else {
        panic!("{words:?}")
    };
    let (policy, workers) = policy.split_once('/').unwrap_or((policy, "1"));
    let workers = Workers::new(workers.parse().unwrap()).unwrap();
    let id = PeerId(u16::from(workers.get() - 1));
    let private_key = PrivateKey::from_bytes(&unhex(own));
    let tap: IpAddr = tap.parse().unwrap();
    let last = tap.to_string().rsplit('.').next().unwrap().to_owned();
    let mut sockets = Vec::new();
    let mut peer = PeerConfig {
        public_key: PublicKey::from_bytes(unhex(peer)).unwrap(),
        preshared_key: PresharedKey::default(),
        credential: None,
        policy: if policy.eq_ignore_ascii_case("active") {
            PolicyKind::Active
        } else {
            PolicyKind::Passive
        },
        isolate: false,
        spoke: false,
        shutdown: false,
        lossless: true,
        rules: PortRules::default(),
        static_macs: Vec::new(),
        hub: None,
        links: LinkConfigs::default(),
        opened: LinkConfigs::default(),
        gives: AddressList::default(),
        takes: false,
    };
    for (n, link) in links.iter().enumerate() {
        let (local, remote) = link.split_once(',').unwrap();
        let id = SocketId(n as u8);
        sockets.push((
            id,
            SocketSetup {
                address: local.parse().unwrap(),
                device: None,
            },
        ));
        let config = LinkConfig::new(Some(id), Remote::Static(remote.parse().unwrap()));
        peer.links.set(LinkId::new(n as u8).unwrap(), config);
    }
    let setup = InterfaceSetup {
        name: (*name).to_owned(),
        mac: stable_mac(&private_key.public_key()),
        mtu: TapMtu::Fixed(1400),
        addresses: vec![(tap, 24), (format!("fd77::{last}").parse().unwrap(), 64)],
        admin_up: true,
        config: InterfaceConfig {
            private_key,
            instance: OsEntropy.next_u64(),
            suites: suites_of_this_machine(),
            mac_ageing: Span::from_secs(300),
            tap_mtu: TapMtu::Fixed(1400),
            mtu_policy: MtuPolicy::default(),
            max_frame: 9234,
        },
        sockets: sockets.clone(),
        dscp: 0,
        domain: DomainConfig::default(),
        offloads: Offloads::default(),
        workers,
    };
    let on_event = |e: Event| {
        println!("event {e:?}");
        if let Event::Core(_) = e {
            assert!(!PANIC.swap(false, Ordering::Relaxed), "as ordered");
        }
    };
    let interface = Interface::start(setup, Box::new(on_event)).map_err(|e| e.to_string())?;
    interface
        .apply(vec![Change::SetPeer {
            peer: id,
            config: Arc::new(peer),
        }])
        .map_err(|e| e.to_string())?;
    Ok((interface, sockets, id))
}

fn change(word: &str, sockets: &[(SocketId, SocketSetup)]) -> Change {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    let numbered = || {
        let (id, rest) = value.split_once(',').unwrap();
        (SocketId(id.parse().unwrap()), rest)
    };
    match key {
        "mtu" => Change::SetMtu(TapMtu::Fixed(value.parse().unwrap())),
        "address" => {
            let (ip, prefix) = value.split_once('/').unwrap();
            Change::AddAddress(ip.parse().unwrap(), prefix.parse().unwrap())
        }
        "socket" => {
            let (id, address) = numbered();
            Change::SetSocket {
                id,
                setup: SocketSetup {
                    address: address.parse().unwrap(),
                    device: None,
                },
            }
        }
        "device" => {
            let (id, device) = numbered();
            let address = sockets.iter().find(|(i, _)| *i == id).unwrap().1.address;
            Change::SetSocket {
                id,
                setup: SocketSetup {
                    address,
                    device: Some(device.to_owned()),
                },
            }
        }
        "dscp" => Change::SetDscp(value.parse().unwrap()),
        "up" => Change::SetAdmin(true),
        "down" => Change::SetAdmin(false),
        other => panic!("{other}"),
    }
}
