//! A daemon without a network: real messages, a real configuration, made-up rows.

mod transactions;

use std::{
    env, fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use knet_api::{
    codec::{self, Decoder, Message},
    edit::{Context, Place},
    grammar::{spelling::names_instead, table_hash},
    group::Lists,
    load::load,
    message::{
        API_VERSION, ApiError, AuthoritiesRow, CertificateCounts, CertificateRow, CertificatesReport,
        DropRow, ErrorCode, EventRow, GroupRow, GuardRow, Hello, HelloReply, HubGroupRow, HubRow,
        InterfaceRow, InvitationRow, InvitationsReport, InvitationsRow, InvitedRow, IpPoolLeaseRow,
        IpPoolLeasesReport, IpPoolRow, JoinedRow, KeyFileRow, LimitRow, LinkCountsRow, LinkRow, ListenerRow,
        LocalRow, LogRow, MacRow, NeighborRow, Only, OrderRow, PeerRow, PiecesRow, PingRow, Privilege,
        RefusalRow, Reply, Request, RequestBody, Response, Rows, SessionRow, Source, StormRow, SwitchportRow,
        SystemCallsRow, Traffic, VersionRow, VlanRow, Welcome, WorkerRow,
    },
    model::Config,
    render::render,
};

pub(crate) const CONFIG: &str = "\
hostname fra1
!
interface knet0
 private-key file fra1.key
 ip address 10.200.0.1/24
 local 0 192.0.2.1 port 7700
 local 1 198.51.100.1 port 7700
 !
 peer ams1
  public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  link 0 local 0 remote 203.0.113.7 port 7700
   priority 200
  link 1 local 1 remote dynamic
 !
 peer lab2
  public-key iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=
";

/// How the daemon treats its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Well.
    Friendly,
    /// They may look and not change.
    Strict,
    /// It turns them away.
    Closed,
    /// It never answers a request.
    Silent,
    /// It answers with bytes that mean nothing.
    Broken,
    /// It ends the connection after each answer.
    Fickle,
    /// A change waits to be confirmed, and is undone after a moment.
    Undecided,
}

/// A running daemon; its directory goes with it.
pub(crate) struct FakeDaemon {
    pub(crate) socket: PathBuf,
    directory: PathBuf,
}

struct State {
    running: Config,
    /// What is only tried.
    trial: Option<Config>,
    startup: String,
    revision: u64,
    work: transactions::Work,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl FakeDaemon {
    pub(crate) fn start(temper: Temper) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("knet-cli-test-{}-{number}", process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let socket = directory.join("knetd.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let state = State {
            running: load(CONFIG.as_bytes()).config,
            trial: None,
            startup: CONFIG.to_owned(),
            revision: 1,
            work: transactions::Work::default(),
        };
        let state = Arc::new(Mutex::new(state));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                // A client that leaves ends its own thread only.
                thread::spawn(move || serve(stream, &state, temper));
            }
        });
        Self { socket, directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

struct Client {
    stream: UnixStream,
    decoder: Decoder,
}

impl Client {
    fn read<T: Message>(&mut self) -> Option<T> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.decoder.take().expect("a message of the shell") {
                return Some(message);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
            }
        }
    }

    fn write<T: Message>(&mut self, message: &T) -> Option<()> {
        self.stream
            .write_all(&codec::encode(message, codec::MAX_RESPONSE).expect("short"))
            .ok()
    }
}

fn serve(stream: UnixStream, state: &Mutex<State>, temper: Temper) -> Option<()> {
    let mut client = Client {
        stream,
        decoder: Decoder::new(codec::MAX_REQUEST),
    };
    let hello: Hello = client.read()?;
    assert_eq!(hello.api_version, API_VERSION);
    if temper == Temper::Closed {
        return client.write::<HelloReply>(&Err(ApiError::new(ErrorCode::Busy, "too many clients")));
    }
    let revision = state.lock().expect("the state").revision;
    client.write::<HelloReply>(&Ok(Welcome {
        hello: Hello {
            api_version: API_VERSION,
            build: "0.1.0".into(),
            table_hash: table_hash(),
        },
        hostname: "fra1".into(),
        privilege: if temper == Temper::Strict {
            Privilege::Operator
        } else {
            Privilege::Admin
        },
        revision,
        session: 1,
        pending: (temper == Temper::Undecided).then(transactions::waiting),
    }))?;
    while let Some(Request { id, body }) = client.read() {
        match temper {
            Temper::Silent => continue,
            Temper::Broken => {
                client
                    .stream
                    .write_all(b"\x04\x00\x00\x00\xff\xff\xff\xff")
                    .ok()?;
                continue;
            }
            _ => {}
        }
        let mut answers = match body {
            RequestBody::Announcements => transactions::announcements(temper == Temper::Undecided),
            body => answer(state, body),
        };
        let last = answers.pop().expect("an answer");
        for (wait, body) in answers {
            thread::sleep(wait);
            client.write(&Response { id, more: true, body })?;
        }
        thread::sleep(last.0);
        client.write(&Response {
            id,
            more: false,
            body: last.1,
        })?;
        if temper == Temper::Fickle {
            break;
        }
    }
    Some(())
}

type Answer = (Duration, Result<Reply, ApiError>);

fn now(body: Result<Reply, ApiError>) -> Answer {
    (Duration::ZERO, body)
}

fn answer(state: &Mutex<State>, body: RequestBody) -> Vec<Answer> {
    let mut state = state.lock().expect("the state");
    let text = |text: String| {
        // In pieces, as a daemon with a long one would.
        let cut = text.len() / 2;
        vec![
            now(Ok(Reply::Text(text[..cut].into()))),
            now(Ok(Reply::Text(text[cut..].into()))),
        ]
    };
    if let RequestBody::ConfigText(_) | RequestBody::ConfigDiff { .. } = body {
        return text(transactions::text(&state, &body));
    }
    vec![now(match body {
        RequestBody::Edit { ops, .. } => match state.running.edited(&ops) {
            Ok(edited) => {
                state.running = edited.config;
                state.revision += 1;
                Ok(Reply::Edited {
                    revision: state.revision,
                    hostname: state.running.hostname.clone().unwrap_or("host".into()),
                    notes: edited.notes,
                })
            }
            Err(problems) => Err(problems.into_iter().next().expect("a problem").into()),
        },
        RequestBody::Try { ops } => {
            let trial = state.trial.clone().unwrap_or_else(|| state.running.clone());
            match trial.edited(&ops) {
                Ok(edited) => {
                    state.trial = Some(edited.config);
                    Ok(Reply::Edited {
                        revision: state.revision,
                        hostname: "fra1".into(),
                        notes: edited.notes,
                    })
                }
                Err(problems) => Err(problems.into_iter().next().expect("a problem").into()),
            }
        }
        RequestBody::RunningConfig { all } => return text(render(&state.running, all)),
        RequestBody::ExpandedConfig => {
            let made = state
                .running
                .on_host("fra1")
                .0
                .without_groups(&Lists::new(), None);
            return text(render(&made.config, false));
        }
        RequestBody::StartupConfig => return text(state.startup.clone()),
        RequestBody::WriteMemory => {
            state.startup = render(&state.running, false);
            let bytes = state.startup.len() as u64;
            Ok(Reply::Written {
                path: "/etc/knet/knetd.conf".into(),
                bytes,
                revision: state.revision,
            })
        }
        RequestBody::Version => Ok(Reply::Version(version(&state))),
        RequestBody::Interfaces {
            interface: Some(name),
        } if name != "knet0" => Err(ApiError::new(
            ErrorCode::NotFound,
            format!("there is no interface {name}"),
        )),
        RequestBody::Interfaces { .. } => Ok(Reply::Interfaces(vec![interface()])),
        // Two pages, so that the shell must ask twice.
        RequestBody::Peers { page, only, .. } => {
            let (rows, next) = match page.cursor.as_deref() {
                None => (vec![ams1()], Some("ams1".into())),
                Some("ams1") => (vec![lab2()], None),
                Some(other) => panic!("the cursor {other} was never given"),
            };
            let rows = rows
                .into_iter()
                .filter(|row| fits(&only, &row.peer, &row.state))
                .collect();
            Ok(Reply::Peers(Rows { rows, next }))
        }
        RequestBody::Peer { peer, .. } => match peer.as_str() {
            "ams1" => Ok(Reply::Peer(Box::new(PeerRow {
                links: links(),
                ..ams1()
            }))),
            "lab2" => Ok(Reply::Peer(Box::new(PeerRow {
                group: Some("branches".into()),
                authorized_keys: Some("branches.keys".into()),
                ..lab2()
            }))),
            _ => Err(no_peer(&peer)),
        },
        RequestBody::History { peer, last, .. } => match peer.as_str() {
            "ams1" => {
                let events = history();
                let cut = events.len() - events.len().min(last.map_or(usize::MAX, |n| n as usize));
                Ok(Reply::History {
                    events: events[cut..].to_vec(),
                    earlier: cut as u64,
                })
            }
            "lab2" => Ok(Reply::History {
                events: Vec::new(),
                earlier: 0,
            }),
            _ => Err(no_peer(&peer)),
        },
        RequestBody::Links { peer, only, .. } => {
            let rows = links()
                .into_iter()
                .filter(|l| peer.as_ref().is_none_or(|p| *p == l.peer) && fits(&only, &l.peer, &l.state))
                .collect();
            Ok(Reply::Links(Rows { rows, next: None }))
        }
        RequestBody::Macs { .. } => Ok(Reply::Macs(Rows {
            rows: macs(),
            next: None,
        })),
        RequestBody::Vlans { .. } => Ok(Reply::Vlans(Rows {
            rows: vlans(),
            next: None,
        })),
        RequestBody::Listeners { .. } => Ok(Reply::Listeners(Rows {
            rows: listeners(),
            next: None,
        })),
        RequestBody::Neighbors { peer, .. } => {
            let rows = neighbors()
                .into_iter()
                .filter(|row| peer.is_none() || row.peer == peer);
            let rows = rows.collect();
            Ok(Reply::Neighbors(Rows { rows, next: None }))
        }
        RequestBody::Logging { lines } => {
            let rows = log();
            let from = rows.len().saturating_sub(lines as usize);
            Ok(Reply::Logging(rows[from..].to_vec()))
        }
        RequestBody::Groups {
            group: Some(name), ..
        } if name != "branches" => Err(ApiError::new(
            ErrorCode::NotFound,
            format!("there is no group {name}"),
        )
        .with_hint("there is branches")),
        RequestBody::Groups { .. } => Ok(Reply::Groups(vec![branches()])),
        RequestBody::HubGroups(_) => Ok(Reply::HubGroups(vec![hubs()])),
        RequestBody::Certificates { .. } => Ok(Reply::Certificates(certificates())),
        RequestBody::Invitations { .. } => Ok(Reply::Invitations(invitations())),
        RequestBody::IpPools { .. } => Ok(Reply::IpPools(pools())),
        RequestBody::IpPoolLeases { .. } => Ok(Reply::IpPoolLeases(leases())),
        RequestBody::Invite(order) if order.group != "branches" => Err(ApiError::new(
            ErrorCode::NotFound,
            format!("there is no group {}", order.group),
        )
        .with_hint("there is branches")),
        RequestBody::Invite(order) => Ok(Reply::Invited(InvitedRow {
            invitation: INVITATION.into(),
            id: "5f3759df".into(),
            expires_unix_ms: 1_735_689_600_000 + u64::from(order.valid_s) * 1000,
            addresses: match &order.addresses[..] {
                [] => vec!["10.200.4.1/16".into()],
                said => said.iter().map(ToString::to_string).collect(),
            },
            endpoints: match &order.endpoints[..] {
                [] => vec!["203.0.113.7:7700".into()],
                said => said
                    .iter()
                    .map(|said| format!("{}:{}", said.address, said.port.unwrap_or(7700)))
                    .collect(),
            },
        })),
        RequestBody::Join {
            invitation,
            interface,
        } if invitation == INVITATION => Ok(Reply::Joined(JoinedRow {
            interface: interface.unwrap_or("knet0".into()),
            peer: "fra1".into(),
            public_key: "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=".into(),
            lines: vec![
                "interface knet0".into(),
                " peer fra1".into(),
                "  invitation file fra1.invitation".into(),
            ],
            revision: state.revision + 1,
        })),
        RequestBody::Join { .. } => Err(ApiError::new(
            ErrorCode::Invalid,
            "the invitation has expired at 2025-01-01T00:00:00Z",
        )
        .with_hint("a new one of the hub; is the clock of this host right?")),
        RequestBody::ClearInvitations { id: Some(id), .. } if id != "5f3759df" => Err(ApiError::new(
            ErrorCode::NotFound,
            format!("there is no open invitation {id}"),
        )),
        RequestBody::ClearInvitations { .. } => Ok(Reply::Names(vec!["5f3759df".into()])),
        RequestBody::Limits { .. } => Ok(Reply::Limits(limits())),
        RequestBody::ResetPeer { peer, .. }
        | RequestBody::RemoveMember { peer, .. }
        | RequestBody::ClearIpPoolLease { peer, .. }
            if peer != "ams1" =>
        {
            Err(no_peer(&peer))
        }
        RequestBody::ClearCounters { .. }
        | RequestBody::ClearNeighbors { .. }
        | RequestBody::ClearLoopGuard { .. }
        | RequestBody::Cancel { .. }
        | RequestBody::RemoveMember { .. }
        | RequestBody::ClearIpPoolLease { .. }
        | RequestBody::ResetPeer { .. } => Ok(Reply::Done),
        RequestBody::GenerateKey { file } if file == "fra1.key" => Err(ApiError::new(
            ErrorCode::Invalid,
            "/etc/knet/fra1.key is there already, and stays as it is",
        )
        .with_hint("another name")),
        RequestBody::GenerateKey { file } => Ok(Reply::KeyMade {
            path: format!("/etc/knet/{file}"),
            public_key: "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=".into(),
        }),
        RequestBody::ReloadConfig => {
            state.running = load(state.startup.as_bytes()).config;
            state.revision += 1;
            Ok(Reply::Edited {
                revision: state.revision,
                hostname: state.running.hostname.clone().unwrap_or("host".into()),
                notes: Vec::new(),
            })
        }
        RequestBody::Ping {
            peer, link, count, ..
        } => return ping(&peer, link, count),
        RequestBody::Monitor => {
            return (0..3)
                .map(|n| {
                    let events = vec![event(n)];
                    (
                        Duration::from_millis(50),
                        Ok(Reply::Events {
                            events,
                            dropped: u64::from(n == 2) * 4,
                        }),
                    )
                })
                .collect();
        }
        RequestBody::Complete {
            source,
            prefix,
            limit,
        } => {
            let names: &[&str] = match source {
                Source::Interfaces => &["knet0"],
                Source::Peers { .. } => &["ams1", "amster2", "lab2"],
                Source::Links { .. } | Source::Locals { .. } => &["0", "1"],
                Source::Meshes { .. } => &["rhine"],
                Source::Groups { .. } => &["branches", "phones"],
                Source::Members { .. } | Source::Hosts => &["bas1", "fra1"],
            };
            let names = names
                .iter()
                .filter(|name| name.starts_with(&prefix))
                .take(limit as usize);
            Ok(Reply::Names(names.map(|name| (*name).to_owned()).collect()))
        }
        body => transactions::answer(&mut state, body),
    })]
}

fn fits(only: &Only, peer: &str, state: &str) -> bool {
    only.name_prefix
        .as_deref()
        .is_none_or(|prefix| peer.starts_with(prefix))
        && only.state.as_deref().is_none_or(|only| only == state)
}

fn limits() -> Vec<LimitRow> {
    vec![
        LimitRow {
            interface: Some("knet0".into()),
            name: "reassembly-memory".into(),
            unit: "bytes".into(),
            limit: 67_108_864,
            used: Some(9000),
            refused: Some(3),
            past: "the peer's oldest incomplete frame is discarded".into(),
            ..LimitRow::default()
        },
        LimitRow {
            name: "resident-memory".into(),
            unit: "bytes".into(),
            limit: u64::MAX,
            used: Some(11_000_000),
            most: Some(12_000_000),
            past: "the kernel ends knetd where the host has none left".into(),
            ..LimitRow::default()
        },
        LimitRow {
            name: "control-clients".into(),
            limit: 32,
            used: Some(2),
            most: Some(5),
            refused: Some(0),
            past: "refused with a reason".into(),
            ..LimitRow::default()
        },
    ]
}

fn ping(peer: &str, link: Option<u8>, count: u32) -> Vec<Answer> {
    if peer != "ams1" {
        return vec![now(if peer == "lab2" {
            Ok(Reply::Done)
        } else {
            Err(no_peer(peer))
        })];
    }
    let mut answers = Vec::new();
    for sequence in 1..=count {
        for id in (0..2).filter(|id| link.is_none_or(|link| link == *id)) {
            let remote = (id == 0).then(|| "203.0.113.7:7700".to_owned());
            let rtt_us = (id == 0).then(|| 1000 + u64::from(sequence) * 100);
            answers.push(now(Ok(Reply::Ping(PingRow {
                sequence,
                link: id,
                remote,
                rtt_us,
            }))));
        }
    }
    answers.push(now(Ok(Reply::Done)));
    answers
}

fn no_peer(peer: &str) -> ApiError {
    let names = names_instead(peer, ["ams1", "lab2"].into_iter());
    ApiError {
        place: Some(Place::object(Context::Peer {
            interface: String::new(),
            peer: peer.into(),
        })),
        hint: names.map(|names| format!("there is {names}")),
        ..ApiError::new(ErrorCode::NotFound, format!("there is no peer {peer}"))
    }
}

fn version(state: &State) -> VersionRow {
    VersionRow {
        version: "0.1.0".into(),
        api_version: API_VERSION,
        wire_version: 1,
        suites: vec!["AES-256-GCM".into(), "ChaCha20-Poly1305".into()],
        hostname: "fra1".into(),
        kernel: "6.1.0".into(),
        pid: 4242,
        uptime_ms: 93_784_000,
        config_file: "/etc/knet/knetd.conf".into(),
        revision: state.revision,
        unsaved: render(&state.running, false) != state.startup,
    }
}

fn traffic(packets: u64) -> Traffic {
    Traffic {
        packets,
        bytes: packets * 100,
    }
}

fn interface() -> InterfaceRow {
    InterfaceRow {
        interface: "knet0".into(),
        description: Some("all \u{1b}[31mnodes\u{7}".into()),
        state: "up".into(),
        public_key: Some("iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=".into()),
        mac_address: Some("02:11:22:33:44:55".into()),
        mtu: 1372,
        mtu_auto: true,
        addresses: vec!["10.200.0.1/24".into(), "fd00:200::1/64".into()],
        locals: vec![
            LocalRow {
                local: 0,
                address: "192.0.2.1:7700".into(),
                device: None,
                state: "up".into(),
            },
            LocalRow {
                local: 1,
                address: "198.51.100.1:7700".into(),
                device: Some("eth1".into()),
                state: "no carrier".into(),
            },
        ],
        peers: 2,
        peers_up: 1,
        tap_rx: traffic(1_000_000),
        tap_tx: traffic(999),
        wire_rx: traffic(12),
        wire_tx: traffic(13),
        relayed: traffic(0),
        macs: 3,
        handshakes: 7,
        gaps: 1,
        system_calls: SystemCallsRow {
            waits: 40,
            receives: 20,
            sends: 30,
            tap_reads: 50,
            tap_writes: 10,
        },
        drops: vec![
            DropRow {
                reason: "replay".into(),
                help: "A counter seen before.".into(),
                count: 17,
            },
            DropRow {
                reason: "wire-length".into(),
                help: "The length does not fit.".into(),
                count: 2,
            },
        ],
        counting_ms: 61_000,
        workers_auto: true,
        workers: vec![
            WorkerRow {
                peers: 1,
                peers_up: 1,
                handed: traffic(400_000),
                taken: traffic(12),
                ..WorkerRow::default()
            },
            WorkerRow {
                peers: 1,
                handed: traffic(12),
                taken: traffic(400_000),
                strays: traffic(3),
                gaps: 1,
                ..WorkerRow::default()
            },
        ],
        links: LinkCountsRow {
            up: 2,
            down: 1,
            ..LinkCountsRow::default()
        },
        resent: traffic(5),
        ..InterfaceRow::default()
    }
}

fn ams1() -> PeerRow {
    PeerRow {
        interface: "knet0".into(),
        peer: "ams1".into(),
        state: "up".into(),
        public_key: Some("3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=".into()),
        policy: "passive".into(),
        session: Some(SessionRow {
            role: "initiator".into(),
            suite: "AES-256-GCM".into(),
            version: 1,
            age_ms: 65_000,
            rekeys: 3,
            uptime_ms: 425_000,
        }),
        tx: traffic(500),
        rx: traffic(400),
        drops: 1,
        duplicates: 2,
        active_links: vec![0],
        links_up: 1,
        links_total: 2,
        inner_mtu: Some(1372),
        narrowest: Some(0),
        order: OrderRow {
            held: 412,
            longest_hold_us: 12_345,
            skipped_by_votes: 1,
            skipped_by_timer: 20,
            skipped_by_overflow: 300,
            late: 4,
        },
        pieces: PiecesRow {
            split: 12,
            sent: 24,
            joined: 3,
        },
        ..PeerRow::default()
    }
}

fn certificates() -> CertificatesReport {
    let own = CertificateRow {
        interface: "knet0".into(),
        peer: None,
        name: "fra1".into(),
        serial: "00000000000000a1".into(),
        authority: None,
        groups: vec!["hubs".into(), "branches".into()],
        addresses: vec!["10.200.0.1/24".into()],
        not_before_unix_ms: 1_735_689_600_000,
        not_after_unix_ms: 1_767_225_600_000,
        remaining_s: 31_536_000,
        presented_unix_ms: None,
    };
    let of_peer = CertificateRow {
        peer: Some("lab2".into()),
        name: "lab2".into(),
        serial: "00000000000000b2".into(),
        authority: Some("example".into()),
        groups: vec!["branches".into()],
        addresses: Vec::new(),
        remaining_s: 518_400,
        presented_unix_ms: Some(1_735_689_601_500),
        ..own.clone()
    };
    CertificatesReport {
        rows: vec![own, of_peer],
        more: 0,
        problems: Vec::new(),
        counts: CertificateCounts {
            valid: 2,
            within_30_days: 1,
            within_7_days: 1,
            refused: 7,
            refused_as_revoked: 3,
            ..CertificateCounts::default()
        },
        refusals: vec![
            RefusalRow {
                reason: "address-taken".into(),
                count: 1,
                latest: "knet0: certificate of lab3 from 203.0.113.9:7700 refused: its address 10.200.0.7 is that of peer \
                         lab2, who was there first; one of the two is to be revoked"
                    .into(),
            },
            RefusalRow {
                reason: "revoked".into(),
                count: 6,
                latest: "knet0: certificate of lab1 from 203.0.113.8:7700 refused: it is revoked".into(),
            },
        ],
    }
}

/// One that was made for this, to 203.0.113.7.
const INVITATION: &str = "knet1iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJghQUVJTVFVWV1hZWltcXV5fgOw2awAAAAAEZnJhMQEEywBxBxQeAQQKyAQBEJrQi5E";

fn pools() -> Vec<IpPoolRow> {
    let row = IpPoolRow {
        interface: "knet0".into(),
        group: "branches".into(),
        pool: "10.200.4.0/22".into(),
        addresses: "1022".into(),
        used: 2,
        next: Some("10.200.4.3/16".into()),
        left: "1020".into(),
        leased: 2,
        ..IpPoolRow::default()
    };
    let full = IpPoolRow {
        group: "labs".into(),
        pool: "fd00::/127".into(),
        addresses: "2".into(),
        next: None,
        left: "0".into(),
        without: 1,
        ..row.clone()
    };
    vec![row, full]
}

fn leases() -> IpPoolLeasesReport {
    let row = IpPoolLeaseRow {
        interface: "knet0".into(),
        group: "branches".into(),
        peer: "ams1".into(),
        public_key: "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=".into(),
        addresses: vec!["10.200.4.1".into(), "fd00::1".into()],
        since_unix_ms: 1_735_689_600_000,
        away_unix_ms: None,
    };
    let away = IpPoolLeaseRow {
        peer: "bas1".into(),
        addresses: vec!["10.200.4.2".into()],
        away_unix_ms: Some(1_735_776_000_000),
        ..row.clone()
    };
    IpPoolLeasesReport {
        rows: vec![row, away],
        more: 0,
        problem: Some("who has which address out of a pool would be forgotten at a restart: no space".into()),
    }
}

fn invitations() -> InvitationsReport {
    let row = InvitationRow {
        interface: "knet0".into(),
        group: "branches".into(),
        id: "5f3759df".into(),
        state: "open".into(),
        expires_unix_ms: Some(1_735_689_600_000),
        addresses: vec!["10.200.4.1/16".into()],
        ..InvitationRow::default()
    };
    let used = InvitationRow {
        id: "0badcafe".into(),
        state: "used".into(),
        name: Some("lab2".into()),
        addresses: vec!["10.200.4.2/16".into()],
        expires_unix_ms: None,
        public_key: Some("3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=".into()),
        since_unix_ms: Some(1_735_689_601_500),
        ..row.clone()
    };
    InvitationsReport {
        rows: vec![row, used],
        more: 0,
        problems: vec!["knet0: group branches: what counted before stays: /etc/knet/b: line 3".into()],
    }
}

fn hubs() -> HubGroupRow {
    let hub = |peer: &str, preference, state: &str| HubRow {
        peer: peer.into(),
        preference,
        state: state.into(),
    };
    HubGroupRow {
        interface: "knet0".into(),
        group: "hubs".into(),
        active: Some("lab2".into()),
        active_ms: Some(61_000),
        reason: Some("in-doubt".into()),
        take_overs: 1,
        hubs: vec![hub("ams1", 200, "down"), hub("lab2", 100, "up")],
    }
}

fn branches() -> GroupRow {
    GroupRow {
        interface: "knet0".into(),
        group: "branches".into(),
        description: Some("one line in each branch".into()),
        policy: "active".into(),
        peers: 17,
        authorized_keys: Some(KeyFileRow {
            file: "branches.keys".into(),
            peers: 12,
            read_unix_ms: Some(1_735_689_601_500),
            problem: Some("/etc/knet/branches.keys: line 3, column 1: there is no `;`\u{1b}[2J".into()),
        }),
        certificates: Some(AuthoritiesRow {
            file: "ca.pub".into(),
            authorities: vec!["example".into()],
            revocation_list: Some("ca.crl".into()),
            revoked: 2,
            peers: 3,
            problem: None,
        }),
        invitations: Some(InvitationsRow {
            file: "branches.members".into(),
            members: 2,
            open: 1,
            problem: None,
        }),
    }
}

fn lab2() -> PeerRow {
    PeerRow {
        interface: "knet0".into(),
        peer: "lab2".into(),
        description: Some("\u{1b}]0;owned\u{7}lab\u{202e}".into()),
        state: "down".into(),
        policy: "active".into(),
        isolate: true,
        switchport: Some(SwitchportRow {
            mode: "trunk".into(),
            untagged: Some(10),
            allowed: "10,20-29".into(),
        }),
        storm: StormRow {
            frames_per_second: 100,
            dropped_frames: 412,
            copies_per_second: 20_000,
            mac_addresses: 1,
            mac_limit: 8,
            configured: true,
            ..StormRow::default()
        },
        guard: Some(Box::new(GuardRow {
            allowed_macs: vec!["02:00:00:00:00:03".into(), "02:00:00:00:00:04".into()],
            sticky: Some(2),
            given: vec!["10.200.0.3".into(), "10.201.0.0/16".into(), "fd00:200::3".into()],
            verify_source: true,
            validate_source_mac: true,
            dropped_macs: 3,
            dropped_sources: 1_412,
            router_guard: true,
            dropped_routers: 17,
            ..GuardRow::default()
        })),
        ..PeerRow::default()
    }
}

fn links() -> Vec<LinkRow> {
    let base = LinkRow {
        interface: "knet0".into(),
        peer: "ams1".into(),
        priority: 100,
        weight: Some(1),
        interval_ms: 1000,
        timeout_ms: 3000,
        pong_count: 5,
        ..LinkRow::default()
    };
    vec![
        LinkRow {
            link: 0,
            local: Some(0),
            local_address: Some("192.0.2.1:7700".into()),
            remote: Some("203.0.113.7:7700".into()),
            remote_configured: true,
            state: "up".into(),
            receiving: true,
            since_ms: 425_000,
            in_use: true,
            priority: 200,
            rtt_us: Some(1234),
            rtt_min_us: Some(980),
            rtt_var_us: 55,
            rtt_p99_us: Some(4321),
            tx_jitter_us: Some(18),
            rx_jitter_us: 21,
            tx_reordered_ppm: Some(2_500),
            tx_loss_ppm: 0,
            rx_loss_ppm: 15_000,
            tx: traffic(600),
            rx: traffic(500),
            report_timeout_us: 25_000,
            mtu: Some(1442),
            mtu_limit: Some("path".into()),
            mtu_reason: Some("path: 1442 passes, 1450 does not".into()),
            inner_mtu: Some(1372),
            narrows: true,
            ..base.clone()
        },
        LinkRow {
            link: 1,
            cost: 10,
            local: Some(1),
            local_address: Some("198.51.100.1:7700".into()),
            state: "down".into(),
            since_ms: 500,
            suspects: 2,
            downs: 1,
            spared: 1,
            held: 1,
            held_for_ms: 2_300,
            penalty_milli: 1500,
            ..base
        },
    ]
}

fn macs() -> Vec<MacRow> {
    let row = |mac: &str, peer: Option<&str>, is_static, age_ms| MacRow {
        interface: "knet0".into(),
        mac_address: mac.into(),
        peer: peer.map(str::to_owned),
        is_static,
        age_ms,
        vlan: (!is_static).then_some(10),
        is_sticky: false,
    };
    vec![
        row("02:00:00:00:00:01", None, false, 1200),
        row("02:00:00:00:00:02", Some("ams1"), false, 61_000),
        MacRow {
            is_sticky: true,
            ..row("02:00:00:00:00:04", Some("lab2"), false, 61_000)
        },
        row("02:00:00:00:00:03", Some("lab2"), true, 0),
    ]
}

fn neighbors() -> Vec<NeighborRow> {
    let row = |address: &str, mac: &str, router, peer: Option<&str>, age_ms| NeighborRow {
        interface: "knet0".into(),
        address: address.into(),
        mac_address: mac.into(),
        router,
        peer: peer.map(str::to_owned),
        age_ms,
        vlan: None,
        given: peer == Some("ams1"),
    };
    vec![
        row("10.200.0.1", "02:00:00:00:00:01", false, None, 1200),
        row("10.200.0.2", "02:00:00:00:00:02", false, Some("ams1"), 61_000),
        row("fe80::2", "02:00:00:00:00:02", true, Some("ams1"), 500),
    ]
}

fn listeners() -> Vec<ListenerRow> {
    let row = |role: &str, group: Option<&str>, peer: Option<&str>, left_ms| ListenerRow {
        interface: "knet0".into(),
        role: role.into(),
        ipv6: group.is_some_and(|group| group.contains(':')),
        group: group.map(str::to_owned),
        vlan: (role != "router").then_some(10),
        peer: peer.map(str::to_owned),
        left_ms,
        ..ListenerRow::default()
    };
    let querier = |address: &str, peer, own, left_ms| ListenerRow {
        ipv6: address.contains(':'),
        address: Some(address.into()),
        version: Some(if address.contains(':') { 2 } else { 3 }),
        interval_s: Some(125),
        own,
        ..row("querier", None, peer, Some(left_ms))
    };
    vec![
        row("listener", Some("239.1.2.3"), Some("ams1"), Some(259_000)),
        row("listener", Some("239.1.2.3"), None, Some(100_000)),
        row("listener", Some("ff05::7"), Some("ams1"), Some(2_000)),
        row("router", None, Some("lab2"), None),
        querier("10.200.0.1", None, true, 47_000),
        querier("fe80::7", Some("lab2"), false, 250_000),
    ]
}

fn vlans() -> Vec<VlanRow> {
    let row = |vlan, tap: Option<&str>, untagged, tagged| VlanRow {
        interface: "knet0".into(),
        vlan,
        tap: tap.map(str::to_owned),
        untagged,
        tagged,
        up: untagged,
        macs: 2,
    };
    vec![
        row(10, Some("tagged"), 1, 0),
        row(20, None, 65_000, 2),
        row(4094, Some("untagged"), 0, 0),
    ]
}

fn log() -> Vec<LogRow> {
    let row = |unix_ms, level: &str, text: &str| LogRow {
        unix_ms,
        level: level.into(),
        target: "knetd".into(),
        text: text.into(),
    };
    vec![
        row(1_735_689_600_000, "info", "knetd 0.1.0 is ready"),
        row(1_735_689_601_500, "warn", "link 1 of ams1 is down"),
    ]
}

fn event(number: u32) -> EventRow {
    EventRow {
        unix_ms: 1_735_689_601_500 + u64::from(number),
        kind: "link-state".into(),
        interface: Some("knet0".into()),
        peer: Some("ams1".into()),
        link: Some(1),
        text: format!("knet0: link 1 of ams1 is down ({number}\u{1b}[2J)"),
        details: vec![("from".into(), "up".into()), ("to".into(), "down".into())],
        ..EventRow::default()
    }
}

fn history() -> Vec<EventRow> {
    let row = |unix_ms, link, what: &str| EventRow {
        unix_ms,
        kind: "made-up".into(),
        interface: Some("knet0".into()),
        peer: Some("ams1".into()),
        link,
        text: format!("knet0 peer ams1: {what}"),
        what: what.into(),
        ..EventRow::default()
    };
    vec![
        row(1_735_689_599_999, None, "session up (initiator, AES-256-GCM)"),
        row(
            1_735_689_601_500,
            Some(1),
            "up -> suspect: data was sent and not reported (silent 61.0 ms, rtt 14.0 ms)",
        ),
        row(1_735_689_601_500, None, "412 frames replayed on link 0\u{1b}[2J"),
    ]
}
