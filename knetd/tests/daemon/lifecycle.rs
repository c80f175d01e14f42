//! Start, signals, end.

use std::{
    fs,
    os::unix::{fs::MetadataExt, net::UnixDatagram},
    time::Duration,
};

use crate::host::{Host, refused as refused_by, wait_for};

const CONFIG: &str = "\
hostname fra1
interface kd0
 private-key file a.key
 ip address 10.200.0.1/24
 ipv6 address fd00:200::1/64
 local 0 127.0.0.1 port 7700
interface kd1
 private-key file b.key
 mac-address 02:00:00:00:00:77
 mtu 1300
 local 0 127.0.0.1 port 7701
";

fn host() -> Host {
    let host = Host::new();
    host.key("a");
    host.key("b");
    host.config(CONFIG);
    host
}

fn mac(host: &Host, device: &str) -> String {
    let text = host.ip(&["-o", "link", "show", device]);
    text.split_whitespace()
        .skip_while(|w| *w != "link/ether")
        .nth(1)
        .unwrap()
        .into()
}

#[test]
fn it_makes_interfaces_and_leaves_nothing_behind() {
    let host = host();
    let mut daemon = host.start();
    let addresses = host.ip(&["-o", "address", "show", "kd0"]);
    assert!(
        addresses.contains("10.200.0.1/24") && addresses.contains("fd00:200::1/64"),
        "{addresses}"
    );
    assert!(host.ip(&["-o", "link", "show", "kd1"]).contains("mtu 1300"));
    assert_eq!(mac(&host, "kd1"), "02:00:00:00:00:77");
    assert_eq!(fs::metadata(host.socket()).unwrap().mode() & 0o7777, 0o660);
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<_> = core.unwrap().split_whitespace().take(2).collect();
    assert_eq!(core, ["0", "0"], "keys would be in core dumps");

    daemon.signal("-TERM");
    let (status, took) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(!host.has_device("kd0") && !host.has_device("kd1"));
    assert!(!host.socket().exists());
    let names: Vec<_> = fs::read_dir(&host.directory)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(
        names
            .iter()
            .filter(|n| n.to_string_lossy().starts_with('.'))
            .count(),
        0,
        "{names:?}"
    );
}

#[test]
fn systemd_is_told_how_far_it_is() {
    let host = host();
    let path = host.directory.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut daemon = host.start_after(&format!("export NOTIFY_SOCKET={}", path.display()));
    let message = || {
        let mut bytes = [0; 100];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    assert_eq!(message(), "READY=1");
    daemon.signal("-TERM");
    assert_eq!(message(), "STOPPING=1");
    assert!(daemon.wait().0.success());
}

#[test]
fn interrupt_ends_it_as_well() {
    let host = host();
    let mut daemon = host.start();
    daemon.signal("-INT");
    assert_eq!(daemon.wait().0.code(), Some(0));
    assert!(!host.has_device("kd0"));
}

#[test]
fn after_kill_9_it_comes_back_the_same() {
    let host = host();
    let mut daemon = host.start();
    let before = mac(&host, "kd0");
    daemon.signal("-KILL");
    daemon.wait();
    assert!(
        host.socket().exists(),
        "nothing was left behind that could be in the way"
    );
    let _daemon = host.start();
    assert_eq!(mac(&host, "kd0"), before);
    assert_eq!(host.client().welcome.hostname, "fra1");
}

#[test]
fn a_second_daemon_is_refused_and_the_first_undisturbed() {
    let host = host();
    let _daemon = host.start();
    let text = refused_by(host.knetd(":"));
    assert!(
        text.contains("another knetd is using this control socket"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(host.client().welcome.revision, 1);
    assert!(host.has_device("kd0"));
}

#[test]
fn what_cannot_be_started_is_told_in_one_line() {
    let refused = |prepare: &dyn Fn(&Host), before: &str| {
        let host = host();
        prepare(&host);
        let text = refused_by(host.knetd(before));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!host.has_device("kd1"), "an interface was left behind: {text}");
        assert!(!host.socket().exists());
        text
    };
    let edit = |from: &'static str, to: &'static str| {
        move |host: &Host| drop(host.config(&CONFIG.replace(from, to)))
    };
    let text = refused(&edit("127.0.0.1 port 7701", "192.0.2.99 port 7701"), ":");
    assert!(text.contains("kd1") && text.contains("192.0.2.99"), "{text}");
    let text = refused(
        &|host| drop(host.ip(&["link", "add", "kd0", "type", "bridge"])),
        ":",
    );
    assert!(text.contains("kd0"), "{text}");
    let text = refused(&|_| {}, "mount -t tmpfs none /dev/net");
    assert!(
        text.contains("/dev/net/tun") && text.contains("modprobe tun"),
        "{text}"
    );
    let text = refused(&|_| {}, "ulimit -n 100");
    assert!(text.contains("ulimit -n 164"), "{text}");
    let text = refused(
        &|host| fs::remove_file(host.directory.join("b.key")).unwrap(),
        ":",
    );
    assert!(
        text.contains("line 8, column 19") && text.contains("knetd genkey"),
        "{text}"
    );
}

#[test]
fn an_address_in_use_is_named() {
    let (host, other) = (host(), Host::new());
    let _daemon = host.start();
    other.key("a");
    other.config("interface kd9\n private-key file a.key\n local 3 127.0.0.1 port 7701\n");
    let text = refused_by(host.knetd_of(&other.directory, ":"));
    assert!(
        text.contains("kd9") && text.contains("127.0.0.1:7701") && text.contains("local 3"),
        "{text}"
    );
}

#[test]
fn without_privileges_it_says_so() {
    let host = host();
    let text = refused_by(host.knetd("exec setpriv --bounding-set=-net_admin \"$0\" \"$@\""));
    assert!(text.contains("root") && text.lines().count() == 1, "{text}");
}

#[test]
fn without_a_file_it_starts_empty() {
    let host = Host::new();
    let daemon = host.start();
    assert!(
        daemon.log().contains("starting with an empty configuration"),
        "{}",
        daemon.log()
    );
    let mut client = host.client();
    host.key("a");
    client.edit("interface kd0\nprivate-key file a.key\n").unwrap();
    wait_for("the TAP", Duration::from_secs(2), || host.has_device("kd0"));
    client
        .ask(libknet::api::message::RequestBody::WriteMemory)
        .unwrap();
    let text = fs::read_to_string(host.directory.join("knetd.conf")).unwrap();
    assert_eq!(text, client.running_config());
    assert!(text.contains("private-key file a.key"), "{text}");
}

#[test]
fn an_interface_that_is_taken_away_comes_back() {
    let host = host();
    let daemon = host.start();
    host.ip(&["link", "del", "kd0"]);
    daemon.wait_for_line("failed");
    wait_for("the TAP", Duration::from_secs(10), || host.has_device("kd0"));
    assert!(host.has_device("kd1"));
}
