//! Many bytes by TCP, each of which is compared.

use std::{
    io::{Read, Write},
    process::Stdio,
    thread::JoinHandle,
    time::Duration,
};

use knet_tests::lab::{
    LabError, Result,
    mesh::{Mesh, overlay_v4},
    process::Process,
    time::{now, wait_until},
};

use super::{A, B};

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
