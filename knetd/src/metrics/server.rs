//! Who is served: few at once, each for a short time and for one answer. Whoever has not said what he wants gives way to
//! somebody new.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Mutex, Notify},
    task::AbortHandle,
    time::timeout,
};

use super::{
    endpoint::accept,
    exposition::CONTENT_TYPE,
    http::{self, MAX_HEAD, Request, Status},
    snapshot,
};
use crate::daemon::Daemon;

/// Clients at once.
pub(crate) const CLIENTS: usize = 16;
/// How long a request may take to come.
const ASKING: Duration = Duration::from_secs(5);
/// How long a page may take to be made, and then to be taken.
const MAKING: Duration = Duration::from_secs(10);
const TAKING: Duration = Duration::from_secs(10);
/// Who takes longer gives way to somebody new: to ask, and to take his answer. What is asked right behind the connection has come
/// by then.
const SLOW_TO_ASK: Duration = Duration::from_millis(100);
const SLOW_TO_TAKE: Duration = Duration::from_secs(1);
/// The page is made no more often than that.
const KEPT: Duration = Duration::from_secs(1);
/// What comes behind a request that is refused is taken and forgotten, so that the answer is not lost with it: so much, so long.
const LINGER: (usize, Duration) = (64 * 1024, Duration::from_secs(1));

/// How many there are, and were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// Now.
    pub(crate) now: usize,
    /// The most that there ever were.
    pub(crate) most: usize,
    /// Those that had to give way.
    pub(crate) refused: u64,
}

#[derive(Default)]
struct Clients {
    entries: BTreeMap<u64, Entry>,
    next: u64,
    /// Told when one is gone.
    left: Rc<Notify>,
}

struct Entry {
    stage: Rc<Cell<Stage>>,
    task: Option<AbortHandle>,
}

/// What a client does, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// He has not said yet what he wants.
    Asks(Instant),
    /// He has.
    IsAnswered(Instant),
}

impl Stage {
    fn is_slow(self, now: Instant) -> bool {
        match self {
            Self::Asks(since) => now.duration_since(since) > SLOW_TO_ASK,
            Self::IsAnswered(since) => now.duration_since(since) > SLOW_TO_TAKE,
        }
    }
}

impl Clients {
    /// Ends the one who would be missed least, if there is one: who has not even asked, and of these who came first.
    fn make_room(&mut self, now: Instant) -> bool {
        let slow = self.entries.iter().map(|(id, entry)| (entry.stage.get(), *id));
        let slow = slow.filter(|(stage, _)| stage.is_slow(now));
        let Some((_, id)) = slow.min_by_key(|(stage, id)| (matches!(stage, Stage::IsAnswered(_)), *id))
        else {
            return false;
        };
        if let Some(task) = self.entries.remove(&id).and_then(|entry| entry.task) {
            task.abort();
        }
        true
    }
}

/// Takes a client off the table, however he ends.
struct Leave {
    id: u64,
    clients: Rc<RefCell<Clients>>,
    count: Rc<Cell<Count>>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        // While the table itself ends one the entry is gone already.
        if let Ok(mut clients) = self.clients.try_borrow_mut() {
            clients.entries.remove(&self.id);
            set_now(&self.count, clients.entries.len());
            clients.left.notify_one();
        }
    }
}

fn set_now(count: &Cell<Count>, now: usize) {
    let before = count.get();
    count.set(Count {
        now,
        most: before.most.max(now),
        ..before
    });
}

/// The latest page, and when it was made.
type Latest = Rc<Mutex<Option<(Instant, Rc<str>)>>>;

/// Serves clients as long as it is polled. Must run inside a `LocalSet`.
pub(crate) async fn serve(daemon: Rc<RefCell<Daemon>>) {
    let clients: Rc<RefCell<Clients>> = Rc::default();
    let latest = Latest::default();
    let count = Rc::clone(&daemon.borrow().metrics_clients);
    loop {
        match accept(&daemon).await {
            Ok(stream) => {
                // Nobody gives way before somebody new is there.
                wait_for_room(&clients, &count).await;
                admit(stream, &daemon, &clients, &count, &latest);
            }
            Err(error) => {
                let line = format!("metrics: {error}");
                daemon.borrow_mut().events.log("accept metrics", line);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Waits until the one who has come can be served. Those who come meanwhile wait in the kernel.
async fn wait_for_room(clients: &RefCell<Clients>, count: &Cell<Count>) {
    let left = Rc::clone(&clients.borrow().left);
    while clients.borrow().entries.len() >= CLIENTS {
        if clients.borrow_mut().make_room(Instant::now()) {
            let before = count.get();
            count.set(Count {
                refused: before.refused.saturating_add(1),
                ..before
            });
        } else {
            // Nobody is slow yet: one goes, or is.
            let _ = timeout(SLOW_TO_ASK, left.notified()).await;
        }
    }
}

fn admit(
    stream: TcpStream,
    daemon: &Rc<RefCell<Daemon>>,
    clients: &Rc<RefCell<Clients>>,
    count: &Rc<Cell<Count>>,
    latest: &Latest,
) {
    let mut table = clients.borrow_mut();
    table.next += 1;
    let (id, stage) = (table.next, Rc::new(Cell::new(Stage::Asks(Instant::now()))));
    let leave = Leave {
        id,
        clients: Rc::clone(clients),
        count: Rc::clone(count),
    };
    let task = tokio::task::spawn_local({
        let (daemon, latest, stage) = (Rc::clone(daemon), Rc::clone(latest), Rc::clone(&stage));
        async move {
            let _leave = leave;
            // Whoever goes away before he has his answer does not want it.
            let _ = converse(stream, &daemon, &latest, &stage).await;
        }
    });
    let task = Some(task.abort_handle());
    table.entries.insert(id, Entry { stage, task });
    set_now(count, table.entries.len());
}

/// One request and its answer.
async fn converse(
    mut stream: TcpStream,
    daemon: &Rc<RefCell<Daemon>>,
    latest: &Latest,
    stage: &Cell<Stage>,
) -> io::Result<()> {
    let asked = match timeout(ASKING, read_request(&mut stream)).await {
        Ok(asked) => asked?,
        Err(_) => Err(Status::RequestTimeout),
    };
    stage.set(Stage::IsAnswered(Instant::now()));
    let page = match asked {
        Ok(request) => match timeout(MAKING, page(daemon, latest)).await {
            Ok(Some(page)) => Ok((request, page)),
            Ok(None) | Err(_) => Err(Status::ServiceUnavailable),
        },
        Err(status) => Err(status),
    };
    let status = match page {
        Ok((request, page)) => {
            let head = http::head(Status::Ok, CONTENT_TYPE, page.len());
            let body = if request.head_only { "" } else { &*page };
            return timeout(TAKING, write(&mut stream, [head.as_bytes(), body.as_bytes()])).await?;
        }
        Err(status) => status,
    };
    timeout(TAKING, write(&mut stream, [&answer(status), &[]])).await??;
    let linger = async {
        let (mut left, mut rest) = (LINGER.0, [0; 1024]);
        while left > 0 {
            match stream.read(&mut rest).await {
                Ok(0) | Err(_) => break,
                Ok(n) => left = left.saturating_sub(n),
            }
        }
    };
    // He may as well end it by himself.
    let _ = timeout(LINGER.1, linger).await;
    Ok(())
}

async fn write(stream: &mut TcpStream, parts: [&[u8]; 2]) -> io::Result<()> {
    for part in parts {
        stream.write_all(part).await?;
    }
    stream.shutdown().await
}

fn answer(status: Status) -> Vec<u8> {
    let text = http::explanation(status);
    let head = http::head(status, "text/plain; charset=utf-8", text.len());
    (head + &text).into_bytes()
}

async fn read_request(stream: &mut TcpStream) -> io::Result<Result<Request, Status>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let mut piece = [0; 1024];
        let n = stream.read(&mut piece).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = head.len();
        head.extend_from_slice(piece.get(..n).unwrap_or_default());
        debug_assert!(head.len() < MAX_HEAD + piece.len());
        if let Some(request) = http::parse(&head, before) {
            return Ok(request);
        }
    }
}

/// The page: the latest one, if it is not old. Several who ask at once get the same.
async fn page(daemon: &Rc<RefCell<Daemon>>, latest: &Latest) -> Option<Rc<str>> {
    let mut latest = latest.lock().await;
    if let Some((made, page)) = &*latest
        && made.elapsed() < KEPT
    {
        return Some(Rc::clone(page));
    }
    match snapshot::page(daemon).await {
        Ok(page) => {
            let page: Rc<str> = page.into();
            *latest = Some((Instant::now(), Rc::clone(&page)));
            Some(page)
        }
        Err(error) => {
            let line = format!("metrics: {}", error.message);
            daemon.borrow_mut().events.log("metrics", line);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(clients: &mut Clients, stage: Stage) -> u64 {
        clients.next += 1;
        let entry = Entry {
            stage: Rc::new(Cell::new(stage)),
            task: None,
        };
        clients.entries.insert(clients.next, entry);
        clients.next
    }

    #[test]
    fn who_says_nothing_gives_way_then_who_is_slow() {
        let (mut clients, now) = (Clients::default(), Instant::now());
        let answered = add(&mut clients, Stage::IsAnswered(now));
        let silent = add(&mut clients, Stage::Asks(now));
        assert!(!clients.make_room(now + SLOW_TO_ASK), "nobody is slow yet");
        let later = now + SLOW_TO_TAKE + Duration::from_millis(1);
        let fast = add(&mut clients, Stage::IsAnswered(later));
        assert!(clients.make_room(later));
        assert!(!clients.entries.contains_key(&silent));
        assert!(clients.make_room(later));
        assert!(!clients.entries.contains_key(&answered));
        assert!(clients.entries.contains_key(&fast));
        assert!(!clients.make_room(later));
    }
}
