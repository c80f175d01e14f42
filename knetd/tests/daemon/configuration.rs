//! Changes while it runs: edits, the file read again, the file written.

use std::fs;

use libknet::api::{
    edit::{Context, Leaf},
    message::{ErrorCode, Reply, RequestBody, VersionRow},
};

use crate::host::{Client, Host, STRANGER, ops, run, text};

fn config(extra: &str) -> String {
    format!(
        "hostname fra1\n!\ninterface kd0\n private-key file a.key\n ip address 10.200.0.1/24\n \
         local 0 127.0.0.1 port 7700\n !\n peer ams1\n  public-key {STRANGER}\n  link 0 local 0 remote 127.0.0.9 port 7700\n{extra}"
    )
}

fn host() -> Host {
    let host = Host::new();
    host.key("a");
    host.config(&config(""));
    host
}

fn version(client: &mut Client) -> VersionRow {
    match client.ask(RequestBody::Version).unwrap() {
        Reply::Version(row) => row,
        other => panic!("{other:?}"),
    }
}

#[test]
fn edits_are_in_force_at_once_and_show_up_in_the_text() {
    let host = host();
    let daemon = host.start();
    let mut client = host.client();
    assert_eq!(client.welcome.revision, 1);
    assert!(!version(&mut client).unsaved);

    assert_eq!(
        client
            .edit("interface kd0\nip address 10.200.0.9/24\nmtu 1300\n")
            .unwrap(),
        2
    );
    let addresses = host.ip(&["address", "show", "kd0"]);
    assert!(
        addresses.contains("10.200.0.9/24") && addresses.contains("mtu 1300"),
        "{addresses}"
    );
    assert!(version(&mut client).unsaved);

    host.key("b");
    client
        .edit("interface kd1\nprivate-key file b.key\nlocal 0 127.0.0.2 port 7700\n")
        .unwrap();
    assert!(host.has_device("kd1"));
    client.edit("no interface kd1\n").unwrap();
    assert!(!host.has_device("kd1") && host.has_device("kd0"));
    client
        .edit("interface kd0\nno ip address 10.200.0.9/24\nno mtu\n")
        .unwrap();
    assert!(!host.ip(&["address", "show", "kd0"]).contains("10.200.0.9"));
    // All edits together undo themselves: that is what is saved.
    assert!(!version(&mut client).unsaved);
    assert_eq!(version(&mut client).revision, 5);

    client.edit("interface kd0\nshutdown\n").unwrap();
    assert!(!host.has_device("kd0"));
    client.edit("interface kd0\nno shutdown\n").unwrap();
    assert!(host.has_device("kd0"));
    daemon.wait_for_line("configuration changed by root: revision 7");
}

#[test]
fn what_makes_no_sense_is_refused_whole_with_its_place() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    let before = client.running_config();

    let error = client
        .edit("interface kd0\nmtu 1300\npeer ams1\nlink 1 local 9 remote dynamic\n")
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    let place = error.place.unwrap();
    let link = Context::Link {
        interface: "kd0".into(),
        peer: "ams1".into(),
        link: 1,
    };
    assert_eq!(
        (place.context, place.leaf, place.argument),
        (link, Some(Leaf::Endpoint), Some(1))
    );

    let error = client
        .edit("interface kd0\nmtu 1300\npeer x\npreshared-key file none.psk\n")
        .unwrap_err();
    assert!(
        error.message.contains("none.psk") && error.message.contains("knetd genpsk"),
        "{error}"
    );
    let error = client.edit("no interface kd7\n").unwrap_err();
    assert!(error.message.contains("kd7"), "{error}");
    assert_eq!(client.running_config(), before);
    assert!(host.ip(&["link", "show", "kd0"]).contains("mtu 1400"));

    let edit = RequestBody::Edit {
        ops: ops("interface kd0\nmtu 1300\n"),
        base: Some(7),
    };
    assert_eq!(client.ask(edit).unwrap_err().code, ErrorCode::Conflict);
    let edit = RequestBody::Edit {
        ops: ops("interface kd0\nmtu 1300\n"),
        base: Some(1),
    };
    assert!(client.ask(edit).is_ok());
}

#[test]
fn what_the_system_refuses_changes_nothing() {
    let host = host();
    let _daemon = host.start();
    let holder = Host::new();
    holder.key("h");
    holder.config("interface kd9\n private-key file h.key\n local 0 127.0.0.5 port 7700\n");
    let mut other = host.start_of(&holder.directory, ":");

    let mut client = host.client();
    let before = client.running_config();
    host.key("b");
    // The peer, the new interface and the good local are undone because of the bad one.
    let lines = "interface kd0\nmtu 1300\nlocal 1 127.0.0.6 port 7700\npeer new\n\
                 interface kd1\nprivate-key file b.key\nlocal 0 127.0.0.7 port 7700\n\
                 interface kd0\nlocal 2 127.0.0.5 port 7700\n";
    let error = client.edit(lines).unwrap_err();
    assert_eq!(error.code, ErrorCode::System);
    assert!(
        error.message.contains("kd0") && error.message.contains("127.0.0.5:7700"),
        "{error}"
    );
    assert_eq!(client.running_config(), before);
    assert!(!host.has_device("kd1"));
    assert!(host.ip(&["link", "show", "kd0"]).contains("mtu 1400"));
    let sockets = run("ip", &["netns", "exec", &host.netns, "cat", "/proc/net/udp"]);
    assert!(
        !sockets.contains("0600007F:1E14"),
        "a socket was left open: {sockets}"
    );

    other.signal("-KILL");
    other.wait();
    client.edit(lines).unwrap();
    assert!(host.has_device("kd1"));
}

#[test]
fn an_address_moves_from_one_interface_to_another() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    host.key("b");
    client
        .edit("interface kd0\nlocal 0 127.0.0.3 port 7700\ninterface kd1\nprivate-key file b.key\nlocal 0 127.0.0.1 port 7700\n")
        .unwrap();
    assert!(host.has_device("kd0") && host.has_device("kd1"));
}

#[test]
fn a_new_private_key_restarts_the_interface() {
    let host = host();
    let _daemon = host.start();
    let mut client = host.client();
    let before = host.ip(&["-o", "link", "show", "kd0"]);
    host.key("b");
    client.edit("interface kd0\nprivate-key file b.key\n").unwrap();
    let after = host.ip(&["-o", "link", "show", "kd0"]);
    assert_ne!(before, after, "the MAC address is derived from the key");
}

#[test]
fn hangup_applies_the_difference_or_nothing() {
    let host = host();
    let daemon = host.start();
    let mut client = host.client();
    let index = |host: &Host| {
        host.ip(&["-o", "link", "show", "kd0"])
            .split(':')
            .next()
            .unwrap()
            .to_owned()
    };
    let before = index(&host);

    host.config(&config(" peer new\n  link 0 local 0 remote 127.0.0.8 port 7700\n").replace("fra1", "fra2"));
    daemon.signal("-HUP");
    daemon.wait_for_line("read again: revision 2");
    assert!(client.running_config().contains("peer new"));
    assert_eq!(host.client().welcome.hostname, "fra2");
    assert_eq!(index(&host), before, "the interface was made anew");
    assert!(
        daemon.log().contains("peer new has no public key"),
        "{}",
        daemon.log()
    );

    let good = client.running_config();
    host.config(&config(" peer ams1\n  timers 1000 2000\n link 0\n mtu 1\n"));
    daemon.signal("-HUP");
    daemon.wait_for_line("the running configuration stays as it is");
    let log = daemon.log();
    let errors: Vec<_> = log.lines().filter(|l| l.contains("ERROR")).collect();
    assert!(
        errors
            .iter()
            .filter(|l| l.contains("line ") && l.contains("column "))
            .count()
            >= 2,
        "{errors:#?}"
    );
    assert_eq!(client.running_config(), good);

    // The running configuration can be told from the file.
    assert_ne!(text(client.all(RequestBody::StartupConfig).unwrap()), good);
    client.ask(RequestBody::WriteMemory).unwrap();
    assert_eq!(text(client.all(RequestBody::StartupConfig).unwrap()), good);
}

#[test]
fn a_key_file_is_read_again_at_hangup() {
    let host = host();
    let daemon = host.start();
    let before = host.ip(&["-o", "link", "show", "kd0"]);
    host.key("a");
    daemon.signal("-HUP");
    daemon.wait_for_line("revision 2");
    assert_ne!(host.ip(&["-o", "link", "show", "kd0"]), before);
    fs::remove_file(host.directory.join("a.key")).unwrap();
    daemon.signal("-HUP");
    daemon.wait_for_line("no such key file");
    assert!(host.has_device("kd0"));
}

#[test]
fn what_is_written_is_what_comes_back() {
    let host = host();
    let mut daemon = host.start();
    let mut client = host.client();
    client
        .edit("interface kd0\nlocal 1 any6 port 7700\nmac ageing-time 600\npeer ams1\nisolate\nlink 0\npriority 7\nweight 3\n")
        .unwrap();
    match client.ask(RequestBody::WriteMemory).unwrap() {
        Reply::Written {
            path,
            bytes,
            revision,
        } => {
            assert_eq!(path, host.directory.join("knetd.conf").display().to_string());
            assert_eq!((bytes, revision), (client.running_config().len() as u64, 2));
        }
        other => panic!("{other:?}"),
    }
    assert!(!version(&mut client).unsaved);
    let before = client.running_config();
    daemon.signal("-TERM");
    daemon.wait();
    let _daemon = host.start();
    assert_eq!(host.client().running_config(), before);
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let host = Host::new();
    let mount = host.directory.join("etc");
    fs::create_dir(&mount).unwrap();
    let small = mount.display().to_string();
    run(
        "mount",
        &["-t", "tmpfs", "-o", "size=16k,mode=755", "none", &small],
    );
    struct Unmount(String);
    impl Drop for Unmount {
        fn drop(&mut self) {
            run("umount", &["-l", &self.0]);
        }
    }
    let _unmount = Unmount(small);
    let path = mount.join("knetd.conf");
    let old = "hostname old\n";
    fs::write(&path, old).unwrap();
    let _daemon = host.start_of(&mount, ":");
    let mut client = Client::connect(&mount.join("knetd.sock")).unwrap();
    let peers: String = (0..200)
        .map(|n| format!("peer p{n}\ndescription {}\n", "x".repeat(60)))
        .collect();
    client.edit(&format!("interface kd0\n{peers}")).unwrap();
    assert!(client.running_config().len() > 16 * 1024);
    let error = client.ask(RequestBody::WriteMemory).unwrap_err();
    assert_eq!(error.code, ErrorCode::System);
    assert!(
        error.message.contains("knetd.conf") && error.message.contains("as it was"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), old);
    assert!(
        !fs::read_dir(&mount)
            .unwrap()
            .any(|e| e.unwrap().file_name().to_string_lossy().ends_with(".new"))
    );
    assert!(version(&mut client).unsaved);
}
