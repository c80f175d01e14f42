//! What is typed out of habit from routers and has another name here, or is done outside this shell.

use std::net::IpAddr;

use super::{
    error::{ErrorKind, SyntaxError},
    lexer::Word,
};

/// First words of a line, and what is told of it. `*` is any address.
const HABITS: &[(&str, &str)] = &[
    (
        "ping *",
        "addresses are tested by the host's own ping; `ping peer NAME` tests the links to a peer",
    ),
    (
        "traceroute",
        "addresses are tested by the host's own traceroute; `test link NAME N` measures a link",
    ),
    (
        "reload",
        "`reload config` reads the file again; knetd itself is started anew by `systemctl restart knetd`",
    ),
    (
        "debug all",
        "`terminal monitor` shows everything, `debug peer NAME` one peer",
    ),
    ("write terminal", "`show running-config` prints it"),
    (
        "write erase",
        "`configure replace FILE` with an empty file, then `write memory`",
    ),
    (
        "show ip arp",
        "`show arp` has the addresses of all stations, of both IP versions",
    ),
    (
        "show ipv6 neighbors",
        "`show arp` has the addresses of all stations, of both IP versions",
    ),
    (
        "switchport mode",
        "`switchport access vlan N` or `switchport trunk allowed vlan LIST` says it all",
    ),
    (
        "switchport trunk native",
        "`switchport trunk allowed vlan LIST native vlan N`: one line says it all",
    ),
    (
        "show vlan brief",
        "`show vlan` is brief; `show vlan id N` tells who is in a VLAN",
    ),
    (
        "show interfaces trunk",
        "`show vlan` has the VLANs, `show peer NAME` those of a peer",
    ),
    ("show ip route", "of the host: `ip route`, outside this shell"),
    ("show clock", "of the host: `date`, outside this shell"),
    (
        "show processes",
        "`show memory` and `show limits` have what knetd uses, `show interfaces` what its threads do",
    ),
    (
        "banner",
        "the shell greets with version, host and revision; a text of your own: `description`, or the host's `/etc/motd`",
    ),
    (
        "router",
        "routing is the host's: FRR or BIRD on it, over the interface that the overlay has there",
    ),
    (
        "line",
        "this shell is local: who may use it is told by groups knet and knetop, how long by `terminal exec-timeout`",
    ),
    (
        "access-list",
        "filters are the host's: `nft`, on its bridge or on the interface of the overlay",
    ),
    (
        "ip access-list",
        "filters are the host's: `nft`, on its bridge or on the interface of the overlay",
    ),
    (
        "ip access-group",
        "filters are the host's: `nft`, on its bridge or on the interface of the overlay",
    ),
    (
        "spanning-tree",
        "the overlay needs none between its peers; beyond them it is the host's: `ip link set BRIDGE type bridge stp_state 1`",
    ),
    (
        "snmp-server",
        "`show ... | json` has everything that can be asked for",
    ),
    ("ntp", "the clock is the host's: chrony, for one"),
    (
        "enable secret",
        "there is no password: group knet may change, group knetop may look",
    ),
    (
        "enable password",
        "there is no password: group knet may change, group knetop may look",
    ),
    (
        "username",
        "users are those of the host: group knet may change, group knetop may look",
    ),
    (
        "ip route",
        "of the host: `ip route`, outside this shell; an interface has `ip address`",
    ),
];

/// The error of a line that could not be read, with what is here instead where the line is such a habit.
pub(super) fn explain(error: SyntaxError, words: &[Word]) -> SyntaxError {
    let words = match words {
        [prefix, rest @ ..] if prefix.text == "do" => rest,
        all => all,
    };
    let fits = |habit: &str| {
        let habit = habit.split(' ');
        let count = habit.clone().count();
        words.len() >= count && habit.zip(words).all(|(habit, word)| is(habit, &word.text))
    };
    match HABITS.iter().find(|(habit, _)| fits(habit)) {
        Some((_, told)) if error.kind != ErrorKind::Ambiguous => SyntaxError {
            reason: Some((*told).to_owned()),
            suggestion: None,
            ..error
        },
        _ => error,
    }
}

/// Words may be abbreviated, to three letters at least where they are no words of this shell.
fn is(habit: &str, word: &str) -> bool {
    match habit {
        "*" => word.parse::<IpAddr>().is_ok(),
        "show" | "ip" | "write" | "debug" | "all" => word.len() >= 2 && habit.starts_with(word),
        habit => word.len() >= 3 && habit.starts_with(word),
    }
}
