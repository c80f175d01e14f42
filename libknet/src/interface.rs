//! The handle of a running interface.

use std::{
    fmt, io,
    num::NonZeroU8,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
};

use knet_io::{
    eventfd::Waker,
    netlink::{Monitor, Netlink, NetlinkError},
    priority::set_nice,
    tap::{Tap, TapError, TapOffloads},
    udp::BindError,
};
use knet_proto::{
    crypto::secret::erase_stack,
    handshake::{Handshaker, HandshakerConfig},
    ids::{LinkId, MacAddr, PeerId, Seat, SocketId, WorkerId, Workers},
    offload::join::Joins,
    shard::Shard,
    time::Span,
};

use crate::{
    apply::{Control, Plan},
    fate::{Fate, OnEvent},
    handshake_thread::{self, panic_message},
    identity::OsEntropy,
    mail,
    query::{Event, PingResult, Query, Reply},
    setup::{Change, InterfaceSetup, Offloads},
    time::now,
    worker::{Command, Worker, WorkerHandle, WorkerParts},
};

/// Data threads go before ordinary programs, and the handshake thread behind them: what a stranger can make us do
/// must not delay what a peer waits for.
const DATA_THREAD_NICE: i32 = -10;

/// Length in bytes up to which the kernel makes super-frames: cut up, sealed and with the headers that each segment gets,
/// one is still one packet (65,000 bytes, see `knet_io::udp`) at the usual MTU of 1500.
const SUPER_FRAME: u32 = 60_000;

/// Commands that may wait for a worker; more are refused.
const COMMANDS: usize = 4096;

/// A running interface: a TAP, its sockets, its peers, and the threads that serve them. Dropping it stops it.
pub struct Interface {
    name: String,
    ifindex: u32,
    /// In the order of their numbers.
    workers: Vec<WorkerHandle>,
    control: Mutex<Control>,
    fate: Arc<Fate>,
    threads: Vec<JoinHandle<()>>,
}

/// Why an interface could not be started. The text names the thing and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The TAP.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// A setting of the TAP, or a socket.
    #[error(transparent)]
    Setup(#[from] ApplyError),
    /// A thread, or one of its descriptors.
    #[error("{what} cannot be had: {source}; raise the limits of the process ('ulimit -a')")]
    Resource {
        /// What could not be had.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Why changes could not be applied; nothing was changed. The text names the thing and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A setting of the TAP.
    #[error("TAP '{name}': {source}")]
    Setting {
        /// The TAP's name.
        name: String,
        /// What failed.
        source: NetlinkError,
    },
    /// The TAP's address is no unicast address.
    #[error("{0} cannot be the MAC address of an interface: it must be a unicast address and not all zero")]
    Mac(MacAddr),
    /// A socket.
    #[error("local {}: {source}", id.0)]
    Socket {
        /// The number of its `local` line.
        id: SocketId,
        /// What failed.
        source: BindError,
    },
    /// Two sockets at one address.
    #[error("local {} and local {} have the same address and port: change one of them", a.0, b.0)]
    SameAddress {
        /// One.
        a: SocketId,
        /// The other.
        b: SocketId,
    },
    /// One MAC address at two places.
    #[error("the static MAC address {mac} is at two places: a peer, and another peer or the TAP itself")]
    StaticMac {
        /// The address.
        mac: MacAddr,
    },
    /// The interface is not running any more.
    #[error("the interface '{0}' has stopped")]
    Stopped(String),
}

impl Interface {
    /// Creates the TAP, binds the sockets and starts the threads. On an error nothing is left behind.
    ///
    /// `events` is called on the data threads: it must be short and never block. Events of one peer come one after the
    /// other, in their order.
    pub fn start(
        setup: InterfaceSetup,
        events: Box<dyn Fn(Event) + Send + Sync>,
    ) -> Result<Self, StartError> {
        let InterfaceSetup {
            name,
            mac,
            mtu,
            addresses,
            admin_up,
            config,
            sockets,
            dscp,
            domain,
            offloads,
            workers,
        } = setup;
        let resource = |what| move |source| StartError::Resource { what, source };
        // Opened before anything is asked, so that no change is missed in between.
        let monitor = Monitor::open().map_err(resource("a netlink socket"))?;
        let open_netlink = || {
            Netlink::open().map_err(|source| ApplyError::Setting {
                name: name.clone(),
                source,
            })
        };
        let (netlink, mut worker_netlink) = (open_netlink()?, open_netlink()?);
        let Offloads { tso, uso, .. } = offloads;
        let queues = NonZeroU8::new(workers.get()).unwrap_or(NonZeroU8::MIN);
        let taps = Tap::create_queues(&name, TapOffloads { tso, uso }, queues)?;
        let ifindex = taps.first().map_or(0, Tap::ifindex);
        if tso || uso {
            // Longer ones work too, as two packets.
            let _ = worker_netlink.set_gso_max_size(ifindex, SUPER_FRAME);
        }
        let mut control = Control::new(&name, ifindex, netlink, offloads, workers);
        let changes = [
            Change::SetMac(mac),
            Change::SetMtu(mtu),
            Change::SetDscp(dscp),
            Change::SetAdmin(admin_up),
        ]
        .into_iter()
        .chain(
            addresses
                .into_iter()
                .map(|(ip, prefix)| Change::AddAddress(ip, prefix)),
        )
        .chain(
            sockets
                .into_iter()
                .map(|(id, setup)| Change::SetSocket { id, setup }),
        );
        let prepared = control.prepare(changes.collect())?;

        let mut wakers = Vec::new();
        for _ in workers.all() {
            wakers.push(Waker::new().map_err(resource("an eventfd"))?);
        }
        let handshaker = HandshakerConfig {
            private_key: config.private_key.clone(),
            instance: config.instance,
            suites: config.suites,
            partial_checksums: offloads.checksum,
            lanes_max: 1,
            hb_min_ms: 0,
            workers,
        };
        let handshaker = Handshaker::new(handshaker, Box::new(OsEntropy));
        let (handshakes, handshake_thread) = handshake_thread::spawn(&name, handshaker, workers, &wakers)
            .map_err(resource("a thread for handshakes"))?;
        let (mut handles, mut receivers) = (Vec::new(), Vec::new());
        for waker in &wakers {
            let (commands, receiver) = mpsc::sync_channel(COMMANDS);
            let waker = waker.clone();
            handles.push(WorkerHandle { commands, waker });
            receivers.push(receiver);
        }
        let mails: Vec<_> = match workers {
            Workers::ONE => vec![None],
            _ => mail::between(&wakers).into_iter().map(Some).collect(),
        };
        let on_event: OnEvent = events.into();
        let fate = Arc::new(Fate::new(wakers.clone(), Arc::clone(&on_event)));
        let mut watch = Some((monitor, worker_netlink));
        let mut data_workers = Vec::new();
        let parts = taps
            .into_iter()
            .zip(handshakes)
            .zip(receivers)
            .zip(mails)
            .zip(wakers);
        for (((((tap, handshake), commands), mail), waker), me) in parts.zip(workers.all()) {
            let seat = Seat { me, workers };
            let mut shard = Shard::with_seat(&config, Box::new(OsEntropy), now(), seat);
            let TapOffloads { tso: tcp, uso: udp } = tap.offloads();
            shard.set_joins(Joins { tcp, udp });
            shard.set_domain(now(), &domain);
            let parts = WorkerParts {
                shard,
                tap,
                handshake,
                commands,
                waker,
                watch: watch.take(),
                mail,
                next: handles.get(me.index() + 1).cloned(),
                on_event: Arc::clone(&on_event),
                fate: Arc::clone(&fate),
            };
            data_workers.push(Worker::new(parts).map_err(resource("an epoll set"))?);
        }
        let mut interface = Self {
            name,
            ifindex,
            workers: handles,
            control: Mutex::new(control),
            fate,
            threads: vec![handshake_thread],
        };
        // From here on what has been started ends with the interface.
        for (me, worker) in workers.all().zip(data_workers) {
            let thread = interface
                .spawn(me, worker)
                .map_err(resource("a thread for data"))?;
            interface.threads.insert(0, thread);
        }
        // The data threads have only just begun: should one have died already, its event says why.
        let _ = interface.commit(prepared);
        Ok(interface)
    }

    fn spawn(&self, me: WorkerId, mut worker: Worker) -> io::Result<JoinHandle<()>> {
        let fate = Arc::clone(&self.fate);
        let name = match self.workers.len() {
            1 => format!("data-{}", self.name),
            _ => format!("data-{}-{}", self.name, me.0),
        };
        std::thread::Builder::new().name(name).spawn(move || {
            // A heartbeat that waits for the processor looks like one that the network has lost. Without the
            // right to be first it works too, with less certainty on a busy host.
            let _ = set_nice(DATA_THREAD_NICE);
            let result = catch_unwind(AssertUnwindSafe(|| worker.run()));
            // The next thread may get this stack.
            erase_stack();
            match result {
                Ok(Ok(())) => {}
                Ok(Err(message)) => fate.fail(message),
                Err(panic) => fate.fail(format!("the data thread panicked: {}", panic_message(&*panic))),
            }
            // First its descriptors go, then it is told.
            drop(worker);
            fate.leave();
        })
    }

    /// Applies all of these changes, or none: whatever can fail is prepared first. Blocks until the data threads
    /// have taken them over (a few milliseconds).
    pub fn apply(&self, changes: Vec<Change>) -> Result<(), ApplyError> {
        // A panic while it was held left a transaction undone half-way at worst; each step states what it wants anew.
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if self.fate.has_failed() {
            return Err(ApplyError::Stopped(self.name.clone()));
        }
        let prepared = control.prepare(changes)?;
        self.commit(prepared)
    }

    fn commit(&self, plan: Plan) -> Result<(), ApplyError> {
        let stopped = || ApplyError::Stopped(self.name.clone());
        for step in plan.into_steps() {
            let (done, finished) = mpsc::sync_channel(self.workers.len());
            let mut asked = 0;
            for (worker, changes) in self.workers.iter().zip(step) {
                if !changes.is_empty() {
                    let done = done.clone();
                    worker
                        .send(Command::Apply { changes, done })
                        .map_err(|_| stopped())?;
                    asked += 1;
                }
            }
            // So that a worker that ends without having done it is noticed.
            drop(done);
            for _ in 0..asked {
                finished.recv().map_err(|_| stopped())?;
            }
        }
        Ok(())
    }

    /// Asks; `reply` is called on a data thread, soon. If the interface stops first, or far too many questions wait
    /// already, `reply` is dropped without being called. Never blocks.
    pub fn query(&self, query: Query, reply: Box<dyn FnOnce(Reply) + Send>) {
        let to = match query {
            Query::Peer(peer) => self.owner(peer),
            _ => self.workers.first(),
        };
        let so_far = None;
        if let Some(worker) = to {
            worker.post(Command::Query { query, so_far, reply });
        }
    }

    /// Sends one ping over the control plane, over `link` or over the best one; `result` is called on a data
    /// thread, once, within `timeout`. If the interface stops first, or far too many pings wait already, it is dropped
    /// without being called. Never blocks.
    pub fn ping(
        &self,
        peer: PeerId,
        link: Option<LinkId>,
        timeout: Span,
        result: Box<dyn FnOnce(PingResult) + Send>,
    ) {
        if let Some(worker) = self.owner(peer) {
            worker.post(Command::Ping {
                peer,
                link,
                timeout,
                reply: result,
            });
        }
    }

    /// The worker that has all of a peer.
    fn owner(&self, peer: PeerId) -> Option<&WorkerHandle> {
        let workers = Workers::new(self.workers.len() as u8)?;
        self.workers.get(workers.owner(peer).index())
    }

    /// The TAP's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's number of the TAP.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Says goodbye to all peers, ends the threads and removes the TAP. Takes less than a second.
    pub fn stop(self) {
        drop(self);
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interface")
            .field("name", &self.name)
            .field("ifindex", &self.ifindex)
            .finish_non_exhaustive()
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        for worker in &self.workers {
            // Fails where it has ended already.
            let _ = worker.send(Command::Stop);
        }
        for thread in self.threads.drain(..) {
            // All threads catch their panics and report them.
            let _ = thread.join();
        }
    }
}
