//! Frames that a peer delivers besides the one that has just come: held back for their order, or put together.

use std::{boxed::Box, vec::Vec};

use super::rig::*;
use crate::{
    ids::PeerId,
    offload::{checksum::Checksum, tests::Flow},
    wire::virtio_net_header::gso,
};

/// The segments of `flow` as a resequencer lets go of them.
fn segments(flow: &Flow) -> Vec<(Box<[u8]>, Checksum)> {
    let boxed = |frame: Vec<u8>| (frame.into_boxed_slice(), Checksum::Complete);
    flow.segments(flow.mss).into_iter().map(boxed).collect()
}

#[test]
fn what_was_held_back_is_joined() {
    let mut net = Net::hub(1, 1);
    let flow = Flow::tcp4();
    let shard = &mut net.hosts[HUB].shards[0];
    shard.env.delivered = segments(&flow);
    // Of another connection, so that it stays alone; and behind it the first one goes on.
    let other = Flow {
        port: 80,
        payload: flow.payload[..100].to_vec(),
        ..flow.clone()
    };
    let next = Flow {
        sequence: flow.sequence.wrapping_add(flow.payload.len() as u32),
        ..flow.clone()
    };
    shard.env.delivered.extend(segments(&other));
    shard.env.delivered.extend(segments(&next));
    shard.forward_delivered(PeerId(0));
    let frames: Vec<_> = shard.outbox().frames.drain(..).collect();
    let sizes: Vec<_> = frames
        .iter()
        .map(|f| (f.header.gso_type, f.bytes(&[]).len() - flow.header_len()))
        .collect();
    assert_eq!(sizes, [(gso::TCPV4, 3000), (gso::NONE, 100), (gso::TCPV4, 3000)]);
    assert!(frames[0].bytes(&[]).ends_with(&flow.payload));
    assert!(frames[2].bytes(&[]).ends_with(&flow.payload));
}

#[test]
fn many_frames_that_were_held_back_come_out_whole_and_in_order() {
    let mut net = Net::hub(1, 1);
    let flow = Flow {
        payload: (0..200_000_u32).map(|n| (n % 251) as u8).collect(),
        dont_fragment: false,
        ..Flow::tcp4()
    };
    let shard = &mut net.hosts[HUB].shards[0];
    shard.env.delivered = segments(&flow);
    let count = shard.env.delivered.len();
    shard.forward_delivered(PeerId(0));
    let frames: Vec<_> = shard.outbox().frames.drain(..).collect();
    let payload: Vec<u8> = frames
        .iter()
        .flat_map(|f| f.bytes(&[])[flow.header_len()..].to_vec())
        .collect();
    assert!(payload == flow.payload);
    assert!(frames.len() <= 6, "{count} frames became {}", frames.len());
}
