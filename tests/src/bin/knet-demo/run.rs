//! One run of the script under one policy.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use knet_tests::lab::{
    HostId, Result,
    capture::EchoCapture,
    echo::{Record, Summary},
    mesh::{Mesh, NAMES, Plan, overlay_v4, overlay_v6},
    monitor::{Event, Monitor},
    ping::{Ping, PingReport},
    stall::StallMeter,
    time::{UnixMicros, now},
};

use crate::{
    args::{Args, Policy},
    live::Live,
    scene::{HOSTS, KILLED, PAIRS, Scene, VICTIM},
};

const BEFORE_THE_CUT: Duration = Duration::from_millis(1500);
/// A gap that a cut makes begins with the last answer before it, in microseconds at most this much earlier.
pub(crate) const JUST_BEFORE: UnixMicros = 50_000;
const AFTER_RECOVERY: Duration = Duration::from_secs(1);
/// Flap damping holds a link down the longer the more often it fell: the last of the cuts waits longest.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(90);

/// What a run has shown.
pub(crate) struct PolicyRun {
    pub(crate) policy: Policy,
    pub(crate) links: usize,
    pub(crate) began: UnixMicros,
    pub(crate) ended: UnixMicros,
    pub(crate) scenes: Vec<SceneResult>,
    /// By the host that pings.
    pub(crate) records: BTreeMap<HostId, Record>,
    /// By the host that tells.
    pub(crate) events: BTreeMap<HostId, Vec<Event>>,
}

/// What one cut has done.
pub(crate) struct SceneResult {
    pub(crate) scene: Scene,
    pub(crate) began: UnixMicros,
    pub(crate) cut: UnixMicros,
    pub(crate) restored: UnixMicros,
    pub(crate) recovered: UnixMicros,
    pub(crate) ended: UnixMicros,
    /// From the cut to the first event about it.
    pub(crate) noticed: Option<UnixMicros>,
    /// In the order of [`PAIRS`].
    pub(crate) pairs: Vec<PairResult>,
    /// The longest time that this machine itself stood still around the cut.
    pub(crate) stall: Duration,
}

/// One flood during one cut.
#[derive(Clone, Copy)]
pub(crate) struct PairResult {
    /// What `ping` said.
    pub(crate) ping: PingReport,
    /// What the wire said; the longest gap is that from the cut on.
    pub(crate) wire: Summary,
}

impl PairResult {
    /// Requests that were never answered. `ping` counts a request as lost whose answer was still under way
    /// when it was told to end; the capture has seen it arrive.
    pub(crate) fn lost(&self) -> u64 {
        self.ping.lost().saturating_sub(self.late())
    }

    /// Answers that came just after `ping` had ended.
    pub(crate) fn late(&self) -> u64 {
        self.wire.answered.saturating_sub(self.ping.received)
    }
}

/// The pings cross in both families.
pub(crate) fn target(pair: usize) -> IpAddr {
    let host = PAIRS[pair].1;
    if pair % 2 == 1 {
        overlay_v6(host)
    } else {
        overlay_v4(host)
    }
}

/// Runs the whole script.
pub(crate) fn run(policy: Policy, args: &Args) -> Result<PolicyRun> {
    println!(
        "\n{} policy, {HOSTS} hosts, {} links between each two:",
        policy.name(),
        args.links
    );
    let plan = Plan {
        hosts: HOSTS,
        links: usize::from(args.links),
        policy: policy.name(),
        ..Plan::default()
    };
    let mut mesh = Mesh::start(plan)?;
    let stalls = StallMeter::start();
    let mut captures = BTreeMap::new();
    for (source, _) in PAIRS {
        if let std::collections::btree_map::Entry::Vacant(entry) = captures.entry(source) {
            entry.insert(EchoCapture::start(&mesh.lab, source, "knet0")?);
        }
    }
    let monitors = mesh
        .daemons
        .iter()
        .map(Monitor::start)
        .collect::<Result<Vec<_>>>()?;
    let began = now();
    let mut live = Live::new(began);
    let mut scenes = Vec::new();
    for scene in Scene::ALL {
        scenes.push(play(
            scene,
            &mut mesh,
            &captures,
            &mut live,
            Duration::from_secs(args.seconds.into()),
        )?);
    }
    let ended = now();

    let records = captures
        .into_iter()
        .map(|(host, c)| Ok((host, c.stop()?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let events: BTreeMap<HostId, Vec<Event>> = monitors
        .iter()
        .enumerate()
        .map(|(host, m)| (HostId(host), m.events()))
        .collect();
    for result in &mut scenes {
        for (pair, measured) in result.pairs.iter_mut().enumerate() {
            let record = &records[&PAIRS[pair].0];
            measured.wire = flood_on_the_wire(record, target(pair), result.began, result.ended);
            let since_cut = flood_on_the_wire(record, target(pair), result.cut - JUST_BEFORE, result.ended);
            measured.wire.longest_gap = since_cut.longest_gap;
        }
        result.noticed = noticed(result, &events, mesh.plan.links);
        let gap = result.worst_gap_pair().1.wire.longest_gap;
        result.stall = stalls.worst(gap.from, gap.to);
    }
    let links = mesh.plan.links;
    if args.keep {
        print_how_to_enter(&mesh);
        mesh.keep()?;
    }
    Ok(PolicyRun {
        policy,
        links,
        began,
        ended,
        scenes,
        records,
        events,
    })
}

impl SceneResult {
    /// Of the pairs that the cut can touch the one that had to wait longest.
    pub(crate) fn worst_gap_pair(&self) -> (usize, &PairResult) {
        let length = |p: &PairResult| p.wire.longest_gap.to - p.wire.longest_gap.from;
        let touched = self
            .pairs
            .iter()
            .enumerate()
            .filter(|(pair, _)| self.scene.touches(*pair));
        // Each scene touches a pair; the first stands in for an impossible none.
        touched
            .max_by_key(|(_, p)| length(p))
            .unwrap_or((0, &self.pairs[0]))
    }

    /// Sum over all pairs.
    pub(crate) fn sum(&self, of: impl Fn(&PairResult) -> u64) -> u64 {
        self.pairs.iter().map(of).sum()
    }
}

fn play(
    scene: Scene,
    mesh: &mut Mesh,
    captures: &BTreeMap<HostId, EchoCapture>,
    live: &mut Live,
    length: Duration,
) -> Result<SceneResult> {
    let cuts = scene.cuts(mesh.plan.links);
    let began = now();
    let floods = (0..PAIRS.len())
        .map(|pair| Ping::flood(&mesh.lab, PAIRS[pair].0, target(pair), &[]))
        .collect::<Result<Vec<Ping>>>()?;
    live.scene("flood", began);
    live.watch(mesh, captures, BEFORE_THE_CUT);

    let title = scene.title();
    live.scene(&title, began);
    let cut = if scene == Scene::Killed {
        let before = now();
        mesh.daemons[KILLED.0].kill();
        mesh.restart(KILLED)?;
        before
    } else {
        mesh.lab.cut(&cuts)?
    };
    live.watch(mesh, captures, length);

    live.scene("restored", began);
    let restored = if cuts.is_empty() {
        now()
    } else {
        mesh.lab.restore(&cuts)?
    };
    live.watch_until(mesh, captures, RECOVERY_PATIENCE, |mesh| {
        mesh.wait_until_all_up(Duration::ZERO)?;
        // Fail-back is part of the recovery.
        match mesh.plan.policy {
            "passive" => Ok(mesh.link_in_use(VICTIM, PAIRS[0].1)? == 0),
            _ => Ok(true),
        }
    })?;
    let recovered = now();
    live.watch(mesh, captures, AFTER_RECOVERY);
    let pairs = floods
        .into_iter()
        .map(|flood| {
            Ok(PairResult {
                ping: flood.stop()?,
                wire: Summary::default(),
            })
        })
        .collect::<Result<_>>()?;
    // Answers under way may still arrive, and belong to this scene.
    std::thread::sleep(Duration::from_millis(200));
    Ok(SceneResult {
        scene,
        began,
        cut,
        restored,
        recovered,
        ended: now(),
        noticed: None,
        pairs,
        stall: Duration::ZERO,
    })
}

pub(crate) fn flood_on_the_wire(
    record: &Record,
    target: IpAddr,
    began: UnixMicros,
    ended: UnixMicros,
) -> Summary {
    // Each scene has its own `ping`, and so its own conversation.
    record
        .with(target)
        .map(|c| c.summary(began, ended))
        .max_by_key(|s| s.sent)
        .unwrap_or_default()
}

fn noticed(result: &SceneResult, events: &BTreeMap<HostId, Vec<Event>>, links: usize) -> Option<UnixMicros> {
    let all = events
        .iter()
        .flat_map(|(host, list)| list.iter().map(move |event| (*host, event)));
    // Events carry whole milliseconds: one of the cut's own millisecond may seem to precede it.
    all.filter(|(_, e)| e.at + 999 >= result.cut && e.at <= result.restored)
        .filter(|(_, e)| {
            ["link-state", "link-receive", "session-down", "session-up"].contains(&e.kind.as_str())
        })
        .filter(|(host, e)| result.scene.concerns(*host, e.peer.as_deref(), e.link, links))
        .map(|(_, e)| (e.at - result.cut).max(0))
        .min()
}

pub(crate) fn print_how_to_enter(mesh: &Mesh) {
    println!("\nThe hosts are left running. To enter one:");
    for (host, daemon) in mesh.daemons.iter().enumerate() {
        println!("  ip netns exec {} bash", mesh.lab.namespace(HostId(host)));
        println!("    knet-cli --socket {}", daemon.socket().display());
    }
    println!(
        "The switches are in {}-switch. To remove all of it:",
        mesh.lab.name()
    );
    println!("  scripts/demo --remove {}", mesh.lab.name());
}

/// `fra1 → ams1`.
pub(crate) fn pair_name(pair: usize) -> String {
    let (source, target) = PAIRS[pair];
    format!("{} → {}", NAMES[source.0], NAMES[target.0])
}
