//! Messages keep their bytes, and no bytes do harm.

use knet_api::{
    codec::{CodecError, Decoder, MAX_REQUEST, decode, encode},
    edit::{Context, Leaf, Op},
    message::{
        API_VERSION, ApiError, ErrorCode, Hello, LinkRow, Only, Page, PeerRow, PingRow, Reply, Request,
        RequestBody, Response, Rows, Source, VersionRow,
    },
    transaction::{Entry, Version},
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

/// Fields and variants are only ever appended: these bytes never change while `API_VERSION` is 5.
#[test]
fn the_bytes_of_version_5_are_fixed() {
    assert_eq!(API_VERSION, 5);
    let hello = Hello {
        api_version: 5,
        build: "0.1.0".into(),
        table_hash: 0x1234,
    };
    assert_eq!(
        hex(&encode(&hello, MAX_REQUEST).expect("short")),
        "090000000505302e312e30b424"
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

/// Where a variant stands among its fellows is its number on the socket.
#[test]
fn variants_keep_their_numbers() {
    fn number<T: knet_api::codec::Message>(value: &T) -> u8 {
        encode(value, MAX_REQUEST).expect("short")[4]
    }
    let page = || Page {
        cursor: None,
        limit: 1,
    };
    let (interface, peer) = (None, String::new());
    let requests = [
        RequestBody::Edit {
            ops: Vec::new(),
            base: None,
        },
        RequestBody::RunningConfig { all: false },
        RequestBody::StartupConfig,
        RequestBody::WriteMemory,
        RequestBody::Version,
        RequestBody::Interfaces { interface: None },
        RequestBody::Peers {
            interface: None,
            page: page(),
            only: Only::default(),
        },
        RequestBody::Peer {
            interface: None,
            peer: peer.clone(),
        },
        RequestBody::Links {
            interface: None,
            peer: None,
            page: page(),
            only: Only::default(),
        },
        RequestBody::Macs {
            interface: None,
            page: page(),
        },
        RequestBody::Logging { lines: 1 },
        RequestBody::ClearCounters { interface: None },
        RequestBody::Ping {
            interface,
            peer,
            link: None,
            count: 1,
            interval_ms: 1,
            timeout_ms: 1,
        },
        RequestBody::Monitor,
        RequestBody::Complete {
            source: Source::Interfaces,
            prefix: String::new(),
            limit: 1,
        },
        RequestBody::Cancel { id: 1 },
        RequestBody::History {
            interface: None,
            peer: String::new(),
            last: None,
        },
        RequestBody::Try { ops: Vec::new() },
        RequestBody::Configure(Entry::default()),
        RequestBody::EditCandidate { ops: Vec::new() },
        RequestBody::Commit {
            comment: None,
            confirmed: None,
        },
        RequestBody::CommitCheck,
        RequestBody::Update,
        RequestBody::Discard,
        RequestBody::Confirm,
        RequestBody::Revert,
        RequestBody::Rollback {
            revision: 1,
            comment: None,
        },
        RequestBody::Upload {
            bytes: Vec::new(),
            first: true,
        },
        RequestBody::Replace { comment: None },
        RequestBody::Revisions,
        RequestBody::ConfigText(Version::Running),
        RequestBody::ConfigDiff {
            from: Version::Startup,
            to: Version::Running,
        },
        RequestBody::Clients,
        RequestBody::ClearClient { session: 1 },
        RequestBody::Announcements,
        RequestBody::Leave,
        RequestBody::Limits { interface: None },
        RequestBody::ResetPeer {
            interface: None,
            peer: String::new(),
            link: None,
        },
        RequestBody::GenerateKey { file: String::new() },
        RequestBody::ReloadConfig,
    ];
    let numbers: Vec<u8> = requests.iter().map(number).collect();
    assert_eq!(numbers, (0..40).collect::<Vec<u8>>());
    let leaves = [
        Leaf::Hostname,
        Leaf::Description,
        Leaf::Shutdown,
        Leaf::PrivateKey,
        Leaf::MacAddress,
        Leaf::Mtu,
        Leaf::IpAddress,
        Leaf::Ipv6Address,
        Leaf::Local,
        Leaf::MacAgeing,
        Leaf::PublicKey,
        Leaf::PresharedKey,
        Leaf::Policy,
        Leaf::Isolate,
        Leaf::MacStatic,
        Leaf::Endpoint,
        Leaf::Priority,
        Leaf::Weight,
        Leaf::Timers,
        Leaf::PongCount,
        Leaf::Spoke,
        Leaf::Lossy,
        Leaf::MtuPolicy,
        Leaf::LimitLoss,
        Leaf::LimitRtt,
        Leaf::Cost,
        Leaf::Dscp,
        Leaf::Cipher,
        Leaf::Workers,
    ];
    let numbers: Vec<u8> = leaves.iter().map(number).collect();
    assert_eq!(numbers, (0..29).collect::<Vec<u8>>());
    let replies = [
        Reply::Done,
        Reply::Edited {
            revision: 1,
            hostname: String::new(),
            notes: Vec::new(),
        },
        Reply::Text(String::new()),
        Reply::Written {
            path: String::new(),
            bytes: 1,
            revision: 1,
        },
        Reply::Version(VersionRow::default()),
        Reply::Interfaces(Vec::new()),
        Reply::Peers(Rows {
            rows: Vec::new(),
            next: None,
        }),
        Reply::Peer(Box::default()),
        Reply::Links(Rows {
            rows: Vec::new(),
            next: None,
        }),
        Reply::Macs(Rows {
            rows: Vec::new(),
            next: None,
        }),
        Reply::Logging(Vec::new()),
        Reply::Ping(PingRow::default()),
        Reply::Events {
            events: Vec::new(),
            dropped: 0,
        },
        Reply::Names(Vec::new()),
        Reply::History {
            events: Vec::new(),
            earlier: 0,
        },
        Reply::Entered {
            revision: 1,
            others: Vec::new(),
            pending: None,
        },
        Reply::Committed(Box::default()),
        Reply::Impact {
            rows: Vec::new(),
            notes: Vec::new(),
        },
        Reply::Problems(Vec::new()),
        Reply::Revisions {
            rows: Vec::new(),
            not_kept: None,
            pending: None,
        },
        Reply::Clients {
            rows: Vec::new(),
            pending: None,
        },
        Reply::Limits(Vec::new()),
        Reply::KeyMade {
            path: String::new(),
            public_key: String::new(),
        },
    ];
    let numbers: Vec<u8> = replies.iter().map(number).collect();
    assert_eq!(numbers, (0..23).collect::<Vec<u8>>());
    let ops = [
        Op::Create(Context::Global),
        Op::Require(Context::Global),
        Op::Delete(Context::Global),
        Op::Set(Context::Global, Leaf::Mtu, Vec::new()),
        Op::Unset(Context::Global, Leaf::Mtu, Vec::new()),
    ];
    assert_eq!(ops.iter().map(number).collect::<Vec<u8>>(), [0, 1, 2, 3, 4]);
    for (code, expected) in [
        (ErrorCode::Invalid, 0),
        (ErrorCode::Denied, 4),
        (ErrorCode::Internal, 10),
        (ErrorCode::Locked, 11),
    ] {
        assert_eq!(number(&code), expected);
    }
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
