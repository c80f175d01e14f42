//! The line editor's ends: `?`, Tab, Ctrl-Z, and printing above the line that is being typed.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
};

use knet_api::{edit::Context, grammar::complete, message::Privilege};
use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler,
    ExternalPrinter, Helper, KeyEvent, RepeatCount,
    completion::{Completer, FilenameCompleter, Pair},
    highlight::Highlighter,
    hint::Hinter,
    history::FileHistory,
    validate::Validator,
};

use crate::{
    history, pipe,
    session::{Session, help_lines},
    terminal::Watch,
};

/// Names offered at once; more are found by typing more of them.
const MOST_NAMES: u32 = 200;
/// Lines that may wait to be printed.
const QUEUE: usize = 256;

pub(crate) type LineEditor = Editor<Completion, FileHistory>;

/// What the key handlers know of the session: they run while a line is being read.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) context: Option<Context>,
    pub(crate) privilege: Privilege,
    pub(crate) prompt: String,
}

/// What is shared with the key handlers.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    place: Arc<Mutex<Place>>,
    /// Whether Ctrl-Z ended the line.
    end: Arc<AtomicBool>,
    /// Is told of each key.
    pub(crate) watch: Watch,
}

impl Keys {
    pub(crate) fn set(&self, place: Place) {
        if let Ok(mut current) = self.place.lock() {
            *current = place;
        }
        self.end.store(false, Ordering::Relaxed);
    }

    /// Whether the last line was ended with Ctrl-Z.
    pub(crate) fn ended(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }
}

/// Prints above the line that is being typed, from any thread, without waiting for the terminal.
#[derive(Clone, Debug)]
pub(crate) struct Printer(SyncSender<String>);

impl Printer {
    /// The editor reads what is printed in the thread in which its key handlers run, so these must not wait
    /// for it: a thread in between does.
    fn new(editor: &mut LineEditor) -> Self {
        let (lines, queue) = mpsc::sync_channel::<String>(QUEUE);
        let external = editor.create_external_printer();
        thread::spawn(move || {
            let mut external = external.ok();
            for text in queue {
                let printed = external
                    .as_mut()
                    .is_some_and(|printer| printer.print(text.clone()).is_ok());
                if !printed {
                    print!("{text}");
                }
            }
        });
        Self(lines)
    }

    /// Prints `text`, which ends with a line end. Where too much waits, it is left out.
    pub(crate) fn print(&self, text: String) {
        let _ = self.0.try_send(text);
    }
}

/// An editor for `session`.
pub(crate) fn editor(session: &Rc<RefCell<Session>>) -> rustyline::Result<(LineEditor, Keys, Printer)> {
    let config = Config::builder()
        .auto_add_history(false)
        .max_history_size(history::LINES)?
        .history_ignore_dups(true)?
        .completion_type(CompletionType::List)
        .build();
    let mut editor: LineEditor = Editor::with_config(config)?;
    editor.set_helper(Some(Completion {
        session: Rc::clone(session),
        files: FilenameCompleter::new(),
    }));
    let printer = Printer::new(&mut editor);
    let place = Place {
        context: None,
        privilege: Privilege::Operator,
        prompt: String::new(),
    };
    let keys = Keys {
        place: Arc::new(Mutex::new(place)),
        end: Arc::default(),
        watch: Watch::default(),
    };
    let touch = Touch(keys.watch.clone());
    editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(touch)));
    let question = Question {
        watch: keys.watch.clone(),
        place: Arc::clone(&keys.place),
        printer: printer.clone(),
    };
    editor.bind_sequence(KeyEvent::from('?'), EventHandler::Conditional(Box::new(question)));
    editor.bind_sequence(
        KeyEvent::ctrl('Z'),
        EventHandler::Conditional(Box::new(End(Arc::clone(&keys.end)))),
    );
    Ok((editor, keys, printer))
}

/// `?`: tells what may follow, and leaves the line as it is.
struct Question {
    watch: Watch,
    place: Arc<Mutex<Place>>,
    printer: Printer,
}

impl ConditionalEventHandler for Question {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        self.watch.touch();
        let line = context.line().get(..context.pos())?;
        // Between quotation marks and in comments it is a character like others.
        if line.matches('"').count() % 2 == 1 || line.trim_start().starts_with(['!', '#']) {
            return None;
        }
        let place = self.place.lock().ok()?;
        let lines = match help_lines(place.context.as_ref(), place.privilege, line) {
            Ok(lines) => lines.join("\n"),
            Err(failure) => failure.report(place.prompt.chars().count()),
        };
        self.printer.print(format!("{}{line}?\n{lines}\n", place.prompt));
        Some(Cmd::Noop)
    }
}

/// Any key, which then does what it always does.
struct Touch(Watch);

impl ConditionalEventHandler for Touch {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext<'_>) -> Option<Cmd> {
        self.0.touch();
        None
    }
}

/// Ctrl-Z: does what the line says, then leaves the configuration.
struct End(Arc<AtomicBool>);

impl ConditionalEventHandler for End {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext<'_>) -> Option<Cmd> {
        self.0.store(true, Ordering::Relaxed);
        Some(Cmd::AcceptLine)
    }
}

/// Tab.
pub(crate) struct Completion {
    session: Rc<RefCell<Session>>,
    files: FilenameCompleter,
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Validator for Completion {}

impl Hinter for Completion {
    type Hint = String;
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let pair = |word: &str| Pair {
            display: word.to_owned(),
            replacement: format!("{word} "),
        };
        let Some(line) = line.get(..pos) else {
            return Ok((pos, Vec::new()));
        };
        let Ok(mut session) = self.session.try_borrow_mut() else {
            return Ok((pos, Vec::new()));
        };
        if let Some(behind) = pipe::behind(session.context.as_ref(), line) {
            let part = &line[behind.last_bar(line)..];
            let start = line.rfind(['|', ' ']).map_or(0, |at| at + 1);
            if let Some((word, _)) = part.trim_start().split_once(char::is_whitespace) {
                return if "redirect".starts_with(word) {
                    self.files.complete_path(line, pos)
                } else {
                    Ok((pos, Vec::new()))
                };
            }
            let names = behind.pipes.filters().map(|(name, _)| name);
            return Ok((
                start,
                names
                    .filter(|name| name.starts_with(&line[start..]))
                    .map(pair)
                    .collect(),
            ));
        }
        let context = session.context.clone();
        let found = complete(context.as_ref(), line, &mut |source, prefix| {
            session.client.names(source, prefix, MOST_NAMES)
        });
        Ok((
            found.replace.start,
            found.candidates.iter().map(|word| pair(word)).collect(),
        ))
    }
}
