//! What a client of a hub may use: real frames with addresses of somebody else, of real hosts.

use std::{fs, time::Duration};

use knet_tests::lab::{
    HostId, LabError, Result,
    daemon::rows,
    mesh::{Mesh, overlay_v4, overlay_v6},
    ping::Ping,
    process, program,
    time::wait_until,
};
use serde_json::Value;

use super::{A, B, assert_lossless, domain::hub, needs_root};

/// Sends frames, one for each argument, in hexadecimal.
const SEND: &str = "
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('knet0', 0))
for frame in sys.argv[1:]:
    s.send(bytes.fromhex(frame))
";
const BROADCAST: &str = "ffffffffffff";

/// Sends frames, in hexadecimal, from the TAP of a host.
pub(super) fn send(mesh: &Mesh, host: HostId, frames: &[&str]) -> Result<()> {
    let arguments = [&["-c", SEND], frames].concat();
    mesh.lab.run(host, "python3", &arguments).map(drop)
}

pub(super) fn hex(address: std::net::IpAddr) -> String {
    let octets = match address {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let bytes: Vec<String> = octets.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}

/// A datagram of IPv4 to all, from these addresses.
pub(super) fn datagram(mac: &str, source: &str) -> String {
    format!("{BROADCAST}{mac}08004500001c0000000040110000{source}ffffffff0007000700080000")
}

/// Says to all that this address of IPv4 is at that MAC address.
fn claim(mac: &str, address: &str) -> String {
    claim_from(mac, mac, address)
}

/// The same in a frame from another MAC address.
fn claim_from(source: &str, mac: &str, address: &str) -> String {
    format!("{BROADCAST}{source}08060001080006040002{mac}{address}{BROADCAST}{address}")
}

/// What the hub was told of a peer, and has dropped of it.
fn guard(mesh: &Mesh, hub: HostId, peer: &str) -> Result<Value> {
    let shown = mesh.daemon(hub).show(&format!("show peer {peer}"))?;
    let row = rows(&shown).first().map(|row| row["guard"].clone());
    row.ok_or_else(|| LabError::new(format!("{shown}")))
}

fn drops(mesh: &Mesh, hub: HostId, peer: &str) -> Result<[u64; 3]> {
    let guard = guard(mesh, hub, peer)?;
    Ok(["dropped_macs", "dropped_sources", "dropped_claims"].map(|name| guard[name].as_u64().unwrap_or(0)))
}

fn reach(mesh: &Mesh, from: HostId, to: HostId) -> Result<()> {
    for target in [overlay_v4(to), overlay_v6(to)] {
        let ping = Ping::flood(&mesh.lab, from, target, &["-c", "20"])?;
        assert_lossless(ping.wait(Duration::from_secs(20))?);
    }
    Ok(())
}

#[test]
fn nobody_takes_the_addresses_of_another_client() -> Result<()> {
    needs_root!();
    let (mesh, hub) = hub(3, &["arp suppression"])?;
    let [a, b] = [A, B].map(|host| mesh.lab.host_name(host).to_owned());
    let (mac_a, mac_b) = (mesh.lab.tap_mac(A)?, mesh.lab.tap_mac(B)?);
    for (host, name, line) in [
        (A, &a, format!("mac allowed {mac_a}")),
        (B, &b, "mac sticky".to_owned()),
    ] {
        mesh.daemon(hub).edit(&[
            "interface knet0",
            &format!("peer {name}"),
            &line,
            &format!("ip source binding {}", overlay_v4(host)),
            &format!("ipv6 source binding {}", overlay_v6(host)),
            "ip verify source",
            "arp inspection",
        ])?;
    }
    for (from, to) in [(A, B), (B, A), (A, hub)] {
        reach(&mesh, from, to)?;
    }
    assert_eq!((drops(&mesh, hub, &a)?, drops(&mesh, hub, &b)?), ([0; 3], [0; 3]));

    let plain = |mac: &str| mac.replace(':', "");
    let (own, other) = (plain(&mac_a), plain(&mac_b));
    let (own_ip, other_ip) = (hex(overlay_v4(A)), hex(overlay_v4(B)));
    let tagged = |frame: &str| format!("{}81000005{}", &frame[..24], &frame[24..]);
    let spoofs = [
        datagram(&other, &own_ip),
        datagram(&own, &other_ip),
        tagged(&datagram(&own, &other_ip)),
        claim(&own, &other_ip),
    ];
    let frames: Vec<&str> = spoofs.iter().map(String::as_str).collect();
    send(&mesh, A, &frames)?;
    send(&mesh, B, &[&datagram("020000000077", &other_ip)])?;
    wait_until("the drops", Duration::from_secs(10), || {
        let seen = (drops(&mesh, hub, &a), drops(&mesh, hub, &b));
        match seen {
            (Ok([1, 2, 1]), Ok([1, 0, 0])) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })?;
    let counted = mesh.daemon(hub).drops()?;
    let counted = ["port-security", "source-guard", "arp-inspection"].map(|name| counted.get(name).copied());
    assert_eq!(counted, [Some(2), Some(2), Some(1)]);

    let shown = mesh.daemon(hub).show("show mac address-table")?;
    let behind = |mac: &str| {
        let row = rows(&shown).into_iter().find(|row| row["mac_address"] == mac);
        row.map(|row| (row["peer"].clone(), row["is_sticky"] == true))
    };
    assert_eq!(behind(&mac_b), Some((b.clone().into(), true)), "{shown}");
    assert_eq!(behind(&mac_a), Some((a.clone().into(), false)), "{shown}");
    assert_eq!(behind("02:00:00:00:00:77"), None, "{shown}");
    let shown = mesh.daemon(hub).show("show arp")?;
    for (host, name) in [(A, &a), (B, &b)] {
        let row = rows(&shown)
            .into_iter()
            .find(|row| row["address"] == overlay_v4(host).to_string());
        let row = row.map(|row| (row["peer"].clone(), row["given"].clone()));
        assert_eq!(row, Some((name.clone().into(), true.into())), "{shown}");
    }
    // A's own bridge has seen B's address come from its own TAP, and finds B again when it hears of it.
    for (from, to) in [(hub, B), (B, A), (A, B)] {
        reach(&mesh, from, to)?;
    }
    // Whoever says that his own address is at the MAC address of another is not believed, where that is said.
    mesh.daemon(hub).edit(&[
        "interface knet0",
        &format!("peer {a}"),
        "arp inspection validate source-mac",
    ])?;
    let [_, _, before] = drops(&mesh, hub, &a)?;
    send(
        &mesh,
        A,
        &[&claim_from(&own, &other, &own_ip), &claim(&own, &own_ip)],
    )?;
    wait_until("the drop", Duration::from_secs(10), || {
        match drops(&mesh, hub, &a) {
            Ok([_, _, now]) if now == before + 1 => Ok(()),
            other => Err(format!("{before}, {other:?}")),
        }
    })?;
    reach(&mesh, A, hub)?;
    // Whoever takes another address with its own tools gets nowhere with it.
    let taken = format!("{}/32", overlay_v4(B));
    mesh.lab
        .run(A, "ip", &["address", "add", &taken, "dev", "knet0"])?;
    let source = overlay_v4(B).to_string();
    let ping = Ping::start(
        &mesh.lab,
        A,
        overlay_v4(hub),
        &["-c", "1", "-W", "1", "-I", &source],
    )?;
    assert_eq!(ping.wait(Duration::from_secs(5))?.lost(), 1);
    Ok(())
}

/// A client that no line names has the address of its certificate, and no other.
#[test]
fn the_address_of_a_certificate_is_enforced() -> Result<()> {
    needs_root!();
    let (mesh, hub) = hub(3, &[])?;
    let name = mesh.lab.host_name(A).to_owned();
    let known = mesh.configs[hub.0].interfaces[0]
        .peers
        .iter()
        .find(|peer| peer.name == name);
    let known = known.ok_or_else(|| LabError::new("the hub has no such peer"))?;
    let psk = known.preshared_key.clone().unwrap_or_default();
    let knetd = program("knetd")?;
    let authority = mesh.lab.directory().join("authority");
    let ca = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&knetd);
        command
            .arg("ca")
            .args(arguments)
            .arg("--directory")
            .arg(&authority);
        process::output(&mut command)
    };
    ca(&["init", "example"])?;
    let address = format!("{}/24", overlay_v4(A));
    let certificate = ca(&[
        "sign",
        &name,
        &known.public_key,
        "--group",
        "tenants",
        "--address",
        &address,
    ])?;
    let file = mesh.lab.host_directory(A).join("own.crt");
    fs::write(&file, certificate).map_err(|error| LabError::new(error.to_string()))?;
    mesh.daemon(hub).edit(&[
        "interface knet0",
        &format!("no peer {name}"),
        "peer-group tenants",
        &format!("certificate-authority {}", authority.join("ca.pub").display()),
        &format!("preshared-key file {psk}"),
        "spoke",
        "ip verify source",
        "arp inspection",
    ])?;
    mesh.daemon(A)
        .edit(&["interface knet0", &format!("certificate {}", file.display())])?;
    let pings = |more: &[&str]| -> Result<u64> {
        let arguments = [&["-c", "3", "-i", "0.2", "-W", "1"], more].concat();
        let ping = Ping::start(&mesh.lab, A, overlay_v4(hub), &arguments)?;
        Ok(3 - ping.wait(Duration::from_secs(10))?.lost())
    };
    wait_until("the client", Duration::from_secs(20), || match pings(&[]) {
        Ok(3) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    let given = guard(&mesh, hub, &name)?;
    assert_eq!(
        given["given"],
        serde_json::json!([overlay_v4(A).to_string()]),
        "{given}"
    );
    let before = drops(&mesh, hub, &name)?;
    mesh.lab
        .run(A, "ip", &["address", "add", "10.200.0.99/32", "dev", "knet0"])?;
    assert_eq!(pings(&["-I", "10.200.0.99"])?, 0);
    let after = drops(&mesh, hub, &name)?;
    assert!(
        after[1] + after[2] >= before[1] + before[2] + 3,
        "{before:?} {after:?}"
    );
    assert_eq!(pings(&[])?, 3);
    // What the group does not enforce, nobody does.
    mesh.daemon(hub).edit(&[
        "interface knet0",
        "peer-group tenants",
        "no ip verify source",
        "no arp inspection",
    ])?;
    let host = overlay_v4(A).to_string();
    mesh.lab
        .run(hub, "ip", &["route", "replace", "10.200.0.99/32", "via", &host])?;
    assert_eq!(pings(&["-I", "10.200.0.99"])?, 3);
    Ok(())
}
