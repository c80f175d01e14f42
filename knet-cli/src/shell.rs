//! The shell on a terminal.

use std::{
    cell::RefCell,
    path::PathBuf,
    process::ExitCode,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

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

const UNSAVED: &str = "% The configuration was changed and is not saved (`write memory` saves it)";

/// Reads lines from a person until the end.
pub(crate) fn run(mut session: Session) -> ExitCode {
    let output = session.output;
    let interrupt = Arc::new(AtomicBool::new(false));
    // While a line is read Ctrl-C is a key like others; while a command is done it ends the command.
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&interrupt)) {
        note(&format!("% Ctrl-C will end the shell: {error}"));
    }
    session.client.end_on(Arc::clone(&interrupt));
    session.paged = true;
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
        interrupt,
        history: history::file(),
    };
    shell.greet();
    if let Some(file) = &shell.history {
        // A first start has none.
        let _ = shell.editor.load_history(file);
    }
    shell.serve()
}

struct Shell {
    session: Rc<RefCell<Session>>,
    editor: LineEditor,
    keys: Keys,
    printer: Printer,
    monitor: Option<Monitor>,
    announcer: Option<Announcer>,
    /// Becomes true with Ctrl-C.
    interrupt: Arc<AtomicBool>,
    /// The file of the history, as long as it can be written.
    history: Option<PathBuf>,
}

impl Shell {
    fn greet(&self) {
        let session = self.session.borrow();
        let welcome = &session.client.welcome;
        let build = clean(&welcome.hello.build);
        let _ = session.output.line(&format!(
            "knet {build} on {}, revision {}. Type ? for help.",
            clean(&welcome.hostname),
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
                let farewell = session.unsaved.then_some(UNSAVED);
                self.keys.watch.begin(session.terminal.patience(), farewell);
                prompt
            };
            let line = self.editor.readline(&prompt);
            self.keys.watch.end();
            self.interrupt.store(false, Ordering::Relaxed);
            match line {
                Ok(text) => {
                    if let Flow::Leave = self.lines(&text, &prompt) {
                        return self.leave();
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
                    let left = self.session.borrow_mut().run("exit");
                    if let Err(failure) = left {
                        note(&failure.report(prompt.chars().count()));
                    }
                }
                Err(error) => {
                    let failure = Failure::Unusable(format!("the terminal cannot be read: {error}"));
                    self.session.borrow().output.failure(&failure, None);
                    return failure.exit_code();
                }
            }
        }
    }

    /// Does what was typed, or the lines that were pasted: up to the first that fails.
    fn lines(&mut self, text: &str, prompt: &str) -> Flow {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            match self.line(line) {
                Ok(Flow::Leave) => return Flow::Leave,
                Ok(_) => {}
                Err(failure) if lines.len() == 1 => note(&failure.report(prompt.chars().count())),
                Err(failure) => {
                    // Which one it is cannot be seen from where the mark stands.
                    let place = format!("line {} of {}: ", index + 1, lines.len());
                    let report = failure.report(place.chars().count());
                    note(&format!("{place}{}\n{report}", clean(line)));
                    if index + 1 < lines.len() {
                        note("% The lines below it were not run");
                    }
                    break;
                }
            }
        }
        Flow::Next
    }

    fn line(&mut self, line: &str) -> Result<Flow, Failure> {
        if !line.trim().is_empty() {
            self.keep(line);
        }
        let result = self.session.borrow_mut().run(line);
        match result {
            Ok(Flow::Events) => self.events().map(|()| Flow::Next),
            result => result,
        }
    }

    /// Keeps the line for later, at once, so that no end of the shell loses it.
    fn keep(&mut self, line: &str) {
        let mut session = self.session.borrow_mut();
        if !history::may_keep(session.context.as_ref(), line) {
            return;
        }
        session.history.push(line.to_owned());
        let _ = self.editor.add_history_entry(line);
        if let Some(file) = &self.history
            && let Err(error) = self.editor.append_history(file)
        {
            note(&format!("% The history is not kept: {}: {error}", file.display()));
            self.history = None;
        }
    }

    /// Events on this terminal, or none, as is wanted by now.
    fn events(&mut self) -> Result<(), Failure> {
        let session = self.session.borrow();
        if !session.wants_events() {
            self.monitor = None;
        } else if self.monitor.as_ref().is_none_or(|monitor| !monitor.runs()) {
            let printer = self.printer.clone();
            let show = move |line: String| printer.print(line + "\n");
            self.monitor = Some(Monitor::start(&session.client, &session.wanted, show)?);
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
            note(UNSAVED);
        }
        ExitCode::SUCCESS
    }
}
