//! The thread that runs the key exchange: a hundred times dearer than a frame, and never in the way of one.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError},
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
    time::{Span, Time},
};

use crate::time::{now, wall_clock};

/// Datagrams that may wait for the thread: anybody can send them. Those of strangers are dealt with in microseconds
/// once cookies are demanded. Where all peers of a hub come back at once it has work for two seconds or three: an answer
/// that comes later than eight after the first message was made is none any more, and who finds the queue full waits until
/// his next retry.
pub const HANDSHAKE_QUEUE: usize = 16_384;
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
            Input::SetPeer { .. } | Input::RemovePeer(_) | Input::TakeCredentials(_) | Input::Release(_) => {
                None
            }
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
    to: Vec<Way>,
}

/// The way to a worker.
struct Way {
    sender: SyncSender<FromHandshaker>,
    waker: Waker,
    /// When the first result was put there that it has not been woken for.
    unnoticed: Option<Time>,
}

impl Results {
    /// False where nobody listens any more. The worker need not know of it yet: see [`Self::wake`].
    fn send(&mut self, now: Time, to: WorkerId, result: FromHandshaker) -> bool {
        let Some(way) = self.to.get_mut(to.index()) else {
            return false;
        };
        way.unnoticed.get_or_insert(now);
        match way.sender.try_send(result) {
            Ok(()) => true,
            Err(TrySendError::Full(result)) => {
                way.wake();
                way.sender.send(result).is_ok()
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    /// Wakes the workers for which there has been something since `then`.
    fn wake(&mut self, then: Time) {
        for way in &mut self.to {
            if way.unnoticed.is_some_and(|since| since <= then) {
                way.wake();
            }
        }
    }
}

impl Way {
    fn wake(&mut self) {
        self.unnoticed = None;
        self.waker.wake();
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
        to.push(Way {
            sender,
            waker: waker.clone(),
            unnoticed: None,
        });
        links.push(HandshakeLink {
            worker,
            inputs: inputs.clone(),
            waiting: Arc::clone(&waiting),
            outputs,
        });
    }
    let mut results = Results { workers, to };
    let body = move || {
        let result = catch_unwind(AssertUnwindSafe(|| {
            run(handshaker, &receiver, &mut results, &waiting);
        }));
        if let Err(panic) = result {
            // If nobody listens any more, nobody minds.
            let message = FromHandshaker::Panicked(panic_message(&*panic));
            results.send(now(), WorkerId(0), message);
            results.wake(Time::NEVER);
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
/// While more work waits, a worker is woken for several results together, none of which is older than this: to wake it
/// costs a tenth of what the key exchange does.
const TOGETHER: Span = Span::from_millis(1);

fn run(
    mut handshaker: Handshaker,
    inputs: &Receiver<(WorkerId, Input)>,
    workers: &mut Results,
    waiting: &Waiting,
) {
    // Stepping back needs no right; nothing depends on it.
    let _ = knet_io::priority::set_nice(NICE);
    let mut results = Vec::new();
    let mut idle = IDLE_TICKS;
    loop {
        let input = inputs.try_recv();
        if input.is_err() {
            workers.wake(Time::NEVER);
        }
        // For a while after the last input the machine must be able to erase what has come to its end; then there is
        // nothing left to erase, and no reason to wake up.
        let input = match input {
            Ok(input) => Ok(input),
            Err(_) if idle < IDLE_TICKS => inputs.recv_timeout(TICK),
            Err(_) => inputs.recv().map_err(Into::into),
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
        let now = now();
        handshaker.handle(now, wall_clock(), depth, input, &mut results);
        for output in results.drain(..) {
            let to = output.route(from, workers.workers);
            if !workers.send(now, to, FromHandshaker::Output(output)) {
                return;
            }
        }
        workers.wake(now - TOGETHER);
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}
