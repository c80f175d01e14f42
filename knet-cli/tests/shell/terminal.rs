//! The shell on a terminal, which `script` of the base system makes.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{
    fake_daemon::{FakeDaemon, Temper},
    screen::Screen,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A shell on a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<Vec<u8>>>,
    /// How much of it was read.
    read: usize,
    /// Columns and rows.
    size: (usize, usize),
}

impl Terminal {
    fn open(daemon: &FakeDaemon) -> Self {
        Self::of_size(daemon, 120, 40)
    }

    fn of_size(daemon: &FakeDaemon, columns: usize, rows: usize) -> Self {
        let program = env!("CARGO_BIN_EXE_knet-cli");
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command"])
            .arg(format!(
                "stty cols {columns} rows {rows}; exec {program} --socket {}",
                daemon.socket.display()
            ))
            .arg("/dev/null")
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
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
            size: (columns, rows),
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

    /// Waits until the screen, as far as it is not empty, is these lines.
    fn expect_screen(&self, wanted: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.seen.lock().expect("what was seen").clone();
            let lines = Screen::after(self.size.0, self.size.1, &String::from_utf8_lossy(&seen)).lines();
            if lines == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{wanted:#?} is not {lines:#?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the shell as a person does.
    fn leave(mut self) {
        self.press("exit\r");
        assert_eq!(self.status(), Some(0));
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

/// A shell that waits for its first line.
fn ready() -> (FakeDaemon, Terminal) {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    (daemon, terminal)
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
    terminal.leave();
}

#[test]
fn a_candidate_is_not_left_by_accident() {
    let (_daemon, mut terminal) = ready();
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
    terminal.leave();
}

#[test]
fn a_question_mark_tells_what_may_follow_and_leaves_the_line() {
    let (_daemon, mut terminal) = ready();
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
    terminal.leave();
}

#[test]
fn tab_completes_keywords_and_live_names() {
    let (_daemon, mut terminal) = ready();
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
    let (_daemon, mut terminal) = ready();
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
    let (_daemon, mut terminal) = ready();
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
    let (_daemon, mut terminal) = ready();
    terminal.press("\u{1b}[200~configure\nhostname ber1\nnonsense\nhostname rom1\u{1b}[201~\r");
    terminal.expect("line 3 of 4: nonsense");
    terminal.expect("% Invalid input detected");
    terminal.expect("% The lines below it were not run");
    terminal.expect("ber1(config)# ");
}

#[test]
fn a_long_answer_stops_at_each_screen() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut terminal = Terminal::of_size(&daemon, 60, 8);
    terminal.expect("knet 0.1.0 on fra1, revision 1. Type ? for help.");
    terminal.expect("fra1# ");
    terminal.press("show running-config\r");
    terminal.expect_screen(&[
        "hostname fra1",
        "!",
        "interface knet0",
        " private-key file fra1.key",
        " ip address 10.200.0.1/24",
        " local 0 192.0.2.1 port 7700",
        " local 1 198.51.100.1 port 7700",
        "--More-- line 7 of 16",
    ]);
    // A line.
    terminal.press("\r");
    terminal.expect_screen(&[
        "!",
        "interface knet0",
        " private-key file fra1.key",
        " ip address 10.200.0.1/24",
        " local 0 192.0.2.1 port 7700",
        " local 1 198.51.100.1 port 7700",
        " !",
        "--More-- line 8 of 16",
    ]);
    // What is searched for comes to the top, or as near to it as the end allows.
    terminal.press("/priority\r");
    terminal.expect_screen(&[
        "  public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
        "  link 0 local 0 remote 203.0.113.7 port 7700",
        "   priority 200",
        "  link 1 local 1 remote dynamic",
        " !",
        " peer lab2",
        "  public-key iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=",
        "(end) line 16 of 16",
    ]);
    terminal.press("/nowhere\r");
    terminal.expect("nowhere is not found");
    terminal.press("b");
    terminal.expect("--More-- line 9 of 16");
    terminal.press("q");
    terminal.expect("fra1# ");
    // Without stopping.
    terminal.press("show running-config | no-more\r");
    terminal.expect("public-key iUSrn");
    terminal.expect("fra1# ");
    terminal.press("terminal length 0\rshow running-config\r");
    terminal.expect("public-key iUSrn");
    terminal.expect("fra1# ");
    // To the end by screens; then the shell goes on by itself.
    terminal.press("terminal length 12\rshow running-config\r");
    terminal.expect("--More-- line 11 of 16");
    terminal.press(" ");
    terminal.expect("fra1# ");
    terminal.leave();
}

#[test]
fn control_c_ends_a_command_and_not_the_shell() {
    let daemon = FakeDaemon::start(Temper::Silent);
    let mut terminal = Terminal::open(&daemon);
    terminal.expect("fra1# ");
    terminal.press("show version\r");
    // While it waits for the daemon.
    thread::sleep(Duration::from_millis(300));
    terminal.press("\u{3}");
    terminal.expect("% interrupted");
    terminal.expect("fra1# ");
    terminal.leave();
}

#[test]
fn a_shell_that_nobody_uses_ends_if_that_is_wanted() {
    let (_daemon, mut terminal) = ready();
    terminal.press("configure\rhostname ber1\rend\r");
    terminal.expect("ber1# ");
    terminal.press("terminal exec-timeout 0 1\r");
    let started = Instant::now();
    // A key begins the time anew.
    thread::sleep(Duration::from_millis(700));
    terminal.press("x");
    terminal.expect("No key for 1 s (exec-timeout): the shell ends");
    assert!(
        started.elapsed() > Duration::from_millis(1600),
        "{:?}",
        started.elapsed()
    );
    terminal.expect("is not saved");
    assert_eq!(terminal.status(), Some(0));
}

#[test]
fn live_views_stay_in_their_place() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut terminal = Terminal::of_size(&daemon, 70, 12);
    terminal.expect("fra1# ");
    terminal.press("monitor links peer ams1\r");
    // The second look has rates, and two blocks.
    terminal.expect("0b/s");
    terminal.expect("UTC, every 1 s, q ends");
    let seen = terminal.seen.lock().expect("what was seen").clone();
    let lines = Screen::after(70, 12, &String::from_utf8_lossy(&seen)).lines();
    let heads = lines.iter().filter(|line| line.starts_with("Interface")).count();
    assert_eq!(heads, 1, "{lines:#?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 70), "{lines:#?}");
    terminal.press("q");
    terminal.expect("fra1# ");
    terminal.press("monitor peers\r");
    terminal.expect("lab2");
    terminal.press("\u{3}");
    terminal.expect("fra1# ");
    terminal.leave();
}

#[test]
fn what_disturbs_traffic_is_asked_for() {
    let (_daemon, mut terminal) = ready();
    terminal.press("reset peer ams1\r");
    terminal.expect("The session with peer ams1 ends and is made anew. Go on? [y/N] ");
    terminal.press("\r");
    terminal.expect("n\r\n");
    terminal.expect("fra1# ");
    // Only after the question it is clear that the peer is unknown: the daemon was asked.
    terminal.press("reset peer nobody\r");
    terminal.expect("Go on? [y/N] ");
    terminal.press("y");
    terminal.expect("% there is no peer nobody");
    terminal.press("debug peer ams1\r");
    terminal.expect("* 00:00:01.502 knet0: link 1 of ams1 is down (2[2J)");
    terminal.press("show debugging\r");
    terminal.expect("Peer ams1: shown for 29m");
    terminal.press("undebug all\rshow debugging | count\r");
    terminal.expect("1 line\r\n");
    terminal.press("\u{12}debugging |");
    terminal.expect("show debugging | count");
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
    terminal.leave();
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
