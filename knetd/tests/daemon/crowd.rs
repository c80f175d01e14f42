//! As many control clients as there may be, and some of them mean no good.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    process::{Child, ChildStdout, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use libknet::api::{
    codec::{self, MAX_REQUEST},
    message::{API_VERSION, Hello, Reply, Request, RequestBody},
};

use crate::{
    control,
    host::{Client, Host, ended, wait_for},
};

/// How long they are all at work.
const WHILE: Duration = Duration::from_secs(3);
/// The clients of one user.
const OF_USER: usize = 8;

/// What a client did: questions that were answered, and the longest that it waited for an answer.
type Served = (u32, Duration);

/// Asks again and again, as one who looks at something would, until it is told to end.
fn ask(mut client: Client, until: impl Fn() -> bool) -> Served {
    let mut served = (0, Duration::ZERO);
    while !until() {
        let asked = Instant::now();
        let body = if served.0 % 4 == 3 {
            RequestBody::RunningConfig { all: false }
        } else {
            RequestBody::Interfaces { interface: None }
        };
        let replies = client.all(body).unwrap();
        assert!(matches!(replies[0], Reply::Text(_) | Reply::Interfaces(_)));
        served = (served.0 + 1, served.1.max(asked.elapsed()));
        thread::sleep(Duration::from_millis(20));
    }
    served
}

/// Eight clients of another user, who end with their standard input.
struct Others {
    child: Child,
    told: BufReader<ChildStdout>,
}

impl Others {
    fn connect(host: &Host, uid: u32) -> Self {
        let mut child = host
            .as_user(uid, 4242, "crowd::clients_of_another_user")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        let mut others = Self { child, told };
        let mut line = String::new();
        while !line.contains("connected") {
            line.clear();
            assert_ne!(others.told.read_line(&mut line).unwrap(), 0, "they have ended");
        }
        others
    }

    fn end(mut self) -> Vec<Served> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.told.read_to_string(&mut text).unwrap();
        assert!(ended(self.child).status.success(), "{text}");
        let served = |line: &str| {
            let (answers, slowest) = line.split_once("served ")?.1.split_once(' ')?;
            Some((
                answers.parse().ok()?,
                Duration::from_millis(slowest.parse().ok()?),
            ))
        };
        text.lines().filter_map(served).collect()
    }
}

#[test]
#[ignore = "run by others, as another user"]
fn clients_of_another_user() {
    let path = std::env::var("KNETD_TEST_SOCKET").unwrap();
    let end = AtomicBool::new(false);
    let clients: Vec<Client> = (0..OF_USER)
        .map(|_| Client::connect(path.as_ref()).unwrap())
        .collect();
    println!("connected");
    thread::scope(|scope| {
        let all: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(|| ask(client, || end.load(Ordering::Relaxed))))
            .collect();
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        end.store(true, Ordering::Relaxed);
        for client in all {
            let (answers, slowest) = client.join().unwrap();
            println!("served {answers} {}", slowest.as_millis());
        }
    });
}

/// What a program may send that is broken, or hostile: after a greeting and without one.
fn attacks() -> Vec<Vec<u8>> {
    let hello = Hello {
        api_version: API_VERSION,
        build: "x".into(),
        table_hash: 0,
    };
    let hello = codec::encode(&hello, MAX_REQUEST).unwrap();
    let mut seed = 1_u32;
    let garbage: Vec<u8> = (0..5000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .collect();
    let largest = (MAX_REQUEST as u32).to_le_bytes();
    let request = |body| codec::encode(&Request { id: 1, body }, MAX_REQUEST).unwrap();
    let ask_much: Vec<u8> = (0..200)
        .flat_map(|_| request(RequestBody::RunningConfig { all: true }))
        .collect();
    let upload = request(RequestBody::Upload {
        bytes: vec![b'x'; MAX_REQUEST / 2],
        first: false,
    });
    vec![
        garbage.clone(),
        u32::MAX.to_le_bytes().to_vec(),
        [&hello[..], &garbage].concat(),
        [&hello[..], &u32::MAX.to_le_bytes()].concat(),
        // Announced and never sent.
        [&hello[..], &largest].concat(),
        [&hello[..], &largest, &garbage].concat(),
        [&hello[..], &ask_much].concat(),
        [&hello[..], &upload.repeat(8)].concat(),
        hello,
    ]
}

/// One place among the clients, used for ill; and ever more connections for which there is no place. Returns how many.
fn harass(host: &Host, until: &AtomicBool) -> u32 {
    let attacks = attacks();
    let connect = || {
        let stream = UnixStream::connect(host.socket()).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        stream
    };
    let mut connects = 0;
    for attack in attacks.iter().cycle() {
        let mut one = connect();
        // Cut off in the middle, or not read any further.
        let _ = one.write_all(attack);
        let others: Vec<UnixStream> = (0..100).map(|_| connect()).collect();
        connects += 1 + others.len() as u32;
        thread::sleep(Duration::from_millis(5));
        if until.load(Ordering::Relaxed) {
            break;
        }
    }
    connects
}

/// 32 clients are as many as there may be. One never reads, and one is hostile; the others are served as if they were
/// alone, and the daemon grows no more than these two can make it hold.
#[test]
fn thirty_clients_are_served_beside_a_slow_and_a_hostile_one() {
    let host = control::host();
    let group = host.file("group", "root:x:0:\nknet:x:4242:\n", 0o644);
    let daemon = host.start_after(&format!("mount --bind {} /etc/group", group.display()));
    let before = daemon.resident_kib();
    // These first: the last four places are kept for root.
    let others: Vec<Others> = (4001..4004).map(|uid| Others::connect(&host, uid)).collect();
    let own: Vec<Client> = (2..OF_USER).map(|_| host.client()).collect();

    let mut slow = host.client();
    let request = Request {
        id: 1,
        body: RequestBody::RunningConfig { all: true },
    };
    let request = codec::encode(&request, MAX_REQUEST).unwrap();
    slow.stream
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    while slow.stream.write_all(&request).is_ok() {}

    let end = AtomicBool::new(false);
    let (mut served, connects): (Vec<Served>, u32) = thread::scope(|scope| {
        let own: Vec<_> = own
            .into_iter()
            .map(|client| scope.spawn(|| ask(client, || end.load(Ordering::Relaxed))))
            .collect();
        let hostile = scope.spawn(|| harass(&host, &end));
        thread::sleep(WHILE);
        end.store(true, Ordering::Relaxed);
        let served = own.into_iter().map(|client| client.join().unwrap()).collect();
        (served, hostile.join().unwrap())
    });
    served.extend(others.into_iter().flat_map(Others::end));
    let after = daemon.resident_kib();
    let answers: u32 = served.iter().map(|(answers, _)| answers).sum();
    let slowest = served.iter().map(|(_, slowest)| *slowest).max().unwrap();
    println!(
        "{} clients, {answers} answers, the slowest after {slowest:?}; {connects} hostile connections; \
         {before} KiB, then {after} KiB",
        served.len()
    );
    assert_eq!(served.len(), 30);
    assert!(served.iter().all(|(answers, _)| *answers >= 10), "{served:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(connects >= 1000, "{connects}");
    assert!(after < before + 32 * 1024, "{before} KiB, then {after} KiB");
    let told = daemon
        .log()
        .lines()
        .filter(|line| line.contains("control client"))
        .count();
    assert!(told < 50, "{told} lines:\n{}", daemon.log());
    // Their places are free again.
    drop(slow);
    wait_for("a free place", Duration::from_secs(12), || {
        Client::connect(&host.socket()).is_ok()
    });
}
