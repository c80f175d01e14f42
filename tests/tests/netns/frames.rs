//! Every kind of frame crosses the tunnel unharmed: bridged from another interface and to another interface, whole or
//! as a super-frame, with checksums or without.

mod build;
mod kinds;

use std::time::{Duration, Instant};

use knet_proto::{
    offload::{
        checksum::{self, Checksum},
        segment::Segments,
    },
    wire::virtio_net_header::{VirtioNetHeader, flags, gso},
};
use knet_tests::lab::{
    HostId, Result,
    mesh::{Mesh, Plan},
    stall::StallMeter,
    station::{Line, Station},
    time::{now, wait_until},
};

use super::{A, B, needs_root};
use build::{TCP, sum, tcp_flag};
use kinds::{Compare, Kind};

const MTU: u16 = 9000;
/// Every frame of a kind has arrived within this.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Where this machine itself stood still for so long, frames may be held back for longer than they are waited for, or links be
/// in doubt: what has come of it is void, and all is sent again.
const VOID: Duration = Duration::from_millis(20);
const ATTEMPTS: u8 = 3;

/// Stations behind two hosts, one of which takes super-frames while the other does not.
struct Stations {
    mesh: Mesh,
    stations: [Station; 2],
}

impl Stations {
    /// Over one link, some hosts without some offloads.
    fn start(without: &[(HostId, &str)]) -> Result<Self> {
        Self::with_plan(Plan::default(), without)
    }

    fn with_plan(plan: Plan, without: &[(HostId, &str)]) -> Result<Self> {
        let mut mesh = Mesh::build(plan)?;
        for config in &mut mesh.configs {
            let interface = &mut config.interfaces[0];
            interface.lines.push(format!("mtu {MTU}"));
            interface.addresses.clear();
        }
        for (host, offloads) in without {
            mesh.daemons[host.0].arguments = vec!["--no-offload".into(), (*offloads).into()];
        }
        mesh.start_all()?;
        mesh.wait_until_all_up(Duration::from_secs(20))?;
        let mut stations = [
            Station::start(&mesh.lab, A, true, MTU)?,
            Station::start(&mesh.lab, B, false, MTU)?,
        ];
        for [from, to] in [[0, 1], [1, 0]] {
            wait_until("a first frame", Duration::from_secs(5), || {
                stations[from].announce().map_err(|e| e.to_string())?;
                let came = stations[to].received(&stations[from], 0);
                if came.is_empty() {
                    Err("none".into())
                } else {
                    Ok(())
                }
            })?;
        }
        Ok(Self { mesh, stations })
    }

    /// Sends every kind both ways, again where this machine itself stood still. Panics with the names of those that were
    /// harmed.
    fn exchange(&mut self) -> Result<()> {
        let stalls = StallMeter::start();
        for attempt in 0..ATTEMPTS {
            let began = now();
            let harm = self.exchange_once(attempt)?;
            let stall = stalls.worst(began, now());
            if harm.is_empty() {
                return Ok(());
            }
            let drops = [A, B].map(|host| self.mesh.daemon(host).drops());
            let what = format!(
                "{} kinds were harmed (drops: {drops:?}; this machine stood still for {stall:.1?}):\n{}",
                harm.len(),
                harm.join("\n")
            );
            assert!(stall >= VOID, "{what}");
            println!("void: {what}");
        }
        panic!("this machine stands still too often to send frames on it");
    }

    /// Returns what was harmed, and how.
    fn exchange_once(&mut self, attempt: u8) -> Result<Vec<String>> {
        let kinds = kinds::all();
        let first = 1 + attempt * kinds.len() as u8;
        let began = Instant::now();
        let mut harm = Vec::new();
        for [from, to] in [[0, 1], [1, 0]] {
            for (number, kind) in (first..).zip(&kinds) {
                let [sender, receiver] = self.pair(from, to);
                sender.send(receiver, number, &kind.sent)?;
                let name = format!("{from} -> {to}, {}", kind.name);
                // What went wrong is told below, once nothing more comes.
                let _ = wait_until(&name, PATIENCE, || kind.check(&receiver.received(sender, number)));
            }
        }
        // Whatever arrives twice has arrived now.
        std::thread::sleep(Duration::from_millis(300));
        for [from, to] in [[0, 1], [1, 0]] {
            for (number, kind) in (first..).zip(&kinds) {
                let [sender, receiver] = self.pair(from, to);
                if let Err(what) = kind.check(&receiver.received(sender, number)) {
                    harm.push(format!("{from} -> {to}, {}: {what}", kind.name));
                }
            }
        }
        let count = self.stations.each_ref().map(Station::super_frames);
        println!(
            "{} kinds both ways in {:.1?}; super-frames at the two ends: {count:?}",
            kinds.len(),
            began.elapsed()
        );
        Ok(harm)
    }

    /// The longest segment of TCP, of those that were to be longer than the path.
    fn longest_of_streams(&self) -> usize {
        let [a, b] = &self.stations;
        let streams = (1..)
            .zip(kinds::all())
            .filter(|(_, kind)| kind.compare == Compare::Stream);
        let frames = streams.flat_map(|(number, _)| all_whole(&b.received(a, number)).unwrap_or_default());
        frames.map(|frame| frame.len()).max().unwrap_or(0)
    }

    fn pair(&mut self, from: usize, to: usize) -> [&mut Station; 2] {
        self.stations
            .get_disjoint_mut([from, to])
            .expect("two different ones")
    }
}

#[test]
fn unharmed_with_offloads_at_both_ends() -> Result<()> {
    needs_root!();
    let mut stations = Stations::start(&[])?;
    stations.exchange()?;
    assert!(
        stations.longest_of_streams() <= 1500,
        "they are cut to fit the path"
    );
    let [at_a, at_b] = stations.stations.each_ref().map(Station::super_frames);
    assert!(at_a > 20, "{at_a}: what could be joined is joined");
    assert_eq!(at_b, 0, "the kernel cuts for the station at B");
    Ok(())
}

#[test]
fn unharmed_without_offloads() -> Result<()> {
    needs_root!();
    let mut stations = Stations::start(&[A, B].map(|host| (host, "tso,uso,gso,gro,csum")))?;
    stations.exchange()?;
    let count = stations.stations.each_ref().map(Station::super_frames);
    assert_eq!(count, [0, 0], "nothing is joined");
    Ok(())
}

#[test]
fn unharmed_with_offloads_at_one_end() -> Result<()> {
    needs_root!();
    // Segments whose checksums are left to do come one by one to B's TAP.
    Stations::start(&[(B, "tso,uso,gso,gro")])?.exchange()
}

#[test]
fn unharmed_with_half_of_the_offloads() -> Result<()> {
    needs_root!();
    Stations::start(&[(A, "uso,gro,csum"), (B, "tso,gso")])?.exchange()
}

/// Each offload is missing at one end, so that what one end leaves undone the other one does, whichever it is.
#[test]
fn unharmed_without_any_one_of_the_offloads_at_one_end() -> Result<()> {
    needs_root!();
    let ends = [A, B].into_iter().cycle();
    for (offload, end) in ["tso", "uso", "gso", "gro", "csum"].into_iter().zip(ends) {
        println!("without {offload} at {end:?}");
        Stations::start(&[(end, offload)])?.exchange()?;
    }
    Ok(())
}

/// The frames of a flow are in order, and each comes once, although the links are not in step or carry copies.
#[test]
fn unharmed_over_several_links() -> Result<()> {
    needs_root!();
    for policy in ["round-robin", "active"] {
        let plan = Plan {
            links: 3,
            policy,
            ..Plan::default()
        };
        Stations::with_plan(plan, &[])?.exchange()?;
    }
    Ok(())
}

impl Kind {
    /// Says how what has come differs from what was sent.
    fn check(&self, received: &[Line]) -> std::result::Result<(), String> {
        let came = all_whole(received)?;
        match self.compare {
            Compare::Frames => same(&all_whole(&self.sent)?, &came),
            Compare::Stream => same_stream(&self.sent[0], &came),
        }
    }
}

/// The whole, finished frames that stand for these.
fn all_whole(lines: &[Line]) -> std::result::Result<Vec<Vec<u8>>, String> {
    let mut frames = Vec::new();
    for line in lines {
        let header = VirtioNetHeader::parse(&line.header);
        if header.gso_type == gso::NONE {
            let mut frame = line.frame.clone();
            if header.flags & flags::NEEDS_CSUM != 0 {
                checksum::complete(&mut frame, header.csum_start, header.csum_offset)
                    .ok_or_else(|| format!("no place for a checksum: {header:?}"))?;
            }
            frames.push(frame);
        } else {
            let segments = Segments::plan(&header, &line.frame, usize::MAX)
                .map_err(|e| format!("a super-frame of {} bytes, {header:?}: {e}", line.frame.len()))?;
            for index in 0..segments.count() {
                let mut frame = Vec::new();
                segments.emit(index, Checksum::Complete, &mut frame);
                frames.push(frame);
            }
        }
    }
    Ok(frames)
}

fn same(sent: &[Vec<u8>], came: &[Vec<u8>]) -> std::result::Result<(), String> {
    for (number, (sent, came)) in sent.iter().zip(came).enumerate() {
        if sent != came {
            let at = sent.iter().zip(came).take_while(|(a, b)| a == b).count();
            let (a, b) = (start(sent), start(came));
            return Err(format!(
                "frame {number}: {} bytes became {}, different from byte {at} on:\n  {a}\n  {b}",
                sent.len(),
                came.len()
            ));
        }
    }
    if sent.len() == came.len() {
        return Ok(());
    }
    Err(format!("{} of {} frames came", came.len(), sent.len()))
}

fn start(frame: &[u8]) -> String {
    let digits = frame.iter().skip(12).take(90).map(|b| format!("{b:02x}"));
    digits.collect()
}

/// A segment of TCP, taken apart.
struct Segment {
    /// What all segments have in common: headers without lengths, identification, sequence number, checksums, and the
    /// flags that only one of them has.
    common: Vec<u8>,
    id: u16,
    sequence: u32,
    flags: u8,
    payload: Vec<u8>,
    is_sound: bool,
}

/// FIN, PSH and CWR.
const OF_ONE: u8 = tcp_flag::FIN | tcp_flag::PSH | tcp_flag::CWR;

impl Segment {
    /// `frame` has TCP over IP without options, as all super-frames of these tests.
    fn of(frame: &[u8]) -> Self {
        let tags = usize::from(frame[12..14] == [0x81, 0x00]);
        let ip = 14 + 4 * tags;
        let is_v4 = frame[ip] >> 4 == 4;
        let tcp = ip + if is_v4 { 20 } else { 40 };
        let payload = tcp + usize::from(frame[tcp + 12] >> 4) * 4;
        let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let addresses = if is_v4 { ip + 12..ip + 20 } else { ip + 8..ip + 40 };
        let len = frame.len() - tcp;
        let pseudo = [
            &frame[addresses][..],
            &(len as u32).to_be_bytes(),
            &[0, 0, 0, TCP],
        ]
        .concat();
        let (ip_len, ip_sum) = if is_v4 {
            (usize::from(word(ip + 2)) + ip, sum(&[&frame[ip..tcp]]))
        } else {
            (usize::from(word(ip + 4)) + ip + 40, 0xffff)
        };
        let mut common = frame[..payload].to_vec();
        let unlike = if is_v4 {
            [ip + 2, ip + 4, ip + 10]
        } else {
            [ip + 4; 3]
        };
        for at in unlike.into_iter().chain([tcp + 4, tcp + 6, tcp + 16]) {
            common[at..at + 2].fill(0);
        }
        common[tcp + 13] &= !OF_ONE;
        Self {
            common,
            id: if is_v4 { word(ip + 4) } else { 0 },
            sequence: u32::from(word(tcp + 4)) << 16 | u32::from(word(tcp + 6)),
            flags: frame[tcp + 13] & OF_ONE,
            payload: frame[payload..].to_vec(),
            is_sound: ip_len == frame.len() && ip_sum == 0xffff && sum(&[&pseudo, &frame[tcp..]]) == 0xffff,
        }
    }
}

/// Whether the frames are the stream in the super-frame.
fn same_stream(sent: &Line, came: &[Vec<u8>]) -> std::result::Result<(), String> {
    let sent = Segment::of(&sent.frame);
    let mut stream = Vec::new();
    for (number, frame) in came.iter().enumerate() {
        let segment = Segment::of(frame);
        let offset = stream.len() as u32;
        stream.extend(&segment.payload);
        let mut expected = sent.flags;
        if number > 0 {
            expected &= !tcp_flag::CWR;
        }
        if stream.len() < sent.payload.len() {
            expected &= tcp_flag::CWR;
        }
        let id = match sent.id {
            0 => 0,
            id => id.wrapping_add(number as u16),
        };
        let wrong = [
            (!segment.is_sound, "length or checksum"),
            (segment.common != sent.common, "headers"),
            (segment.id != id, "identification"),
            (
                segment.sequence != sent.sequence.wrapping_add(offset),
                "sequence number",
            ),
            (segment.flags != expected, "FIN, PSH, CWR"),
            (!sent.payload.starts_with(&stream), "payload"),
        ];
        if let Some((_, what)) = wrong.iter().find(|(wrong, _)| *wrong) {
            return Err(format!(
                "segment {number} of {} bytes: {what}: {}",
                frame.len(),
                start(frame)
            ));
        }
    }
    if stream.len() == sent.payload.len() {
        return Ok(());
    }
    Err(format!("{} of {} bytes came", stream.len(), sent.payload.len()))
}
