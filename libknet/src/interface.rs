//! The handle of a running interface.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
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
    ids::{LinkId, MacAddr, PeerId, SocketId, Workers},
    offload::join::Joins,
    shard::Shard,
    time::Span,
};

use crate::{
    apply::Control,
    handshake_thread::{self, panic_message},
    identity::OsEntropy,
    query::{Event, PingResult, Query, Reply},
    setup::{Change, InterfaceSetup, Offloads},
    time::now,
    worker::{Command, Worker, WorkerParts},
};

/// The data thread goes before ordinary programs, and the handshake thread behind it: what a stranger can make us do
/// must not delay what a peer waits for.
const DATA_THREAD_NICE: i32 = -10;

/// Length in bytes up to which the kernel makes super-frames: cut up, sealed and with the headers that each segment gets,
/// one is still one packet (65,000 bytes, see `knet_io::udp`) at the usual MTU of 1500.
const SUPER_FRAME: u32 = 60_000;

/// Commands that may wait for the data thread; more are refused.
const COMMANDS: usize = 4096;

/// A running interface: a TAP, its sockets, its peers, and the threads that serve them. Dropping it stops it.
pub struct Interface {
    name: String,
    ifindex: u32,
    commands: SyncSender<Command>,
    waker: Waker,
    control: Mutex<Control>,
    is_stopped: Arc<AtomicBool>,
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
    /// `events` is called on the data thread: it must be short and never block.
    pub fn start(setup: InterfaceSetup, events: Box<dyn Fn(Event) + Send>) -> Result<Self, StartError> {
        let InterfaceSetup {
            name,
            mac,
            mtu,
            addresses,
            admin_up,
            config,
            sockets,
            dscp,
            offloads,
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
        let tap = Tap::create(&name, TapOffloads { tso, uso })?;
        let ifindex = tap.ifindex();
        if tso || uso {
            // Longer ones work too, as two packets.
            let _ = worker_netlink.set_gso_max_size(ifindex, SUPER_FRAME);
        }
        let mut control = Control::new(&name, ifindex, netlink, offloads);
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

        let mut shard = Shard::new(&config, Box::new(OsEntropy), now());
        let TapOffloads { tso: tcp, uso: udp } = tap.offloads();
        shard.set_joins(Joins { tcp, udp });
        let handshaker = HandshakerConfig {
            private_key: config.private_key,
            instance: config.instance,
            suites: config.suites,
            partial_checksums: offloads.checksum,
            // Several lanes come with several workers.
            lanes_max: 1,
            hb_min_ms: 0,
            workers: Workers::ONE,
        };
        let handshaker = Handshaker::new(handshaker, Box::new(OsEntropy));
        let waker = Waker::new().map_err(resource("an eventfd"))?;
        let (handshake, handshake_thread) = handshake_thread::spawn(&name, handshaker, waker.clone())
            .map_err(resource("a thread for handshakes"))?;
        let (commands, receiver) = mpsc::sync_channel(COMMANDS);
        let mut worker = Worker::new(WorkerParts {
            shard,
            tap,
            handshake,
            commands: receiver,
            waker: waker.clone(),
            monitor,
            netlink: worker_netlink,
            on_event: events,
        })
        .map_err(resource("an epoll set"))?;
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&is_stopped);
        let data_thread = std::thread::Builder::new()
            .name(format!("data-{name}"))
            .spawn(move || {
                // A heartbeat that waits for the processor looks like one that the network has lost. Without the
                // right to be first it works too, with less certainty on a busy host.
                let _ = set_nice(DATA_THREAD_NICE);
                let result = catch_unwind(AssertUnwindSafe(|| worker.run()));
                // The next thread may get this stack.
                erase_stack();
                let failure = match result {
                    Ok(Ok(())) => return,
                    Ok(Err(message)) => message,
                    Err(panic) => format!("the data thread panicked: {}", panic_message(&*panic)),
                };
                stopped.store(true, Ordering::Release);
                worker.fail(failure);
            });
        let data_thread = data_thread.map_err(resource("a thread for data"))?;
        let threads = vec![data_thread, handshake_thread];
        let interface = Self {
            name,
            ifindex,
            commands,
            waker,
            control: Mutex::new(control),
            is_stopped,
            threads,
        };
        // The data thread has only just begun: should it have died already, its event says why.
        let _ = interface.commit(prepared);
        Ok(interface)
    }

    /// Applies all of these changes, or none: whatever can fail is prepared first. Blocks until the data thread
    /// has taken them over (a few milliseconds).
    pub fn apply(&self, changes: Vec<Change>) -> Result<(), ApplyError> {
        // A panic while it was held left a transaction undone half-way at worst; each step states what it wants anew.
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopped.load(Ordering::Acquire) {
            return Err(ApplyError::Stopped(self.name.clone()));
        }
        let prepared = control.prepare(changes)?;
        self.commit(prepared)
    }

    fn commit(&self, prepared: Vec<crate::worker::Prepared>) -> Result<(), ApplyError> {
        let stopped = || ApplyError::Stopped(self.name.clone());
        let (done, finished) = mpsc::sync_channel(1);
        self.commands
            .send(Command::Apply {
                changes: prepared,
                done,
            })
            .map_err(|_| stopped())?;
        self.waker.wake();
        finished.recv().map_err(|_| stopped())
    }

    /// Asks; `reply` is called on the data thread, soon. If the interface stops first, or far too many questions wait
    /// already, `reply` is dropped without being called. Never blocks.
    pub fn query(&self, query: Query, reply: Box<dyn FnOnce(Reply) + Send>) {
        self.post(Command::Query { query, reply });
    }

    /// Sends one ping over the control plane, over `link` or over the best one; `result` is called on the data
    /// thread, once, within `timeout`. If the interface stops first, or far too many pings wait already, it is dropped
    /// without being called. Never blocks.
    pub fn ping(
        &self,
        peer: PeerId,
        link: Option<LinkId>,
        timeout: Span,
        result: Box<dyn FnOnce(PingResult) + Send>,
    ) {
        self.post(Command::Ping {
            peer,
            link,
            timeout,
            reply: result,
        });
    }

    fn post(&self, command: Command) {
        // Dropping the command drops the callback in it, which is what the caller was told.
        if self.commands.try_send(command).is_ok() {
            self.waker.wake();
        }
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
        // Fails where the data thread has ended already.
        let _ = self.commands.send(Command::Stop);
        self.waker.wake();
        for thread in self.threads.drain(..) {
            // Both threads catch their panics and report them.
            let _ = thread.join();
        }
    }
}
