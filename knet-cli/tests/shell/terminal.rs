//! The shell on a terminal, which `script` of the base system makes.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::fake_daemon::{FakeDaemon, Temper};

const PATIENCE: Duration = Duration::from_secs(10);

/// A shell on a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<Vec<u8>>>,
    /// How much of it was read.
    read: usize,
}

impl Terminal {
    fn open(daemon: &FakeDaemon) -> Self {
        let program = env!("CARGO_BIN_EXE_knet-cli");
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command"])
            .arg(format!(
                "stty cols 120 rows 40; exec {program} --socket {}",
                daemon.socket.display()
            ))
            .arg("/dev/null")
            .env("TERM", "xterm")
            .env("HOME", daemon.directory())
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script");
        let keys = child.stdin.take().expect("its input");
        let mut out = child.stdout.take().expect("its output");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut buffer) {
                all.lock()
                    .expect("what was seen")
                    .extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            child,
            keys,
            seen,
            read: 0,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys
            .write_all(keys.as_bytes())
            .and_then(|()| self.keys.flush())
            .expect("a terminal");
    }

    /// Waits until `text` can be read behind what was read before, and gives all up to its end.
    fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.seen.lock().expect("what was seen").clone();
            let plain = without_escapes(&String::from_utf8_lossy(&seen));
            let new = plain.get(self.read..).unwrap_or_default();
            if let Some(at) = new.find(text) {
                let end = at + text.len();
                self.read += end;
                return new[..end].to_owned();
            }
            assert!(Instant::now() < deadline, "{text:?} is not in {new:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn status(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("the shell") {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        if chars.next() == Some('[') {
            while chars.next_if(|c| !c.is_ascii_alphabetic() && *c != '~').is_some() {}
            chars.next();
        }
    }
    plain
}

#[test]
fn what_waits_to_be_confirmed_is_told_by_every_shell() {
    let daemon = FakeDaemon::start(Temper::Undecided);
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("% A change by ann (session 7) waits to be confirmed (`configure confirm`)");
    terminal.expect("revision 1 comes back in 1m30s, or when peer ams1 is lost");
    let seen = terminal.expect("*** 00:00:01.500 the change by ann was undone[2J");
    assert!(!seen.contains("itself"), "{seen}");
    terminal.press("exit\r");
    assert_eq!(terminal.status(), Some(0));
}

#[test]
fn a_candidate_is_not_left_by_accident() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    terminal.press("configure candidate\r");
    terminal.expect("fra1(candidate)# ");
    terminal.press("interface knet0\rmtu 1300\r");
    terminal.expect("mtu 1300");
    terminal.expect("fra1(candidate-if:knet0)# ");
    // Ctrl-Z, then Ctrl-D twice: out of the interface, and not out of the candidate.
    terminal.press("\u{1a}");
    terminal.expect("% the candidate has changes that are not committed");
    terminal.expect("fra1(candidate-if:knet0)# ");
    terminal.press("\u{4}");
    terminal.expect("fra1(candidate)# ");
    terminal.press("\u{4}");
    terminal.expect("% the candidate has changes that are not committed");
    terminal.expect("fra1(candidate)# ");
    terminal.press("exit discard\r");
    terminal.expect("fra1# ");
    terminal.press("exit\r");
    assert_eq!(terminal.status(), Some(0));
}

#[test]
fn a_question_mark_tells_what_may_follow_and_leaves_the_line() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    terminal.press("show mac ");
    terminal.expect("show mac ");
    terminal.press("?");
    let screen = terminal.expect("address-table  Which address is behind which peer");
    assert!(screen.contains("fra1# show mac ?"), "{screen:?}");
    terminal.expect("fra1# show mac ");
    // The line goes on where it was.
    terminal.press("addr | include ams1\r");
    terminal.expect("02:00:00:00:00:02  peer ams1");
    terminal.press("shwo ?");
    let screen = terminal.expect("did you mean `show`?");
    assert!(screen.contains("\n      ^"), "{screen:?}");
    terminal.expect("fra1# shwo ");
    // Ctrl-C drops the line.
    terminal.press("\u{3}");
    terminal.expect("fra1# ");
    terminal.press("exit\r");
    assert_eq!(terminal.status(), Some(0));
}

#[test]
fn tab_completes_keywords_and_live_names() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    terminal.press("sh\tpeer l\t");
    terminal.expect("show peer lab2 ");
    terminal.press("\r");
    terminal.expect("Peer lab2 of knet0 is down");
    // Two fit: the common part first, then both.
    terminal.press("ping peer a\t");
    terminal.expect("ping peer ams");
    terminal.press("\t\t");
    let screen = terminal.expect("amster2");
    assert!(screen.contains("ams1"), "{screen:?}");
    terminal.press("1 li\t0 cou\t1\r");
    terminal.expect("link 0: 1 sent, 1 answered, 0% lost");
    terminal.press("\u{4}");
    assert_eq!(terminal.status(), Some(0));
}

#[test]
fn modes_are_left_with_exit_end_and_control_keys() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    terminal.press("conf t\r");
    terminal.expect("fra1(config)# ");
    terminal.press("interface knet0\r");
    terminal.expect("fra1(config-if:knet0)# ");
    terminal.press("peer ams1\r");
    terminal.expect("fra1(config-peer:ams1)# ");
    terminal.press("link 0\r");
    terminal.expect("fra1(config-link:ams1:0)# ");
    // A line of an outer object goes there.
    terminal.press("mtu 1300\r");
    terminal.expect("fra1(config-if:knet0)# ");
    // Ctrl-D on an empty line is `exit`.
    terminal.press("\u{4}");
    terminal.expect("fra1(config)# ");
    // Ctrl-Z does the line first.
    terminal.press("hostname ber1\u{1a}");
    terminal.expect("ber1# ");
    terminal.press("show running-config | include hostname\r");
    terminal.expect("hostname ber1");
    terminal.press("exit\r");
    terminal.expect("is not saved");
    assert_eq!(terminal.status(), Some(0));
}

#[test]
fn events_come_above_the_line_that_is_typed() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    terminal.press("terminal monitor\r");
    terminal.expect("fra1# ");
    terminal.press("show ver");
    terminal.expect("* 00:00:01.502 knet0: link 1 of ams1 is down (2[2J)");
    terminal.expect("fra1# show ver");
    terminal.press("\r");
    terminal.expect("Process 4242");
    terminal.press("no terminal monitor\rdisable\r");
    terminal.expect("fra1> ");
    terminal.press("configure\r");
    terminal.expect("% this needs `enable` first");
    terminal.press("enable\r");
    terminal.expect("fra1# ");
}

#[test]
fn what_is_pasted_stops_at_its_first_mistake() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    terminal.press("\u{1b}[200~configure\nhostname ber1\nnonsense\nhostname rom1\u{1b}[201~\r");
    terminal.expect("% Invalid input detected");
    terminal.expect("ber1(config)# ");
}

#[test]
fn the_history_is_kept_without_keys() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let key = "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=";
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    terminal.press("show version\r");
    terminal.expect("Process 4242");
    terminal.press(&format!("preshared-key {key}\r"));
    terminal.expect("% Invalid input");
    terminal.press("exit\r");
    assert_eq!(terminal.status(), Some(0));
    let file = daemon.directory().join(".local/state/knet/cli_history");
    let kept = std::fs::read_to_string(&file).expect("a history");
    assert!(kept.contains("show version"), "{kept}");
    assert!(!kept.contains(key), "{kept}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).expect("a history"));
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    // The next shell has it.
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    terminal.press("\u{10}\u{10}");
    terminal.expect("show version");
}
