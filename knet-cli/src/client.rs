//! The connection to the daemon.

use std::{
    io::{
        ErrorKind::{Interrupted, TimedOut, WouldBlock},
        Read as _, Write as _,
    },
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use knet_api::{
    codec::{self, Decoder, Message},
    grammar::table_hash,
    message::{
        API_VERSION, ErrorCode, Hello, HelloReply, Page, Reply, Request, RequestBody, Response, Rows, Source,
        Welcome,
    },
};

use crate::failure::Failure;

/// Rows asked for at once.
const PAGE: u32 = 500;
/// How often it looks whether the user has had enough.
const LOOK: Duration = Duration::from_millis(100);
/// How long the end waits for an answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection on which one request is under way at a time.
#[derive(Debug)]
pub(crate) struct Client {
    path: PathBuf,
    stream: UnixStream,
    decoder: Decoder,
    timeout: Duration,
    last_id: u32,
    /// Becomes true when the user has had enough.
    interrupt: Option<Arc<AtomicBool>>,
    /// What the daemon said of itself.
    pub(crate) welcome: Welcome,
}

impl Client {
    pub(crate) fn connect(path: &Path, timeout: Duration) -> Result<Self, Failure> {
        let stream = UnixStream::connect(path).map_err(|error| Failure::connecting(&error, path))?;
        stream.set_write_timeout(Some(timeout))?;
        let hello = Hello {
            api_version: API_VERSION,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            table_hash: table_hash(),
        };
        let welcome = Welcome {
            hello: hello.clone(),
            hostname: String::new(),
            privilege: knet_api::message::Privilege::Operator,
            revision: 0,
            session: 0,
            pending: None,
        };
        let decoder = Decoder::new(codec::MAX_RESPONSE);
        let mut client = Self {
            path: path.to_owned(),
            stream,
            decoder,
            timeout,
            last_id: 0,
            interrupt: None,
            welcome,
        };
        // A daemon that turns us away may have closed already: its reason is still there to be read.
        let written = client.write(&hello);
        let answer: Result<HelloReply, Failure> = client.read(Some(timeout));
        client.welcome = match (answer, written) {
            (Ok(answer), _) => answer?,
            (Err(_), Err(failure)) | (Err(failure), Ok(())) => return Err(failure),
        };
        Ok(client)
    }

    /// Another connection to the same daemon.
    pub(crate) fn again(&self) -> Result<Self, Failure> {
        let interrupt = self.interrupt.clone();
        Ok(Self {
            interrupt,
            ..Self::connect(&self.path, self.timeout)?
        })
    }

    /// Another connection to the same daemon, which the user does not end.
    pub(crate) fn beside(&self) -> Result<Self, Failure> {
        Self::connect(&self.path, self.timeout)
    }

    /// From now on a request ends when `interrupt` becomes true.
    pub(crate) fn end_on(&mut self, interrupt: Arc<AtomicBool>) {
        self.interrupt = Some(interrupt);
    }

    /// A handle by which another thread can end the connection.
    pub(crate) fn connection(&self) -> Result<UnixStream, Failure> {
        Ok(self.stream.try_clone()?)
    }

    /// Whether the daemon has other tables than this program.
    pub(crate) fn tables_differ(&self) -> bool {
        self.welcome.hello.table_hash != table_hash()
    }

    /// Asks, and waits for the one answer.
    pub(crate) fn call(&mut self, body: RequestBody) -> Result<Reply, Failure> {
        let mut last = None;
        self.stream(body, Some(self.timeout), |reply| {
            last = Some(reply);
            Ok(())
        })?;
        last.ok_or_else(unexpected)
    }

    /// Says something before the end, and waits a moment for the answer if there is still a connection: the daemon reads
    /// what was sent before it sees the end.
    pub(crate) fn last_call(&mut self, body: RequestBody) -> Result<(), Failure> {
        self.last_id = self.last_id.wrapping_add(1);
        let id = self.last_id;
        self.write(&Request { id, body })?;
        loop {
            let response: Response = self.read(Some(self.timeout.min(FAREWELL)))?;
            if response.id == id {
                return Ok(());
            }
        }
    }

    /// Asks for a text.
    pub(crate) fn text(&mut self, body: RequestBody) -> Result<String, Failure> {
        let mut text = String::new();
        self.stream(body, Some(self.timeout), |reply| {
            let Reply::Text(piece) = reply else {
                return Err(unexpected());
            };
            text.push_str(&piece);
            Ok(())
        })?;
        Ok(text)
    }

    /// Asks for all pages of a list.
    pub(crate) fn pages<T>(
        &mut self,
        request: impl Fn(Page) -> RequestBody,
        rows_of: impl Fn(Reply) -> Option<Rows<T>>,
    ) -> Result<Vec<T>, Failure> {
        Ok(self.some(u32::MAX, request, rows_of)?.0)
    }

    /// Asks for the first rows of a list, `most` of them, and whether there are more.
    pub(crate) fn some<T>(
        &mut self,
        most: u32,
        request: impl Fn(Page) -> RequestBody,
        rows_of: impl Fn(Reply) -> Option<Rows<T>>,
    ) -> Result<(Vec<T>, bool), Failure> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            // The daemon may send fewer than it is asked for.
            let limit = most.saturating_sub(all.len() as u32).min(PAGE);
            let reply = self.call(request(Page { cursor, limit }))?;
            let Rows { rows, next } = rows_of(reply).ok_or_else(unexpected)?;
            all.extend(rows);
            cursor = next;
            if cursor.is_none() || all.len() >= most as usize {
                return Ok((all, cursor.is_some()));
            }
        }
    }

    /// Names that begin with `prefix`; none where the daemon cannot tell.
    pub(crate) fn names(&mut self, source: Source, prefix: &str, limit: u32) -> Vec<String> {
        match self.call(RequestBody::Complete {
            source,
            prefix: prefix.to_owned(),
            limit,
        }) {
            Ok(Reply::Names(names)) => names,
            _ => Vec::new(),
        }
    }

    /// Asks, and hands on each answer until the last. `patience` is how long to wait for each.
    pub(crate) fn stream(
        &mut self,
        body: RequestBody,
        patience: Option<Duration>,
        mut each: impl FnMut(Reply) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.last_id = self.last_id.wrapping_add(1);
        let id = self.last_id;
        let request = Request { id, body };
        if let Err(Failure::Lost(_)) = self.write(&request) {
            // The daemon has ended the connection before it could see the request: because it was idle for
            // long, or because it was started anew.
            let again = self.again()?;
            *self = Self { last_id: id, ..again };
            self.write(&request)?;
        }
        loop {
            let response: Response = match self.read(patience) {
                Err(Failure::Interrupted) => {
                    self.cancel(id)?;
                    return Err(Failure::Interrupted);
                }
                response => response?,
            };
            // Answers to a request that was given up earlier.
            if response.id != id {
                continue;
            }
            if let Err(failure) = each(response.body?) {
                if response.more {
                    self.cancel(id)?;
                }
                return Err(failure);
            }
            if !response.more {
                return Ok(());
            }
        }
    }

    /// Gives up a request. Its answers, and that to this one, are passed over when they come.
    fn cancel(&mut self, id: u32) -> Result<(), Failure> {
        self.last_id = self.last_id.wrapping_add(1);
        self.write(&Request {
            id: self.last_id,
            body: RequestBody::Cancel { id },
        })
    }

    /// Whether the user has had enough.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupt
            .as_ref()
            .is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
    }

    fn write<T: Message>(&mut self, message: &T) -> Result<(), Failure> {
        let frame = codec::encode(message, codec::MAX_REQUEST)?;
        Ok(self.stream.write_all(&frame)?)
    }

    fn read<T: Message>(&mut self, patience: Option<Duration>) -> Result<T, Failure> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let taken = self
                .decoder
                .take()
                .map_err(|error| Failure::Lost(format!("knetd sent {error}")))?;
            if let Some(message) = taken {
                return Ok(message);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(Failure::Timeout);
            }
            if self.interrupted() {
                return Err(Failure::Interrupted);
            }
            let wait = match &self.interrupt {
                Some(_) => Some(left.map_or(LOOK, |left| left.min(LOOK))),
                None => left,
            };
            self.stream.set_read_timeout(wait)?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Failure::Lost("knetd has closed the connection".to_owned())),
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) if matches!(error.kind(), Interrupted | WouldBlock | TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether a failure leaves the connection of no more use.
    pub(crate) fn broken_by(failure: &Failure) -> bool {
        match failure {
            Failure::Lost(_) | Failure::Timeout => true,
            Failure::Refused { error, .. } => error.code == ErrorCode::Protocol,
            _ => false,
        }
    }
}

pub(crate) fn unexpected() -> Failure {
    Failure::Lost("knetd gave an answer to another question".to_owned())
}
