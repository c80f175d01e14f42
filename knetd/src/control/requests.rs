//! What one client asks for, and the long-running answers that it has going.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use libknet::api::{
    message::{ApiError, ErrorCode, Privilege, Reply, Request, RequestBody},
    render::render,
};
use tokio::task::{AbortHandle, JoinSet};

use super::{
    authorize, monitor, names,
    output::{Gone, Output, protocol_error},
    ping::{self, Ping},
    show,
};
use crate::daemon::Daemon;

/// Long-running requests of one client at once.
const JOBS: usize = 16;

/// A client that was let in.
pub(crate) struct Session {
    daemon: Rc<RefCell<Daemon>>,
    output: Output,
    user: String,
    privilege: Privilege,
    /// Aborted when the client goes.
    jobs: JoinSet<Result<(), Gone>>,
    running: HashMap<u32, AbortHandle>,
}

impl Session {
    /// A session without requests.
    pub(crate) fn new(
        daemon: Rc<RefCell<Daemon>>,
        output: Output,
        user: String,
        privilege: Privilege,
    ) -> Self {
        Self {
            daemon,
            output,
            user,
            privilege,
            jobs: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    /// The way to the client.
    pub(crate) fn output(&self) -> &Output {
        &self.output
    }

    /// Answers a request, or begins to.
    pub(crate) async fn handle(&mut self, request: Request) -> Result<(), Gone> {
        let Request { id, body } = request;
        while self.jobs.try_join_next().is_some() {}
        self.running.retain(|_, job| !job.is_finished());

        if self.privilege < authorize::required(&body) {
            let error = ApiError::new(
                ErrorCode::Denied,
                format!("user {} may look and not change", self.user),
            )
            .with_hint("be root, or a member of group knet");
            return self.output.answer(id, false, Err(error)).await;
        }
        if self.running.contains_key(&id) {
            return self
                .output
                .answer(
                    id,
                    false,
                    Err(protocol_error("a request of this id is under way")),
                )
                .await;
        }
        match body {
            RequestBody::Monitor => {
                let watcher = self.daemon.borrow().events.watch();
                self.begin(id, monitor::run(watcher, self.output.clone(), id))
                    .await
            }
            RequestBody::Ping {
                interface,
                peer,
                link,
                count,
                interval_ms,
                timeout_ms,
            } => {
                let ping = Ping {
                    interface,
                    peer,
                    link,
                    count,
                    interval_ms,
                    timeout_ms,
                };
                self.begin(
                    id,
                    ping::run(Rc::clone(&self.daemon), self.output.clone(), id, ping),
                )
                .await
            }
            RequestBody::Cancel { id: which } => self.cancel(id, which).await,
            RequestBody::RunningConfig { all } => {
                let config = self.daemon.borrow().config().clone();
                self.output.text(id, &render(&config, all)).await
            }
            RequestBody::StartupConfig => {
                let path = self.daemon.borrow().config_file().to_owned();
                match std::fs::read_to_string(&path) {
                    Ok(text) => self.output.text(id, &text).await,
                    Err(error) => {
                        let code = match error.kind() {
                            std::io::ErrorKind::NotFound => ErrorCode::NotFound,
                            _ => ErrorCode::System,
                        };
                        let error = ApiError::new(code, format!("{}: {error}", path.display()));
                        self.output.answer(id, false, Err(error)).await
                    }
                }
            }
            body => {
                let answer = self.answer(body).await;
                self.output.answer(id, false, answer).await
            }
        }
    }

    /// Answers that consist of one message.
    async fn answer(&self, body: RequestBody) -> Result<Reply, ApiError> {
        let daemon = &*self.daemon;
        match body {
            RequestBody::Edit { ops, base } => {
                let mut daemon = daemon.borrow_mut();
                let notes = daemon.edit(&ops, base, &self.user)?;
                Ok(Reply::Edited {
                    revision: daemon.revision(),
                    hostname: daemon.hostname(),
                    notes,
                })
            }
            RequestBody::WriteMemory => {
                let mut daemon = daemon.borrow_mut();
                let bytes = daemon.write_memory()?;
                let path = daemon.config_file().display().to_string();
                Ok(Reply::Written {
                    path,
                    bytes,
                    revision: daemon.revision(),
                })
            }
            RequestBody::Version => Ok(Reply::Version(show::version(&daemon.borrow()))),
            RequestBody::Interfaces { interface } => show::interfaces(daemon, interface.as_deref()).await,
            RequestBody::Peers { interface, page } => show::peers(daemon, interface.as_deref(), &page).await,
            RequestBody::Peer { interface, peer } => show::peer(daemon, interface.as_deref(), &peer).await,
            RequestBody::Links {
                interface,
                peer,
                page,
            } => show::links(daemon, interface.as_deref(), peer.as_deref(), &page).await,
            RequestBody::Macs { interface, page } => show::macs(daemon, interface.as_deref(), &page).await,
            RequestBody::Logging { lines } => Ok(Reply::Logging(daemon.borrow().log.latest(lines as usize))),
            RequestBody::History {
                interface,
                peer,
                last,
            } => show::history(&daemon.borrow(), interface.as_deref(), &peer, last),
            RequestBody::ClearCounters { interface } => {
                show::clear_counters(daemon, interface.as_deref()).await
            }
            RequestBody::Complete {
                source,
                prefix,
                limit,
            } => Ok(Reply::Names(names::complete(
                daemon.borrow().config(),
                &source,
                &prefix,
                limit as usize,
            ))),
            RequestBody::Monitor
            | RequestBody::Ping { .. }
            | RequestBody::Cancel { .. }
            | RequestBody::RunningConfig { .. }
            | RequestBody::StartupConfig => Err(ApiError::new(
                ErrorCode::Internal,
                "a request was answered in the wrong place",
            )),
        }
    }

    async fn begin(
        &mut self,
        id: u32,
        job: impl Future<Output = Result<(), Gone>> + 'static,
    ) -> Result<(), Gone> {
        if self.running.len() >= JOBS {
            let error = ApiError::new(ErrorCode::Busy, format!("{JOBS} requests are under way already"));
            return self.output.answer(id, false, Err(error)).await;
        }
        let handle = self.jobs.spawn_local(job);
        self.running.insert(id, handle);
        Ok(())
    }

    async fn cancel(&mut self, id: u32, which: u32) -> Result<(), Gone> {
        let Some(job) = self.running.remove(&which) else {
            let error = ApiError::new(ErrorCode::NotFound, format!("no request {which} is under way"));
            return self.output.answer(id, false, Err(error)).await;
        };
        job.abort();
        let ended = ApiError::new(ErrorCode::Cancelled, "cancelled");
        self.output.answer(which, false, Err(ended)).await?;
        self.output.answer(id, false, Ok(Reply::Done)).await
    }
}
