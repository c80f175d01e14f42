//! Strangers, and recordings played again.

use knet_proto::{
    config::PolicyKind,
    drop_reason::DropReason,
    event::{Event, SessionDownReason},
    path::Path,
    rng::{Entropy, SeededEntropy},
};
use knet_tests::sim::{Setup, World, network::Network};

use crate::{assert_sound, ms, secs};

#[test]
fn strangers_change_nothing_and_get_no_more_than_they_gave() {
    for seed in 0..40 {
        let mut world = World::new(Setup {
            seed,
            links: 2,
            hubs: usize::from(seed % 2 == 0),
            ..Setup::default()
        });
        world.tap = true;
        world.run(secs(3));
        world.traffic(0, 1, ms(20), secs(1));
        world.run(secs(2));
        world.tap = false;
        let mut rng = SeededEntropy::new([seed as u8; 32]);
        let tapped = std::mem::take(&mut world.tapped);
        let before = [world.state_of(0), world.state_of(1)];
        assert_eq!(
            before,
            [world.state_of(0), world.state_of(1)],
            "looking changes nothing"
        );
        let drops = world.drops(0, DropReason::AeadOpen) + world.drops(1, DropReason::AeadOpen);
        for i in 0..2_000_u32 {
            let (path, to, mut bytes) = tapped[rng.below(tapped.len() as u64) as usize].clone();
            let stranger = format!("198.51.{}.{}:{}", i % 200, i % 7 + 1, 1_024 + i % 999);
            let stranger = stranger.parse().expect("an address");
            match rng.below(3) {
                // Damaged in one bit, from a stranger.
                0 => {
                    let bit = rng.below(bytes.len() as u64 * 8) as usize;
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    world.inject(to, path.socket.0, stranger, bytes);
                }
                // Noise of a plausible kind.
                1 => {
                    let mut noise = vec![0; rng.below(300) as usize];
                    rng.fill(&mut noise);
                    if let Some(first) = noise.first_mut() {
                        *first = rng.below(9) as u8;
                    }
                    world.inject(to, path.socket.0, stranger, noise);
                }
                // Damaged, from the true address.
                _ => {
                    let at = rng.below(bytes.len() as u64 - 12) as usize + 12;
                    bytes[at] ^= 0x80;
                    if matches!(bytes[0], 4..=6) {
                        world.inject(to, path.socket.0, path.remote, bytes);
                    }
                }
            }
        }
        let after = [world.state_of(0), world.state_of(1)];
        assert_eq!(before, after, "seed {seed}: I10");
        let opened = world.drops(0, DropReason::AeadOpen) + world.drops(1, DropReason::AeadOpen);
        assert!(opened > drops, "seed {seed}: the attack did reach the keys");
        for (who, (given, got)) in &world.strangers {
            assert!(
                got <= given,
                "seed {seed}: {who} gave {given} and got {got} (I12)"
            );
        }
        assert_sound(&world, seed);
    }
}

#[test]
fn recordings_played_again_anywhere_are_delivered_to_nobody() {
    for seed in 0..20 {
        let mut world = World::new(Setup {
            seed,
            links: 3,
            policy: PolicyKind::RoundRobin,
            ..Setup::default()
        });
        world.tap = true;
        world.run(secs(3));
        world.traffic_everywhere(ms(10), secs(1));
        world.run(secs(2));
        let tapped = std::mem::take(&mut world.tapped);
        let play = |world: &mut World, tapped: &[(Path, usize, Vec<u8>)]| {
            for (i, (path, to, bytes)) in tapped.iter().enumerate() {
                // At once, over another link, from another host's address, from a stranger's.
                let socket = (path.socket.0 + (i % 3) as u8) % 3;
                let remote = match i % 4 {
                    0 => path.remote,
                    1 => Network::home(1 - to, socket),
                    2 => "203.0.113.9:99".parse().expect("an address"),
                    _ => Network::home(*to, socket),
                };
                world.inject(*to, socket, remote, bytes.clone());
            }
        };
        world.tap = false;
        play(&mut world, &tapped);
        world.run(secs(61));
        play(&mut world, &tapped);
        world.run(secs(130));
        play(&mut world, &tapped);
        world.kill(0);
        world.start(0);
        play(&mut world, &tapped);
        world.run(secs(5));
        play(&mut world, &tapped);
        world.run(secs(60));
        world.check_converged();
        let closed = world.events.iter().any(|(_, _, e)| {
            matches!(
                e,
                Event::SessionDown {
                    reason: SessionDownReason::ClosedByPeer,
                    ..
                }
            )
        });
        assert!(!closed, "seed {seed}");
        assert_sound(&world, seed);
    }
}
