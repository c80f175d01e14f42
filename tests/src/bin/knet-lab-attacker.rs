//! What the tests let loose on a daemon: garbage, forged ICMP errors, and a relay that damages datagrams. Runs
//! in a namespace of the laboratory.

use std::{
    io::{ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    attack: Attack,
}

#[derive(Subcommand)]
enum Attack {
    /// Sends datagrams of every type and many lengths with arbitrary contents. Prints `sent N replies N`.
    Garbage {
        /// Where to.
        target: SocketAddr,
        /// Datagrams per second.
        #[arg(long, default_value_t = 2000)]
        rate: u32,
    },
    /// Sends ICMP `destination unreachable` that quote a datagram from `victim` to `peer`. Prints `sent N`.
    Unreachable {
        /// Who is to believe it.
        victim: SocketAddrV4,
        /// Who is said not to be reachable.
        peer: SocketAddrV4,
        /// How many.
        #[arg(long, default_value_t = 2000)]
        count: u32,
        /// Per second.
        #[arg(long, default_value_t = 1000)]
        rate: u32,
    },
    /// Relays datagrams between two hosts, with a damaged copy of each, until `count` were damaged in each
    /// direction. Then prints `damaged to-left N to-right N` and relays on without damage.
    Relay {
        /// Our address and port for the left host.
        left_side: SocketAddr,
        /// The left host.
        left: SocketAddr,
        /// Our address and port for the right host.
        right_side: SocketAddr,
        /// The right host.
        right: SocketAddr,
        /// Damaged datagrams for each direction.
        #[arg(long, default_value_t = 5000)]
        count: u64,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().attack {
        Attack::Garbage { target, rate } => garbage(target, rate),
        Attack::Unreachable {
            victim,
            peer,
            count,
            rate,
        } => unreachable(victim, peer, count, rate),
        Attack::Relay {
            left_side,
            left,
            right_side,
            right,
            count,
        } => relay((left_side, left), (right_side, right), count),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("knet-lab-attacker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Numbers that look random and are the same at each run (`SplitMix64`).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// Sleeps so that `done` things take `done / rate` seconds.
fn pace(began: Instant, done: u32, rate: u32) {
    let due = began + Duration::from_secs_f64(f64::from(done) / f64::from(rate));
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

fn garbage(target: SocketAddr, rate: u32) -> std::io::Result<()> {
    let any: IpAddr = if target.is_ipv4() {
        "0.0.0.0".parse()
    } else {
        "::".parse()
    }
    .map_err(std::io::Error::other)?;
    // Not connected: a reply from any address would be one.
    let socket = UdpSocket::bind((any, 0))?;
    let mut noise = Noise(1);
    // The exact lengths of the messages, their neighbours, the extremes, and some between.
    let lengths = [
        0, 1, 4, 11, 12, 29, 30, 41, 42, 63, 64, 65, 100, 131, 132, 133, 183, 184, 185, 500, 1400,
    ];
    let began = Instant::now();
    let mut sent = 0;
    for round in 0..3 {
        for length in lengths {
            for kind in 0..=255_u8 {
                let mut datagram = noise.bytes(length);
                if let Some(first) = datagram.first_mut() {
                    *first = kind;
                }
                // Once with the reserved bytes of a header zero, so that it comes a step further.
                if let Some(reserved) = datagram.get_mut(1..4).filter(|_| round == 1) {
                    reserved.fill(0);
                }
                socket.send_to(&datagram, target)?;
                sent += 1;
                pace(began, sent, rate);
            }
        }
    }
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let (mut replies, mut buffer) = (0, [0; 2048]);
    while socket.recv(&mut buffer).is_ok() {
        replies += 1;
    }
    println!("sent {sent} replies {replies}");
    Ok(())
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

fn unreachable(victim: SocketAddrV4, peer: SocketAddrV4, count: u32, rate: u32) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    let to = SockAddr::from(SocketAddrV4::new(*victim.ip(), 0));
    let began = Instant::now();
    for n in 0..count {
        // Network, host, protocol, port; administratively prohibited; and fragmentation needed with an MTU of 68.
        let code = [0, 1, 2, 3, 13, 4][n as usize % 6];
        socket.send_to(&error_message(code, *victim.ip(), victim.port(), peer), &to)?;
        pace(began, n + 1, rate);
    }
    println!("sent {count}");
    Ok(())
}

fn error_message(code: u8, source: Ipv4Addr, source_port: u16, target: SocketAddrV4) -> Vec<u8> {
    let next_hop_mtu = if code == 4 { 68_u16 } else { 0 };
    let mut message = vec![3, code, 0, 0, 0, 0];
    message.extend(next_hop_mtu.to_be_bytes());
    let mut quoted = vec![0x45, 0, 0, 154, 0, 0, 0x40, 0, 64, 17, 0, 0];
    quoted.extend(source.octets());
    quoted.extend(target.ip().octets());
    let sum = checksum(&quoted);
    quoted[10..12].copy_from_slice(&sum.to_be_bytes());
    message.extend(quoted);
    message.extend(source_port.to_be_bytes());
    message.extend(target.port().to_be_bytes());
    message.extend([0, 134, 0, 0]);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// Walks through every bit of each type of message.
struct Damage {
    next_bit: [usize; 256],
    done: u64,
}

impl Damage {
    fn copy(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut copy = datagram.to_vec();
        let kind = usize::from(copy.first().copied().unwrap_or(0));
        // MAC2 (the last 16 bytes of a handshake message) is read only while cookies are demanded.
        let bytes = if matches!(kind, 1 | 2) {
            copy.len() - 16
        } else {
            copy.len()
        };
        self.done += 1;
        match self.done % 16 {
            7 => copy.truncate(copy.len() - 1 - (self.done as usize / 16) % 8),
            15 => copy.push(0),
            _ => {
                let bit = self.next_bit[kind] % (bytes * 8);
                self.next_bit[kind] += 1;
                copy[bit / 8] ^= 1 << (bit % 8);
            }
        }
        copy
    }
}

fn relay(left: (SocketAddr, SocketAddr), right: (SocketAddr, SocketAddr), count: u64) -> std::io::Result<()> {
    let (to_left, to_right) = (UdpSocket::bind(left.0)?, UdpSocket::bind(right.0)?);
    let (out_left, out_right) = (to_left.try_clone()?, to_right.try_clone()?);
    let rightwards = std::thread::spawn(move || forward(&to_left, &out_right, right.1, "right", count));
    let leftwards = std::thread::spawn(move || forward(&to_right, &out_left, left.1, "left", count));
    for thread in [rightwards, leftwards] {
        thread
            .join()
            .map_err(|_| std::io::Error::other("a direction panicked"))??;
    }
    Ok(())
}

fn forward(from: &UdpSocket, by: &UdpSocket, to: SocketAddr, name: &str, count: u64) -> std::io::Result<()> {
    let mut damage = Damage {
        next_bit: [0; 256],
        done: 0,
    };
    let mut buffer = vec![0; 65_536];
    loop {
        let length = match from.recv(&mut buffer) {
            Ok(length) => length,
            // An ICMP error of a host that has not started yet.
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => continue,
            Err(e) => return Err(e),
        };
        let datagram = &buffer[..length];
        // The damaged copy first, then after: it must neither spoil the counter of the original nor pass as new.
        let copy = (damage.done < count).then(|| damage.copy(datagram));
        let copy_first = damage.done.is_multiple_of(2);
        let parts = if copy_first {
            [copy.as_deref(), Some(datagram)]
        } else {
            [Some(datagram), copy.as_deref()]
        };
        for bytes in parts.into_iter().flatten() {
            match by.send_to(bytes, to) {
                Err(e) if e.kind() != ErrorKind::ConnectionRefused => return Err(e),
                _ => {}
            }
        }
        if copy.is_some() && damage.done == count {
            println!("damaged to-{name} {count}");
            std::io::stdout().flush()?;
        }
    }
}
