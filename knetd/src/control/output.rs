//! What is on its way to one client: bounded in number and bytes, so that a client which does not read holds up
//! nobody but itself.

use std::{sync::Arc, time::Duration};

use libknet::api::{
    codec,
    message::{ApiError, ErrorCode, Reply, Response},
};
use serde::Serialize;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

/// Frames that may wait (limits: row 40).
const FRAMES: usize = 64;
/// Bytes that may wait; more than the longest frame.
const BYTES: usize = 4 * 1024 * 1024;
/// How long one frame may take to be written.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

struct Frame {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// The way to one client.
#[derive(Clone)]
pub(crate) struct Output {
    queue: mpsc::Sender<Frame>,
    room: Arc<Semaphore>,
}

impl Output {
    /// The way in, and the other end for [`write_all`].
    pub(crate) fn new() -> (Self, Frames) {
        let (queue, frames) = mpsc::channel(FRAMES);
        (
            Self {
                queue,
                room: Arc::new(Semaphore::new(BYTES)),
            },
            Frames(frames),
        )
    }

    /// Sends a message; waits while too much is on its way.
    pub(crate) async fn send<T: Serialize>(&self, message: &T) -> Result<(), Gone> {
        let bytes = codec::encode(message, codec::MAX_RESPONSE).map_err(|_| Gone)?;
        self.send_bytes(bytes).await
    }

    async fn send_bytes(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        let room = Arc::clone(&self.room)
            .acquire_many_owned(bytes.len() as u32)
            .await
            .map_err(|_| Gone)?;
        self.queue
            .send(Frame { bytes, _room: room })
            .await
            .map_err(|_| Gone)
    }

    /// Sends an answer to request `id`.
    pub(crate) async fn answer(
        &self,
        id: u32,
        more: bool,
        body: Result<Reply, ApiError>,
    ) -> Result<(), Gone> {
        match codec::encode(&Response { id, more, body }, codec::MAX_RESPONSE) {
            Ok(bytes) => self.send_bytes(bytes).await,
            Err(error) => {
                let error = ApiError::new(ErrorCode::Internal, format!("the answer is {error}"));
                self.send(&Response {
                    id,
                    more: false,
                    body: Err(error),
                })
                .await
            }
        }
    }

    /// Sends `text` in pieces.
    pub(crate) async fn text(&self, id: u32, text: &str) -> Result<(), Gone> {
        const PIECE: usize = 64 * 1024;
        let mut rest = text;
        while rest.len() > PIECE {
            let (piece, after) = rest.split_at(char_boundary(rest, PIECE));
            self.answer(id, true, Ok(Reply::Text(piece.into()))).await?;
            rest = after;
        }
        self.answer(id, false, Ok(Reply::Text(rest.into()))).await
    }
}

/// The last place up to `index` where `text` can be cut.
fn char_boundary(text: &str, index: usize) -> usize {
    (0..=index).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// Frames on their way.
pub(crate) struct Frames(mpsc::Receiver<Frame>);

/// Why writing ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The client does not read.
    #[error("it did not read for {0:?}")]
    Slow(Duration),
    /// The connection is gone.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Writes frames until all [`Output`]s are gone. Each may take as long as `patience`.
pub(crate) async fn write_all(
    mut frames: Frames,
    mut stream: impl AsyncWrite + Unpin,
    patience: Duration,
) -> Result<(), WriteError> {
    while let Some(frame) = frames.0.recv().await {
        let written = tokio::time::timeout(patience, stream.write_all(&frame.bytes)).await;
        written.map_err(|_| WriteError::Slow(patience))??;
    }
    Ok(())
}

/// A mistake in what a client sent.
pub(crate) fn protocol_error(text: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Protocol, text)
}

#[cfg(test)]
mod tests {
    use libknet::api::codec::Decoder;

    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test)
    }

    #[test]
    fn texts_are_cut_between_characters_and_come_whole() {
        let text = format!("x{}", "ä".repeat(100_000));
        let bytes = run(async {
            let (output, frames) = Output::new();
            let mut bytes = Vec::new();
            let writing = write_all(frames, &mut bytes, WRITE_TIMEOUT);
            let sending = async {
                output.text(7, &text).await.unwrap();
                drop(output);
            };
            let (written, ()) = tokio::join!(writing, sending);
            written.unwrap();
            bytes
        });
        let mut decoder = Decoder::new(codec::MAX_RESPONSE);
        decoder.push(&bytes);
        let (mut whole, mut pieces) = (String::new(), 0);
        while let Some(response) = decoder.take::<Response>().unwrap() {
            let Ok(Reply::Text(piece)) = response.body else {
                panic!("{response:?}")
            };
            whole.push_str(&piece);
            pieces += 1;
            assert_eq!(response.more, whole.len() < text.len());
        }
        assert_eq!((whole == text, pieces), (true, 4));
    }

    #[test]
    fn who_does_not_read_is_given_up_and_holds_no_more_than_its_share() {
        run(async {
            let (output, frames) = Output::new();
            let (_unread, stream) = tokio::io::duplex(1000);
            let piece = "x".repeat(500_000);
            let sending = async {
                let mut sent = 0;
                while output
                    .answer(1, true, Ok(Reply::Text(piece.clone())))
                    .await
                    .is_ok()
                {
                    sent += piece.len();
                    assert!(sent <= BYTES, "{sent} bytes are waiting");
                }
            };
            let (written, ()) = tokio::join!(write_all(frames, stream, Duration::from_millis(50)), sending);
            assert!(matches!(written, Err(WriteError::Slow(_))));
        });
    }
}
