//! Metrics for Prometheus: what is collected from a real daemon says what `show` says, and no client is in the way of others.

use std::time::{Duration, Instant};

use knet_tests::{
    exposition::{Page, parse},
    lab::{
        Cut, LabError, NetworkId, Result,
        daemon::rows,
        mesh::{Mesh, Plan, overlay_v4},
        ping::Ping,
        time::wait_until,
    },
};
use serde_json::Value;

use super::{A, B, assert_lossless, needs_root};

/// Sends each argument as a request of its own and prints the answers, with a line of their own between them.
const ASK: &str = "
import socket, sys
for request in sys.argv[1:]:
    s = socket.create_connection(('127.0.0.1', 9273), 5)
    s.sendall(request.encode())
    answer = b''
    while piece := s.recv(65536): answer += piece
    sys.stdout.write(answer.decode() + '\\n=====\\n')
";
/// Holds as many connections open as are served at once, each with half a request, and asks for the page with all of them. Then holds
/// forty open; asks for the page meanwhile; then asks a hundred times at once.
const CROWD: &str = "
import socket, time
def client(text):
    s = socket.create_connection(('127.0.0.1', 9273), 5)
    s.sendall(text)
    return s
def answer(s):
    got = b''
    try:
        while piece := s.recv(65536): got += piece
    except ConnectionError: pass
    return got
page = b'GET /metrics HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'
slow = [client(page[:n]) for n in range(16)]
time.sleep(0.3)
for n, s in enumerate(slow): s.sendall(page[n:])
kept = sum(answer(s).startswith(b'HTTP/1.1 200 ') for s in slow)
held = [client(page[:n]) for n in range(40)]
began = time.monotonic()
alone = answer(client(page)).startswith(b'HTTP/1.1 200 ')
took = time.monotonic() - began
many = [client(page) for _ in range(100)]
served = sum(answer(s).startswith(b'HTTP/1.1 200 ') for s in many)
print(kept, alone, served, int(took * 1000))
";

fn ask(mesh: &Mesh, requests: &[&str]) -> Result<Vec<String>> {
    let text = mesh.lab.run(A, "python3", &[&["-c", ASK], requests].concat())?;
    Ok(text
        .split("\n=====\n")
        .map(str::to_owned)
        .filter(|a| !a.is_empty())
        .collect())
}

fn scrape(mesh: &Mesh) -> Result<Page> {
    // The page is made once a second at most.
    std::thread::sleep(Duration::from_millis(1050));
    let answers = ask(mesh, &["GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"])?;
    let (head, page) = answers[0]
        .split_once("\r\n\r\n")
        .ok_or_else(|| LabError::new(answers[0].clone()))?;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}", page.len())),
        "{head}"
    );
    Ok(parse(page).unwrap_or_else(|error| panic!("{error}")))
}

fn interface(mesh: &Mesh) -> Result<Value> {
    let shown = mesh.daemon(A).show("show interfaces")?;
    let row = rows(&shown).first().map(|row| (*row).clone());
    row.ok_or_else(|| LabError::new(format!("{shown}")))
}

const KNET0: (&str, &str) = ("interface", "knet0");

#[test]
fn what_is_collected_is_what_is_shown() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(Plan {
        hosts: 2,
        links: 2,
        ..Plan::default()
    })?;
    mesh.daemon(A)
        .edit(&["metrics listen 127.0.0.1 port 9273", "metrics peers"])?;
    let name = mesh.lab.host_name(B).to_owned();
    let before = scrape(&mesh)?;
    // Also of what has not happened.
    let revoked = before.get("knet_certificates_refused_total", &[("reason", "revoked")]);
    assert_eq!(revoked, Some(0.0));
    assert_eq!(before.get("knet_interface_up", &[KNET0]), Some(1.0));
    assert_eq!(before.get("knet_peers", &[KNET0, ("state", "up")]), Some(1.0));
    assert_eq!(before.get("knet_links", &[KNET0, ("state", "up")]), Some(2.0));

    let ping = Ping::flood(&mesh.lab, A, overlay_v4(B), &["-c", "2000"])?;
    assert_lossless(ping.wait(Duration::from_secs(30))?);
    let earlier = interface(&mesh)?;
    let after = scrape(&mesh)?;
    let later = interface(&mesh)?;
    for (metric, field, unit) in [
        ("knet_tap_receive_frames_total", "tap_rx", "packets"),
        ("knet_tap_receive_bytes_total", "tap_rx", "bytes"),
        ("knet_tap_transmit_frames_total", "tap_tx", "packets"),
        ("knet_wire_receive_datagrams_total", "wire_rx", "packets"),
        ("knet_wire_transmit_datagrams_total", "wire_tx", "packets"),
        ("knet_wire_transmit_bytes_total", "wire_tx", "bytes"),
    ] {
        let of = |page: &Page| page.get(metric, &[KNET0]).unwrap_or(f64::NAN);
        let shown = |row: &Value| row[field][unit].as_f64().unwrap_or(f64::NAN);
        assert!(of(&after) - of(&before) >= 2000.0, "{metric}");
        assert!(
            (shown(&earlier)..=shown(&later)).contains(&of(&after)),
            "{metric}: {} is not in {}..={}",
            of(&after),
            shown(&earlier),
            shown(&later)
        );
    }
    let peer = [KNET0, ("peer", name.as_str())];
    let sent = |page: &Page| {
        page.get("knet_peer_transmit_frames_total", &peer)
            .unwrap_or(f64::NAN)
    };
    assert!(sent(&after) - sent(&before) >= 2000.0);
    for row in rows(&later["drops"]) {
        let reason = row["reason"].as_str().unwrap_or_default();
        let told = after.get("knet_dropped_packets_total", &[KNET0, ("reason", reason)]);
        assert!(told <= row["count"].as_f64(), "{reason}: {told:?}, {row}");
    }
    let limits = mesh.daemon(A).show("show limits")?;
    for row in rows(&limits).iter().filter(|row| row["interface"] == "knet0") {
        let labels =
            ["interface", "name", "unit"].map(|label| (label, row[label].as_str().unwrap_or_default()));
        let labels: Vec<_> = labels
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        assert_eq!(after.get("knet_limit", &labels), row["limit"].as_f64(), "{row}");
        assert_eq!(
            after.get("knet_limit_used", &labels).is_some(),
            row["used"].is_u64(),
            "{row}"
        );
    }

    let cut = [Cut::Silent(B, NetworkId(0))];
    mesh.lab.cut(&cut)?;
    wait_until("the cut link", Duration::from_secs(20), || {
        match mesh.links(A, B).as_deref() {
            Ok([first, second]) if first.state == "down" && second.state == "up" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    let during = scrape(&mesh)?;
    let row = interface(&mesh)?;
    for (state, count) in [("up", 1.0), ("down", 1.0), ("suspect", 0.0), ("probing", 0.0)] {
        assert_eq!(
            during.get("knet_links", &[KNET0, ("state", state)]),
            Some(count),
            "{row}"
        );
        assert_eq!(row["links"][state].as_f64(), Some(count), "{row}");
    }
    for (link, up) in [("0", 0.0), ("1", 1.0)] {
        let labels = [peer[0], peer[1], ("link", link)];
        assert_eq!(during.get("knet_link_up", &labels), Some(up));
        let rtt = during.get("knet_link_rtt_seconds", &labels);
        assert!(rtt.is_some_and(|rtt| rtt > 0.0 && rtt < 1.0), "{rtt:?}");
    }
    mesh.lab.restore(&cut)?;
    // Nothing of a peer is told where that is not wanted.
    mesh.daemon(A).edit(&["no metrics peers"])?;
    let without = scrape(&mesh)?;
    assert!(
        !without
            .0
            .keys()
            .any(|name| name.starts_with("knet_peer_") || name.starts_with("knet_link_"))
    );
    Ok(())
}

#[test]
fn who_asks_wrongly_or_slowly_or_often_is_in_nobodys_way() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(Plan {
        hosts: 2,
        ..Plan::default()
    })?;
    mesh.daemon(A).edit(&["metrics listen 127.0.0.1 port 9273"])?;
    let long = format!(
        "GET /metrics HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let requests = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 "),
        (
            "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 405 ",
        ),
        (&long, "HTTP/1.1 431 "),
        ("\u{1}\u{2}\r\n\r\n", "HTTP/1.1 400 "),
        ("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 "),
        // It goes on, and does not come.
        ("GET /metrics HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 408 "),
    ];
    let answers = ask(&mesh, &requests.map(|(request, _)| request))?;
    for ((request, expected), answer) in requests.iter().zip(&answers) {
        assert!(answer.starts_with(expected), "{request:?}: {answer}");
    }
    assert_eq!(answers.len(), requests.len());
    assert!(
        answers[4].ends_with("\r\n\r\n"),
        "HEAD has no body: {}",
        answers[4]
    );

    let began = Instant::now();
    let crowd = mesh.lab.run(A, "python3", &["-c", CROWD])?;
    println!("{} in {:?}", crowd.trim(), began.elapsed());
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "nobody takes a place for longer than he needs"
    );
    let words: Vec<&str> = crowd.split_whitespace().collect();
    let [kept, alone, served, took_ms] = words[..] else {
        return Err(LabError::new(crowd));
    };
    assert_eq!((kept, alone, served), ("16", "True", "100"), "{crowd}");
    assert!(took_ms.parse::<u64>().is_ok_and(|ms| ms < 3000), "{crowd}");
    let limits = mesh.daemon(A).show("show limits")?;
    let clients = rows(&limits)
        .into_iter()
        .find(|row| row["name"] == "metrics-clients");
    let clients = clients.ok_or_else(|| LabError::new(format!("{limits}")))?;
    assert_eq!(clients["most"], 16, "{clients}");
    assert!(clients["refused"].as_u64() >= Some(24), "{clients}");
    mesh.daemon(A).edit(&["no metrics listen"])?;
    assert!(ask(&mesh, &["x"]).is_err(), "nobody listens any more");
    Ok(())
}
