//! `tcpdump` on a host's device, read while it runs.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use super::{HostId, Lab, LabError, Result, echo::Record, process::Process, time::UnixMicros};

/// tcpdump hands over a block of packets when it is full, or a second old.
const BLOCK_AGE: Duration = Duration::from_millis(1200);

/// What a capture does with each packet: its time and its first bytes.
type Sink = Box<dyn FnMut(UnixMicros, &[u8]) + Send>;

/// A `tcpdump` that runs.
#[derive(Debug)]
pub struct Tcpdump {
    process: Process,
    reader: Option<JoinHandle<Result<()>>>,
    complaints: Option<JoinHandle<String>>,
}

impl Tcpdump {
    /// Starts capturing what matches `filter` on `device` of `host`, and returns when it has begun.
    pub fn start(lab: &Lab, host: HostId, device: &str, filter: &str, sink: Sink) -> Result<Self> {
        // Before the flood that it watches, or it would miss some of it; and no more than the headers.
        let mut command = lab.command(host, "nice");
        command
            .args([
                "-n", "-10", "tcpdump", "-Z", "root", "-n", "-s", "64", "-B", "32768",
            ])
            .args(["-i", device, "-w", "-", filter])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let (Some(stdout), Some(stderr)) = (process.pipes().stdout.take(), process.pipes().stderr.take())
        else {
            return Err(LabError::new("tcpdump has no pipes"));
        };
        let mut stderr = BufReader::new(stderr);
        let mut complaint = String::new();
        while !complaint.contains("listening on") {
            if stderr.read_line(&mut complaint)? == 0 {
                return Err(LabError::new(format!(
                    "tcpdump on {device}: {}",
                    complaint.trim()
                )));
            }
        }
        let reader =
            std::thread::spawn(move || read_packets(BufReader::with_capacity(1 << 18, stdout), sink));
        let complaints = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Ok(Self {
            process,
            reader: Some(reader),
            complaints: Some(complaints),
        })
    }

    /// Stops it after all that has happened until now was taken in. An error if the kernel dropped packets
    /// from the capture, for then it proves nothing.
    pub fn stop(mut self) -> Result<()> {
        std::thread::sleep(BLOCK_AGE);
        if self.process.is_running() {
            self.process.signal("INT")?;
        }
        // On a busy machine there may be a lot to be read still.
        self.process.wait(Duration::from_secs(60))?;
        if let Some(reader) = self.reader.take() {
            reader
                .join()
                .map_err(|_| LabError::new("the capture's reader panicked"))??;
        }
        let complaints = self
            .complaints
            .take()
            .and_then(|t| t.join().ok())
            .unwrap_or_default();
        let dropped = complaints
            .lines()
            .find_map(|l| l.strip_suffix(" packets dropped by kernel"));
        match dropped {
            Some("0") => Ok(()),
            _ => Err(LabError::new(format!(
                "the capture is not complete: {}",
                complaints.trim()
            ))),
        }
    }
}

/// The echoes on a host's device.
#[derive(Debug)]
pub struct EchoCapture {
    tcpdump: Tcpdump,
    record: Arc<Mutex<Record>>,
}

impl EchoCapture {
    /// Starts.
    pub fn start(lab: &Lab, host: HostId, device: &str) -> Result<Self> {
        let record = Arc::new(Mutex::new(Record::default()));
        let writer = Arc::clone(&record);
        let sink: Sink = Box::new(move |at, packet| lock(&writer).frame(at, packet));
        let tcpdump = Tcpdump::start(lab, host, device, "icmp or icmp6", sink)?;
        Ok(Self { tcpdump, record })
    }

    /// What has been seen so far; up to a second behind.
    pub fn so_far(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    /// Stops and returns all that was seen.
    pub fn stop(self) -> Result<Record> {
        self.tcpdump.stop()?;
        let record = lock(&self.record).clone();
        Ok(record)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a pcap stream in this machine's byte order, which is what a local tcpdump writes.
fn read_packets(mut stream: impl Read, mut sink: Sink) -> Result<()> {
    let mut header = [0; 24];
    if !fill(&mut stream, &mut header)? {
        return Ok(());
    }
    let word = |bytes: &[u8], at: usize| {
        let mut word = [0; 4];
        word.copy_from_slice(&bytes[at..at + 4]);
        u32::from_ne_bytes(word)
    };
    if word(&header, 0) != 0xa1b2_c3d4 {
        return Err(LabError::new("tcpdump did not write pcap with microseconds"));
    }
    let mut packet = Vec::new();
    let mut record = [0; 16];
    while fill(&mut stream, &mut record)? {
        packet.resize(word(&record, 8) as usize, 0);
        if !fill(&mut stream, &mut packet)? {
            break;
        }
        sink(
            i64::from(word(&record, 0)) * 1_000_000 + i64::from(word(&record, 4)),
            &packet,
        );
    }
    Ok(())
}

/// `false` at the end of the stream.
fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> Result<bool> {
    match stream.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e.into()),
    }
}
