//! How certificates, revocation lists and authorities are written: one way each, and everything else is refused.

#![allow(clippy::unwrap_used)]

use knet_api::{
    certificate::{
        AuthorityId, Certificate, FormatError, MAX_LEN, MAX_TIME, SIGNATURE_LEN, Serial, SignedCertificate,
        armor::{self, Label},
        authority,
        revocation::{RevocationList, SignedRevocationList},
    },
    value::{PublicKey, base64_decode_all, base64_encode},
};
use proptest::prelude::*;

const SIGNATURE: [u8; SIGNATURE_LEN] = [0x5e; SIGNATURE_LEN];

fn certificate() -> Certificate {
    Certificate {
        authority: AuthorityId([0xa0; 8]),
        serial: Serial(0x0807_0605_0403_0201),
        public_key: PublicKey([9; 32]),
        not_before: 1_800_000_000,
        not_after: 1_831_536_000,
        name: "ams1".into(),
        groups: vec!["clients".into(), "all".into()],
        addresses: vec!["10.200.0.7/24".parse().unwrap(), "fd00::7/64".parse().unwrap()],
    }
}

fn bytes() -> Vec<u8> {
    SignedCertificate::new(certificate(), &SIGNATURE)
        .unwrap()
        .as_bytes()
        .to_vec()
}

#[test]
fn fields_are_where_the_protocol_puts_them() {
    let expected = [
        &[1][..],
        &[0xa0; 8],
        &[1, 2, 3, 4, 5, 6, 7, 8],
        &[9; 32],
        &1_800_000_000_u64.to_le_bytes(),
        &1_831_536_000_u64.to_le_bytes(),
        b"\x04ams1",
        b"\x02\x07clients\x03all",
        &[2, 4, 10, 200, 0, 7, 24],
        &[6, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 64],
        &SIGNATURE,
    ]
    .concat();
    assert_eq!(bytes(), expected);
    let read = SignedCertificate::parse(&expected).unwrap();
    assert_eq!(*read.certificate(), certificate());
    let (message, signature) = read.signed();
    assert_eq!(message, certificate().to_be_signed().unwrap());
    assert!(message.starts_with(b"knet certificate\0\x01"));
    assert_eq!(signature, SIGNATURE);
    assert_eq!(Serial(0xab).to_string(), "00000000000000ab");
    assert_eq!("00000000000000ab".parse(), Ok(Serial(0xab)));
    assert_eq!("ab".parse::<Serial>(), Err(()));
}

#[test]
fn each_field_that_makes_no_sense_is_refused() {
    let refused = |change: fn(&mut Certificate), error: FormatError| {
        let mut certificate = certificate();
        change(&mut certificate);
        assert_eq!(certificate.to_be_signed(), Err(error));
    };
    refused(|c| c.public_key = PublicKey([0; 32]), FormatError::Key);
    refused(|c| c.public_key = PublicKey([0xff; 32]), FormatError::Key);
    refused(|c| c.not_after = c.not_before, FormatError::Validity);
    refused(|c| c.not_after = MAX_TIME + 1, FormatError::Validity);
    refused(|c| c.name = String::new(), FormatError::Name);
    refused(|c| c.name = "a b".into(), FormatError::Name);
    refused(|c| c.name = "x".repeat(65), FormatError::Name);
    refused(|c| c.groups.clear(), FormatError::Groups);
    refused(|c| c.groups = vec!["g".into(); 2], FormatError::Name);
    refused(
        |c| c.groups = (0..9).map(|n| n.to_string()).collect(),
        FormatError::Groups,
    );
    refused(|c| c.groups = vec!["a/b".into()], FormatError::Name);
    refused(|c| c.addresses = vec![c.addresses[0]; 9], FormatError::Address);
    refused(|c| c.addresses[0].length = 33, FormatError::Address);
    refused(
        |c| c.groups = (0..8).map(|n| n.to_string().repeat(60)).collect(),
        FormatError::TooLong,
    );
    let mut versioned = bytes();
    versioned[0] = 2;
    assert_eq!(SignedCertificate::parse(&versioned), Err(FormatError::Version(2)));
    assert_eq!(
        SignedCertificate::parse(&[1; MAX_LEN + 1]),
        Err(FormatError::Length)
    );
}

#[test]
fn what_is_cut_off_or_too_long_is_refused() {
    let whole = bytes();
    for length in 0..whole.len() {
        assert!(SignedCertificate::parse(&whole[..length]).is_err(), "{length}");
    }
    assert_eq!(
        SignedCertificate::parse(&[&whole[..], &[0]].concat()),
        Err(FormatError::Length)
    );
}

/// Whatever is changed, what was signed is another thing then, or the signature is.
#[test]
fn any_bit_that_is_changed_is_seen() {
    let whole = bytes();
    let signed = SignedCertificate::parse(&whole).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = SignedCertificate::parse(&changed) {
            assert_ne!(other.signed(), signed.signed(), "bit {bit}");
            assert_eq!(other.as_bytes(), changed);
        }
    }
}

#[test]
fn revocation_lists_are_in_order() {
    let list = RevocationList {
        authority: AuthorityId([1; 8]),
        issued: 7,
        serials: vec![Serial(1), Serial(5), Serial(u64::MAX)],
    };
    let message = list.to_be_signed().unwrap();
    assert!(message.starts_with(b"knet revocation list\0\x01"));
    let signed = SignedRevocationList::new(list.clone(), &SIGNATURE);
    let read = SignedRevocationList::parse(signed.as_bytes()).unwrap();
    assert_eq!((read.list(), read.signed()), (&list, (message, &SIGNATURE[..])));
    assert!(list.revokes(Serial(5)) && !list.revokes(Serial(4)));
    for length in 0..signed.as_bytes().len() {
        assert!(SignedRevocationList::parse(&signed.as_bytes()[..length]).is_err());
    }
    for serials in [vec![Serial(5), Serial(5)], vec![Serial(5), Serial(1)]] {
        let wrong = RevocationList {
            serials,
            ..list.clone()
        };
        assert_eq!(wrong.to_be_signed(), Err(FormatError::Order));
    }
}

#[test]
fn blocks_are_read_between_text_for_people_and_what_is_wrong_is_told() {
    let block = armor::write(Label::Certificate, &bytes());
    assert!(block.lines().all(|line| line.len() <= 64) || block.contains("-----"));
    let file = format!("# Name ams1\r\n{}\n{block}", block.replace('\n', "\r\n"));
    let read = armor::read(Label::Certificate, file.as_bytes()).unwrap();
    assert_eq!(
        read.iter().map(|block| &block.bytes).collect::<Vec<_>>(),
        [&bytes(), &bytes()]
    );
    assert_eq!(read[0].line, 2);
    assert!(armor::read(Label::Certificate, b"nothing").unwrap().is_empty());
    for (file, said) in [
        (
            "-----BEGIN CERTIFICATE-----",
            "line 1: -----BEGIN CERTIFICATE-----; expected: -----BEGIN KNET CERTIFICATE-----",
        ),
        (
            "\n-----BEGIN KNET CERTIFICATE-----\nAAAA",
            "line 2: the block that begins here does not end; expected: -----END KNET CERTIFICATE-----",
        ),
        (
            "-----BEGIN KNET CERTIFICATE-----\nAAA\n-----END KNET CERTIFICATE-----",
            "line 3: the block that began in line 1 is not base64, or not all of it",
        ),
        (
            "-----BEGIN KNET CERTIFICATE-----\n-----BEGIN KNET CERTIFICATE-----",
            "line 2: the block of line 1 does not end here; expected: -----END KNET CERTIFICATE-----",
        ),
    ] {
        let error = armor::read(Label::Certificate, file.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn authorities_are_lines_of_name_and_key() {
    let key = |n| base64_encode(&[n; 32]);
    let file = format!("# ours\nexample;{}\n\n next ; {} \n", key(1), key(2));
    let read = authority::parse(file.as_bytes()).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!((read[1].name.as_str(), read[1].public_key), ("next", [2; 32]));
    assert_eq!(read[1].id(), AuthorityId([2; 8]));
    assert_eq!(authority::parse(read[0].line().as_bytes()).unwrap(), read[..1]);
    for (file, said) in [
        (String::new(), "there is no authority in it"),
        ("example".into(), "line 1: no authority"),
        (format!("a/b;{}", key(1)), "line 1: no authority"),
        ("\na;AAAA".into(), "line 2: no authority"),
        (
            format!("a;{}\na;{}", key(1), key(2)),
            "line 2: a is there already, as a",
        ),
        (
            format!("a;{}\nb;{}", key(1), key(1)),
            "line 2: b is there already, as a",
        ),
    ] {
        let error = authority::parse(file.as_bytes()).unwrap_err();
        assert!(error.starts_with(said) && error.contains("expected: "), "{error}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("a{n};{}", key(n))).collect();
    assert!(
        authority::parse(many.join("\n").as_bytes())
            .unwrap_err()
            .contains("at most 16")
    );
}

proptest! {
    #[test]
    fn base64_of_any_length_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let text = base64_encode(&bytes);
        prop_assert_eq!(text.len(), bytes.len().div_ceil(3) * 4);
        prop_assert_eq!(base64_decode_all(&text), Some(bytes));
    }

    #[test]
    fn what_is_read_as_base64_is_written_so(text in "[A-Za-c0-1+/=]{0,12}") {
        if let Some(bytes) = base64_decode_all(&text) {
            prop_assert_eq!(base64_encode(&bytes), text);
        }
    }
}
