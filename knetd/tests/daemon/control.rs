//! Control clients: good ones, hostile ones, other users.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    time::{Duration, Instant},
};

use libknet::api::{
    codec::{self, MAX_REQUEST},
    message::{API_VERSION, ErrorCode, Hello, HelloReply, Only, Page, Privilege, Reply, RequestBody, Source},
    transaction::{Entry, Version},
};

use crate::host::{Client, Host, STRANGER, page, wait_for};

pub(crate) fn host() -> Host {
    let host = Host::new();
    host.key("a");
    let peers: String = (0..20)
        .map(|n| format!(" peer p{n:02}\n  link 0 remote dynamic\n  link 1 remote dynamic\n"))
        .collect();
    host.config(&format!(
        "interface kd0\n private-key file a.key\n local 0 127.0.0.1 port 7700\n{peers} peer full\n  public-key {STRANGER}\n  \
         link 0 local 0 remote 127.0.0.9 port 7700\n  mac static 02:00:00:00:00:09\ninterface kd1\n shutdown\n peer p00\n"
    ));
    host
}

/// A stream whose bytes are no messages.
fn raw(host: &Host, bytes: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(host.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// What the daemon says until it closes, and after how long.
fn until_closed(mut stream: UnixStream) -> (Vec<u8>, Duration) {
    let (start, mut bytes) = (Instant::now(), Vec::new());
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the daemon did not close the connection: {error}"),
    }
    (bytes, start.elapsed())
}

#[test]
fn clients_that_make_no_sense_are_cut_off_and_others_are_not_harmed() {
    let host = host();
    let daemon = host.start();
    let mut good = host.client();

    let too_long = (MAX_REQUEST as u32 + 1).to_le_bytes();
    let mut long_after_hello = codec::encode(
        &Hello {
            api_version: API_VERSION,
            build: "x".into(),
            table_hash: 0,
        },
        MAX_REQUEST,
    )
    .unwrap();
    long_after_hello.extend(u32::MAX.to_le_bytes());
    let mut garbage_after_hello = long_after_hello.clone();
    garbage_after_hello.truncate(long_after_hello.len() - 4);
    garbage_after_hello.extend([3, 0, 0, 0, 0xff, 0xff, 0xff]);
    for bytes in [
        &too_long[..],
        &[4, 0, 0, 0, 9, 9, 9, 9],
        b"GET / HTTP/1.0\r\n\r\n",
        &long_after_hello,
        &garbage_after_hello,
    ] {
        let (answer, took) = until_closed(raw(&host, bytes));
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(!answer.is_empty(), "no word of why");
        assert!(good.ask(RequestBody::Version).is_ok());
    }
    // Half a header, half a body, nothing at all: each has ten seconds.
    let slow: Vec<_> = [&b"\x10\x00"[..], &[100, 0, 0, 0, 1, 2, 3], &[]]
        .map(|bytes| raw(&host, bytes))
        .into();
    for stream in slow {
        let (_, took) = until_closed(stream);
        assert!(took < Duration::from_secs(12), "{took:?}");
        assert!(good.ask(RequestBody::Version).is_ok());
    }
    assert!(
        daemon.log().contains("control client of root cut off"),
        "{}",
        daemon.log()
    );
    let log = daemon.log();
    assert!(
        log.lines().filter(|l| l.contains("cut off")).count() < 8,
        "not limited: {log}"
    );
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let host = host();
    let daemon = host.start();
    let mut deaf = host.client();
    deaf.stream
        .set_write_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let request = libknet::api::message::Request {
        id: 1,
        body: RequestBody::RunningConfig { all: true },
    };
    let frame = codec::encode(&request, MAX_REQUEST).unwrap();
    let (start, mut good, mut slowest) = (Instant::now(), host.client(), Duration::ZERO);
    while deaf.stream.write_all(&frame).is_ok() {
        let asked = Instant::now();
        good.ask(RequestBody::Version).unwrap();
        slowest = slowest.max(asked.elapsed());
        assert!(start.elapsed() < Duration::from_secs(40), "it is still served");
    }
    assert!(
        slowest < Duration::from_secs(1),
        "another client waited {slowest:?}"
    );
    daemon.wait_for_line("did not read");
    let kib = daemon.resident_kib();
    assert!(kib < 64 * 1024, "{kib} KiB");
}

#[test]
fn eight_clients_of_a_user_and_no_more() {
    let host = host();
    let _daemon = host.start();
    let mut clients: Vec<_> = (0..8).map(|_| host.client()).collect();
    let error = Client::connect(&host.socket()).map(|_| ()).unwrap_err();
    assert_eq!(error.code, ErrorCode::Busy);
    assert!(clients.iter_mut().all(|c| c.ask(RequestBody::Version).is_ok()));
    drop(clients.pop());
    wait_for("a free place", Duration::from_secs(2), || {
        Client::connect(&host.socket()).is_ok()
    });
}

#[test]
fn another_version_is_told_so() {
    let host = host();
    let _daemon = host.start();
    let hello = Hello {
        api_version: 99,
        build: "old\x1b[2J".into(),
        table_hash: 0,
    };
    let (bytes, _) = until_closed(raw(&host, &codec::encode(&hello, MAX_REQUEST).unwrap()));
    let reply: HelloReply = codec::decode(&bytes[4..]).unwrap();
    let error = reply.unwrap_err();
    assert_eq!(error.code, ErrorCode::Protocol);
    assert!(
        error.message.contains("version 99") && !error.message.contains('\x1b'),
        "{error}"
    );
}

#[test]
fn lists_come_in_pages_and_in_order() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    let names = |client: &mut Client, limit| {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = Page { cursor, limit };
            let Reply::Peers(rows) = client
                .ask(RequestBody::Peers {
                    interface: None,
                    page,
                    only: Only::default(),
                })
                .unwrap()
            else {
                panic!()
            };
            assert!(rows.rows.len() <= limit as usize && rows.rows.iter().all(|r| r.links.is_empty()));
            names.extend(
                rows.rows
                    .iter()
                    .map(|r| (r.interface.clone(), r.peer.clone(), r.state.clone())),
            );
            cursor = rows.next;
            if cursor.is_none() {
                return names;
            }
        }
    };
    let all = names(&mut client, 1000);
    assert_eq!(all.len(), 22);
    assert!(all.is_sorted());
    for limit in [1, 3, 21, 22] {
        assert_eq!(names(&mut client, limit), all, "{limit}");
    }
    let state =
        |interface: &str, peer: &str| &all.iter().find(|r| r.0 == interface && r.1 == peer).unwrap().2;
    assert_eq!(state("kd0", "p00"), "incomplete");
    assert!(
        ["down", "handshaking"].contains(&state("kd0", "full").as_str()),
        "{}",
        state("kd0", "full")
    );

    let links = |client: &mut Client, limit| {
        let (mut links, mut cursor) = (Vec::new(), None);
        loop {
            let request = RequestBody::Links {
                interface: None,
                peer: None,
                page: Page { cursor, limit },
                only: Only::default(),
            };
            let Reply::Links(rows) = client.ask(request).unwrap() else {
                panic!()
            };
            assert!(rows.rows.len() <= limit as usize);
            links.extend(
                rows.rows
                    .iter()
                    .map(|r| (r.interface.clone(), r.peer.clone(), r.link)),
            );
            cursor = rows.next;
            if cursor.is_none() {
                return links;
            }
        }
    };
    let all = links(&mut client, 1000);
    assert_eq!(all.len(), 41);
    assert!(all.is_sorted());
    for limit in [1, 7, 41] {
        assert_eq!(links(&mut client, limit), all, "{limit}");
    }
    let bad = RequestBody::Peers {
        interface: None,
        page: Page {
            cursor: Some("x".into()),
            limit: 10,
        },
        only: Only::default(),
    };
    assert_eq!(client.ask(bad).unwrap_err().code, ErrorCode::Protocol);
    let bad = RequestBody::Links {
        interface: Some("none".into()),
        peer: None,
        page: page(),
        only: Only::default(),
    };
    assert_eq!(client.ask(bad).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn lists_can_be_of_some_rows_only() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    let mut peers = |state: Option<&str>, name_prefix: Option<&str>, limit| {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let request = RequestBody::Peers {
                interface: Some("kd0".into()),
                page: Page { cursor, limit },
                only: Only {
                    state: state.map(str::to_owned),
                    name_prefix: name_prefix.map(str::to_owned),
                },
            };
            let Reply::Peers(rows) = client.ask(request).unwrap() else {
                panic!()
            };
            names.extend(rows.rows.into_iter().map(|row| row.peer));
            cursor = rows.next;
            if cursor.is_none() {
                return names;
            }
        }
    };
    let incomplete = peers(Some("incomplete"), None, 1000);
    assert!(incomplete.contains(&"p00".to_owned()) && !incomplete.contains(&"full".to_owned()));
    // Pages without a row lead on to those that have some.
    assert_eq!(peers(Some("incomplete"), None, 1), incomplete);
    assert_eq!(peers(None, Some("ful"), 1000), ["full"]);
    assert_eq!(peers(Some("incomplete"), Some("p0"), 3), {
        let mut some = incomplete.clone();
        some.retain(|name| name.starts_with("p0"));
        some
    });
    assert!(peers(Some("up"), None, 1000).is_empty());

    let mut links = |state: Option<&str>, limit| {
        let (mut links, mut cursor) = (Vec::new(), None);
        loop {
            let request = RequestBody::Links {
                interface: None,
                peer: None,
                page: Page { cursor, limit },
                only: Only {
                    state: state.map(str::to_owned),
                    name_prefix: None,
                },
            };
            let Reply::Links(rows) = client.ask(request).unwrap() else {
                panic!()
            };
            links.extend(rows.rows.into_iter().map(|row| (row.peer, row.link, row.state)));
            cursor = rows.next;
            if cursor.is_none() {
                return links;
            }
        }
    };
    let all = links(None, 1000);
    let mut down = all.clone();
    down.retain(|(_, _, state)| state == "down");
    assert!(!down.is_empty());
    for limit in [1, 5, 1000] {
        assert_eq!(links(Some("down"), limit), down, "{limit}");
    }
}

#[test]
fn limits_are_told_with_what_is_used_of_them() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    let Reply::Limits(rows) = client.ask(RequestBody::Limits { interface: None }).unwrap() else {
        panic!()
    };
    let row = |interface: Option<&str>, name: &str| {
        rows.iter()
            .find(|row| row.interface.as_deref() == interface && row.name == name)
            .unwrap_or_else(|| panic!("no {name} in {rows:?}"))
    };
    assert_eq!(row(Some("kd0"), "peers").limit, 65_536);
    assert!(row(Some("kd0"), "peers").used > Some(1));
    let credentials = row(Some("kd0"), "credentials-of-strangers");
    assert_eq!((credentials.limit, credentials.refused), (2_000, Some(0)));
    let clients = row(None, "control-clients");
    assert_eq!((clients.limit, clients.refused), (32, Some(0)));
    assert!(
        clients.used >= Some(1) && clients.most >= clients.used,
        "{clients:?}"
    );
    assert!(row(None, "open-files").used > Some(3));
    let memory = row(None, "resident-memory");
    assert!(
        memory.used > Some(1 << 20) && memory.most >= memory.used,
        "{memory:?}"
    );
    let bad = RequestBody::Limits {
        interface: Some("none".into()),
    };
    assert_eq!(client.ask(bad).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn everything_can_be_asked() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    let Reply::Interfaces(rows) = client.ask(RequestBody::Interfaces { interface: None }).unwrap() else {
        panic!()
    };
    let states: Vec<_> = rows
        .iter()
        .map(|r| (r.interface.as_str(), r.state.as_str()))
        .collect();
    assert_eq!(states, [("kd0", "up"), ("kd1", "admin-down")]);
    assert_eq!(rows[0].locals[0].address, "127.0.0.1:7700");
    assert_eq!(rows[0].peers, 21);
    assert!(rows[0].public_key.is_some() && rows[1].public_key.is_none());

    let peer = |interface: Option<&str>, peer: &str| RequestBody::Peer {
        interface: interface.map(Into::into),
        peer: peer.into(),
    };
    let Reply::Peer(row) = client.ask(peer(None, "full")).unwrap() else {
        panic!()
    };
    assert_eq!(
        (row.links.len(), row.links_total, row.links[0].remote.as_deref()),
        (1, 1, Some("127.0.0.9:7700"))
    );
    assert_eq!(
        client.ask(peer(None, "p00")).unwrap_err().code,
        ErrorCode::Ambiguous
    );
    assert_eq!(
        client.ask(peer(None, "nobody")).unwrap_err().code,
        ErrorCode::NotFound
    );
    let Reply::Peer(row) = client.ask(peer(Some("kd1"), "p00")).unwrap() else {
        panic!()
    };
    assert_eq!(row.state, "incomplete");

    let Reply::Macs(rows) = client
        .ask(RequestBody::Macs {
            interface: None,
            page: page(),
        })
        .unwrap()
    else {
        panic!()
    };
    let mac = rows
        .rows
        .iter()
        .find(|r| r.mac_address == "02:00:00:00:00:09")
        .unwrap();
    assert_eq!((mac.peer.as_deref(), mac.is_static), (Some("full"), true));

    let Reply::Logging(rows) = client.ask(RequestBody::Logging { lines: 2 }).unwrap() else {
        panic!()
    };
    assert!(
        rows.len() == 2 && rows.iter().any(|r| r.text.contains("is ready")),
        "{rows:?}"
    );

    let complete = |source, prefix: &str| RequestBody::Complete {
        source,
        prefix: prefix.into(),
        limit: 5,
    };
    let Reply::Names(names) = client
        .ask(complete(Source::Peers { interface: None }, "p1"))
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(names, ["p10", "p11", "p12", "p13", "p14"]);
    assert_eq!(
        client
            .ask(RequestBody::ClearCounters { interface: None })
            .unwrap(),
        Reply::Done
    );
    let error = client
        .ask(RequestBody::ClearCounters {
            interface: Some("x".into()),
        })
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);

    let ping = |count, peer: &str| RequestBody::Ping {
        interface: None,
        peer: peer.into(),
        link: None,
        count,
        interval_ms: 10,
        timeout_ms: 50,
    };
    assert_eq!(client.all(ping(0, "full")).unwrap_err().code, ErrorCode::Invalid);
    assert_eq!(client.all(ping(1, "p01")).unwrap_err().code, ErrorCode::System);
    let error = client.all(ping(1, "full")).unwrap_err();
    assert!(error.message.contains("no session"), "{error}");
}

#[test]
fn what_goes_on_can_be_cancelled() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    let monitor = client.send(RequestBody::Monitor);
    let mut other = host.client();
    other.edit("hostname seen\n").unwrap();
    let response = client.response().unwrap();
    assert!(response.id == monitor && response.more);
    let Ok(Reply::Events { events, dropped: 0 }) = response.body else {
        panic!("{response:?}")
    };
    assert!(
        events
            .iter()
            .any(|e| e.kind == "configured" && e.text.contains("root")),
        "{events:?}"
    );

    let cancel = client.send(RequestBody::Cancel { id: monitor });
    let mut ended = Vec::new();
    while ended.len() < 2 {
        let response = client.response().unwrap();
        if !response.more {
            ended.push((response.id, response.body.map_err(|e| e.code)));
        }
    }
    assert_eq!(
        ended,
        [(monitor, Err(ErrorCode::Cancelled)), (cancel, Ok(Reply::Done))]
    );
    assert_eq!(
        client.ask(RequestBody::Cancel { id: monitor }).unwrap_err().code,
        ErrorCode::NotFound
    );
}

#[test]
fn a_watcher_that_does_not_read_learns_what_it_missed() {
    let host = host();
    let _daemon = host.start();
    let mut watcher = host.client();
    watcher.send(RequestBody::Monitor);
    assert!(watcher.ask_after_monitor());
    let mut other = host.client();
    for n in 0..6000 {
        other.edit(&format!("hostname h{n}{}\n", "x".repeat(40))).unwrap();
        if n == 200 {
            break;
        }
    }
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < 201 {
        let response = watcher.response().unwrap();
        if let Ok(Reply::Events { events, dropped }) = response.body {
            seen += events.iter().filter(|e| e.kind == "configured").count() as u64;
            missed += dropped;
        }
    }
    assert_eq!(
        (seen, missed),
        (201, 0),
        "a watcher within its queue misses nothing"
    );
}

impl Client {
    /// Whether a short request is answered while events come.
    fn ask_after_monitor(&mut self) -> bool {
        let id = self.send(RequestBody::Version);
        loop {
            let response = self.response().unwrap();
            if response.id == id {
                return response.body.is_ok();
            }
        }
    }
}

/// Runs [`client_of_another_user`] as another user.
fn as_user(host: &Host, uid: u32, gid: u32, expect: &str) {
    let output = host
        .as_user(uid, gid, "control::client_of_another_user")
        .env("KNETD_TEST_EXPECT", expect)
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by others, as another user"]
fn client_of_another_user() {
    let path = std::env::var("KNETD_TEST_SOCKET").unwrap();
    let expected = std::env::var("KNETD_TEST_EXPECT").unwrap();
    if expected == "closed" {
        let error = UnixStream::connect(path).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        return;
    }
    if expected == "nothing" {
        let error = Client::connect(path.as_ref()).err().unwrap();
        assert_eq!(error.code, ErrorCode::Denied, "{error}");
        assert!(error.message.contains("4000 may not use knet"), "{error}");
        assert!(error.hint.unwrap().contains("knetop (to look)"));
        return;
    }
    let mut client = Client::connect(path.as_ref()).unwrap();
    if let "all" | "settings" | "mistake" = expected.as_str() {
        let startup = client.all(RequestBody::StartupConfig).map(crate::host::text);
        assert_eq!(startup.is_ok(), expected != "mistake", "{startup:?}");
        let Reply::Logging(log) = client.ask(RequestBody::Logging { lines: 1000 }).unwrap() else {
            panic!()
        };
        let startup = startup.unwrap_or_else(|error| format!("{error} {:?}", error.hint));
        let seen = [startup, client.running_config(), format!("{log:?}")].concat();
        assert!(seen.contains("interface kd0"), "{seen}");
        for secret in SECRETS {
            assert_eq!(seen.contains(secret), expected == "all", "{seen}");
        }
        return;
    }
    let (privilege, denied) = match expected.as_str() {
        "look" => (Privilege::Operator, true),
        "change" => (Privilege::Admin, false),
        other => panic!("{other}"),
    };
    assert_eq!(client.welcome.privilege, privilege);
    assert!(client.ask(RequestBody::Version).is_ok());
    assert!(client.running_config().contains("interface kd0"));
    for request in [
        RequestBody::Edit {
            ops: crate::host::ops("hostname x\n"),
            base: None,
        },
        RequestBody::WriteMemory,
        RequestBody::ClearCounters { interface: None },
        RequestBody::Configure(Entry::default()),
    ] {
        let code = client.ask(request).err().map(|e| e.code);
        assert_eq!(code, denied.then_some(ErrorCode::Denied));
    }
    for request in [RequestBody::Revisions, RequestBody::Clients, RequestBody::Leave] {
        assert!(client.ask(request).is_ok());
    }
    let (from, to) = (Version::Startup, Version::Running);
    assert!(client.all(RequestBody::ConfigDiff { from, to }).is_ok());
}

/// The lines of a file with a comment and a key where none belongs, which nobody but root is to see.
const SECRETS: [&str; 2] = ["the old key was", "6N8Hl0XbkbTLgTzkHdPLmdzk0Jf5wSQKJYIYPLYF5Gk="];

#[test]
fn without_operators_only_administrators_can_connect() {
    let host = host();
    let group = host.file("group", "root:x:0:\nknet:x:4242:\n", 0o644);
    let _daemon = host.start_after(&format!("mount --bind {} /etc/group", group.display()));
    let socket = fs::metadata(host.socket()).unwrap();
    assert_eq!(
        (socket.uid(), socket.gid(), socket.mode() & 0o7777),
        (0, 4242, 0o660)
    );
    as_user(&host, 4000, 4000, "closed");
    as_user(&host, 4000, 4242, "change");
    // Whoever gets past the modes of the socket is nobody all the same.
    fs::set_permissions(host.socket(), Permissions::from_mode(0o666)).unwrap();
    as_user(&host, 4000, 4000, "nothing");
}

#[test]
fn operators_may_look_and_strangers_may_not() {
    let host = host();
    let group = host.file("group", "root:x:0:\nknet:x:4242:\nknetop:x:4343:\n", 0o644);
    let users = host.file(
        "passwd",
        "root:x:0:0::/root:/bin/sh\nole:x:4001:4343::/:/bin/sh\n",
        0o644,
    );
    let daemon = host.start_after(&format!(
        "mount --bind {} /etc/group; mount --bind {} /etc/passwd",
        group.display(),
        users.display()
    ));
    assert_eq!(fs::metadata(host.socket()).unwrap().mode() & 0o7777, 0o666);
    as_user(&host, 4000, 4242, "change");
    as_user(&host, 4000, 4343, "look");
    as_user(&host, 4001, 4000, "look");
    as_user(&host, 4000, 4000, "nothing");
    daemon.wait_for_line("control client of 4000 refused: not root, nor in group knet or knetop");
    // Strangers take no place from others, however many they are.
    for _ in 0..3 {
        as_user(&host, 4000, 4000, "nothing");
    }
    as_user(&host, 4000, 4343, "look");
}

#[test]
fn secrets_in_the_file_are_for_root_only() {
    let host = host();
    let key = SECRETS[1];
    let comment = format!("! {} {key}\n", SECRETS[0]);
    let text = fs::read_to_string(host.directory.join("knetd.conf")).unwrap();
    host.config(&format!("{comment}{text}"));
    let group = host.file("group", "root:x:0:\nknet:x:4242:\nknetop:x:4343:\n", 0o644);
    let daemon = host.start_after(&format!("mount --bind {} /etc/group", group.display()));
    for (uid, gid, expect) in [(0, 0, "all"), (4000, 4242, "settings"), (4000, 4343, "settings")] {
        as_user(&host, uid, gid, expect);
    }
    // A key in the place of the name of its file is refused, and is not in the log that everybody can look at.
    for line in ["preshared-key", "preshared-key file", "nonsense"] {
        host.config(&format!("{comment}{text} peer wrong\n  {line} {key}\n"));
        let before = daemon.log().matches("refused; the running configuration").count();
        daemon.signal("-HUP");
        wait_for("a refusal", Duration::from_secs(5), || {
            daemon.log().matches("refused; the running configuration").count() > before
        });
        as_user(&host, 4000, 4343, "mistake");
        assert!(!daemon.log().contains(key), "{}", daemon.log());
    }
}
