//! Many bytes by TCP, each of which is compared.

use std::{
    io::{Read, Write},
    process::Stdio,
    thread::JoinHandle,
    time::Duration,
};

use knet_tests::lab::{
    Cut, LabError, NetworkId, Result,
    mesh::{Mesh, Plan, overlay_v4},
    process::Process,
    time::{now, wait_until},
};

use super::{A, B, count_or, needs_root};

/// From A to B, by `nc`.
pub(super) struct Transfer {
    /// Says what was wrong.
    reader: JoinHandle<std::result::Result<(), String>>,
    _processes: [Process; 2],
}

impl Transfer {
    /// Starts to send.
    pub(super) fn start(mesh: &Mesh, mebibytes: u64) -> Result<Self> {
        let blocks = mebibytes * 16;
        let mut receiver = mesh.lab.command(B, "nc");
        let mut receiver = Process::spawn(
            receiver
                .args(["-l", "5001"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped()),
        )?;
        let stdout = receiver.pipes().stdout.take();
        let mut stdout = stdout.ok_or_else(|| LabError::new("nc has no pipe"))?;
        wait_until("nc listens", Duration::from_secs(5), || {
            let sockets = mesh
                .lab
                .run(B, "cat", &["/proc/net/tcp"])
                .map_err(|e| e.to_string())?;
            // Port 5001, state LISTEN.
            if sockets.contains(":1389 00000000:0000 0A") {
                Ok(())
            } else {
                Err(sockets)
            }
        })?;
        let mut sender = mesh.lab.command(A, "nc");
        let target = overlay_v4(B).to_string();
        let mut sender = Process::spawn(
            sender
                .args(["-N", &target, "5001"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null()),
        )?;
        let stdin = sender.pipes().stdin.take();
        let mut stdin = stdin.ok_or_else(|| LabError::new("nc has no pipe"))?;
        let began = now();
        let writer = std::thread::spawn(move || (0..blocks).try_for_each(|n| stdin.write_all(&block(n))));
        let reader = std::thread::spawn(move || {
            compare(&mut stdout, blocks)?;
            let written = writer.join().map_err(|_| "the writer panicked")?;
            written.map_err(|e| e.to_string())?;
            let seconds = (now() - began) as f64 / 1e6;
            println!("{mebibytes} MiB in {seconds:.1} s");
            Ok(())
        });
        Ok(Self {
            reader,
            _processes: [receiver, sender],
        })
    }

    /// Whether it still goes on.
    pub(super) fn is_running(&self) -> bool {
        !self.reader.is_finished()
    }

    /// Waits for its end; an error unless every byte has arrived.
    pub(super) fn finish(self) -> Result<()> {
        let result = self.reader.join();
        result
            .map_err(|_| LabError::new("the reader panicked"))?
            .map_err(LabError::new)
    }
}

/// Blocks of 64 KiB that look random and are the same at each run.
fn block(number: u64) -> Vec<u8> {
    let mut state = number;
    let words = (0..8192).flat_map(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).to_le_bytes()
    });
    words.collect()
}

fn compare(stream: &mut impl Read, blocks: u64) -> std::result::Result<(), String> {
    let mut received = vec![0; 65_536];
    for number in 0..blocks {
        let place = format!("block {number} of {blocks}");
        stream
            .read_exact(&mut received)
            .map_err(|e| format!("{place}: {e}"))?;
        if received != block(number) {
            return Err(format!("{place} was changed on its way"));
        }
    }
    match stream.read(&mut received) {
        Ok(0) => Ok(()),
        Ok(_) => Err("more came than was sent".into()),
        Err(e) => Err(e.to_string()),
    }
}

/// Sends while links from A to B are cut for 300 ms, one at a time, whenever another is up.
fn every_byte_across_cuts(policy: &'static str, mebibytes: u64) -> Result<()> {
    let mesh = Mesh::start(Plan {
        links: 4,
        policy,
        ..Plan::default()
    })?;
    let transfer = Transfer::start(&mesh, mebibytes)?;
    // Enough for every machine: past it, the stream stands still.
    let deadline = now() + (60 + mebibytes as i64) * 1_000_000;
    let mut cuts = 0;
    while transfer.is_running() {
        if now() > deadline {
            return Err(LabError::new(format!("{policy}: no end after {cuts} cuts")));
        }
        let links = mesh.links(A, B)?;
        let in_use = links.iter().filter(|l| l.is_up() && l.in_use);
        let cut = in_use
            .cycle()
            .nth(cuts)
            .filter(|_| links.iter().filter(|l| l.is_up()).count() > 1);
        if let Some(link) = cut {
            let host = if cuts.is_multiple_of(2) { A } else { B };
            let cut = [Cut::Silent(host, NetworkId(link.link))];
            mesh.lab.cut(&cut)?;
            std::thread::sleep(Duration::from_millis(300));
            mesh.lab.restore(&cut)?;
            cuts += 1;
        }
        std::thread::sleep(Duration::from_millis(if cut.is_some() { 300 } else { 20 }));
    }
    transfer.finish()?;
    println!("{policy}: {cuts} cuts");
    assert!(cuts > 0, "{policy}: it was over before a link was cut");
    Ok(())
}

/// COUNT: MiB.
#[test]
fn every_byte_arrives_across_cuts() -> Result<()> {
    needs_root!();
    for policy in ["passive", "round-robin"] {
        every_byte_across_cuts(policy, count_or(512) as u64)?;
    }
    Ok(())
}
