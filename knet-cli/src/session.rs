//! What one line does: the state of a shell and the commands on it.

use std::{collections::BTreeMap, io, sync::PoisonError, time::Duration};

use knet_api::{
    edit::Context,
    grammar::{Command, Edit, Line, Show, help, parse},
    message::{Privilege, Reply, RequestBody},
    problem::Problem,
    transaction::{Entry, Version},
};
use serde_json::json;

use crate::{
    client::{Client, unexpected},
    document::{Document, Format},
    failure::Failure,
    file::{self, Existing},
    live,
    monitor::{SharedWanted, Wanted},
    output::{Output, clean, note, print},
    ping,
    pipe::{self, Pipe},
    probe,
    show::{self, drops::Seen},
    table::pairs,
    tech_support,
    terminal::{self, Key, Keyboard},
    transaction,
};

/// What follows a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The next line.
    Next,
    /// The end of the shell.
    Leave,
    /// Other events on this terminal, or none any more.
    Events,
}

/// A shell.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
    /// The object of the configuration that the shell stands in; `None`: outside.
    pub(crate) context: Option<Context>,
    /// What may be done now: at most what the daemon grants.
    pub(crate) privilege: Privilege,
    /// What was typed.
    pub(crate) history: Vec<String>,
    /// Whether anything was changed and not saved.
    pub(crate) unsaved: bool,
    /// Whether the configuration at hand is a candidate.
    pub(crate) candidate: bool,
    /// The daemon's number of the connection.
    connection: u64,
    /// What events are shown.
    pub(crate) wanted: SharedWanted,
    /// What was discarded when it was shown last.
    seen: Seen,
    /// What is set for the terminal.
    pub(crate) terminal: terminal::Settings,
    /// Whether long texts stop at each screen: a person reads them.
    pub(crate) paged: bool,
    hostname: String,
    broken: bool,
    /// What is incomplete in objects that were changed, until the shell leaves them.
    notes: BTreeMap<Context, Vec<Problem>>,
}

const HELP: &str = "\
Type ? anywhere to see what may follow, and Tab to complete a word or a name.
Words may be abbreviated as long as they are clear: `sh ru` is `show running-config`.
`configure terminal` enters the configuration. Each line there takes effect at once, whole or not at all:
`no LINE` undoes it, `default LINE` puts a setting back to its default, `exit` goes one level out,
`end` or Ctrl-Z leaves, `do COMMAND` gives a command from there. `write memory` saves.
`configure candidate` edits a copy: `commit check` tells what it would do, `commit` puts it in force, `commit confirmed`
undoes it unless it is confirmed. `show configuration history` lists what was, `rollback N` goes back.
`show ... | include REGEX` filters what is shown, `| json` prints it for programs, `| redirect FILE` keeps it.
`show commands` lists everything that can be typed, `find WORD` what speaks of WORD.";

impl Session {
    pub(crate) fn new(client: Client, output: Output) -> Self {
        Self {
            context: None,
            privilege: client.welcome.privilege,
            history: Vec::new(),
            unsaved: false,
            candidate: false,
            connection: client.welcome.session,
            wanted: SharedWanted::default(),
            seen: Seen::default(),
            terminal: terminal::Settings::default(),
            paged: false,
            hostname: clean(&client.welcome.hostname),
            broken: false,
            notes: BTreeMap::new(),
            client,
            output,
        }
    }

    pub(crate) fn prompt(&self) -> String {
        let host = &self.hostname;
        let mode = if self.candidate { "candidate" } else { "config" };
        match &self.context {
            None if self.privilege == Privilege::Operator => format!("{host}> "),
            None => format!("{host}# "),
            Some(context) => format!("{host}({mode}{})# ", place(context)),
        }
    }

    /// Does what `line` says.
    pub(crate) fn run(&mut self, line: &str) -> Result<Flow, Failure> {
        if self.broken {
            self.reconnect()?;
        }
        let context = self.context.clone();
        let mut result = self.run_line(line);
        if let Err(failure) = &mut result {
            self.broken = Client::broken_by(failure);
            failure.blame_argument(context.as_ref(), line);
        }
        self.notice_another_connection();
        result
    }

    /// With a connection go the candidate and the lock that the daemon held for it.
    fn notice_another_connection(&mut self) {
        let connection = self.client.welcome.session;
        if connection != self.connection {
            self.connection = connection;
            if std::mem::take(&mut self.candidate) {
                note("% The connection to knetd was made anew; the candidate ended with the old one");
                self.go(None);
            }
        }
    }

    fn reconnect(&mut self) -> Result<(), Failure> {
        self.client = self.client.again()?;
        self.hostname = clean(&self.client.welcome.hostname);
        self.privilege = self.privilege.min(self.client.welcome.privilege);
        self.broken = false;
        self.notice_another_connection();
        Ok(())
    }

    fn run_line(&mut self, line: &str) -> Result<Flow, Failure> {
        if let Some(beginning) = self.asks_for_help(line) {
            for line in self.help(beginning)? {
                self.output.line(&line)?;
            }
            return Ok(Flow::Next);
        }
        let syntax = |error| Failure::Syntax {
            line: line.to_owned(),
            error: Box::new(error),
        };
        if let Some(behind) = pipe::behind(self.context.as_ref(), line) {
            let pipe = pipe::parse(line, behind.start, behind.pipes).map_err(syntax)?;
            return self.command(behind.command, &pipe);
        }
        match parse(self.context.as_ref(), line).map_err(syntax)? {
            Line::Nothing => Ok(Flow::Next),
            Line::Edit(edit) => self.edit(line, edit),
            Line::Command(command) => self.command(command, &Pipe::default()),
        }
    }

    /// The part before the `?` of a line that asks for help by ending with one. A description may end so, too.
    fn asks_for_help<'a>(&self, line: &'a str) -> Option<&'a str> {
        let beginning = line.trim_end().strip_suffix('?')?;
        let says_something = || {
            matches!(
                parse(self.context.as_ref(), line),
                Ok(Line::Edit(_) | Line::Nothing)
            )
        };
        (!says_something()).then_some(beginning)
    }

    /// What may follow `line`, as printed for people.
    fn help(&self, line: &str) -> Result<Vec<String>, Failure> {
        help_lines(self.context.as_ref(), self.privilege, line)
    }

    fn edit(&mut self, line: &str, edit: Edit) -> Result<Flow, Failure> {
        let touched: Vec<Context> = edit.ops.iter().map(|op| op.context().clone()).collect();
        let Edit { ops, enter, words } = edit;
        let request = if self.candidate {
            RequestBody::EditCandidate { ops }
        } else {
            RequestBody::Edit { ops, base: None }
        };
        match self.client.call(request) {
            Ok(Reply::Edited { hostname, notes, .. }) => {
                self.hostname = clean(&hostname);
                self.unsaved |= !self.candidate;
                for context in touched {
                    let of_it = notes
                        .iter()
                        .filter(|note| note.place.as_ref().is_some_and(|p| p.context == context));
                    self.notes.insert(context.clone(), of_it.cloned().collect());
                }
            }
            Ok(_) => return Err(unexpected()),
            Err(failure) => return Err(failure.blaming(line, &words)),
        }
        if enter.is_some() {
            self.go(enter);
        }
        Ok(Flow::Next)
    }

    /// Leaves the configuration, unless there are changes in the candidate.
    pub(crate) fn leave_configuration(&mut self) -> Result<(), Failure> {
        if self.context.is_some() {
            if !self.broken
                && let Reply::Entered {
                    pending: Some(pending),
                    ..
                } = self.client.call(RequestBody::Configure(Entry::default()))?
            {
                note(&format!("% {}", show::configuration::waits(&pending)));
            }
            self.go(None);
            self.candidate = false;
        }
        Ok(())
    }

    /// The connection ends on purpose, not because it was lost: what waits to be confirmed goes on waiting.
    pub(crate) fn leave(&mut self) {
        if !self.broken {
            // Whether the daemon hears it or not, nothing is left to do.
            let _ = self.client.last_call(RequestBody::Leave);
        }
    }

    /// The host name that is in force.
    pub(crate) fn set_hostname(&mut self, hostname: &str) {
        self.hostname = clean(hostname);
    }

    /// Goes to another object, and tells what is missing in those that are left.
    pub(crate) fn go(&mut self, to: Option<Context>) {
        let around = |context: &Option<Context>| std::iter::successors(context.clone(), Context::parent);
        let stays: Vec<Context> = around(&to).collect();
        for left in around(&self.context).filter(|context| !stays.contains(context)) {
            for missing in self.notes.remove(&left).unwrap_or_default() {
                self.output.missing(&missing);
            }
        }
        self.context = to;
    }

    /// What is incomplete is told by somebody else.
    pub(crate) fn forget_notes(&mut self) {
        self.notes.clear();
    }

    fn command(&mut self, command: Command, pipe: &Pipe) -> Result<Flow, Failure> {
        if command.privilege() > self.privilege {
            return Err(self.not_allowed());
        }
        let output = pipe.output(self.output);
        match command {
            Command::Enable if self.client.welcome.privilege < Privilege::Admin => {
                return Err(self.not_allowed());
            }
            Command::Enable => self.privilege = Privilege::Admin,
            Command::Disable => {
                self.leave_configuration()?;
                self.privilege = Privilege::Operator;
            }
            Command::Exit => match self.context.clone() {
                Some(Context::Global) => self.leave_configuration()?,
                Some(context) => self.go(context.parent()),
                None => return Ok(Flow::Leave),
            },
            Command::End => self.leave_configuration()?,
            Command::Transaction(transaction) => transaction::run(self, transaction)?,
            Command::Help => HELP.lines().try_for_each(|line| self.output.line(line))?,
            Command::Show(what) => self.show(&what, pipe)?,
            Command::Terminal(setting) => self.terminal.set(setting),
            Command::TechSupport { file, overwrite } => {
                let existing = if overwrite {
                    Existing::Replace
                } else {
                    Existing::Refuse
                };
                let written = tech_support::archive(&mut self.client, &file, existing)?;
                output.document(&written)?;
            }
            Command::ClearCounters { interface } => {
                self.client.call(RequestBody::ClearCounters { interface })?;
            }
            Command::ClearArp { interface } => {
                self.client.call(RequestBody::ClearNeighbors { interface })?;
            }
            Command::ClearLoopGuard { peer, interface } => {
                self.client
                    .call(RequestBody::ClearLoopGuard { interface, peer })?;
            }
            Command::WriteMemory => self.write_memory()?,
            Command::Ping {
                peer,
                link,
                count,
                interface,
            } => {
                ping::run(
                    &mut self.client,
                    output,
                    &ping::Order {
                        peer,
                        link,
                        count,
                        interface,
                    },
                )?;
            }
            Command::Monitor(on) => {
                self.want(|wanted| wanted.all = on);
                return Ok(Flow::Events);
            }
            Command::Debug { peer, link, on: true } => {
                // A name that nobody has would stay silent for ever.
                self.client.call(RequestBody::History {
                    interface: None,
                    peer: peer.clone(),
                    last: Some(0),
                })?;
                self.want(|wanted| wanted.add(&peer, link))?;
                return Ok(Flow::Events);
            }
            Command::Debug {
                peer,
                link,
                on: false,
            } => {
                if !self.want(|wanted| wanted.remove(&peer, link)) {
                    return Err(Failure::Unusable(format!(
                        "peer {peer} is not debugged; see `show debugging`"
                    )));
                }
                return Ok(Flow::Events);
            }
            Command::UndebugAll => {
                self.want(Wanted::clear);
                return Ok(Flow::Events);
            }
            Command::Watch { view, peer, interval } => {
                let order = live::Order {
                    view,
                    peer,
                    interval: Duration::from_secs(u64::from(interval)),
                };
                live::run(&mut self.client, output, self.terminal, &order)?;
            }
            Command::TestLink {
                peer,
                link,
                count,
                interface,
            } => {
                let order = probe::Order {
                    peer,
                    link,
                    count,
                    interface,
                };
                probe::run(&mut self.client, output, &order)?;
            }
            Command::Reset {
                peer,
                link,
                interface,
                force,
            } => {
                let what = link.map_or_else(
                    || format!("The session with peer {peer} ends and is made anew"),
                    |link| format!("Link {link} of peer {peer} begins anew"),
                );
                if !force && !self.confirmed(&what)? {
                    return Ok(Flow::Next);
                }
                self.client.call(RequestBody::ResetPeer {
                    interface,
                    peer,
                    link,
                })?;
            }
            Command::GenerateKey { file } => self.generate_key(file)?,
            Command::ReloadConfig => self.reload_config(pipe)?,
            Command::Invite(order) => match self.client.call(RequestBody::Invite(order))? {
                Reply::Invited(row) => self.answer(show::invitations::invited(&row), pipe)?,
                _ => return Err(unexpected()),
            },
            Command::Join {
                invitation,
                interface,
            } => self.join(invitation, interface)?,
            Command::ClearInvitation { id, interface } => {
                match self
                    .client
                    .call(RequestBody::ClearInvitations { interface, id })?
                {
                    Reply::Names(ids) => self.output.document(&show::invitations::cleared(&ids))?,
                    _ => return Err(unexpected()),
                }
            }
            Command::RemoveMember { peer, interface } => {
                self.client.call(RequestBody::RemoveMember { interface, peer })?;
            }
            Command::ClearIpPoolLease { peer, interface } => {
                self.client
                    .call(RequestBody::ClearIpPoolLease { interface, peer })?;
            }
        }
        Ok(Flow::Next)
    }

    fn not_allowed(&self) -> Failure {
        Failure::Denied(match self.client.welcome.privilege {
            Privilege::Admin => "this needs `enable` first".to_owned(),
            Privilege::Operator => {
                "this user may look and not change; be root or a member of the group `knet`".to_owned()
            }
        })
    }

    fn show(&mut self, what: &Show, pipe: &Pipe) -> Result<(), Failure> {
        let document = match what {
            Show::ConfigDiff { from, to } => transaction::diff(self, *from, *to)?,
            Show::History => {
                let lines = self.history.iter().map(|line| clean(line)).collect();
                Document::rows("history", json!(self.history), lines)
            }
            Show::Terminal => self.terminal.document(),
            Show::Debugging => self.want(|wanted| wanted.document()),
            what => show::document(&mut self.client, &mut self.seen, what)?,
        };
        self.answer(document, pipe)
    }

    /// Prints what the pipe leaves of `document`, or writes it where the pipe leads to.
    fn answer(&self, document: Document, pipe: &Pipe) -> Result<(), Failure> {
        let format = pipe.format.unwrap_or(self.output.format());
        let document = pipe.apply(document);
        // A count is no graph.
        let text = document.write(format).or_else(|| document.write(Format::Text));
        let text = text.unwrap_or_default();
        if let Some((name, existing)) = &pipe.redirect {
            let path = file::write(name, text.as_bytes(), *existing)?;
            return self.output.document(&file::written(&path, text.len()));
        }
        if self.paged && !pipe.no_more {
            return terminal::pager::show(&text, self.terminal);
        }
        print(&text)
    }

    /// Whether events are to be shown on this terminal.
    pub(crate) fn wants_events(&self) -> bool {
        self.want(|wanted| wanted.any())
    }

    fn want<T>(&self, change: impl FnOnce(&mut Wanted) -> T) -> T {
        change(&mut self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks whether something that disturbs traffic is to be done.
    fn confirmed(&self, what: &str) -> Result<bool, Failure> {
        if !self.paged {
            return Err(Failure::Unusable(format!(
                "{what}, and nobody can be asked here; with `force` at its end the command does it"
            )));
        }
        print(&format!("{what}. Go on? [y/N] "))?;
        let unreadable =
            |error: io::Error| Failure::Unusable(format!("the terminal cannot be read: {error}"));
        let mut keyboard = Keyboard::open().map_err(unreadable)?;
        let key = loop {
            if let Some(key) = keyboard.key(Duration::from_secs(60)).map_err(unreadable)? {
                break key;
            }
        };
        let yes = matches!(key, Key::Char('y' | 'Y'));
        print(if yes { "y\n" } else { "n\n" })?;
        Ok(yes)
    }

    fn generate_key(&mut self, file: String) -> Result<(), Failure> {
        let Reply::KeyMade { path, public_key } = self.client.call(RequestBody::GenerateKey { file })? else {
            return Err(unexpected());
        };
        let lines = vec![
            format!("A new private key is in {}", clean(&path)),
            format!("Its public key, for the peers: {}", clean(&public_key)),
        ];
        let value = json!({ "path": path, "public_key": public_key });
        self.output.document(&Document::object("key", value, lines))
    }

    fn join(&mut self, invitation: String, interface: Option<String>) -> Result<(), Failure> {
        let request = RequestBody::Join {
            invitation,
            interface,
        };
        let Reply::Joined(row) = self.client.call(request)? else {
            return Err(unexpected());
        };
        self.unsaved = true;
        self.output.document(&show::invitations::joined(&row))
    }

    fn reload_config(&mut self, pipe: &Pipe) -> Result<(), Failure> {
        // Before it is in force: afterwards nobody knows what was. What is wrong with the file, reading it tells.
        let change = self.client.text(RequestBody::ConfigDiff {
            from: Version::Running,
            to: Version::Startup,
        });
        let Reply::Edited {
            revision, hostname, ..
        } = self.client.call(RequestBody::ReloadConfig)?
        else {
            return Err(unexpected());
        };
        self.hostname = clean(&hostname);
        self.unsaved = false;
        self.answer(show::configuration::reloaded(&change?, revision), pipe)
    }

    fn write_memory(&mut self) -> Result<(), Failure> {
        let Reply::Written {
            path,
            bytes,
            revision,
        } = self.client.call(RequestBody::WriteMemory)?
        else {
            return Err(unexpected());
        };
        self.unsaved = false;
        let written = json!({ "path": path, "bytes": bytes, "revision": revision });
        let line = format!("Saved revision {revision} to {}, {bytes} bytes", clean(&path));
        self.output
            .document(&Document::object("written", written, vec![line]))
    }
}

/// What may follow `line`, as printed for people.
pub(crate) fn help_lines(
    context: Option<&Context>,
    privilege: Privilege,
    line: &str,
) -> Result<Vec<String>, Failure> {
    if let Some(behind) = pipe::behind(context, line) {
        return Ok(pairs(behind.help(line).into_iter()));
    }
    let lines = help(context, privilege, line).map_err(|error| Failure::Syntax {
        line: line.to_owned(),
        error: Box::new(error),
    })?;
    Ok(pairs(
        lines.iter().map(|line| (line.word.as_str(), line.text.as_str())),
    ))
}

/// The object at hand in the prompt: its kind and its name, and the host where it is among the lines of one.
fn place(context: &Context) -> String {
    match context {
        Context::Global => String::new(),
        Context::Interface { interface } => format!("-if:{interface}"),
        Context::Peer { peer, .. } => format!("-peer:{peer}"),
        Context::Link { peer, link, .. } => format!("-link:{peer}:{link}"),
        Context::Mesh { mesh, .. } => format!("-mesh:{mesh}"),
        Context::Member { member, .. } => format!("-member:{member}"),
        Context::Group { group, .. } => format!("-group:{group}"),
        Context::Host { host, .. } => match context.without_host().1 {
            Context::Global => format!("-host:{host}"),
            inner => format!("{}@{host}", place(&inner)),
        },
    }
}
