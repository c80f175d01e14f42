//! Which addresses a peer may use, as it is configured.

mod typed;

use knet_api::{
    edit::Context,
    group::{
        Lists,
        authorized_keys::{AuthorizedKeys, Listed},
    },
    load::load,
    model::{Config, IpPrefix, PublicKey},
    render::render,
};
use typed::edited;

const KEYS: [&str; 2] = [
    "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
    "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=",
];

/// An interface with a group and two peers of it, each with these lines.
fn text(interface: &[&str], group: &[&str], a: &[&str], b: &[&str]) -> String {
    let indented = |lines: &[&str], by: &str| -> String {
        let lines: Vec<String> = lines.iter().map(|line| format!("{by}{line}\n")).collect();
        lines.concat()
    };
    let peer = |name: &str, key: &str, lines: &[&str]| {
        let lines = indented(lines, "  ");
        format!(" !\n peer {name}\n  public-key {key}\n  group tenants\n{lines}")
    };
    let [of_a, of_b] = KEYS;
    [
        "!\ninterface knet0\n private-key file k\n local 0 any port 7700\n",
        &indented(interface, " "),
        " !\n peer-group tenants\n",
        &indented(group, "  "),
        &peer("a", of_a, a),
        &peer("b", of_b, b),
    ]
    .concat()
}

fn good(text: &str) -> Config {
    let loaded = load(text.as_bytes());
    assert_eq!(loaded.problems, [], "{text}");
    loaded.config
}

/// All that is said of it.
fn told(text: &str) -> Vec<String> {
    let problems = load(text.as_bytes()).problems;
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn lines_are_written_as_they_are_read() {
    let own = [
        "mac sticky 3",
        "mac allowed 02:00:00:00:00:01",
        "mac allowed 02:00:00:00:00:02",
    ];
    let text = text(&[], &["mac sticky", "mac allowed 02:00:00:00:00:09"], &own, &[]);
    let config = good(&text);
    let written = render(&config, false);
    assert_eq!(good(&written), config);
    for line in own {
        assert!(written.contains(&format!("\n  {line}\n")), "{written}");
    }
    assert!(
        written.contains("\n  mac sticky\n"),
        "the default is not said: {written}"
    );
    let made = config.without_groups(&Lists::new(), None).config;
    let peers = &made.interfaces["knet0"].peers;
    let (a, b) = (peers["a"].guard.get(), peers["b"].guard.get());
    assert_eq!((a.allowed_macs.len(), a.sticky), (3, Some(3)));
    assert_eq!((b.allowed_macs.len(), b.sticky), (1, Some(1)));
}

#[test]
fn addresses_are_given_and_taken_back() {
    let own = [
        "ip verify source",
        "arp inspection",
        "ip source binding 10.0.0.5",
        "ip source binding 10.0.1.0/24",
        "ipv6 source binding 2001:db8::5",
        "ipv6 source binding ::/0",
        "mac allowed 02:00:00:00:00:01",
    ];
    // In any order, and a network of one address is that address.
    let typed = [
        "mac allowed 02:00:00:00:00:01",
        "ipv6 source binding 2001:db8::5/128",
        "ip source binding 10.0.0.5/32",
        "arp inspection",
        "ipv6 source binding 0::0/0",
        "ip source binding 10.0.1.0/24",
        "ip verify source",
    ];
    let config = good(&text(
        &[],
        &["arp inspection", "ip source binding 10.9.0.0/16"],
        &typed,
        &[],
    ));
    let written = render(&config, false);
    assert!(
        written.contains(&format!("  {}\n", own.join("\n  "))),
        "{written}"
    );
    assert_eq!(good(&written), config);
    let made = config.without_groups(&Lists::new(), None).config;
    let peers = &made.interfaces["knet0"].peers;
    let (a, b) = (peers["a"].guard.get(), peers["b"].guard.get());
    assert_eq!(
        (a.bindings.len(), a.verify_source, a.arp_inspection),
        (5, true, true)
    );
    assert_eq!(
        (b.bindings.len(), b.verify_source, b.arp_inspection),
        (1, false, true)
    );
    let here = Context::Peer {
        interface: "knet0".to_owned(),
        peer: "a".to_owned(),
    };
    let no = own.map(|line| format!("no {line}"));
    let config = edited(&config, here, &no.each_ref().map(String::as_str)).expect("all are there");
    assert!(
        !config.interfaces["knet0"].peers["a"].guard.is_said(),
        "nothing is left"
    );
}

/// Who is there by a certificate or an invitation has the addresses of that, besides what its group says.
#[test]
fn certificates_and_invitations_give_addresses() {
    let config = good(&text(
        &[],
        &["ip verify source", "ip source binding 10.9.0.0/16"],
        &[],
        &[],
    ));
    let listed = |addresses: &[&str]| {
        let addresses: Vec<IpPrefix> = addresses.iter().map(|a| a.parse().expect("a prefix")).collect();
        Listed::with_addresses(PublicKey([7; 32]), &addresses)
    };
    let made = |listed: Listed| {
        let keys: AuthorizedKeys = [("c".to_owned(), listed)].into_iter().collect();
        let lists = Lists::from([(("knet0".to_owned(), "tenants".to_owned()), keys)]);
        let made = config.without_groups(&lists, None);
        assert_eq!(made.clashes, []);
        made.config.interfaces["knet0"].peers["c"].guard.get().clone()
    };
    // The length is that of the network that the address is in, which is not the peer's.
    let with = made(listed(&["fd00::7/64", "10.200.0.7/16"]));
    let given: Vec<String> = with.bindings.iter().map(ToString::to_string).collect();
    assert_eq!(given, ["10.200.0.7/32", "10.9.0.0/16", "fd00::7/128"]);
    assert!(with.verify_source && !with.arp_inspection);
    assert_eq!(made(listed(&[])).bindings.len(), 1);
    assert_eq!(listed(&[]), PublicKey([7; 32]).into());
}

#[test]
fn an_address_is_given_to_one_of_those_that_meet() {
    let clash = |interface: &[&str], group: &[&str], a: &[&str], b: &[&str]| {
        let told = told(&text(interface, group, a, b));
        assert!(told.len() <= 1, "{told:?}");
        told.into_iter().next()
    };
    let both = |version: &str, line: &str| {
        let line = format!("{version} source binding {line}");
        clash(&[], &[], &[&line], &[&line])
    };
    for (version, address) in [("ip", "10.0.0.5"), ("ipv6", "2001:db8::5")] {
        let told = both(version, address).expect("refused");
        assert!(
            told.contains(&format!("{address} is given to peer a already")),
            "{told}"
        );
        assert!(told.contains("line 1"), "{told}");
    }
    assert_eq!(both("ip", "10.0.0.0/24"), None, "two routers");
    let line = "ip source binding 10.0.0.5";
    let vlan = |vlan: u16| format!("switchport access vlan {vlan}");
    let in_vlans = |filtering: &[&str], group: &[&str], a: &str, b: &str| {
        clash(filtering, group, &[line, a], &[line, b])
    };
    assert_eq!(
        in_vlans(&["vlan filtering"], &[], &vlan(5), &vlan(6)),
        None,
        "two tenants"
    );
    let all = "switchport trunk allowed vlan all";
    assert!(in_vlans(&["vlan filtering"], &[], &vlan(5), all).is_some());
    assert!(clash(&["vlan filtering"], &[&vlan(5)], &[line], &[line, &vlan(5)]).is_some());
    assert_eq!(
        clash(&["vlan filtering"], &[&vlan(6)], &[line], &[line, &vlan(5)]),
        None
    );
    let hub = "hub-group hubs";
    assert_eq!(clash(&[], &[], &[line, hub], &[line, hub]), None, "one port");
}

/// A change is checked by what it has to do with.
#[test]
fn whoever_comes_to_another_clashes_with_it() {
    let line = "ip source binding 10.0.0.5";
    let config = good(&text(
        &["vlan filtering"],
        &["switchport access vlan 5"],
        &[line],
        &[line, "switchport access vlan 6"],
    ));
    let interface = Context::Interface {
        interface: "knet0".to_owned(),
    };
    for lines in [
        &["no vlan filtering"][..],
        &["peer b", "switchport access vlan 5"],
        &["peer b", "no switchport"],
        &["peer-group tenants", "switchport access vlan 6"],
    ] {
        let told = edited(&config, interface.clone(), lines).expect_err("refused");
        assert!(
            told.contains("10.0.0.5 is given to peer a already"),
            "{lines:?}: {told}"
        );
    }
}

#[test]
fn what_cannot_be_is_told() {
    let of_a = |lines: &[&str]| {
        told(&text(
            &["mac-address 02:00:00:00:00:77", "ip address 10.7.0.1/24"],
            &[],
            lines,
            &[],
        ))
    };
    for (line, said) in [
        ("mac allowed 01:00:5e:00:00:01", "is a group address"),
        (
            "mac allowed 02:00:00:00:00:77",
            "02:00:00:00:00:77 is this interface's own address",
        ),
        ("mac sticky 0", "0 is out of range"),
        (
            "ip source binding 10.0.0.5/24",
            "10.0.0.5/24 is neither a host nor a network: 10.0.0.5 is the host, and 10.0.0.0/24 the network",
        ),
        (
            "ipv6 source binding 2001:db8::5/64",
            "2001:db8::5/64 is neither a host nor a network: 2001:db8::5 is the host, and 2001:db8::/64 the network",
        ),
        (
            "ip source binding 10.0.0.0/33",
            "the prefix length is out of range",
        ),
        ("ip source binding 224.0.0.1", "224.0.0.1 is no address of a host"),
        ("ip source binding 0.0.0.0", "0.0.0.0 is no address of a host"),
        (
            "ip source binding 255.255.255.255",
            "255.255.255.255 is no address of a host",
        ),
        ("ipv6 source binding ff02::1", "ff02::1 is no address of a host"),
        ("ip source binding 2001:db8::1", "expected: A.B.C.D[/M]"),
        ("ipv6 source binding 10.0.0.1", "expected: X:X::X[/M]"),
        (
            "ip source binding 10.7.0.1",
            "10.7.0.1 is this interface's own address",
        ),
        ("mac sticky 1025", "1025 is out of range"),
    ] {
        let told = of_a(&[line]);
        assert!(told.len() == 1 && told[0].contains(said), "{line}: {told:?}");
    }
    let many: Vec<String> = (0..65)
        .map(|n| format!("mac allowed 02:00:00:00:01:{n:02x}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(of_a(&many[..64]), [""; 0]);
    let too_many = of_a(&many);
    assert!(
        too_many.len() == 1 && too_many[0].contains("peer a has 65 allowed MAC addresses"),
        "{too_many:?}"
    );
    let many_given: Vec<String> = (0..65).map(|n| format!("ip source binding 10.0.1.{n}")).collect();
    let many_given: Vec<&str> = many_given.iter().map(String::as_str).collect();
    assert_eq!(of_a(&many_given[..64]), [""; 0]);
    let too_many = of_a(&many_given);
    assert!(
        too_many.len() == 1 && too_many[0].contains("peer a is given 65 addresses and networks"),
        "{too_many:?}"
    );
    let of_group = told(&text(&[], &["ip source binding 10.0.0.5"], &[], &[]));
    assert!(
        of_group.len() == 1 && of_group[0].contains("10.0.0.5 would be given to each peer of group tenants"),
        "{of_group:?}"
    );
    let of_group = told(&text(&[], &many, &[], &[]));
    assert!(
        of_group.len() == 1 && of_group[0].contains("group tenants has 65 allowed MAC addresses"),
        "{of_group:?}"
    );
}
