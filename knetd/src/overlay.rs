//! One running interface: the data plane's handle and the names of what it knows by number.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use libknet::{
    Change, Event, Interface, Offloads, OsEntropy, PingResult, Query, Reply,
    api::message::{ApiError, ErrorCode},
    proto::{
        config::PeerConfig,
        ids::{LinkId, PeerId, Workers},
        rng::Entropy,
        time::Span,
    },
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    config::{
        plan,
        setup::{Peers, Setup},
        slots::Slots,
    },
    logging::unix_ms,
};

/// How long a data thread may take to answer; it needs microseconds.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Something that an interface told.
#[derive(Debug)]
pub(crate) struct OverlayEvent {
    /// Its name.
    pub interface: Arc<str>,
    /// Which of the interfaces of that name, one after the other.
    pub generation: u64,
    /// Milliseconds since 1970 (UTC) when it told it.
    pub unix_ms: u64,
    /// What it told.
    pub event: Event,
}

/// The way of events from the data threads to the control thread. Bounded: what does not fit is counted.
#[derive(Clone, Debug)]
pub(crate) struct EventSender {
    queue: mpsc::Sender<OverlayEvent>,
    lost: Arc<AtomicU64>,
}

/// The control thread's end of it.
#[derive(Debug)]
pub(crate) struct EventReceiver {
    queue: mpsc::Receiver<OverlayEvent>,
    not_before: Instant,
}

/// Events that are taken from the queue together, at most.
const BURST: usize = 256;
/// After some events the next ones wait for so long: where thousands of peers join, the control thread is not woken for
/// each of them.
const EVENTS_APART: Duration = Duration::from_millis(5);

/// A queue of `size` events.
pub(crate) fn events(size: usize) -> (EventSender, EventReceiver) {
    let (sender, receiver) = mpsc::channel(size);
    (
        EventSender {
            queue: sender,
            lost: Arc::default(),
        },
        EventReceiver {
            queue: receiver,
            not_before: Instant::now(),
        },
    )
}

impl EventReceiver {
    /// Waits for events, and appends them to `burst`. Nothing is lost where it is given up meanwhile.
    pub(crate) async fn next(&mut self, burst: &mut Vec<OverlayEvent>) {
        tokio::time::sleep_until(self.not_before.into()).await;
        let taken = self.queue.recv_many(burst, BURST).await;
        if taken < BURST {
            self.not_before = Instant::now() + EVENTS_APART;
        }
    }
}

impl EventSender {
    /// How many events were lost since this was asked last.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// A running interface.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// What it is made of.
    pub setup: Rc<Setup>,
    /// The numbers of its peers.
    pub slots: Slots,
    /// Which of the interfaces of that name this is.
    pub generation: u64,
    /// How many data workers it has.
    pub workers: Workers,
    /// Since when its counters count.
    pub counting_since: Instant,
    handle: Interface,
}

impl Overlay {
    /// Starts an interface with all its peers. The error names the thing and the remedy.
    pub(crate) fn start(
        name: &str,
        setup: &Rc<Setup>,
        offloads: Offloads,
        workers: Workers,
        generation: u64,
        events: &EventSender,
    ) -> Result<Self, String> {
        let mut instance = [0; 8];
        OsEntropy.fill(&mut instance);
        let (interface, sender) = (Arc::<str>::from(name), events.clone());
        let on_event = move |event| {
            let event = OverlayEvent {
                interface: Arc::clone(&interface),
                generation,
                unix_ms: unix_ms(),
                event,
            };
            if sender.queue.try_send(event).is_err() {
                sender.lost.fetch_add(1, Ordering::Relaxed);
            }
        };
        let start = setup.start(name, u64::from_le_bytes(instance), offloads, workers);
        let handle = Interface::start(start, Box::new(on_event)).map_err(|e| e.to_string())?;

        let slots = Slots::default().updated(&Peers::default(), &setup.peers);
        let set_peer = |(name, config): (&String, &Arc<PeerConfig>)| {
            let set = |peer| Change::SetPeer {
                peer,
                config: Arc::clone(config),
            };
            slots.id(name).map(set)
        };
        let peers = setup.peers.iter().filter_map(set_peer);
        let takes = Change::TakeCredentials(setup.takes_credentials);
        handle
            .apply(peers.chain([takes]).collect())
            .map_err(|e| e.to_string())?;
        let setup = Rc::clone(setup);
        Ok(Self {
            setup,
            slots,
            generation,
            workers,
            counting_since: Instant::now(),
            handle,
        })
    }

    /// Changes it to `setup`, for which no sessions end, or leaves it as it is and says why.
    pub(crate) fn change(&mut self, setup: &Rc<Setup>) -> Result<(), String> {
        let slots = self.slots.updated(&self.setup.peers, &setup.peers);
        let changes = plan::changes(&self.setup, &self.slots, setup, &slots);
        if !changes.is_empty() {
            self.handle.apply(changes).map_err(|e| e.to_string())?;
        }
        self.setup = Rc::clone(setup);
        self.slots = slots;
        Ok(())
    }

    /// Ends the session with a peer and makes it anew, or lets one of its links begin afresh.
    pub(crate) fn reset(&self, name: &str, link: Option<u8>) -> Result<(), ApiError> {
        let missing = |text: String, hint: &str| ApiError::new(ErrorCode::NotFound, text).with_hint(hint);
        let (Some(peer), Some(config)) = (self.slots.id(name), self.setup.peers.get(name)) else {
            return Err(missing(format!("peer {name} is incomplete"), "public-key KEY"));
        };
        let set = |config: Arc<PeerConfig>| Change::SetPeer { peer, config };
        let before = match link {
            None => Change::RemovePeer(peer),
            Some(link) => {
                let mut without = PeerConfig::clone(config);
                if LinkId::new(link)
                    .and_then(|link| without.links.remove(link))
                    .is_none()
                {
                    let text = format!("link {link} of peer {name} is not configured here");
                    return Err(missing(text, "a configured link, or the peer as a whole"));
                }
                set(Arc::new(without))
            }
        };
        // One after the other: together they would be no change at all.
        [before, set(Arc::clone(config))]
            .into_iter()
            .try_for_each(|change| {
                let applied = self.handle.apply(vec![change]);
                applied.map_err(|error| ApiError::new(ErrorCode::System, error.to_string()))
            })
    }

    /// Says goodbye to the peers and removes the TAP. Blocks for less than a second; may be called on any thread
    /// with what [`Overlay::into_handle`] gives.
    pub(crate) fn stop(self) {
        self.handle.stop();
    }

    /// What has to be stopped, without what only the control thread may have.
    pub(crate) fn into_handle(self) -> Interface {
        self.handle
    }

    /// Asks the data plane.
    pub(crate) fn query(&self, query: Query) -> impl Future<Output = Result<Reply, ApiError>> + use<> {
        let (sender, reply) = oneshot::channel();
        // The asker may have gone away.
        self.handle.query(
            query,
            Box::new(move |r| {
                let _ = sender.send(r);
            }),
        );
        async move {
            match tokio::time::timeout(QUERY_TIMEOUT, reply).await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(_)) => Err(ApiError::new(
                    ErrorCode::NotFound,
                    "the interface was stopped meanwhile, or has too many questions to answer",
                )),
                Err(_) => Err(ApiError::new(
                    ErrorCode::Timeout,
                    "the data plane does not answer",
                )),
            }
        }
    }

    /// One ping over the control plane. `None`: the interface was stopped meanwhile.
    pub(crate) fn ping(
        &self,
        peer: PeerId,
        link: Option<LinkId>,
        timeout: Duration,
    ) -> impl Future<Output = Option<PingResult>> + use<> {
        let (sender, result) = oneshot::channel();
        let span = Span::from_millis(timeout.as_millis() as u64);
        self.handle.ping(
            peer,
            link,
            span,
            Box::new(move |r| {
                let _ = sender.send(r);
            }),
        );
        async move {
            // The data plane keeps the time; this is for one that has died.
            tokio::time::timeout(timeout + QUERY_TIMEOUT, result)
                .await
                .ok()?
                .ok()
        }
    }
}
