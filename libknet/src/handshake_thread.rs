//! The thread that runs the key exchange: a hundred times dearer than a frame, and never in the way of one.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    thread::JoinHandle,
    time::Duration,
};

use knet_io::eventfd::Waker;
use knet_proto::{
    handshake::{
        Handshaker,
        message::{Input, Output},
    },
    ids::{WorkerId, Workers},
};

use crate::time::{now, wall_clock};

/// Datagrams that may wait for the thread: anybody can send them. Those of strangers are dealt with in microseconds
/// once cookies are demanded. Where all peers of a hub come back at once it has work for a second or so: an answer that
/// comes later than after five is none any more.
pub const HANDSHAKE_QUEUE: usize = 4096;
/// Attempts of our own that may wait. A peer whose attempt is discarded tries again by itself.
const STARTS: usize = 4096;
/// How often the machine erases what has come to its end, and how many times after the last input.
const TICK: Duration = Duration::from_secs(1);
const IDLE_TICKS: u32 = 10;
/// Results that may wait for a worker; the handshake thread waits beyond that.
const RESULTS: usize = 1024;

/// A worker's end.
pub(crate) struct HandshakeLink {
    worker: WorkerId,
    inputs: Sender<(WorkerId, Input)>,
    waiting: Arc<Waiting>,
    outputs: Receiver<FromHandshaker>,
}

/// How much of what is limited waits.
#[derive(Default)]
struct Waiting {
    datagrams: AtomicUsize,
    starts: AtomicUsize,
}

impl Waiting {
    /// The count and the limit of this kind of input. Removals and releases have none: they are bounded by the
    /// configuration and the number of sessions, and must not be lost.
    fn of(&self, input: &Input) -> Option<(&AtomicUsize, usize)> {
        match input {
            Input::Datagram { .. } => Some((&self.datagrams, HANDSHAKE_QUEUE)),
            Input::Start { .. } => Some((&self.starts, STARTS)),
            Input::SetPeer { .. } | Input::RemovePeer(_) | Input::Release(_) => None,
        }
    }
}

/// What comes back.
pub(crate) enum FromHandshaker {
    /// A result.
    Output(Output),
    /// The thread is dead of this.
    Panicked(String),
}

/// The thread's end of what goes to the workers.
struct Results {
    workers: Workers,
    to: Vec<(SyncSender<FromHandshaker>, Waker)>,
}

impl Results {
    /// False where nobody listens any more.
    fn send(&self, to: WorkerId, result: FromHandshaker) -> bool {
        let Some((sender, waker)) = self.to.get(to.index()) else {
            return false;
        };
        let sent = sender.send(result).is_ok();
        // At once: the channel may be full before the last one is in it.
        waker.wake();
        sent
    }
}

/// Starts the thread for as many workers as have given a waker, and gives the end of each. It ends when all of them are
/// dropped.
pub(crate) fn spawn(
    name: &str,
    handshaker: Handshaker,
    workers: Workers,
    wakers: &[Waker],
) -> io::Result<(Vec<HandshakeLink>, JoinHandle<()>)> {
    let (inputs, receiver) = mpsc::channel();
    let waiting = Arc::new(Waiting::default());
    let (mut links, mut to) = (Vec::new(), Vec::new());
    for (worker, waker) in workers.all().zip(wakers) {
        let (sender, outputs) = mpsc::sync_channel(RESULTS);
        to.push((sender, waker.clone()));
        links.push(HandshakeLink {
            worker,
            inputs: inputs.clone(),
            waiting: Arc::clone(&waiting),
            outputs,
        });
    }
    let results = Results { workers, to };
    let body = move || {
        let result = catch_unwind(AssertUnwindSafe(|| {
            run(handshaker, &receiver, &results, &waiting);
        }));
        if let Err(panic) = result {
            // If nobody listens any more, nobody minds.
            results.send(WorkerId(0), FromHandshaker::Panicked(panic_message(&*panic)));
        }
    };
    let thread = std::thread::Builder::new()
        .name(format!("hs-{name}"))
        .spawn(body)?;
    Ok((links, thread))
}

impl HandshakeLink {
    /// Hands over; `false` where it was discarded because too much of its kind waits already.
    pub(crate) fn send(&self, input: Input) -> bool {
        if let Some((count, limit)) = self.waiting.of(&input) {
            // First of all: others add too.
            if count.fetch_add(1, Ordering::Relaxed) >= limit {
                count.fetch_sub(1, Ordering::Relaxed);
                return false;
            }
        }
        // Fails only when the thread has died, which it has told by itself.
        let _ = self.inputs.send((self.worker, input));
        true
    }

    /// The next result, if one waits.
    pub(crate) fn receive(&self) -> Option<FromHandshaker> {
        self.outputs.try_recv().ok()
    }
}

/// A handshake costs a hundred times what a frame costs, and can wait.
const NICE: i32 = 5;

fn run(
    mut handshaker: Handshaker,
    inputs: &Receiver<(WorkerId, Input)>,
    workers: &Results,
    waiting: &Waiting,
) {
    // Stepping back needs no right; nothing depends on it.
    let _ = knet_io::priority::set_nice(NICE);
    let mut results = Vec::new();
    let mut idle = IDLE_TICKS;
    loop {
        // For a while after the last input the machine must be able to erase what has come to its end; then there is
        // nothing left to erase, and no reason to wake up.
        let input = if idle < IDLE_TICKS {
            inputs.recv_timeout(TICK)
        } else {
            inputs.recv().map_err(Into::into)
        };
        let (from, input) = match input {
            Ok(input) => input,
            Err(RecvTimeoutError::Timeout) => {
                idle += 1;
                handshaker.expire(now());
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        idle = 0;
        if let Some((count, _)) = waiting.of(&input) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        let depth = waiting.datagrams.load(Ordering::Relaxed);
        handshaker.handle(now(), wall_clock(), depth, input, &mut results);
        for output in results.drain(..) {
            let to = output.route(from, workers.workers);
            if !workers.send(to, FromHandshaker::Output(output)) {
                return;
            }
        }
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}
