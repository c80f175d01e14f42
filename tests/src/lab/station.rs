//! A station behind a tunnel: a TAP of its own, bridged by the kernel to `knet0`. So frames come to the tunnel from
//! another interface and leave it for another interface, also as super-frames and with checksums left to do.

use std::{
    fmt,
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, Stdio},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use super::{HostId, Lab, LabError, Result, process, process::Process, program};

/// Bytes of the header in front of a frame (`struct virtio_net_hdr`).
pub const HEADER_LEN: usize = 10;

/// What every MAC address of a station begins with: the kernel itself uses others.
const PREFIX: [u8; 2] = [0x02, 0x6b];

/// A frame as `knet-lab-tap` reads and writes it: `HEADER FRAME`, in hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What is left to be done.
    pub header: [u8; HEADER_LEN],
    /// From the Ethernet header on, without FCS.
    pub frame: Vec<u8>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", hex(&self.header), hex(&self.frame))
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once(' ').and_then(|(header, frame)| {
            Some(Self {
                header: bytes(header)?.try_into().ok()?,
                frame: bytes(frame)?,
            })
        });
        parts.ok_or_else(|| format!("no header and frame in hexadecimal digits: {text}"))
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes
        .iter()
        .flat_map(|b| [digit(b >> 4), digit(b & 15)])
        .collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?))
        .collect();
    bytes.filter(|_| rest.is_empty())
}

/// A station at a host. It has an address for each kind of frames, so that they can be told from each other.
#[derive(Debug)]
pub struct Station {
    host: HostId,
    stdin: ChildStdin,
    received: Arc<Mutex<Vec<Line>>>,
    _process: Process,
}

impl Station {
    /// Makes the TAP, with offloads or without, and the bridge. All interfaces get this MTU.
    pub fn start(lab: &Lab, host: HostId, offloads: bool, mtu: u16) -> Result<Self> {
        // Nothing but the station's frames is to pass, and nobody but the bridge is to look at them.
        let settings = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
                        echo 1 > /proc/sys/net/ipv6/conf/knet0/disable_ipv6
                        for file in /proc/sys/net/bridge/bridge-nf-call-*; do
                            [ ! -e $file ] || echo 0 > $file
                        done";
        lab.run(host, "sh", &["-c", settings])?;
        let mut command = lab.command(host, program("knet-lab-tap")?);
        command
            .arg("station")
            .args(offloads.then_some("--offloads"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let pipes = process.pipes();
        let (Some(stdin), Some(stdout)) = (pipes.stdin.take(), pipes.stdout.take()) else {
            return Err(LabError::new("knet-lab-tap has no pipes"));
        };
        let mut lines = BufReader::new(stdout).lines().map_while(std::io::Result::ok);
        if lines.next().as_deref() != Some("ready") {
            return Err(LabError::new("knet-lab-tap has ended"));
        }
        let batch = format!(
            "link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             link set dev station mtu {mtu} master bridge up\n\
             link set dev knet0 mtu {mtu} master bridge up\n\
             link set dev bridge up\n"
        );
        process::feed("ip", &["-n", &lab.namespace(host), "-batch", "-"], &batch)?;
        let received = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&received);
        std::thread::spawn(move || {
            for line in lines {
                match line.parse::<Line>() {
                    Ok(line) if line.frame.get(6..8) == Some(&PREFIX) => {
                        list.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    }
                    Ok(_) => {}
                    Err(error) => eprintln!("knet-lab-tap: {error}"),
                }
            }
        });
        Ok(Self {
            host,
            stdin,
            received,
            _process: process,
        })
    }

    /// The address that frames of this kind come from; those of kind 0 go there, too.
    fn mac(&self, kind: u8) -> [u8; 6] {
        let [a, b] = PREFIX;
        [a, b, self.host.0 as u8, 0, 0, kind]
    }

    /// Sends to every station, so that all bridges learn where this one is.
    pub fn announce(&mut self) -> Result<()> {
        let mut frame = [[0xff; 6], self.mac(0)].concat();
        frame.extend([0x88, 0xb5]);
        frame.resize(60, 0);
        self.write(&[Line {
            frame,
            ..Line::default()
        }])
    }

    /// Sends `lines` to another station, as frames of this kind: the addresses in them are put in here.
    pub fn send(&mut self, to: &Self, kind: u8, lines: &[Line]) -> Result<()> {
        let addresses = [to.mac(0), self.mac(kind)].concat();
        let addressed = lines.iter().cloned().map(|mut line| {
            line.frame[..12].copy_from_slice(&addresses);
            line
        });
        self.write(&addressed.collect::<Vec<_>>())
    }

    fn write(&mut self, lines: &[Line]) -> Result<()> {
        // At once, so that they pass the tunnel together.
        let texts: Vec<String> = lines.iter().map(Line::to_string).collect();
        Ok(self.stdin.write_all((texts.join("\n") + "\n").as_bytes())?)
    }

    /// What has come from another station of this kind, in order, without the addresses.
    pub fn received(&self, from: &Self, kind: u8) -> Vec<Line> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = received.iter().filter(|l| l.frame[6..12] == from.mac(kind));
        let mut lines: Vec<Line> = ours.cloned().collect();
        for line in &mut lines {
            line.frame[..12].fill(0);
        }
        lines
    }

    /// How many super-frames have come.
    pub fn super_frames(&self) -> usize {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.iter().filter(|l| l.header[1] != 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_there_and_back() {
        let line = Line {
            header: [0, 1, 2, 3, 4, 5, 6, 7, 8, 0xf9],
            frame: vec![0xab, 0x00, 0x7f],
        };
        let text = "000102030405060708f9 ab007f";
        assert_eq!(line.to_string(), text);
        assert_eq!(text.parse(), Ok(line));
        for wrong in [
            "",
            "00",
            "00 00",
            "000102030405060708f9 a",
            "000102030405060708f9 ax",
        ] {
            assert!(wrong.parse::<Line>().is_err(), "{wrong}");
        }
    }
}
