//! The conversation with one client, from its greeting to its end.

use std::{
    cell::RefCell,
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use libknet::api::{
    codec::{self, CodecError, HEADER},
    grammar::table_hash,
    message::{API_VERSION, ApiError, ErrorCode, Hello, HelloReply, Request, Welcome},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, BufReader},
    net::UnixStream,
};

use super::{
    authorize,
    output::{self, Gone, Output, WRITE_TIMEOUT, WriteError, protocol_error},
    requests::Session,
    server::{Clients, Presence},
    workspace::Workspace,
};
use crate::{account::User, daemon::Daemon};

/// How long a client may take for its greeting, and for any message that it has begun.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests in a second; whoever asks faster waits (limits: row 40).
pub(super) const REQUESTS_PER_SECOND: u32 = 200;

/// Why a client was cut off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Its bytes are no message.
    #[error("it sent {0}")]
    Malformed(#[from] CodecError),
    /// It began a message and did not finish it.
    #[error("its message was not complete after {} s", READ_TIMEOUT.as_secs())]
    SlowMessage,
    /// It did not take its answers.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The connection broke in the middle of a message.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Serves a client until it goes away.
pub(crate) async fn serve(
    stream: UnixStream,
    user: User,
    presence: &Rc<Presence>,
    clients: &Rc<RefCell<Clients>>,
    daemon: &Rc<RefCell<Daemon>>,
) -> Result<(), ClientError> {
    let (reader, writer) = stream.into_split();
    let (output, frames) = Output::new();
    let mut writing = pin!(output::write_all(frames, writer, WRITE_TIMEOUT));
    let ended = tokio::select! {
        written = &mut writing => return Ok(written?),
        ended = converse(BufReader::new(reader), output, user, (presence, clients), daemon) => ended,
    };
    // What was answered already still goes out.
    writing.await?;
    ended
}

async fn converse(
    mut reader: impl AsyncRead + Unpin,
    output: Output,
    user: User,
    (presence, clients): (&Rc<Presence>, &Rc<RefCell<Clients>>),
    daemon: &Rc<RefCell<Daemon>>,
) -> Result<(), ClientError> {
    if greet(&mut reader, &output, (&user, presence.session), daemon).await? == Greeting::Refused {
        return Ok(());
    }
    let workspace = Workspace::new(Rc::clone(daemon), Rc::clone(presence), Rc::clone(clients), &user);
    let mut session = Session::new(Rc::clone(daemon), output, workspace, user);
    let mut pace = Pace::default();
    loop {
        let request = match read_message(&mut reader).await.and_then(|body| match body {
            Some(body) => Ok(Some(codec::decode::<Request>(&body)?)),
            None => Ok(None),
        }) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) => {
                let _ = session
                    .output()
                    .answer(0, false, Err(protocol_error(error.to_string())))
                    .await;
                return Err(error);
            }
        };
        presence.last_request.set(Instant::now());
        pace.keep().await;
        if session.handle(request).await == Err(Gone) {
            return Ok(());
        }
    }
}

#[derive(PartialEq, Eq)]
enum Greeting {
    Accepted,
    Refused,
}

async fn greet(
    reader: &mut (impl AsyncRead + Unpin),
    output: &Output,
    (user, session): (&User, u64),
    daemon: &Rc<RefCell<Daemon>>,
) -> Result<Greeting, ClientError> {
    let hello = tokio::time::timeout(READ_TIMEOUT, read_message(reader)).await;
    let hello = hello
        .map_err(|_| ClientError::SlowMessage)
        .flatten()
        .and_then(|body| match body {
            Some(body) => Ok(Some(codec::decode::<Hello>(&body)?)),
            None => Ok(None),
        });
    let (reply, result): (HelloReply, _) = match hello {
        Ok(None) => return Ok(Greeting::Refused),
        Err(error) => (Err(protocol_error(error.to_string())), Err(error)),
        Ok(Some(hello)) if hello.api_version != API_VERSION => {
            let text = format!(
                "this knetd ({}) speaks version {API_VERSION} of the control protocol, the client ({}) version {}",
                env!("CARGO_PKG_VERSION"),
                crate::logging::clean(&hello.build, 64),
                hello.api_version
            );
            let error = ApiError::new(ErrorCode::Protocol, text).with_hint("install both of one release");
            (Err(error), Ok(Greeting::Refused))
        }
        Ok(Some(_)) => match user.privilege() {
            None => (Err(authorize::stranger(user)), Ok(Greeting::Refused)),
            Some(privilege) => {
                let daemon = daemon.borrow();
                let hello = Hello {
                    api_version: API_VERSION,
                    build: env!("CARGO_PKG_VERSION").into(),
                    table_hash: table_hash(),
                };
                let welcome = Welcome {
                    hello,
                    hostname: daemon.hostname(),
                    privilege,
                    revision: daemon.revision(),
                    session,
                    pending: daemon.pending(),
                };
                (Ok(welcome), Ok(Greeting::Accepted))
            }
        },
    };
    // If it is gone, reading will tell.
    let _ = output.send(&reply).await;
    result
}

/// The body of the next message; `None` at the end of the stream. A client may be silent for as long as it likes
/// between messages, not within one.
async fn read_message(reader: &mut (impl AsyncRead + Unpin)) -> Result<Option<Vec<u8>>, ClientError> {
    let mut header = [0; HEADER];
    match reader.read(&mut header[..1]).await {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        // Closed with answers unread: an end like any other.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let message = async {
        reader.read_exact(&mut header[1..]).await?;
        let mut body = vec![0; codec::body_length(header, codec::MAX_REQUEST)?];
        reader.read_exact(&mut body).await?;
        Ok(Some(body))
    };
    tokio::time::timeout(READ_TIMEOUT, message)
        .await
        .unwrap_or(Err(ClientError::SlowMessage))
}

/// Slows down who asks too fast.
struct Pace {
    next: tokio::time::Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            next: tokio::time::Instant::now(),
        }
    }
}

impl Pace {
    /// Returns at once for the first [`REQUESTS_PER_SECOND`] and at their rate from then on.
    async fn keep(&mut self) {
        let now = tokio::time::Instant::now();
        self.next = self.next.max(now) + Duration::from_secs(1) / REQUESTS_PER_SECOND;
        if let Some(free) = self
            .next
            .checked_sub(Duration::from_secs(1))
            .filter(|free| *free > now)
        {
            tokio::time::sleep_until(free).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test)
    }

    #[test]
    fn messages_are_read_whole_or_refused() {
        run(async {
            let frame = codec::encode(&7_u32, 100).unwrap();
            let mut two = &[frame.clone(), frame.clone()].concat()[..];
            assert_eq!(read_message(&mut two).await.unwrap().unwrap(), frame[HEADER..]);
            assert!(read_message(&mut two).await.unwrap().is_some());
            assert!(read_message(&mut two).await.unwrap().is_none());
            for cut in 1..frame.len() {
                assert!(
                    matches!(read_message(&mut &frame[..cut]).await, Err(ClientError::Io(_))),
                    "{cut}"
                );
            }
            let long = (codec::MAX_REQUEST as u32 + 1).to_le_bytes();
            let error = read_message(&mut &long[..]).await.unwrap_err();
            assert!(
                matches!(error, ClientError::Malformed(CodecError::TooLong { .. })),
                "{error}"
            );
        });
    }

    #[test]
    fn who_asks_too_fast_waits() {
        run(async {
            let (start, mut pace) = (Instant::now(), Pace::default());
            for _ in 0..REQUESTS_PER_SECOND - 1 {
                pace.keep().await;
            }
            assert!(
                start.elapsed() < Duration::from_millis(500),
                "{:?}",
                start.elapsed()
            );
            for _ in 0..41 {
                pace.keep().await;
            }
            assert!(
                start.elapsed() >= Duration::from_millis(190),
                "{:?}",
                start.elapsed()
            );
        });
    }
}
