//! Links to DNS names. What a name is on a host stands in its own `/etc/hosts` and `/etc/resolv.conf`, which
//! `ip netns exec` puts in place.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use libknet::api::message::{LinkRow, Only, Reply, RequestBody};

use crate::host::{Client, Host, STRANGER, page, run, wait_for};

/// `/etc` of a host, as far as it is its own.
struct Etc(PathBuf);

impl Etc {
    fn of(host: &Host) -> Self {
        let directory = PathBuf::from("/etc/netns").join(&host.netns);
        fs::create_dir_all(&directory).unwrap();
        let etc = Self(directory);
        etc.hosts("");
        etc.name_server("127.0.0.1");
        etc
    }

    /// In place: the files are mounted.
    fn hosts(&self, lines: &str) {
        fs::write(self.0.join("hosts"), format!("127.0.0.1 localhost\n{lines}")).unwrap();
    }

    fn name_server(&self, address: &str) {
        fs::write(self.0.join("resolv.conf"), format!("nameserver {address}\n")).unwrap();
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // Fails where others are in it.
        let _ = fs::remove_dir("/etc/netns");
    }
}

fn links(client: &mut Client) -> Vec<LinkRow> {
    match client
        .ask(RequestBody::Links {
            interface: None,
            peer: None,
            page: page(),
            only: Only::default(),
        })
        .unwrap()
    {
        Reply::Links(rows) => rows.rows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_link_follows_its_name_and_the_others_do_not_notice() {
    let (a, b) = (Host::new(), Host::new());
    let etc = Etc::of(&a);
    for (n, network) in [(0, "10.1.0"), (1, "10.2.0")] {
        let name = format!("c{n}");
        let veth = ["link", "add", &name, "netns", &a.netns, "type", "veth", "peer"];
        run("ip", &[&veth[..], &["name", &name, "netns", &b.netns]].concat());
        for (host, last) in [(&a, 1), (&b, 2)] {
            host.ip(&["address", "add", &format!("{network}.{last}/24"), "dev", &name]);
            host.ip(&["link", "set", &name, "up"]);
        }
    }
    let (key_a, key_b) = (a.key("k"), b.key("k"));
    a.config(&format!(
        "interface kd0\n private-key file k.key\n local 0 10.1.0.1 port 7700\n local 1 10.2.0.1 port 7700\n \
         peer bert\n  public-key {key_b}\n  link 0 local 0 remote Bert.knet.test port 7700\n  \
         link 1 local 1 remote 10.2.0.2 port 7701\n"
    ));
    b.config(&format!(
        "interface kd0\n private-key file k.key\n local 0 any port 7700\n local 1 10.2.0.2 port 7701\n \
         peer anna\n  public-key {key_a}\n  link 0 local 0 remote dynamic\n  link 1 local 1 remote dynamic\n"
    ));
    let _b = b.start();
    let daemon = a.start();
    let mut client = a.client();

    // Nobody knows the name: everything else runs.
    wait_for("link 1", Duration::from_secs(10), || {
        links(&mut client)[1].state == "up"
    });
    wait_for("a reason", Duration::from_secs(10), || {
        let reason = links(&mut client)[0].reason.clone().unwrap_or_default();
        reason.starts_with("name not resolved: ") && !reason.contains("being looked up")
    });
    let row = &links(&mut client)[0];
    assert_eq!(row.state, "down");
    assert_eq!(
        (row.remote_name.as_deref(), &row.remote),
        (Some("Bert.knet.test"), &None)
    );
    daemon.wait_for_line("kd0 peer bert link 0: Bert.knet.test not resolved: ");
    assert!(
        client
            .running_config()
            .contains("link 0 local 0 remote Bert.knet.test port 7700\n")
    );

    // Somebody does: the back-off is at most 20 s by now.
    etc.hosts("10.1.0.2 bert.knet.test\nfd00::2 bert.knet.test\n");
    wait_for("link 0", Duration::from_secs(25), || {
        links(&mut client)[0].state == "up"
    });
    daemon.wait_for_line("kd0 peer bert link 0: Bert.knet.test is now 10.1.0.2");
    let row = &links(&mut client)[0];
    assert_eq!(
        (row.remote.as_deref(), &row.reason),
        (Some("10.1.0.2:7700"), &None)
    );

    // The peer gets another address, as by DHCP, and is found again by its name. The other address of the name in
    // between leads nowhere.
    etc.hosts("10.1.0.7 bert.knet.test\n10.1.0.9 bert.knet.test\n");
    b.ip(&["address", "del", "10.1.0.2/24", "dev", "c0"]);
    b.ip(&["address", "add", "10.1.0.9/24", "dev", "c0"]);
    let start = Instant::now();
    wait_for("link 0 at the new address", Duration::from_secs(40), || {
        let row = &links(&mut client)[0];
        row.state == "up" && row.remote.as_deref() == Some("10.1.0.9:7700")
    });
    println!("found again after {:?}", start.elapsed());
    let other = &links(&mut client)[1];
    assert_eq!((other.state.as_str(), other.downs, other.suspects), ("up", 0, 0));
    assert_eq!(daemon.log().matches("session up").count(), 1, "{}", daemon.log());
}

#[test]
fn name_servers_that_do_not_answer_block_nothing() {
    let host = Host::new();
    let _etc = Etc::of(&host);
    // Questions vanish: a look-up takes 10 s.
    let silence = "add table ip t; add chain ip t in { type filter hook input priority 0; }; \
                   add rule ip t in udp dport 53 drop";
    run("ip", &["netns", "exec", &host.netns, "nft", silence]);
    host.key("k");
    let links_to = |count: usize| -> String {
        (0..count)
            .map(|n| {
                format!(
                    " peer p{n}\n  public-key {}\n  link 0 remote p{n}.knet.test port 7700\n",
                    key_of(n)
                )
            })
            .collect()
    };
    host.config(&format!(
        "interface kd0\n private-key file k.key\n local 0 any port 7700\n{}",
        links_to(20)
    ));
    // Looks nothing up.
    let checked = Instant::now();
    assert!(host.knetd(":").arg("--check").status().unwrap().success());
    assert!(
        checked.elapsed() < Duration::from_secs(3),
        "{:?}",
        checked.elapsed()
    );

    let mut daemon = host.start();
    let mut client = host.client();
    let deadline = Instant::now() + Duration::from_secs(3);
    while Instant::now() < deadline {
        let asked = Instant::now();
        assert_eq!(links(&mut client).len(), 20);
        assert!(
            asked.elapsed() < Duration::from_millis(500),
            "{:?}",
            asked.elapsed()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let asked = Instant::now();
    client.edit("interface kd0\nmtu 1300").unwrap();
    assert!(
        asked.elapsed() < Duration::from_millis(500),
        "{:?}",
        asked.elapsed()
    );
    daemon.signal("-TERM");
    let (status, time) = daemon.wait();
    assert!(
        status.success() && time < Duration::from_secs(2),
        "{status} {time:?}"
    );
}

/// A public key that is different for each number.
fn key_of(n: usize) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut key = STRANGER.to_owned();
    key.replace_range(0..1, &char::from(digits[n]).to_string());
    key
}
