//! Addresses that a hub gives over a session: what comes between, what is refused, and what is on the disk.

use std::{fs, time::Duration};

use libknet::api::message::{IpPoolLeasesReport, IpPoolRow, NegotiatedRow, Reply, RequestBody};

use crate::{
    groups::Star,
    host::{Client, STRANGER, wait_for},
};

const WAIT: Duration = Duration::from_secs(20);

fn negotiated(client: &mut Client) -> Vec<NegotiatedRow> {
    match client.ask(RequestBody::Interfaces { interface: None }).unwrap() {
        Reply::Interfaces(rows) => rows[0].negotiated.clone(),
        other => panic!("{other:?}"),
    }
}

fn pool(client: &mut Client) -> IpPoolRow {
    match client.ask(RequestBody::IpPools { interface: None }).unwrap() {
        Reply::IpPools(rows) => rows[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn leases(client: &mut Client) -> IpPoolLeasesReport {
    match client.ask(RequestBody::IpPoolLeases { interface: None }).unwrap() {
        Reply::IpPoolLeases(report) => report,
        other => panic!("{other:?}"),
    }
}

/// The addresses that are taken.
fn taken(client: &mut Client) -> Vec<String> {
    let rows = negotiated(client).into_iter();
    rows.filter(|row| row.refused.is_none())
        .map(|row| row.address)
        .collect()
}

fn clear(client: &mut Client, peer: &str) -> Result<Reply, libknet::api::message::ApiError> {
    client.ask(RequestBody::ClearIpPoolLease {
        interface: None,
        peer: peer.into(),
    })
}

#[test]
fn an_address_gives_way_goes_and_comes_again() {
    let star = Star::new();
    let (mut hub, mut client) = (star.hub.client(), star.clients[0].0.client());
    wait_for("the session", WAIT, || star.is_up(0));
    client.edit("interface kd0 ip address negotiated\n").unwrap();
    // The session is up already: nobody tells of it again.
    hub.edit("interface kd0 peer-group branches ip pool 10.200.0.32/30\n")
        .unwrap();
    wait_for("an address", WAIT, || taken(&mut client) == ["10.200.0.33/24"]);
    assert_eq!(negotiated(&mut client)[0].peer, "hub");
    wait_for("the acknowledgement", WAIT, || {
        star.peer(0).unwrap().leased_taken == Some(true)
    });
    let row = star.peer(0).unwrap();
    assert_eq!(row.leased, ["10.200.0.33/24"]);
    assert_eq!(row.guard.unwrap().given, ["10.200.0.33"]);
    let device = star.clients[0].0.ip(&["-o", "address", "show", "dev", "kd0"]);
    assert!(
        device.contains("inet 10.200.0.11/24") && device.contains("inet 10.200.0.33/24"),
        "{device}"
    );
    let config = client.running_config();
    assert!(
        config.contains("\n ip address negotiated\n") && !config.contains("10.200.0.33"),
        "{config}"
    );

    // What is configured for somebody else goes before.
    hub.edit(&format!(
        "interface kd0 peer other\npublic-key {STRANGER}\nip source binding 10.200.0.33\n"
    ))
    .unwrap();
    wait_for("another address", WAIT, || {
        taken(&mut client) == ["10.200.0.34/24"]
    });
    star.daemon
        .wait_for_line("the address of peer c1 is somebody else's from now on");
    let row = pool(&mut hub);
    assert_eq!((row.used, row.next, &row.left[..]), (2, None, "0"));

    // One in a network of the host is refused, and said so.
    hub.edit("interface kd0 peer-group branches ip pool 10.1.0.128/25\n")
        .unwrap();
    wait_for("a refusal", WAIT, || {
        let rows = negotiated(&mut client);
        let why = rows.first().and_then(|row| row.refused.clone());
        why.is_some_and(|why| why == "this host has 10.1.0.2/24 of the same network on another interface")
    });
    assert_eq!(taken(&mut client), [""; 0]);

    // Taken back, it is given again with the next session.
    hub.edit("interface kd0 peer-group branches ip pool 10.200.0.64/28\n")
        .unwrap();
    wait_for("an address of the new pool", WAIT, || {
        taken(&mut client) == ["10.200.0.65/24"]
    });
    let error = clear(&mut hub, "nobody").unwrap_err();
    assert!(
        error.message.contains("peer nobody was given no address"),
        "{error:?}"
    );
    clear(&mut hub, "c1").unwrap();
    wait_for("nothing", WAIT, || negotiated(&mut client).is_empty());
    assert!(leases(&mut hub).rows.is_empty());
    hub.ask(RequestBody::ResetPeer {
        interface: None,
        peer: "c1".into(),
        link: None,
    })
    .unwrap();
    wait_for("the address again", WAIT, || {
        taken(&mut client) == ["10.200.0.65/24"]
    });

    // Without the line nothing is taken.
    client.edit("no interface kd0 ip address negotiated\n").unwrap();
    assert!(negotiated(&mut client).is_empty());
    let device = star.clients[0].0.ip(&["-o", "address", "show", "dev", "kd0"]);
    assert!(!device.contains("10.200.0.65"), "{device}");
}

#[test]
fn a_lease_is_on_the_disk_or_it_is_said_that_it_is_not() {
    let star = Star::new();
    let (mut hub, mut client) = (star.hub.client(), star.clients[0].0.client());
    wait_for("the session", WAIT, || star.is_up(0));
    client.edit("interface kd0 ip address negotiated\n").unwrap();
    let revisions = star.hub.directory.join("knetd.conf.revisions");
    let file = revisions.join("address-leases");
    // Nothing can be renamed over a directory that is not empty.
    fs::create_dir_all(file.join("in-the-way")).unwrap();
    hub.edit("interface kd0 peer-group branches ip pool 10.200.0.32/28\n")
        .unwrap();
    wait_for("an address all the same", WAIT, || {
        taken(&mut client) == ["10.200.0.33/24"]
    });
    star.daemon
        .wait_for_line("who has which address out of a pool would be forgotten at a restart");
    let problem = pool(&mut hub).problem.unwrap();
    assert!(problem.contains("address-leases"), "{problem}");
    assert_eq!(leases(&mut hub).problem, Some(problem));
    fs::remove_dir_all(&file).unwrap();
    star.daemon
        .wait_for_line("who has which address out of a pool is on the disk again");
    assert_eq!(pool(&mut hub).problem, None);
    let text = fs::read_to_string(&file).unwrap();
    let (line, key) = (text.lines().last().unwrap(), &star.clients[0].1);
    assert!(line.starts_with(&format!("kd0 branches c1 {key} ")), "{text}");
    assert!(line.ends_with(" - 10.200.0.33"), "{text}");

    // Whoever has gone is away, under the name that it had.
    star.list("");
    wait_for("c1 to be away", WAIT, || {
        let report = leases(&mut hub);
        matches!(&report.rows[..], [row] if row.peer == "c1" && row.away_unix_ms.is_some())
    });
    wait_for("the file", WAIT, || {
        let text = fs::read_to_string(&file).unwrap();
        !text.contains(" - ")
    });
}
