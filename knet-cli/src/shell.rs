//! The shell on a terminal.

use std::{cell::RefCell, process::ExitCode, rc::Rc};

use rustyline::error::ReadlineError;

use crate::{
    announce::Announcer,
    editor::{self, Keys, LineEditor, Place, Printer},
    failure::Failure,
    history,
    monitor::Monitor,
    output::{clean, note},
    session::{Flow, Session},
    show::configuration,
};

/// Reads lines from a person until the end.
pub(crate) fn run(session: Session) -> ExitCode {
    let output = session.output;
    let session = Rc::new(RefCell::new(session));
    let (editor, keys, printer) = match editor::editor(&session) {
        Ok(parts) => parts,
        Err(error) => {
            output.failure(
                &Failure::Unusable(format!("the terminal cannot be used: {error}")),
                None,
            );
            return ExitCode::FAILURE;
        }
    };
    let mut shell = Shell {
        session,
        editor,
        keys,
        printer,
        monitor: None,
        announcer: None,
    };
    shell.greet();
    let file = history::file();
    if let Some(file) = &file {
        // A first start has none.
        let _ = shell.editor.load_history(file);
    }
    let status = shell.serve();
    if let Some(file) = &file
        && let Err(error) = shell.editor.save_history(file)
    {
        note(&format!("% The history is not kept: {}: {error}", file.display()));
    }
    status
}

struct Shell {
    session: Rc<RefCell<Session>>,
    editor: LineEditor,
    keys: Keys,
    printer: Printer,
    monitor: Option<Monitor>,
    announcer: Option<Announcer>,
}

impl Shell {
    fn greet(&self) {
        let session = self.session.borrow();
        let welcome = &session.client.welcome;
        let build = clean(&welcome.hello.build);
        let _ = session.output.line(&format!(
            "knet {build}, revision {}. Type ? for help.",
            welcome.revision
        ));
        if session.client.tables_differ() {
            note("% knetd is another build than this shell: help may differ from what it knows");
        }
        if let Some(pending) = &welcome.pending {
            note(&format!("% {}", configuration::waits(pending)));
        }
    }

    /// What everybody should know is shown as it happens. Where there is no place for one more listener, the shell does
    /// without.
    fn listen(&mut self) {
        if self.announcer.as_ref().is_none_or(|announcer| !announcer.runs()) {
            let printer = self.printer.clone();
            let show = move |line: String| printer.print(line + "\n");
            self.announcer = Announcer::start(&self.session.borrow().client, show).ok();
        }
    }

    fn serve(&mut self) -> ExitCode {
        loop {
            self.listen();
            let prompt = {
                let session = self.session.borrow();
                let prompt = session.prompt();
                let (context, privilege) = (session.context.clone(), session.privilege);
                self.keys.set(Place {
                    context,
                    privilege,
                    prompt: prompt.clone(),
                });
                prompt
            };
            match self.editor.readline(&prompt) {
                Ok(text) => {
                    // What is pasted comes as several lines, and goes on to the first that fails.
                    for line in text.lines() {
                        match self.line(line, prompt.chars().count()) {
                            Ok(Flow::Leave) => return self.leave(),
                            Ok(_) => {}
                            Err(()) => break,
                        }
                    }
                    if self.keys.ended() {
                        self.end();
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => {
                    if self.session.borrow().context.is_none() {
                        return self.leave();
                    }
                    let _ = self.line("exit", prompt.chars().count());
                }
                Err(error) => {
                    let failure = Failure::Unusable(format!("the terminal cannot be read: {error}"));
                    self.session.borrow().output.failure(&failure, None);
                    return failure.exit_code();
                }
            }
        }
    }

    fn line(&mut self, line: &str, indent: usize) -> Result<Flow, ()> {
        let mut session = self.session.borrow_mut();
        if !line.trim().is_empty() && history::may_keep(session.context.as_ref(), line) {
            let _ = self.editor.add_history_entry(line);
            session.history.push(line.to_owned());
        }
        let result = session.run(line);
        drop(session);
        let result = match result {
            Ok(Flow::Monitor(on)) => self.monitor(on).map(|()| Flow::Next),
            result => result,
        };
        result.map_err(|failure| note(&failure.report(indent)))
    }

    fn monitor(&mut self, on: bool) -> Result<(), Failure> {
        if !on {
            self.monitor = None;
        } else if self.monitor.as_ref().is_none_or(|monitor| !monitor.runs()) {
            let printer = self.printer.clone();
            let show = move |line: String| printer.print(line + "\n");
            self.monitor = Some(Monitor::start(&self.session.borrow().client, show)?);
        }
        Ok(())
    }

    /// Out of the configuration, unless there are changes in the candidate.
    fn end(&self) {
        if let Err(failure) = self.session.borrow_mut().leave_configuration() {
            note(&failure.report(0));
        }
    }

    fn leave(&self) -> ExitCode {
        let mut session = self.session.borrow_mut();
        session.go(None);
        session.leave();
        if session.unsaved {
            note("% The configuration was changed and is not saved (`write memory` saves it)");
        }
        ExitCode::SUCCESS
    }
}
