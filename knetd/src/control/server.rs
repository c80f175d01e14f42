//! Accepts control clients, as many as there may be.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use libknet::api::{
    codec,
    message::{ApiError, ErrorCode, HelloReply},
    transaction::Mode,
};
use tokio::{
    net::{UnixListener, UnixStream},
    task::AbortHandle,
};

use super::{authorize, client};
use crate::{account::User, daemon::Daemon, logging::unix_ms};

/// Clients at once, those kept for root included (limits: row 38).
pub(super) const CLIENTS: usize = 32;
/// Of these, how many only root can have.
const RESERVED_FOR_ROOT: usize = 4;
/// Clients of one user.
pub(super) const CLIENTS_PER_USER: usize = 8;
/// A client that has asked nothing for so long gives way when another one wants in.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// Who is connected.
#[derive(Default)]
pub(crate) struct Clients {
    entries: BTreeMap<u64, Entry>,
    next: u64,
    /// The most that there ever were.
    pub most: usize,
    /// Those that were turned away.
    pub refused: u64,
}

struct Entry {
    presence: Rc<Presence>,
    task: Option<AbortHandle>,
}

/// What others can know of a client.
#[derive(Debug)]
pub(crate) struct Presence {
    /// Its number, from 1.
    pub session: u64,
    /// Number of the user.
    pub uid: u32,
    /// Its process.
    pub pid: Option<u32>,
    /// Milliseconds since 1970 (UTC) when it came.
    pub since_unix_ms: u64,
    /// When it asked something last.
    pub last_request: Cell<Instant>,
    /// What it is in the middle of.
    pub mode: Cell<Mode>,
    /// It only listens to announcements, for a shell that has a connection of its own.
    pub listens: Cell<bool>,
}

impl Clients {
    /// How many there are.
    pub(crate) fn now(&self) -> usize {
        self.entries.len()
    }

    /// Whether another client of `user` may come in, and if not, why.
    fn room_for(&self, user: u32) -> Result<(), String> {
        let of_user = self.talking().filter(|presence| presence.uid == user).count();
        if of_user >= CLIENTS_PER_USER {
            return Err(format!(
                "{CLIENTS_PER_USER} clients of this user are connected already"
            ));
        }
        let most = if user == 0 {
            CLIENTS
        } else {
            CLIENTS - RESERVED_FOR_ROOT
        };
        let all = self.talking().count();
        if all >= most {
            return Err(format!("{all} clients are connected already"));
        }
        Ok(())
    }

    /// All that do not merely listen, by their number.
    pub(crate) fn talking(&self) -> impl Iterator<Item = &Rc<Presence>> {
        self.entries
            .values()
            .map(|entry| &entry.presence)
            .filter(|presence| !presence.listens.get())
    }

    /// How many have a candidate.
    pub(crate) fn candidates(&self) -> usize {
        let presences = self.entries.values().map(|entry| &entry.presence);
        presences
            .filter(|presence| presence.mode.get() == Mode::Candidate)
            .count()
    }

    /// From now on the client merely listens, and takes no place among those that talk. There may be as many of
    /// these, for each user and altogether.
    pub(crate) fn listen(&self, presence: &Presence) -> Result<(), String> {
        let listening = || self.entries.values().filter(|e| e.presence.listens.get());
        let of_user = listening().filter(|e| e.presence.uid == presence.uid).count();
        if of_user >= CLIENTS_PER_USER || listening().count() >= CLIENTS {
            return Err("too many clients listen already".into());
        }
        presence.listens.set(true);
        Ok(())
    }

    /// Ends the connection of a client, if it is there.
    pub(crate) fn end(&self, session: u64) -> Option<Rc<Presence>> {
        let entry = self.entries.get(&session)?;
        if let Some(task) = &entry.task {
            task.abort();
        }
        Some(Rc::clone(&entry.presence))
    }

    /// Ends the client that would be missed least, if it has been idle for long enough.
    fn end_an_idle_one(&mut self, now: Instant) -> bool {
        let idlest = self
            .entries
            .iter()
            .map(|(id, entry)| (id, &entry.presence))
            .filter(|(_, presence)| !presence.listens.get())
            .min_by_key(|(_, presence)| presence.last_request.get());
        let long = |presence: &Presence| now.duration_since(presence.last_request.get()) >= IDLE;
        let Some((&id, _)) = idlest.filter(|(_, presence)| long(presence)) else {
            return false;
        };
        if let Some(task) = self.entries.remove(&id).and_then(|entry| entry.task) {
            task.abort();
        }
        true
    }

    fn add(&mut self, uid: u32, pid: Option<u32>) -> Rc<Presence> {
        self.next += 1;
        let presence = Rc::new(Presence {
            session: self.next,
            uid,
            pid,
            since_unix_ms: unix_ms(),
            last_request: Cell::new(Instant::now()),
            mode: Cell::default(),
            listens: Cell::new(false),
        });
        let entry = Entry {
            presence: Rc::clone(&presence),
            task: None,
        };
        self.entries.insert(self.next, entry);
        self.most = self.most.max(self.entries.len());
        presence
    }
}

/// Accepts clients as long as it is polled. Must run inside a `LocalSet`.
pub(crate) async fn serve(listener: &UnixListener, daemon: Rc<RefCell<Daemon>>) {
    let clients = Rc::clone(&daemon.borrow().clients);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, &daemon, &clients),
            Err(error) => {
                daemon
                    .borrow_mut()
                    .events
                    .log("accept", format!("control socket: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn admit(stream: UnixStream, daemon: &Rc<RefCell<Daemon>>, clients: &Rc<RefCell<Clients>>) {
    let credentials = match stream.peer_cred() {
        Ok(credentials) => credentials,
        Err(error) => {
            daemon.borrow_mut().events.log(
                "credentials",
                format!("control client without credentials: {error}"),
            );
            return;
        }
    };
    let uid = credentials.uid();
    let user = User::new(uid, credentials.gid());
    // Who may do nothing takes no place from others.
    if user.privilege().is_none() {
        let line = format!(
            "control client of {} refused: not root, nor in group knet or knetop",
            user.name
        );
        daemon.borrow_mut().events.log(&format!("refused {uid}"), line);
        return refuse(&stream, authorize::stranger(&user));
    }
    let mut table = clients.borrow_mut();
    let mut room = table.room_for(uid);
    if room.is_err() && table.end_an_idle_one(Instant::now()) {
        room = table.room_for(uid);
    }
    if let Err(why) = room {
        table.refused += 1;
        let line = format!("control client of {} refused: {why}", user.name);
        daemon.borrow_mut().events.log(&format!("refused {uid}"), line);
        let busy = ApiError::new(ErrorCode::Busy, why).with_hint("end another one, or wait");
        return refuse(&stream, busy);
    }
    let pid = credentials.pid().and_then(|pid| pid.try_into().ok());
    let presence = table.add(uid, pid);
    let id = presence.session;
    let task = tokio::task::spawn_local(run(stream, user, presence, Rc::clone(daemon), {
        let clients = Rc::clone(clients);
        Leave { id, clients }
    }));
    if let Some(entry) = table.entries.get_mut(&id) {
        entry.task = Some(task.abort_handle());
    }
}

/// Takes the client off the table, however it ends.
struct Leave {
    id: u64,
    clients: Rc<RefCell<Clients>>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        // While the table itself ends an idle client the entry is gone already.
        if let Ok(mut clients) = self.clients.try_borrow_mut() {
            clients.entries.remove(&self.id);
        }
    }
}

async fn run(
    stream: UnixStream,
    user: User,
    presence: Rc<Presence>,
    daemon: Rc<RefCell<Daemon>>,
    leave: Leave,
) {
    let name = user.name.clone();
    if let Err(error) = client::serve(stream, user, &presence, &leave.clients, &daemon).await {
        let line = format!("control client of {name} cut off: {error}");
        daemon.borrow_mut().events.log(&format!("cut off {name}"), line);
    }
}

/// Says why and closes; a client that does not read at once learns it from the closed connection.
fn refuse(stream: &UnixStream, why: ApiError) {
    let reply: HelloReply = Err(why);
    if let Ok(frame) = codec::encode(&reply, codec::MAX_RESPONSE) {
        let _ = stream.try_write(&frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_places_are_kept_for_root() {
        let mut clients = Clients::default();
        for user in 1..=3 {
            for _ in 0..CLIENTS_PER_USER {
                clients.room_for(user).unwrap();
                clients.add(user, None);
            }
            assert!(clients.room_for(user).unwrap_err().contains("of this user"));
        }
        for _ in 0..4 {
            clients.room_for(4).unwrap();
            clients.add(4, None);
        }
        assert_eq!(clients.entries.len(), 28);
        assert!(clients.room_for(4).unwrap_err().contains("28 clients"));
        for _ in 0..4 {
            clients.room_for(0).unwrap();
            clients.add(0, None);
        }
        assert!(clients.room_for(0).is_err());
    }

    #[test]
    fn who_merely_listens_takes_no_place_and_is_not_ended() {
        let mut clients = Clients::default();
        for _ in 0..CLIENTS_PER_USER {
            let presence = clients.add(1, None);
            clients.listen(&presence).unwrap();
        }
        clients.room_for(1).unwrap();
        assert!(!clients.end_an_idle_one(Instant::now() + IDLE));
        let presence = clients.add(1, None);
        assert!(clients.listen(&presence).is_err());
        assert_eq!(clients.talking().count(), 1);
    }

    #[test]
    fn only_who_has_been_idle_for_long_gives_way() {
        let mut clients = Clients::default();
        let first = clients.add(1, None);
        let second = clients.add(1, None);
        let now = Instant::now();
        assert!(!clients.end_an_idle_one(now));
        second.last_request.set(now + IDLE);
        assert!(clients.end_an_idle_one(now + IDLE));
        assert!(!clients.entries.contains_key(&first.session));
        assert!(!clients.end_an_idle_one(now + IDLE));
    }
}
