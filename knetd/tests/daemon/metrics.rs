//! The socket at which metrics are told: what happens where it cannot be had. What is told there, and to whom, is tested with
//! tunnels (`tests/tests/netns/metrics.rs`).

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use libknet::api::message::ErrorCode;

use crate::host::{Host, run, wait_for};

pub(crate) fn listens(host: &Host, socket: &str) -> bool {
    run("ip", &["netns", "exec", &host.netns, "ss", "-Hltn"]).contains(&format!(" {socket} "))
}

/// Another program that has this port.
pub(crate) fn other(host: &Host, port: &str) -> Child {
    let child = Command::new("ip")
        .args(["netns", "exec", &host.netns, "nc", "-lk", "127.0.0.1", port])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the other program", Duration::from_secs(5), || {
        listens(host, &format!("127.0.0.1:{port}"))
    });
    child
}

#[test]
fn a_port_in_use_is_waited_for_at_the_start_and_refused_later() {
    let host = Host::new();
    let mut in_the_way = other(&host, "9273");
    host.config("metrics listen 127.0.0.1 port 9273\n");
    let mut daemon = host.start();
    daemon.wait_for_line("metrics cannot be told at 127.0.0.1:9273: it is in use");
    let mut client = host.client();
    client.edit("metrics listen ::1 port 9274\n").unwrap();
    wait_for("the socket", Duration::from_secs(5), || {
        listens(&host, "[::1]:9274")
    });

    let refused = client
        .edit("hostname changed\nmetrics listen 127.0.0.1 port 9273\n")
        .unwrap_err();
    assert_eq!(refused.code, ErrorCode::System);
    assert!(
        refused.message.contains("127.0.0.1:9273: it is in use"),
        "{refused:?}"
    );
    let running = client.running_config();
    assert!(
        running.contains("::1 port 9274") && !running.contains("changed"),
        "{running}"
    );
    assert!(listens(&host, "[::1]:9274"));
    let exposed = client.edit("metrics listen any port 9274\n").unwrap_err();
    assert!(exposed.message.contains("exposed") || exposed.hint.unwrap_or_default().contains("exposed"));

    // The address of an interface that comes with the same change.
    host.key("k");
    client
        .edit(
            "interface kd0\nprivate-key file k.key\nip address 10.9.0.1/24\nmetrics listen 10.9.0.1 port 9273 exposed\n",
        )
        .unwrap();
    wait_for("the address", Duration::from_secs(5), || {
        listens(&host, "10.9.0.1:9273")
    });
    // In the way of one address is not in the way of another; of all it is.
    let refused = client.edit("metrics listen any port 9273 exposed\n").unwrap_err();
    assert_eq!(refused.code, ErrorCode::System);
    assert!(listens(&host, "10.9.0.1:9273"), "it is back");
    in_the_way.kill().unwrap();
    in_the_way.wait().unwrap();
    client.edit("metrics listen any port 9273 exposed\n").unwrap();
    wait_for("all addresses", Duration::from_secs(5), || {
        listens(&host, "0.0.0.0:9273")
    });

    // Killed, it leaves nothing in the way of the next one.
    host.config("metrics listen 127.0.0.1 port 9273\n");
    daemon.signal("-KILL");
    daemon.wait();
    let next = host.start();
    next.wait_for_line("metrics are told at 127.0.0.1:9273");
}
