//! `terminal monitor`: events as they happen.

use std::sync::Arc;

use libknet::api::message::{EventRow, Reply};
use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use super::output::{Gone, Output};

/// Most events in one message.
const BATCH: usize = 64;

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

fn batch(events: &[Arc<EventRow>], dropped: u64) -> Reply {
    Reply::Events {
        events: events.iter().map(|event| (**event).clone()).collect(),
        dropped,
    }
}
