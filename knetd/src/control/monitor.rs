//! `terminal monitor`: events as they happen; and those that every shell shows.

use std::sync::Arc;

use libknet::api::message::{EventRow, Reply};
use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use super::output::{Gone, Output};

/// Most events in one message.
const BATCH: usize = 64;
/// How the kinds of events begin that everybody should know.
const ANNOUNCED: &str = "commit-";

/// Sends events until the client goes. What a slow client misses is counted.
pub(crate) async fn run(mut events: Receiver<Arc<EventRow>>, output: Output, id: u32) -> Result<(), Gone> {
    let mut dropped = 0;
    loop {
        let first = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(missed)) => {
                dropped += missed;
                continue;
            }
            Err(RecvError::Closed) => return output.answer(id, false, Ok(batch(&[], dropped))).await,
        };
        let mut together = vec![first];
        while together.len() < BATCH {
            match events.try_recv() {
                Ok(event) => together.push(event),
                // Counted by the next message, which comes after the gap.
                Err(TryRecvError::Lagged(missed)) => {
                    output.answer(id, true, Ok(batch(&together, dropped))).await?;
                    together.clear();
                    dropped = missed;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if !together.is_empty() {
            output.answer(id, true, Ok(batch(&together, dropped))).await?;
            dropped = 0;
        }
    }
}

/// Sends what everybody should know until the client goes.
pub(crate) async fn announcements(
    mut events: Receiver<Arc<EventRow>>,
    output: Output,
    id: u32,
) -> Result<(), Gone> {
    loop {
        match events.recv().await {
            Ok(event) if event.kind.starts_with(ANNOUNCED) => {
                output.answer(id, true, Ok(batch(&[event], 0))).await?;
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return output.answer(id, false, Ok(batch(&[], 0))).await,
        }
    }
}

fn batch(events: &[Arc<EventRow>], dropped: u64) -> Reply {
    Reply::Events {
        events: events.iter().map(|event| (**event).clone()).collect(),
        dropped,
    }
}
