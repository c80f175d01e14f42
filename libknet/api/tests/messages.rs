//! Messages keep their bytes, and no bytes do harm.

use std::fmt::Debug;

use knet_api::{
    codec::{CodecError, Decoder, MAX_REQUEST, Message, decode, encode},
    edit::{Context, Leaf, Op},
    message::{
        API_VERSION, ApiError, ErrorCode, Hello, LinkRow, Only, Page, PeerRow, Reply, Request, RequestBody,
        Response, Rows, Source,
    },
    transaction::Version,
    value::Value,
};
use proptest::prelude::*;

fn request() -> Request {
    let context = Context::Link {
        interface: "knet0".into(),
        peer: "ams1".into(),
        link: 2,
    };
    let ops = vec![
        Op::Create(context.clone()),
        Op::Set(context, Leaf::Priority, vec![Value::Number(200)]),
    ];
    Request {
        id: 7,
        body: RequestBody::Edit { ops, base: Some(300) },
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    digits.concat()
}

/// Fields and variants are only ever appended: these bytes never change while `API_VERSION` is 13.
#[test]
fn the_bytes_of_this_version_are_fixed() {
    assert_eq!(API_VERSION, 13);
    let hello = Hello {
        api_version: 6,
        build: "0.1.0".into(),
        table_hash: 0x1234,
    };
    assert_eq!(
        hex(&encode(&hello, MAX_REQUEST).expect("short")),
        "090000000605302e312e30b424"
    );
    assert_eq!(
        hex(&encode(&request(), MAX_REQUEST).expect("short")),
        "2700000007000200 03056b6e65743004616d733102 03 03056b6e65743004616d733102 10 01 01c801 01ac02"
            .replace(' ', "")
    );
    let peers = Request {
        id: 1,
        body: RequestBody::Peers {
            interface: None,
            page: Page {
                cursor: None,
                limit: 500,
            },
            only: Only::default(),
        },
    };
    assert_eq!(
        hex(&encode(&peers, MAX_REQUEST).expect("short")),
        "0800000001060000f4030000"
    );
    let error = Response {
        id: 9,
        more: false,
        body: Err(ApiError::new(ErrorCode::Denied, "no")),
    };
    assert_eq!(
        hex(&encode(&error, MAX_REQUEST).expect("short")),
        "09000000090001040 26e6f0000".replace(' ', "")
    );
}

/// The variants of `T`, in the order of their numbers on the socket.
fn variants<T: Message + Debug>() -> String {
    let with_number = |number: u8| {
        // Zeros are the least that a field can be: nothing, no, none, an empty text.
        let mut bytes = vec![number];
        (0..256).find_map(|_| {
            let message = decode::<T>(&bytes).ok();
            bytes.push(0);
            message
        })
    };
    let name = |message: T| {
        let text = format!("{message:?}");
        text.split(|c: char| !c.is_alphanumeric())
            .next()
            .map(str::to_owned)
    };
    let names: Vec<String> = (0..).map_while(|number| name(with_number(number)?)).collect();
    names.join(" ")
}

/// Where a variant stands among its fellows is its number on the socket: new ones stand behind the others.
#[test]
fn variants_keep_their_numbers() {
    assert_eq!(
        variants::<RequestBody>(),
        "Edit RunningConfig StartupConfig WriteMemory Version Interfaces Peers Peer Links Macs Logging ClearCounters \
         Ping Monitor Complete Cancel History Try Configure EditCandidate Commit CommitCheck Update Discard Confirm \
         Revert Rollback Upload Replace Revisions ConfigText ConfigDiff Clients ClearClient Announcements Leave Limits \
         ResetPeer GenerateKey ReloadConfig ExpandedConfig Neighbors ClearNeighbors Groups Vlans Certificates Listeners HubGroups \
         Invite Join Invitations ClearInvitations RemoveMember IpPools IpPoolLeases ClearIpPoolLease ClearLoopGuard"
    );
    assert_eq!(
        variants::<Reply>(),
        "Done Edited Text Written Version Interfaces Peers Peer Links Macs Logging Ping Events Names History Entered \
         Committed Impact Problems Revisions Clients Limits KeyMade Neighbors Groups Vlans Certificates Listeners HubGroups \
         Invited Joined Invitations IpPools IpPoolLeases"
    );
    assert_eq!(
        variants::<Leaf>(),
        "Hostname Description Shutdown PrivateKey MacAddress Mtu IpAddress Ipv6Address Local MacAgeing PublicKey \
         PresharedKey Policy Isolate MacStatic Endpoint Priority Weight Timers PongCount Spoke Lossy MtuPolicy LimitLoss \
         LimitRtt Cost Dscp Cipher Workers LinksPriority LinksWeight LinksCost LinksTimers MemberLink ArpSuppression DhcpSnooping RaGuard DhcpTrust RaTrust MacLimit StormFrames StormCopies \
         LinksPongCount LinksLimitLoss LinksLimitRtt Group AuthorizedKeys VlanFiltering Switchport Certificate CertificateAuthority RevocationList IgmpSnooping MldSnooping IgmpRouter MldRouter HubGroup Invitations Invitation IpPool Ipv6Pool \
         MacAllowed MacSticky IpBinding Ipv6Binding VerifySource ArpInspection MetricsListen MetricsPeers ValidateSourceMac IpNegotiated Ipv6Negotiated RouterGuard IgmpQuerier MldQuerier LoopGuard"
    );
    assert_eq!(
        variants::<Context>(),
        "Global Interface Peer Link Mesh Member Host Group"
    );
    assert_eq!(variants::<Op>(), "Create Require Delete Set Unset");
    assert_eq!(
        variants::<Value>(),
        "Absent Number Word Text Address Prefix Mac Key"
    );
    assert_eq!(
        variants::<Source>(),
        "Interfaces Peers Links Locals Meshes Members Hosts Groups"
    );
    assert_eq!(variants::<Version>(), "Running Startup Candidate Revision");
    assert_eq!(
        variants::<ErrorCode>(),
        "Invalid NotFound Ambiguous Conflict Denied System Timeout Busy Protocol Cancelled Internal Locked"
    );
}

#[test]
fn messages_come_out_of_any_pieces() {
    let mut bytes = encode(&request(), MAX_REQUEST).expect("short");
    bytes.extend(encode(&request(), MAX_REQUEST).expect("short"));
    let mut decoder = Decoder::new(MAX_REQUEST);
    let mut found = 0;
    for byte in bytes {
        decoder.push(&[byte]);
        while let Some(message) = decoder.take::<Request>().expect("a message") {
            assert_eq!(message, request());
            found += 1;
        }
    }
    assert_eq!(found, 2);
}

#[test]
fn a_long_message_is_refused_before_it_is_stored() {
    let mut decoder = Decoder::new(MAX_REQUEST);
    decoder.push(&(MAX_REQUEST as u32 + 1).to_le_bytes());
    let refused = Err(CodecError::TooLong {
        length: MAX_REQUEST + 1,
        limit: MAX_REQUEST,
    });
    assert_eq!(decoder.take::<Request>(), refused);
    let name = "x".repeat(MAX_REQUEST);
    let long = Request {
        id: 1,
        body: RequestBody::Interfaces {
            interface: Some(name),
        },
    };
    assert!(matches!(
        encode(&long, MAX_REQUEST),
        Err(CodecError::TooLong { .. })
    ));
}

#[test]
fn rows_survive_the_way() {
    let link = LinkRow {
        interface: "knet0".into(),
        rtt_us: Some(1234),
        tx_loss_ppm: 17,
        ..LinkRow::default()
    };
    let peer = PeerRow {
        peer: "ams1".into(),
        links: vec![link.clone()],
        ..PeerRow::default()
    };
    for body in [
        Reply::Peer(Box::new(peer.clone())),
        Reply::Peers(Rows {
            rows: vec![peer],
            next: Some("ams1".into()),
        }),
        Reply::Links(Rows {
            rows: vec![link],
            next: None,
        }),
    ] {
        let response = Response {
            id: 3,
            more: true,
            body: Ok(body),
        };
        let bytes = encode(&response, MAX_REQUEST).expect("short");
        assert_eq!(decode::<Response>(&bytes[4..]), Ok(response));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = decode::<Request>(&bytes);
        let _ = decode::<Response>(&bytes);
        let mut decoder = Decoder::new(MAX_REQUEST);
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.take::<Request>() {}
    }

    #[test]
    fn a_changed_byte_does_no_harm(at in 4..40_usize, value: u8) {
        let mut bytes = encode(&request(), MAX_REQUEST).expect("short");
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        if let Ok(Request { body: RequestBody::Edit { ops, .. }, .. }) = decode::<Request>(&bytes[4..]) {
            let _ = knet_api::model::Config::default().edited(&ops);
        }
    }
}
