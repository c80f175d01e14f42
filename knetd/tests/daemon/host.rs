//! A host of its own for each test: a network namespace, a directory, a daemon, a client.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        net::UnixStream,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use libknet::api::{
    codec::{self, Decoder, MAX_RESPONSE},
    edit::{Context, Op},
    grammar::{self, Line, table_hash},
    message::{
        API_VERSION, ApiError, Hello, HelloReply, Page, Reply, Request, RequestBody, Response, Welcome,
    },
};

pub(crate) const KNETD: &str = env!("CARGO_BIN_EXE_knetd");
/// The key of nobody.
pub(crate) const STRANGER: &str = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

/// Runs a program to its end and returns what it wrote; panics if it fails.
pub(crate) fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `true`, for at most `limit`.
pub(crate) fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A network namespace and a directory; both are removed with it.
pub(crate) struct Host {
    pub(crate) netns: String,
    pub(crate) directory: PathBuf,
}

impl Host {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let netns = format!(
            "kd{}n{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let directory = std::env::temp_dir().join(&netns);
        fs::DirBuilder::new().mode(0o755).create(&directory).unwrap();
        run("ip", &["netns", "add", &netns]);
        let host = Self { netns, directory };
        host.ip(&["link", "set", "lo", "up"]);
        host
    }

    /// `ip ARGS` on this host.
    pub(crate) fn ip(&self, args: &[&str]) -> String {
        run("ip", &[&["-n", &self.netns], args].concat())
    }

    /// Whether the TAP or device is there.
    pub(crate) fn has_device(&self, name: &str) -> bool {
        self.ip(&["-o", "link"]).contains(&format!(": {name}: "))
    }

    /// Writes a file with this mode and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.directory.join(name);
        let _ = fs::remove_file(&path);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    /// Makes a private key `NAME.key` and returns its public key.
    pub(crate) fn key(&self, name: &str) -> String {
        let private = run(KNETD, &["genkey"]);
        self.file(&format!("{name}.key"), &private, 0o600);
        public_key(&private)
    }

    /// Writes `knetd.conf`.
    pub(crate) fn config(&self, text: &str) -> PathBuf {
        self.file("knetd.conf", text, 0o644)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("knetd.sock")
    }

    /// A command that runs the daemon on this host; `before` is a shell command that is run first.
    pub(crate) fn knetd(&self, before: &str) -> Command {
        self.knetd_of(&self.directory, before)
    }

    /// The same with configuration and socket in another directory.
    pub(crate) fn knetd_of(&self, directory: &Path, before: &str) -> Command {
        let mut command = Command::new("ip");
        let script = format!("{before}; exec \"$0\" \"$@\"");
        command.args(["netns", "exec", &self.netns, "sh", "-ec", &script, KNETD]);
        command.arg("--config").arg(directory.join("knetd.conf"));
        command.arg("--socket").arg(directory.join("knetd.sock"));
        command
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start(&self) -> Daemon {
        self.start_after(":")
    }

    /// The same after a shell command.
    pub(crate) fn start_after(&self, before: &str) -> Daemon {
        self.start_of(&self.directory, before)
    }

    /// The same with configuration and socket in another directory.
    pub(crate) fn start_of(&self, directory: &Path, before: &str) -> Daemon {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let log = self
            .directory
            .join(format!("log{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut command = self.knetd_of(directory, before);
        let stderr = fs::File::create(&log).unwrap();
        let child = command.arg("-v").stderr(stderr).spawn().unwrap();
        let mut daemon = Daemon { child, log };
        let start = Instant::now();
        while !daemon.log().contains("is ready") {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("knetd ended with {status}: {}", daemon.log());
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "knetd is not ready: {}",
                daemon.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    /// A command that runs an ignored test of this program as another user, who finds the socket in `KNETD_TEST_SOCKET`.
    pub(crate) fn as_user(&self, uid: u32, gid: u32, test: &str) -> Command {
        let program = self.directory.join("client");
        if !program.exists() {
            // By another process: a file that this one holds open for writing, or a child of another test, is busy.
            let own = std::env::current_exe().unwrap();
            run("cp", &[own.to_str().unwrap(), program.to_str().unwrap()]);
        }
        let mut command = Command::new(program);
        command
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env("KNETD_TEST_SOCKET", self.socket())
            .uid(uid)
            .gid(gid);
        command
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket()).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.netns]).status();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Runs a daemon that is expected to refuse to run, and returns its errors.
pub(crate) fn refused(mut command: Command) -> String {
    let Output { status, stderr, .. } = ended(command.stderr(Stdio::piped()).spawn().unwrap());
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{text}");
    text.lines()
        .filter(|line| line.contains("ERROR"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The end of a process that ends by itself soon; it is killed if not.
pub(crate) fn ended(mut child: Child) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    child.wait_with_output().unwrap()
}

pub(crate) fn public_key(private: &str) -> String {
    let mut child = Command::new(KNETD)
        .arg("pubkey")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(private.as_bytes()).unwrap();
    String::from_utf8(ended(child).stdout).unwrap().trim().into()
}

/// A running daemon; killed if the test ends before it.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// All that it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory that it uses, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        run("kill", &[signal, &self.child.id().to_string()]);
    }

    /// Waits for its end and says how long that took.
    pub(crate) fn wait(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, start.elapsed());
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "knetd does not end: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the log has this line.
    pub(crate) fn wait_for_line(&self, part: &str) {
        let start = Instant::now();
        while !self.log().contains(part) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "no line with {part:?}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A control client.
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    pub(crate) welcome: Welcome,
    decoder: Decoder,
    next: u32,
}

impl Client {
    pub(crate) fn connect(path: &Path) -> Result<Self, ApiError> {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut decoder = Decoder::new(MAX_RESPONSE);
        let hello = Hello {
            api_version: API_VERSION,
            build: "test".into(),
            table_hash: table_hash(),
        };
        // A daemon that refuses us may have closed already.
        let _ = stream.write_all(&codec::encode(&hello, codec::MAX_REQUEST).unwrap());
        let reply: HelloReply = read_message(&mut stream, &mut decoder).expect("no welcome");
        Ok(Self {
            welcome: reply?,
            stream,
            decoder,
            next: 0,
        })
    }

    pub(crate) fn send(&mut self, body: RequestBody) -> u32 {
        self.next += 1;
        let request = Request { id: self.next, body };
        self.stream
            .write_all(&codec::encode(&request, codec::MAX_REQUEST).unwrap())
            .unwrap();
        self.next
    }

    /// The next answer, whatever it belongs to; `None` at the end of the stream.
    pub(crate) fn response(&mut self) -> Option<Response> {
        read_message(&mut self.stream, &mut self.decoder)
    }

    /// All answers to one request, up to the last or the first error.
    pub(crate) fn all(&mut self, body: RequestBody) -> Result<Vec<Reply>, ApiError> {
        let id = self.send(body);
        let mut replies = Vec::new();
        loop {
            let response = self.response().expect("the daemon closed the connection");
            assert_eq!(response.id, id);
            replies.push(response.body?);
            if !response.more {
                return Ok(replies);
            }
        }
    }

    /// The only answer to a request.
    pub(crate) fn ask(&mut self, body: RequestBody) -> Result<Reply, ApiError> {
        self.all(body).map(|mut replies| {
            assert_eq!(replies.len(), 1);
            replies.remove(0)
        })
    }

    /// Types these configuration lines and sends them as one change. Returns the new revision.
    pub(crate) fn edit(&mut self, lines: &str) -> Result<u64, ApiError> {
        match self.ask(RequestBody::Edit {
            ops: ops(lines),
            base: None,
        })? {
            Reply::Edited { revision, .. } => Ok(revision),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn running_config(&mut self) -> String {
        text(self.all(RequestBody::RunningConfig { all: false }).unwrap())
    }
}

pub(crate) fn text(replies: Vec<Reply>) -> String {
    replies
        .into_iter()
        .map(|reply| match reply {
            Reply::Text(text) => text,
            other => panic!("{other:?}"),
        })
        .collect()
}

pub(crate) fn page() -> Page {
    Page {
        cursor: None,
        limit: 1000,
    }
}

/// What the shell would send for these lines.
pub(crate) fn ops(lines: &str) -> Vec<Op> {
    let mut here = Context::Global;
    let mut ops = Vec::new();
    for line in lines.lines() {
        match grammar::parse(Some(&here), line) {
            Ok(Line::Edit(edit)) => {
                ops.extend(edit.ops);
                here = edit.enter.unwrap_or(here);
            }
            Ok(Line::Nothing) => {}
            other => panic!("{line}: {other:?}"),
        }
    }
    ops
}

fn read_message<T: serde::de::DeserializeOwned>(stream: &mut UnixStream, decoder: &mut Decoder) -> Option<T> {
    let mut bytes = [0; 8192];
    loop {
        if let Some(message) = decoder.take().unwrap() {
            return Some(message);
        }
        match stream.read(&mut bytes) {
            Ok(0) => return None,
            Ok(n) => decoder.push(&bytes[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
}
