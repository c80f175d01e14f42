//! What one client asks for, and the long-running answers that it has going.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use libknet::api::{
    apply::Edited,
    edit::Op,
    message::{ApiError, ErrorCode, Reply, Request, RequestBody},
    model::Config,
    render::render,
};
use tokio::task::{AbortHandle, JoinSet};

use super::{
    act, authorize, certificates, groups, hubs, invitations, limits, monitor, names,
    output::{Gone, Output, protocol_error},
    ping::{self, Ping},
    pools, show, tables,
    workspace::Workspace,
};
use crate::{account::User, daemon::Daemon};

/// Long-running requests of one client at once.
pub(super) const JOBS: usize = 16;

/// A client that was let in.
pub(crate) struct Session {
    daemon: Rc<RefCell<Daemon>>,
    output: Output,
    workspace: Workspace,
    user: User,
    /// The configuration that this client tries changes on.
    trial: Option<Config>,
    /// Aborted when the client goes.
    jobs: JoinSet<Result<(), Gone>>,
    running: HashMap<u32, AbortHandle>,
}

impl Session {
    /// A session without requests.
    pub(crate) fn new(daemon: Rc<RefCell<Daemon>>, output: Output, workspace: Workspace, user: User) -> Self {
        Self {
            daemon,
            output,
            workspace,
            user,
            trial: None,
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

        if let Err(error) = authorize::permit(&self.user, &body) {
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
            RequestBody::Announcements => match self.workspace.listen() {
                Ok(watcher) => {
                    self.begin(id, monitor::announcements(watcher, self.output.clone(), id))
                        .await
                }
                Err(error) => self.output.answer(id, false, Err(error)).await,
            },
            RequestBody::Cancel { id: which } => self.cancel(id, which).await,
            RequestBody::Try { ops } => {
                let answer = self.try_edit(&ops);
                self.output.answer(id, false, answer).await
            }
            RequestBody::RunningConfig { all } => {
                let config = self.daemon.borrow().config().clone();
                self.output.text(id, &render(&config, all)).await
            }
            RequestBody::ExpandedConfig => {
                let config = self.daemon.borrow().in_force().clone();
                self.output.text(id, &render(&config, false)).await
            }
            RequestBody::StartupConfig => {
                let text = self.workspace.startup_text();
                self.text(id, text).await
            }
            RequestBody::ConfigText(version) => {
                let text = self.workspace.text(version);
                self.text(id, text).await
            }
            RequestBody::ConfigDiff { from, to } => {
                let text = self.workspace.diff(from, to);
                self.text(id, text).await
            }
            body => {
                let answer = self.answer(body).await;
                self.output.answer(id, false, answer).await
            }
        }
    }

    async fn text(&self, id: u32, text: Result<String, ApiError>) -> Result<(), Gone> {
        match text {
            Ok(text) => self.output.text(id, &text).await,
            Err(error) => self.output.answer(id, false, Err(error)).await,
        }
    }

    /// Answers that consist of one message.
    async fn answer(&mut self, body: RequestBody) -> Result<Reply, ApiError> {
        let daemon = &*self.daemon;
        match body {
            RequestBody::Edit { ops, base } => {
                let mut daemon = daemon.borrow_mut();
                let notes = daemon.edit(&ops, base, self.workspace.author())?;
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
            RequestBody::Peers {
                interface,
                page,
                only,
            } => show::peers(daemon, interface.as_deref(), &page, &only).await,
            RequestBody::Peer { interface, peer } => show::peer(daemon, interface.as_deref(), &peer).await,
            RequestBody::Links {
                interface,
                peer,
                page,
                only,
            } => show::links(daemon, interface.as_deref(), peer.as_deref(), &page, &only).await,
            RequestBody::Macs { interface, page } => tables::macs(daemon, interface.as_deref(), &page).await,
            RequestBody::Neighbors {
                interface,
                peer,
                page,
            } => tables::neighbors(daemon, interface.as_deref(), peer.as_deref(), &page).await,
            RequestBody::Vlans { interface, page } => {
                tables::vlans(daemon, interface.as_deref(), &page).await
            }
            RequestBody::Listeners { interface, page } => {
                tables::listeners(daemon, interface.as_deref(), &page).await
            }
            RequestBody::ClearNeighbors { interface } => {
                tables::clear_neighbors(daemon, interface.as_deref()).await
            }
            RequestBody::ClearLoopGuard { interface, peer } => {
                tables::clear_loop_guard(daemon, interface.as_deref(), peer.as_deref()).await
            }
            RequestBody::Logging { lines } => Ok(Reply::Logging(daemon.borrow().log.latest(lines as usize))),
            RequestBody::History {
                interface,
                peer,
                last,
            } => show::history(&daemon.borrow(), interface.as_deref(), &peer, last),
            RequestBody::ResetPeer {
                interface,
                peer,
                link,
            } => act::reset(
                &mut daemon.borrow_mut(),
                interface.as_deref(),
                &peer,
                link,
                &self.user.name,
            ),
            RequestBody::GenerateKey { file } => act::generate_key(&daemon.borrow(), &file),
            RequestBody::ReloadConfig => act::reload(&mut daemon.borrow_mut(), &self.user.name),
            RequestBody::Groups { interface, group } => {
                groups::rows(&daemon.borrow(), interface.as_deref(), group.as_deref())
            }
            RequestBody::Certificates { interface } => {
                certificates::report(&daemon.borrow(), interface.as_deref())
            }
            RequestBody::Invite(order) => daemon
                .borrow_mut()
                .invite(&order, &self.user.name)
                .map(Reply::Invited),
            RequestBody::Join {
                invitation,
                interface,
            } => daemon
                .borrow_mut()
                .join(&invitation, interface.as_deref(), self.workspace.author())
                .map(Reply::Joined),
            RequestBody::Invitations { interface } => {
                invitations::report(&daemon.borrow(), interface.as_deref())
            }
            RequestBody::IpPools { interface } => {
                pools::rows(&mut daemon.borrow_mut(), interface.as_deref()).map(Reply::IpPools)
            }
            RequestBody::IpPoolLeases { interface } => pools::leases(&daemon.borrow(), interface.as_deref()),
            RequestBody::ClearIpPoolLease { interface, peer } => daemon
                .borrow_mut()
                .clear_lease(interface.as_deref(), &peer, &self.user.name)
                .map(|()| Reply::Done),
            RequestBody::ClearInvitations { interface, id } => daemon
                .borrow_mut()
                .clear_invitations(interface.as_deref(), id.as_deref(), &self.user.name)
                .map(Reply::Names),
            RequestBody::RemoveMember { interface, peer } => daemon
                .borrow_mut()
                .remove_member(interface.as_deref(), &peer, &self.user.name)
                .map(|()| Reply::Done),
            RequestBody::HubGroups(of) => hubs::rows(daemon, &of).await,
            RequestBody::Limits { interface } => limits::rows(daemon, interface.as_deref()).await,
            RequestBody::ClearCounters { interface } => {
                show::clear_counters(daemon, interface.as_deref()).await
            }
            RequestBody::Complete {
                source,
                prefix,
                limit,
            } => {
                let config = if names::are_written(&source) {
                    self.workspace.at_hand()
                } else {
                    self.workspace.in_force_at_hand()
                };
                let names = names::complete(&config, &source, &prefix, limit as usize);
                Ok(Reply::Names(names))
            }
            body => self.workspace.answer(body).await,
        }
    }

    fn try_edit(&mut self, ops: &[Op]) -> Result<Reply, ApiError> {
        let mut daemon = self.daemon.borrow_mut();
        let trial = self.trial.get_or_insert_with(|| Config::clone(daemon.config()));
        let Edited { config, notes } = daemon.try_edit(trial, ops)?;
        *trial = config;
        Ok(Reply::Edited {
            revision: daemon.revision(),
            hostname: daemon.hostname(),
            notes,
        })
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
