//! The state of the daemon, owned by the control thread: the running configuration and what runs because of it.

pub(crate) mod admission;
mod confirmation;
mod in_force;
mod invitations;
mod join;
mod key_files;
pub(crate) mod leasing;
mod loading;
pub(crate) mod negotiated;
mod redemption;
mod refusal;
mod transactions;
mod trial;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use libknet::{
    Event, Offloads, Query, Reply,
    api::{group::Lists, model::Config},
    proto::{event::Event as CoreEvent, handshake::credential::Presented, status::LinkState},
};

use self::{
    admission::{DatesOnDisk, Expiries, Refused},
    confirmation::Pending,
    leasing::Leasing,
    negotiated::NegotiatedAddresses,
    transactions::Lock,
};
pub(crate) use self::{
    confirmation::{Watched, watch_peer},
    refusal::CommitError,
    transactions::{Author, ToConfirm},
};
use crate::{
    config::{
        admissions::Admissions,
        certificate_files::CertificateFiles,
        history::History,
        invitations::Invitations,
        key_files::{KeyFiles, Patience},
        keys::Keys,
        leases::Leases,
        plan::{self, Setups},
        setup::Setup,
        sources::Sources,
        store,
        this_host::ThisHost,
    },
    control::server::Clients,
    events::{self, EventSink},
    file_watch::FileWatch,
    flight_recorder::FlightRecorder,
    logging::{LogHistory, unix_ms},
    metrics,
    overlay::{EventSender, Overlay, OverlayEvent},
    resolver::{self, Answer, LinkPlace, News, Resolver},
    rows::InterfaceState,
    workers,
};

/// How soon an interface that failed is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The daemon.
pub(crate) struct Daemon {
    /// Everything that happens.
    pub events: EventSink,
    /// What happened to each peer.
    pub recorder: FlightRecorder,
    /// The latest lines of the log.
    pub log: LogHistory,
    /// Who is connected.
    pub clients: Rc<RefCell<Clients>>,
    /// When the daemon was started.
    pub started: Instant,
    /// The same in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Where metrics are told.
    pub metrics: metrics::Endpoint,
    /// How many ask for them.
    pub metrics_clients: Rc<Cell<metrics::Count>>,
    config_file: PathBuf,
    offloads: Offloads,
    config: Arc<Config>,
    /// What of it concerns this host, with groups of peers.
    of_this_host: Arc<Config>,
    /// The same without groups: what is in force.
    in_force: Arc<Config>,
    this_host: ThisHost,
    /// What the configuration file holds.
    saved: Arc<Config>,
    /// Which revision that was.
    saved_revision: Option<u64>,
    revision: u64,
    history: History,
    lock: Option<Lock>,
    pending: Option<Pending>,
    keys: Keys,
    sources: Sources,
    /// What was presented and not looked at yet.
    presented: Vec<(Arc<str>, Presented)>,
    /// When somebody's certificate ends, or that is to be told.
    expiries: Expiries,
    /// Who was not let in by a certificate.
    refused: Refused,
    /// How new the revocation lists were, as far as it is on the disk.
    dates: DatesOnDisk,
    /// Who was given which address out of a pool.
    leasing: Leasing,
    /// Addresses that peers give our TAPs.
    negotiated: NegotiatedAddresses,
    file_watch: Option<Rc<FileWatch>>,
    /// With files that cannot be used, and where metrics are told: nothing else is to wait for these while the daemon starts,
    /// nor while it goes back.
    patience: Patience,
    names: Resolver,
    overlays: BTreeMap<String, Overlay>,
    /// Interfaces that ought to run and do not. Never one that is in `overlays`.
    failures: BTreeMap<String, Failure>,
    overlay_events: EventSender,
    next_generation: u64,
}

#[derive(Clone, Debug)]
struct Failure {
    reason: String,
    setup: Rc<Setup>,
    retry_at: Instant,
    delay: Duration,
}

impl Daemon {
    /// A daemon without interfaces.
    pub(crate) fn new(
        config_file: &Path,
        this_host: ThisHost,
        offloads: Offloads,
        log: LogHistory,
        overlay_events: EventSender,
    ) -> Self {
        store::sweep_beside(config_file);
        let history = History::beside(config_file);
        let sources = Sources::new(config_file);
        let leasing = Leasing::new(Leases::read(history.directory()));
        Self {
            events: EventSink::default(),
            recorder: FlightRecorder::default(),
            log,
            clients: Rc::default(),
            started: Instant::now(),
            started_unix_ms: unix_ms(),
            metrics: metrics::Endpoint::default(),
            metrics_clients: Rc::default(),
            config_file: config_file.into(),
            offloads,
            config: Arc::default(),
            of_this_host: Arc::default(),
            in_force: Arc::default(),
            this_host,
            saved: Arc::default(),
            saved_revision: None,
            revision: history.latest(),
            history,
            lock: None,
            pending: None,
            keys: Keys::new(config_file),
            dates: DatesOnDisk::new(sources.certificate_files.dates().clone()),
            sources,
            presented: Vec::new(),
            expiries: Expiries::default(),
            refused: Refused::default(),
            leasing,
            negotiated: NegotiatedAddresses::default(),
            file_watch: None,
            patience: Patience::Refuse,
            names: Resolver::default(),
            overlays: BTreeMap::new(),
            failures: BTreeMap::new(),
            overlay_events,
            next_generation: 0,
        }
    }

    /// The running configuration, as it is written: for all hosts, where it is for several.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What of the running configuration is in force on this host.
    pub(crate) fn in_force(&self) -> &Arc<Config> {
        &self.in_force
    }

    /// The files of keys of its groups.
    pub(crate) fn key_files(&self) -> &KeyFiles {
        &self.sources.key_files
    }

    /// The files that have to do with certificates.
    pub(crate) fn certificate_files(&self) -> &CertificateFiles {
        &self.sources.certificate_files
    }

    /// Who is there by a certificate.
    pub(crate) fn admissions(&self) -> &Admissions {
        &self.sources.admissions
    }

    /// Who is invited, and who has come.
    pub(crate) fn invitations(&self) -> &Invitations {
        &self.sources.invitations
    }

    /// From now on, who sees to it that [`Self::read_key_files`] is called when they are written.
    pub(crate) fn watch_key_files(&mut self, watch: Rc<FileWatch>) {
        watch.follow(self.sources.paths());
        self.file_watch = Some(watch);
    }

    /// The same with groups of peers.
    pub(crate) fn of_this_host(&self) -> &Arc<Config> {
        &self.of_this_host
    }

    /// What of `config` would be in force on this host.
    pub(crate) fn part_of(&self, config: &Arc<Config>) -> Arc<Config> {
        let part = self.this_host.part_of(config).config;
        let in_force = self.without_groups(&part, self.sources.lists());
        in_force.unwrap_or_else(|_| Arc::new(part.without_groups(&Lists::new(), None).config))
    }

    /// The configuration file.
    pub(crate) fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// Of the running configuration: one more with each change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the running configuration differs from what was last read from or written to the file.
    pub(crate) fn unsaved(&self) -> bool {
        !Arc::ptr_eq(&self.config, &self.saved) && self.config != self.saved
    }

    /// The configured name, or the host's own.
    pub(crate) fn hostname(&self) -> String {
        self.in_force
            .hostname
            .clone()
            .unwrap_or_else(|| self.this_host.name().to_owned())
    }

    /// The interface `name`, if it runs.
    pub(crate) fn overlay(&self, name: &str) -> Option<&Overlay> {
        self.overlays.get(name)
    }

    /// All interfaces that run.
    pub(crate) fn overlays_mut(&mut self) -> impl Iterator<Item = (&String, &mut Overlay)> {
        self.overlays.iter_mut()
    }

    /// The addresses of names.
    pub(crate) fn names(&self) -> &Resolver {
        &self.names
    }

    /// Whether the configured interface `name` runs, and why not.
    pub(crate) fn interface_state(&self, name: &str) -> InterfaceState {
        if self.overlays.contains_key(name) {
            return InterfaceState::Up;
        }
        match (self.failures.get(name), self.in_force.interfaces.get(name)) {
            (Some(failure), _) => InterfaceState::Failed(failure.reason.clone()),
            (None, Some(config)) if config.shutdown => InterfaceState::AdminDown,
            (None, _) => InterfaceState::Incomplete,
        }
    }

    /// What runs or ought to.
    fn setups(&self) -> Setups {
        let running = self
            .overlays
            .iter()
            .map(|(name, overlay)| (name.clone(), Rc::clone(&overlay.setup)));
        let failed = self
            .failures
            .iter()
            .map(|(name, failure)| (name.clone(), Rc::clone(&failure.setup)));
        running.chain(failed).collect()
    }

    /// Brings the interfaces to `new`; after an error they are as before.
    fn transform(&mut self, new: &Setups) -> Result<(), CommitError> {
        let old = self.setups();
        let failures = self.failures.clone();
        let mut done = Vec::new();
        for step in plan::steps(&old, new) {
            let result = self.bring(&step.name, new.get(&step.name));
            done.push(step.name);
            let Err(text) = result else { continue };
            let text = format!("interface {}: {text}", done.last().map_or("", String::as_str));
            for name in done.iter().rev() {
                if let Some(failure) = failures.get(name) {
                    let _ = self.bring(name, None);
                    self.failures.insert(name.clone(), failure.clone());
                } else if let Err(undo) = self.bring(name, old.get(name))
                    && let Some(setup) = old.get(name)
                {
                    self.fail(name, setup, undo);
                }
            }
            return Err(CommitError::System(text));
        }
        Ok(())
    }

    /// Makes one interface run with `target`, or stop. Where a change fails nothing has happened; where a start
    /// fails the interface does not run.
    fn bring(&mut self, name: &str, target: Option<&Rc<Setup>>) -> Result<(), String> {
        if let (Some(overlay), Some(setup)) = (self.overlays.get_mut(name), target)
            && !overlay.setup.sessions_end_for(setup)
        {
            return overlay.change(setup);
        }
        if let Some(overlay) = self.overlays.remove(name) {
            overlay.stop();
            tracing::info!("{name}: stopped");
        }
        self.failures.remove(name);
        if let Some(setup) = target {
            self.next_generation += 1;
            let others = self.overlays.values().map(|o| usize::from(o.workers.get())).sum();
            let workers = setup.workers.unwrap_or_else(|| workers::automatic(others));
            let overlay = Overlay::start(
                name,
                setup,
                self.offloads,
                workers,
                self.next_generation,
                &self.overlay_events,
            )?;
            tracing::info!(
                "{name}: started with {} and {}{}",
                peers(setup.peers.len()),
                locals(setup),
                workers::text(workers)
            );
            self.overlays.insert(name.into(), overlay);
        }
        Ok(())
    }

    fn fail(&mut self, name: &str, setup: &Rc<Setup>, reason: String) {
        tracing::error!("{name}: {reason}; it is tried again in {} s", RETRY.0.as_secs());
        let failure = Failure {
            reason,
            setup: Rc::clone(setup),
            retry_at: Instant::now() + RETRY.0,
            delay: RETRY.0,
        };
        self.failures.insert(name.into(), failure);
    }

    /// Takes note of something that an interface told.
    pub(crate) fn handle_event(&mut self, event: &OverlayEvent) {
        let name = &*event.interface;
        let generation = self.overlays.get(name).map(|overlay| overlay.generation);
        if generation != Some(event.generation) {
            return;
        }
        if let Event::Core(CoreEvent::Credential(presented)) = &event.event {
            self.presented
                .push((Arc::clone(&event.interface), Presented::clone(presented)));
            return;
        }
        match &event.event {
            Event::Core(CoreEvent::Addresses { peer, addresses }) => {
                self.offered(&event.interface, *peer, addresses);
            }
            Event::Core(CoreEvent::SessionUp { peer, .. }) => {
                self.session_needs_address(&event.interface, *peer);
            }
            _ => {}
        }
        let Some(overlay) = self.overlays.get(name) else {
            return;
        };
        let slots = &overlay.slots;
        let (mut row, kind, loudness) = events::describe(name, |id| slots.name(id), &event.event);
        row.unix_ms = event.unix_ms;
        // A peer that was removed a moment ago has no history.
        if row.peer.as_ref().is_none_or(|peer| slots.id(peer).is_some()) {
            self.recorder
                .record(name, row.peer.as_deref(), event.unix_ms, event.event.clone());
        }
        self.events.publish(&kind, loudness, row);
        if let Event::Core(CoreEvent::LinkState { peer, link, to, .. }) = &event.event
            && let Some(peer) = overlay.slots.name(*peer)
        {
            let place = LinkPlace {
                interface: name.into(),
                peer: peer.into(),
                link: link.get(),
            };
            // One in doubt is as it was.
            if *to != LinkState::Suspect {
                self.names.link(&place, Instant::now(), *to == LinkState::Up);
            }
        }
        if let Event::Failed { message } = &event.event
            && let Some(overlay) = self.overlays.remove(name)
        {
            let setup = Rc::clone(&overlay.setup);
            self.fail(name, &setup, message.clone());
            // Its threads may be in a bad state; nobody waits for them here.
            let handle = overlay.into_handle();
            drop(tokio::task::spawn_blocking(move || handle.stop()));
        }
    }

    /// A question to the data plane whether the link works, if its interface and peer run.
    fn link_works(&self, place: &LinkPlace) -> impl Future<Output = bool> + use<> {
        let overlay = self.overlays.get(&place.interface);
        let question = overlay.and_then(|o| o.slots.id(&place.peer).map(|peer| o.query(Query::Peer(peer))));
        let link = place.link;
        async move {
            let Some(question) = question else { return false };
            let Ok(Reply::Peer(Some(peer))) = question.await else {
                return false;
            };
            // One that is being probed may be about to come up; without a session nothing is probed.
            let mut links = peer.links.iter();
            peer.session.is_some()
                && links.any(|l| l.link.get() == link && l.state >= LinkState::Probing && l.remote.is_some())
        }
    }

    /// A name was looked up for this link, which works or does not.
    fn name_answered(&mut self, place: &LinkPlace, name: &str, answer: &Answer, works: bool) {
        let Some(news) = self.names.answered(place, name, answer, works, Instant::now()) else {
            return;
        };
        if let News::Moved { to, .. } = news {
            self.move_link(place, to);
        }
        let (row, kind, loudness) = events::describe_name(place, &news);
        self.events.publish(&kind, loudness, row);
    }

    /// The link goes to `address` from now on; nothing else changes.
    fn move_link(&mut self, place: &LinkPlace, address: IpAddr) {
        let Some(config) = self.in_force.interfaces.get(&place.interface) else {
            return;
        };
        if let Some(failure) = self.failures.get_mut(&place.interface) {
            if let Some(setup) = failure.setup.with_address(config, place, address) {
                failure.setup = Rc::new(setup);
            }
        } else if let Some(overlay) = self.overlays.get_mut(&place.interface)
            && let Some(setup) = overlay.setup.with_address(config, place, address)
            // Only a data thread that has ended refuses; it is started again with all that is configured then.
            && let Err(error) = overlay.change(&Rc::new(setup))
        {
            tracing::error!("{}: {error}", place.interface);
        }
    }

    /// What is due about once a second.
    pub(crate) fn tick(&mut self) {
        self.history.tick(Instant::now());
        self.metrics.tick();
        self.tick_confirmation(Instant::now());
        self.events.summarize();
        self.tick_key_files();
        self.tick_certificates();
        self.take_offers();
        let lost = self.overlay_events.take_lost();
        self.tick_leases(lost > 0);
        if lost > 0 {
            tracing::warn!("{lost} events were lost because they came too fast");
        }
        let now = Instant::now();
        let due: Vec<_> = self
            .failures
            .iter()
            .filter(|(_, f)| f.retry_at <= now)
            .map(|(n, _)| n.clone())
            .collect();
        for name in due {
            let Some(failure) = self.failures.get(&name).cloned() else {
                continue;
            };
            if let Err(reason) = self.bring(&name, Some(&failure.setup)) {
                if reason != failure.reason {
                    tracing::error!("{name}: {reason}");
                }
                let delay = (failure.delay * 2).min(RETRY.1);
                self.failures.insert(
                    name,
                    Failure {
                        reason,
                        delay,
                        retry_at: now + delay,
                        ..failure
                    },
                );
            }
        }
    }

    /// Says goodbye to all peers and removes all TAPs; all interfaces at once. Begins right away.
    pub(crate) fn stop(&mut self) -> impl Future<Output = ()> + use<> {
        self.history.flush();
        self.flush_leases();
        self.failures.clear();
        let stopping: Vec<_> = std::mem::take(&mut self.overlays)
            .into_values()
            .map(Overlay::into_handle)
            .map(|handle| tokio::task::spawn_blocking(move || handle.stop()))
            .collect();
        async move {
            for task in stopping {
                // A panic in there is an interface that is gone as well.
                let _ = task.await;
            }
        }
    }
}

/// Looks up the names of links that are due, beside everything else.
pub(crate) fn look_up_names(daemon: &Rc<RefCell<Daemon>>) {
    let due = daemon.borrow_mut().names.take_due(Instant::now());
    for name in due {
        let (daemon, places) = (Rc::clone(daemon), Rc::clone(&daemon.borrow().names.lookups));
        tokio::task::spawn_local(async move {
            // Never closed.
            let place = places.acquire().await;
            let answer = resolver::look_up(&name).await;
            drop(place);
            let links = daemon.borrow().names.links_to(&name);
            for link in links {
                let works = daemon.borrow().link_works(&link);
                let works = works.await;
                daemon.borrow_mut().name_answered(&link, &name, &answer, works);
            }
        });
    }
}

fn peers(count: usize) -> String {
    format!("{count} {}", if count == 1 { "peer" } else { "peers" })
}

fn locals(setup: &Setup) -> String {
    match setup.sockets.len() {
        0 => "no local address".into(),
        _ => setup
            .sockets
            .values()
            .map(|s| s.address.to_string())
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// The name of this host.
pub(crate) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "knetd".into())
}
