//! A made-up run, to try the picture and the judgement on.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use knet_tests::lab::{
    HostId, echo::Record, mesh::NAMES, monitor::Event, ping::PingReport, time::UnixMicros,
};

use crate::{
    args::Policy,
    run::{PairResult, PolicyRun, SceneResult, target},
    scene::{KILLED, PAIRS, Scene},
};

const BEGAN: UnixMicros = 1_700_000_000_000_000;
const SCENE: UnixMicros = 8_000_000;

/// A run in which the pairs see nothing for `gap_ms` after each cut, and lose nothing but what was for the killed host.
pub(crate) fn run(policy: Policy, gap_ms: i64) -> PolicyRun {
    let mut records: BTreeMap<HostId, Record> = BTreeMap::new();
    let mut events: BTreeMap<HostId, Vec<Event>> = BTreeMap::new();
    let mut scenes = Vec::new();
    for (number, scene) in Scene::ALL.into_iter().enumerate() {
        let began = BEGAN + number as i64 * SCENE;
        let cut = began + 1_500_000;
        let restored = cut + 3_000_000;
        // A killed host is missed by those who ping it, and by nobody else.
        let gap_of = |scene, pair: usize| {
            if scene == Scene::Killed && PAIRS[pair].1 != KILLED {
                0
            } else {
                gap_ms
            }
        };
        let floods = (0..PAIRS.len()).map(|pair| {
            flood(
                &mut records,
                pair,
                number,
                (began, cut),
                gap_of(scene, pair),
                scene == Scene::Killed,
            )
        });
        scenes.push(SceneResult {
            scene,
            began,
            cut,
            restored,
            recovered: restored + 2_000_000,
            ended: began + SCENE - 1000,
            noticed: Some(gap_ms * 500 + 1200),
            pairs: floods.collect(),
            stall: Duration::ZERO,
        });
        for (at, from, to) in [
            (cut + 11_000, "up", "suspect"),
            (cut + 31_000, "suspect", "down"),
            (restored + 300_000, "down", "probing"),
            (restored + 1_500_000, "probing", "up"),
        ] {
            events.entry(HostId(0)).or_default().push(Event {
                at: at / 1000 * 1000,
                kind: "link-state".into(),
                peer: Some(NAMES[1].into()),
                link: Some(0),
                text: String::new(),
                details: vec![("from".into(), from.into()), ("to".into(), to.into())],
            });
        }
    }
    PolicyRun {
        policy,
        links: 3,
        began: BEGAN,
        ended: BEGAN + SCENE * 6,
        scenes,
        records,
        events,
    }
}

fn flood(
    records: &mut BTreeMap<HostId, Record>,
    pair: usize,
    number: usize,
    (began, cut): (UnixMicros, UnixMicros),
    gap_ms: i64,
    lost: bool,
) -> PairResult {
    let record = records.entry(PAIRS[pair].0).or_default();
    let ident = (number * 8 + pair) as u16;
    let (mut at, mut sequence, mut noise) = (began, 0_u16, 12_345_u32 + u32::from(ident));
    let mut ping = PingReport::default();
    while at < began + 5_700_000 {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let rtt = 280 + i64::from(noise >> 24) + if noise.is_multiple_of(97) { 1500 } else { 0 };
        let silent = gap_ms > 0 && at + rtt >= cut && at + rtt < cut + gap_ms * 1000;
        record.frame(at, &frame(true, target(pair), ident, sequence));
        ping.sent += 1;
        if silent {
            // What was sent into a dead link is sent again over another one; into a dead host it is lost.
            if !lost {
                let late = cut + gap_ms * 1000 + 100 + i64::from(sequence % 64);
                record.frame(late, &frame(false, target(pair), ident, sequence));
                ping.received += 1;
            }
            at += 10_000.min(cut + gap_ms * 1000 - rtt - at).max(200);
        } else {
            record.frame(at + rtt, &frame(false, target(pair), ident, sequence));
            ping.received += 1;
            at += rtt + 20;
        }
        sequence = sequence.wrapping_add(1);
    }
    let summaries = record
        .with(target(pair))
        .map(|c| c.summary(began, began + SCENE - 1000));
    let wire = summaries.max_by_key(|s| s.sent).expect("a flood");
    PairResult { ping, wire }
}

fn frame(request: bool, target: IpAddr, ident: u16, sequence: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    match target {
        IpAddr::V4(target) => {
            let (source, target) = if request {
                ([9; 4], target.octets())
            } else {
                (target.octets(), [9; 4])
            };
            frame.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0]);
            frame.extend([source, target].concat());
            frame.extend([if request { 8 } else { 0 }, 0, 0, 0]);
        }
        IpAddr::V6(target) => {
            let (source, target) = if request {
                ([9; 16], target.octets())
            } else {
                (target.octets(), [9; 16])
            };
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 64]);
            frame.extend([source, target].concat());
            frame.extend([if request { 128 } else { 129 }, 0, 0, 0]);
        }
    }
    frame.extend(ident.to_be_bytes());
    frame.extend(sequence.to_be_bytes());
    frame
}
