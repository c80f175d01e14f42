//! Accepts control clients, as many as there may be.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use libknet::api::{
    codec,
    message::{ApiError, ErrorCode, HelloReply},
};
use tokio::{
    net::{UnixListener, UnixStream},
    task::AbortHandle,
};

use super::{authorize, client};
use crate::{account::User, daemon::Daemon};

/// Clients at once, those kept for root included (limits: row 38).
const CLIENTS: usize = 32;
/// Of these, how many only root can have.
const RESERVED_FOR_ROOT: usize = 4;
/// Clients of one user.
const CLIENTS_PER_USER: usize = 8;
/// A client that has asked nothing for so long gives way when another one wants in.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// Who is connected.
#[derive(Default)]
pub(crate) struct Clients {
    entries: HashMap<u64, Entry>,
    next: u64,
}

struct Entry {
    user: u32,
    last_request: Rc<Cell<Instant>>,
    task: Option<AbortHandle>,
}

impl Clients {
    /// Whether another client of `user` may come in, and if not, why.
    fn room_for(&self, user: u32) -> Result<(), String> {
        let of_user = self.entries.values().filter(|e| e.user == user).count();
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
        if self.entries.len() >= most {
            return Err(format!("{} clients are connected already", self.entries.len()));
        }
        Ok(())
    }

    /// Ends the client that would be missed least, if it has been idle for long enough.
    fn end_an_idle_one(&mut self, now: Instant) -> bool {
        let idlest = self
            .entries
            .iter()
            .min_by_key(|(_, entry)| entry.last_request.get());
        let Some((&id, _)) = idlest.filter(|(_, e)| now.duration_since(e.last_request.get()) >= IDLE) else {
            return false;
        };
        if let Some(task) = self.entries.remove(&id).and_then(|entry| entry.task) {
            task.abort();
        }
        true
    }

    fn add(&mut self, user: u32) -> (u64, Rc<Cell<Instant>>) {
        self.next += 1;
        let last_request = Rc::new(Cell::new(Instant::now()));
        let entry = Entry {
            user,
            last_request: Rc::clone(&last_request),
            task: None,
        };
        self.entries.insert(self.next, entry);
        (self.next, last_request)
    }
}

/// Accepts clients as long as it is polled. Must run inside a `LocalSet`.
pub(crate) async fn serve(listener: &UnixListener, daemon: Rc<RefCell<Daemon>>) {
    let clients = Rc::new(RefCell::new(Clients::default()));
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
        let line = format!("control client of {} refused: {why}", user.name);
        daemon.borrow_mut().events.log(&format!("refused {uid}"), line);
        let busy = ApiError::new(ErrorCode::Busy, why).with_hint("end another one, or wait");
        return refuse(&stream, busy);
    }
    let (id, last_request) = table.add(uid);
    let task = tokio::task::spawn_local(run(stream, user, last_request, Rc::clone(daemon), {
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
    last_request: Rc<Cell<Instant>>,
    daemon: Rc<RefCell<Daemon>>,
    _leave: Leave,
) {
    let name = user.name.clone();
    if let Err(error) = client::serve(stream, user, &last_request, &daemon).await {
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
                clients.add(user);
            }
            assert!(clients.room_for(user).unwrap_err().contains("of this user"));
        }
        for _ in 0..4 {
            clients.room_for(4).unwrap();
            clients.add(4);
        }
        assert_eq!(clients.entries.len(), 28);
        assert!(clients.room_for(4).unwrap_err().contains("28 clients"));
        for _ in 0..4 {
            clients.room_for(0).unwrap();
            clients.add(0);
        }
        assert!(clients.room_for(0).is_err());
    }

    #[test]
    fn only_who_has_been_idle_for_long_gives_way() {
        let mut clients = Clients::default();
        let (first, _) = clients.add(1);
        let (_, second_request) = clients.add(1);
        let now = Instant::now();
        assert!(!clients.end_an_idle_one(now));
        second_request.set(now + IDLE);
        assert!(clients.end_an_idle_one(now + IDLE));
        assert!(!clients.entries.contains_key(&first));
        assert!(!clients.end_an_idle_one(now + IDLE));
    }
}
