//! K3 (CVE-2026-15811): a key that is not configured any more is nowhere in the daemon's memory.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::Stdio,
    sync::mpsc,
    time::Duration,
};

use knet_tests::{
    lab::{
        LabError, NetworkId, Result,
        daemon::{generate_preshared_key, write_secret},
        mesh::{Mesh, PORT, Plan},
        process::Process,
        program,
        time::wait_until,
    },
    memory_scan::{Find, find},
};
use libknet::api::value::base64_decode;

use super::{A, B, needs_root};

/// The only one.
const NETWORK: NetworkId = NetworkId(0);

/// A key as it is in memory and as it is in its file.
struct Key {
    raw: [u8; 32],
    text: String,
}

impl Key {
    fn of(text: &str) -> Self {
        let text = text.trim().to_owned();
        let raw = base64_decode(&text).expect("a key");
        Self { raw, text }
    }

    fn read(mesh: &Mesh, file: &str) -> Result<Self> {
        let text = fs::read_to_string(mesh.lab.host_directory(A).join(file))?;
        Ok(Self::of(&text))
    }

    /// Is in use; its text is needed by nobody any more.
    fn assert_in_use(&self, mesh: &Mesh) -> Result<()> {
        assert_all_there(mesh, &[&self.raw], "a configured key")?;
        assert_all_gone(mesh, &[self.text.as_bytes()], "the text of a key file")
    }

    fn assert_gone(&self, mesh: &Mesh, what: &str) -> Result<()> {
        assert_all_gone(mesh, &[&self.raw, self.text.as_bytes()], what)
    }
}

fn find_all(mesh: &Mesh, secrets: &[&[u8]]) -> Result<Vec<Find>> {
    Ok(find(mesh.daemon(A).id().expect("it runs"), secrets)?)
}

/// Are in memory, as keys in use are: what finds them would find others.
fn assert_all_there(mesh: &Mesh, secrets: &[&[u8]], what: &str) -> Result<()> {
    let finds = find_all(mesh, secrets)?;
    for (number, secret) in secrets.iter().enumerate() {
        let whole = |f: &Find| f.secret == number && f.length == secret.len();
        assert!(finds.iter().any(whole), "{what}: not found: {finds:#?}");
    }
    Ok(())
}

/// Are gone within a second.
fn assert_all_gone(mesh: &Mesh, secrets: &[&[u8]], what: &str) -> Result<()> {
    wait_until(what, Duration::from_secs(1), || {
        match find_all(mesh, secrets).map_err(|e| e.to_string())? {
            finds if finds.is_empty() => Ok(()),
            finds => Err(format!("{finds:#?}")),
        }
    })
}

#[test]
fn k3_keys_are_erased() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(Plan::default())?;
    let directory = mesh.lab.host_directory(A);
    let private = Key::read(&mesh, "knet0.key")?;
    let shared = Key::read(&mesh, "ams1.psk")?;
    // Both have been used: the session is up.
    private.assert_in_use(&mesh)?;
    shared.assert_in_use(&mesh)?;

    let second = Key::of(&generate_preshared_key()?);
    write_secret(&directory.join("second.psk"), &second.text)?;
    mesh.daemon(A)
        .edit(&["interface knet0", "peer ams1", "preshared-key file second.psk"])?;
    shared.assert_gone(&mesh, "the preshared key replaced by an edit")?;
    second.assert_in_use(&mesh)?;

    let third = Key::of(&generate_preshared_key()?);
    write_secret(&directory.join("ams1.psk"), &third.text)?;
    mesh.daemon(A).reload()?;
    second.assert_gone(&mesh, "the preshared key replaced by another file")?;
    third.assert_in_use(&mesh)?;

    mesh.daemon(A).edit(&["interface knet0", "no peer ams1"])?;
    third.assert_gone(&mesh, "the preshared key of a peer that was removed")?;
    private.assert_in_use(&mesh)?;

    mesh.daemon(A).edit(&["no interface knet0"])?;
    private.assert_gone(&mesh, "the private key of an interface that was removed")
}

/// A peer that tells what nobody else knows.
struct Confidant {
    process: Process,
    lines: mpsc::Receiver<String>,
}

/// The secrets of a session.
struct Session {
    keys: Vec<Vec<u8>>,
    /// Nobody needs them when it is over.
    handshake: Vec<Vec<u8>>,
    /// Both keep it as long as they know each other.
    peer: Vec<Vec<u8>>,
}

impl Confidant {
    fn start(mesh: &Mesh, cipher: &str) -> Result<Self> {
        let (host, daemon) = (mesh.lab.address(B, NETWORK), mesh.lab.address(A, NETWORK));
        let directory = mesh.lab.host_directory(B);
        let key = mesh.configs[B.0].interfaces[0].peers[0].public_key.clone();
        let mut command = mesh.lab.command(B, program("knet-lab-confidant")?);
        command
            .arg(SocketAddr::new(host, PORT).to_string())
            .arg(SocketAddr::new(daemon, PORT).to_string())
            .arg(directory.join("knet0.key"))
            .arg(key)
            .arg(directory.join("fra1.psk"))
            .arg(cipher)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let stdout = process.pipes().stdout.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(std::io::Result::ok);
            lines.into_iter().try_for_each(|line| sender.send(line))
        });
        Ok(Self { process, lines })
    }

    /// Begins a handshake.
    fn begin(&mut self) -> Result<()> {
        let stdin = self.process.pipes().stdin.as_mut().expect("a pipe");
        Ok(stdin.write_all(b"\n")?)
    }

    /// The next session, after frames have passed in both directions.
    fn session(&self, mesh: &Mesh) -> Result<Session> {
        let secrets = |kind: &str| -> Result<Vec<Vec<u8>>> {
            let line = self
                .lines
                .recv_timeout(Duration::from_secs(10))
                .map_err(|e| LabError::new(format!("no session: {e}")))?;
            let mut words = line.split_whitespace();
            assert_eq!(words.next(), Some(kind), "{line}");
            Ok(words.map(unhex).collect())
        };
        let session = Session {
            keys: secrets("session")?,
            handshake: secrets("handshake")?,
            peer: secrets("peer")?,
        };
        // To everybody. The answers are no answers to a ping.
        let mut ping = mesh.lab.command(A, "ping");
        ping.args([
            "-b",
            "-c",
            "3",
            "-i",
            "0.1",
            "-W",
            "0.2",
            "-s",
            "1300",
            "10.200.0.255",
        ])
        .stdout(Stdio::null());
        let _ = Process::spawn(&mut ping)?.wait(Duration::from_secs(10))?;
        Ok(session)
    }
}

fn slices(secrets: &[Vec<u8>]) -> Vec<&[u8]> {
    secrets.iter().map(Vec::as_slice).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |n: usize| u8::from_str_radix(&text[n..n + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn session_keys_are_erased(cipher: &str) -> Result<()> {
    let mut mesh = Mesh::build(Plan::default())?;
    let config = mesh.configs[A.0].to_string();
    mesh.daemons[A.0].configure(&config)?;
    mesh.daemons[A.0].start(&mesh.lab)?;
    let mut confidant = Confidant::start(&mesh, cipher)?;

    // Begun by the daemon.
    let first = confidant.session(&mesh)?;
    assert_all_there(&mesh, &slices(&first.keys), "the first session")?;
    assert_all_there(&mesh, &slices(&first.peer), "the secret of both static keys")?;
    assert_all_gone(&mesh, &slices(&first.handshake), "the first handshake")?;
    // Begun by the other side, and so late that the two did not cross, of which one would win by its key. The daemon
    // keeps one session before the current one, for what is still on the way.
    std::thread::sleep(Duration::from_secs(5));
    confidant.begin()?;
    let second = confidant.session(&mesh)?;
    confidant.begin()?;
    let third = confidant.session(&mesh)?;
    let old = [first.keys, second.handshake].concat();
    assert_all_gone(&mesh, &slices(&old), "the session before the previous one")?;
    assert_all_there(&mesh, &slices(&third.keys), "the third session")?;

    mesh.daemon(A).edit(&["interface knet0", "no peer ams1"])?;
    let all = [second.keys, third.keys, third.handshake, third.peer].concat();
    assert_all_gone(&mesh, &slices(&all), "a peer that was removed")
}

#[test]
fn k3_chacha20_poly1305_keys_are_erased() -> Result<()> {
    needs_root!();
    session_keys_are_erased("chacha20-poly1305")
}

#[test]
fn k3_aes_256_gcm_keys_are_erased() -> Result<()> {
    needs_root!();
    if !libknet::suites_of_this_machine().contains(knet_proto::handshake::message::Suite::Aes256Gcm) {
        println!("this processor has no AES");
        return Ok(());
    }
    session_keys_are_erased("aes256-gcm")
}
