//! What is done at once and changes no configuration.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    time::{Duration, Instant},
};

use libknet::api::message::{ErrorCode, Reply, RequestBody};

use crate::{
    host::{Host, public_key, wait_for},
    tunnel::{pair, peer},
};

fn reset(peer: &str, link: Option<u8>) -> RequestBody {
    RequestBody::ResetPeer {
        interface: None,
        peer: peer.into(),
        link,
    }
}

#[test]
fn a_session_or_a_link_begins_anew_when_it_is_reset() {
    let pair = pair();
    let mut client = pair.a.client();
    let since = |client: &mut _| {
        let row = peer(client, "bert");
        let session = row.session.map(|session| session.uptime_ms);
        (
            session,
            row.links.iter().map(|link| link.since_ms).collect::<Vec<_>>(),
        )
    };
    // Long enough to be told from what begins now.
    std::thread::sleep(Duration::from_millis(600));
    let (before, links) = since(&mut client);
    assert!(before.is_some());

    client.ask(reset("bert", Some(1))).unwrap();
    let (after, now) = since(&mut client);
    assert!(after >= before, "the session has ended: {before:?}, {after:?}");
    assert!(now[0] >= links[0] && now[1] < links[1], "{links:?}, {now:?}");

    let asked = Instant::now();
    client.ask(reset("bert", None)).unwrap();
    wait_for("both links of a new session", Duration::from_secs(10), || {
        let row = peer(&mut client, "bert");
        let up_ms = row.session.map_or(u64::MAX, |session| session.uptime_ms);
        row.links_up == 2 && u128::from(up_ms) <= asked.elapsed().as_millis()
    });
    pair.daemon_a.wait_for_line("kd0 peer bert: reset by root");

    let refused = |client: &mut crate::host::Client, body| client.ask(body).unwrap_err().code;
    assert_eq!(refused(&mut client, reset("bert", Some(5))), ErrorCode::NotFound);
    assert_eq!(refused(&mut client, reset("carl", None)), ErrorCode::NotFound);
}

#[test]
fn keys_are_made_and_never_overwritten() {
    let host = Host::new();
    host.config("");
    let _daemon = host.start();
    let mut client = host.client();
    let order = |file: &str| RequestBody::GenerateKey { file: file.into() };
    let Reply::KeyMade {
        path,
        public_key: told,
    } = client.ask(order("new.key")).unwrap()
    else {
        panic!()
    };
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(public_key(&written).trim(), told);
    let refused = client.ask(order("new.key")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Invalid);
    assert!(refused.message.contains("is there already"), "{refused:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), written);
    for elsewhere in ["../x.key", "/tmp/x.key", "a/b", ""] {
        assert_eq!(client.ask(order(elsewhere)).unwrap_err().code, ErrorCode::Invalid);
    }
    // It can be used as it is.
    client.edit("interface kd0\nprivate-key file new.key\n").unwrap();
}

#[test]
fn the_file_is_read_again_or_refused_whole() {
    let host = Host::new();
    host.key("k");
    host.config("hostname one\ninterface kd0\n private-key file k.key\n");
    let _daemon = host.start();
    let mut client = host.client();
    host.config("hostname two\ninterface kd0\n private-key file k.key\n mtu 1300\n");
    let Reply::Edited {
        revision, hostname, ..
    } = client.ask(RequestBody::ReloadConfig).unwrap()
    else {
        panic!()
    };
    assert_eq!((revision, hostname.as_str()), (2, "two"));
    let running = client.running_config();
    assert!(running.contains("mtu 1300"), "{running}");
    host.config("hostname three\ninterface kd0\n mtu 99\n");
    let refused = client.ask(RequestBody::ReloadConfig).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Invalid);
    assert!(refused.message.contains("line 3, column 6"), "{refused:?}");
    assert_eq!(client.running_config(), running);
}
