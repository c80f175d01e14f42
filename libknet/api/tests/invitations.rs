//! How invitations and the file of a hub's are written: one way each, and what is not as it was made is told.

#![allow(clippy::unwrap_used)]

use knet_api::{
    invitation::{
        CREDENTIAL_LEN, Invitation, InvitationError, PREFIX, credential, presented,
        register::{self, Invited, Register, SecretHash},
    },
    model::Remote,
    value::{IpPrefix, PublicKey},
};
use proptest::prelude::*;

fn remote(address: &str, port: u16) -> Remote {
    Remote::Static {
        address: address.parse().unwrap(),
        port,
    }
}

fn named(name: &str) -> Remote {
    Remote::Named {
        name: name.into(),
        port: 7700,
    }
}

fn invitation() -> Invitation {
    Invitation {
        hub: "fra1".into(),
        public_key: PublicKey([9; 32]),
        secret: [0xfb; 16],
        expires: 1_800_000_000,
        addresses: vec!["10.200.0.7/24".parse().unwrap(), "fd00::7/64".parse().unwrap()],
        endpoints: vec![
            remote("203.0.113.7", 7700),
            remote("2001:db8::7", 443),
            named("vpn.example.net"),
        ],
    }
}

#[test]
fn an_invitation_is_one_word_that_is_read_back_however_it_was_pasted() {
    let text = invitation().to_text().unwrap();
    assert!(text.starts_with(PREFIX));
    assert!(
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
        "{text}"
    );
    let short = Invitation {
        endpoints: vec![remote("203.0.113.7", 7700)],
        addresses: Vec::new(),
        ..invitation()
    };
    assert_eq!(short.to_text().unwrap().len(), 5 + 99);
    let (first, second) = text.split_at(40);
    for pasted in [
        text.clone(),
        format!("  {text}\r\n"),
        format!("{first}\n{second}"),
        format!("{first} \t{second}"),
        text.chars().flat_map(|c| [c, ' ']).collect(),
    ] {
        assert_eq!(Invitation::parse(&pasted), Ok(invitation()), "{pasted:?}");
    }
    assert!(
        !format!("{:?}", invitation()).contains("251"),
        "the secret is not shown"
    );
}

#[test]
fn what_was_cut_off_or_changed_is_told_as_such() {
    let text = invitation().to_text().unwrap();
    for length in PREFIX.len()..text.len() {
        assert_eq!(
            Invitation::parse(&text[..length]),
            Err(InvitationError::Damaged),
            "{length}"
        );
    }
    assert_eq!(
        Invitation::parse(&(text.clone() + "A")),
        Err(InvitationError::Damaged)
    );
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for at in PREFIX.len()..text.len() {
        for digit in digits.chars().filter(|digit| !text[at..].starts_with(*digit)) {
            let mut changed = text.clone();
            changed.replace_range(at..=at, &digit.to_string());
            assert_eq!(
                Invitation::parse(&changed),
                Err(InvitationError::Damaged),
                "{changed}"
            );
        }
        // Two characters that have changed places.
        let mut swapped: Vec<char> = text.chars().collect();
        swapped.swap(at - 1, at);
        let swapped: String = swapped.into_iter().collect();
        assert_eq!(swapped == text, Invitation::parse(&swapped).is_ok(), "{swapped}");
    }
    for (text, error) in [
        ("", InvitationError::Prefix),
        ("knet", InvitationError::Prefix),
        ("knet-cli", InvitationError::Prefix),
        ("wg1AAAA", InvitationError::Prefix),
        ("knet2AAAA", InvitationError::Version('2')),
        ("knet1", InvitationError::Damaged),
        ("knet1AA+A", InvitationError::Character('+')),
        ("knet1AA\u{e9}A", InvitationError::Character('\u{e9}')),
    ] {
        assert_eq!(Invitation::parse(text), Err(error), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_not_written() {
    let refused = |change: fn(&mut Invitation), said: &str| {
        let mut invitation = invitation();
        change(&mut invitation);
        let error = invitation.to_text().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    refused(
        |i| i.public_key = PublicKey([0; 32]),
        "the hub's public key is none",
    );
    refused(|i| i.hub = "a b".into(), "a name that no peer");
    refused(|i| i.hub = String::new(), "a name that no peer");
    refused(|i| i.endpoints.clear(), "no address of the hub");
    refused(
        |i| i.endpoints = vec![i.endpoints[0].clone(); 9],
        "an address that is none",
    );
    refused(|i| i.endpoints[0] = Remote::Dynamic, "an address that is none");
    refused(
        |i| i.endpoints[0] = remote("0.0.0.0", 1),
        "an address that is none",
    );
    refused(
        |i| i.endpoints[0] = remote("ff02::1", 1),
        "an address that is none",
    );
    refused(
        |i| i.endpoints[0] = remote("192.0.2.1", 0),
        "an address that is none",
    );
    refused(|i| i.endpoints[0] = named("a_b"), "a name that no peer or host");
    refused(
        |i| i.addresses = vec![i.addresses[0]; 9],
        "an address that is none",
    );
    refused(|i| i.addresses[0].length = 33, "an address that is none");
    refused(
        |i| i.addresses[0] = "224.0.0.1/24".parse().unwrap(),
        "an address that is none",
    );
    refused(|i| i.expires = u64::MAX, "after the year 9999");
}

#[test]
fn a_credential_is_a_version_and_a_key() {
    let key: [u8; 32] = std::array::from_fn(|n| n as u8);
    let bytes = credential(&key);
    assert_eq!((bytes[0], &bytes[1..]), (2, &key[..]));
    assert_eq!(presented(&bytes), Some(&key));
    assert_eq!(presented(&bytes[..CREDENTIAL_LEN - 1]), None);
    assert_eq!(presented(&[&bytes[..], &[0]].concat()), None);
    assert_eq!(presented(&[]), None);
    // A certificate's.
    assert_eq!(presented(&[1; CREDENTIAL_LEN]), None);
}

fn address(text: &str) -> IpPrefix {
    text.parse().unwrap()
}

fn hash(n: u8) -> SecretHash {
    SecretHash([n; 16])
}

fn key(n: u8) -> PublicKey {
    PublicKey([n; 32])
}

#[test]
fn a_register_tells_what_is_open_and_who_has_come() {
    let mut register = Register::default();
    register.invite(
        hash(1),
        Some("ams1".into()),
        1_800_000_000,
        vec![address("10.200.0.7/24")],
    );
    register.invite(
        hash(2),
        None,
        1_800_000_001,
        vec![address("10.200.0.8/24"), address("fd00::8/64")],
    );
    register.invite(hash(3), None, 5, Vec::new());
    register.redeem(hash(1), "ams1", key(9), 1_700_000_000);
    assert_eq!((register.open(), register.members().len()), (2, 1));
    let used = Invited::Used {
        member: "ams1".into(),
    };
    assert_eq!(register.invitations().get(&hash(1)), Some(&used));
    let text = register.to_text();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines,
        [
            "invitation;02020202020202020202020202020202;2027-01-15T08:00:01Z;;10.200.0.8/24,fd00::8/64",
            "invitation;03030303030303030303030303030303;1970-01-01T00:00:05Z;;",
            "member;ams1;CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=;01010101010101010101010101010101;2023-11-14T22:13:20Z;10.200.0.7/24",
        ]
    );
    assert_eq!(register::parse(text.as_bytes()), Ok(register.clone()));
    assert_eq!(register.addresses(1_800_000_000).count(), 3);
    assert_eq!(
        register.addresses(1_800_000_001).count(),
        1,
        "the other one has ended"
    );
    assert_eq!(hash(0xa1).id(), "a1a1a1a1");
    // Used ones are not open any more, and who is expelled leaves nothing behind.
    assert!(!register.take_back(&hash(1)) && register.take_back(&hash(2)));
    register.forget_expired(6);
    assert_eq!(register.open(), 0);
    assert_eq!(
        register.expel("ams1").map(|member| member.public_key),
        Some(key(9))
    );
    assert_eq!(register.expel("ams1"), None);
    assert_eq!(register, Register::default());
}

#[test]
fn a_file_with_a_mistake_does_not_count() {
    let good = "member;a;CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=;01010101010101010101010101010101;2023-11-14T22:13:20Z;\n";
    let spaced = format!("\n! by hand\n {} ", good.replace(';', " ; "));
    assert_eq!(
        register::parse(spaced.as_bytes()),
        register::parse(good.as_bytes())
    );
    for (file, said) in [
        ("x", "line 1: neither an invitation nor a member; expected: "),
        ("member;a;b;c;d", "line 1: neither"),
        (
            &format!("{}more", good.trim_end().to_owned() + ";"),
            "line 1: neither",
        ),
        (
            "\ninvitation;0101010101010101010101010101010;2023-11-14T22:13:20Z;",
            "line 2: neither",
        ),
        (
            "invitation;01010101010101010101010101010101;tomorrow;",
            "line 1: neither",
        ),
        (
            "invitation;01010101010101010101010101010101;2023-11-14T22:13:20Z;a b;",
            "line 1: neither",
        ),
        (
            "invitation;01010101010101010101010101010101;2023-11-14T22:13:20Z;a",
            "line 1: neither",
        ),
        (
            "invitation;01010101010101010101010101010101;2023-11-14T22:13:20Z;a;10.200.0.7",
            "line 1: neither",
        ),
        (
            &good.repeat(2),
            "line 2: the invitation of the member is there already",
        ),
        (
            &(good.to_owned() + &good.replace(";01", ";02").replace(";a;", ";b;")),
            "line 2: b has the same public key as a",
        ),
        (
            &(good.to_owned() + &good.replace(";01", ";02").replace(";CQkJ", ";CAkJ")),
            "line 2: a member of this name is there already",
        ),
        (
            &format!("{good}invitation;01010101010101010101010101010101;2023-11-14T22:13:20Z;;"),
            "line 2: the invitation is there already",
        ),
    ] {
        let error = register::parse(file.as_bytes()).unwrap_err();
        assert!(error.starts_with(said), "{file}: {error}");
    }
    assert!(register::parse(b"\xff").unwrap_err().contains("not UTF-8"));
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_so(text in "knet1[A-Za-c0-1_-]{0,12}") {
        if let Ok(read) = Invitation::parse(&text) {
            prop_assert_eq!(read.to_text().unwrap(), text);
        }
    }

    #[test]
    fn every_invitation_survives_the_way(
        secret in any::<[u8; 16]>(),
        expires in 0..4_000_000_000_u64,
        hub in "[a-zA-Z0-9._-]{1,64}",
        ports in prop::collection::vec(1_u16.., 1..=8),
    ) {
        let endpoints = ports.iter().map(|port| remote("198.51.100.1", *port)).collect();
        let made = Invitation { hub, secret, expires, endpoints, ..invitation() };
        prop_assert_eq!(Invitation::parse(&made.to_text().unwrap()), Ok(made));
    }
}
