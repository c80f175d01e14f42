//! Child processes: each in a process group of its own (Ctrl-C on the terminal is for us, not for them), each
//! ended by its own id.

use std::{
    ffi::OsStr,
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use super::{LabError, Result};

/// Runs a program to its end and returns what it printed; an error if it failed.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    output(Command::new(program).args(arguments))
}

/// As [`run`], with `input` on its standard input.
pub fn feed(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    Feeding::prepare(Command::new(program).args(arguments))?.finish(input)
}

/// Runs `command` to its end and returns what it printed; an error if it failed.
pub fn output(command: &mut Command) -> Result<String> {
    let result = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed_to_start(command, &e))?;
    checked(command, &result)
}

/// A command in a network namespace. `ip netns exec` replaces itself by the program, so the child's id is the
/// program's.
pub fn in_namespace(namespace: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", namespace])
        .arg(program)
        .process_group(0);
    command
}

/// A program that has started and waits for its input, so that what the input orders happens at once.
pub struct Feeding {
    child: Child,
    shown: String,
}

impl Feeding {
    /// Starts it.
    pub fn prepare(command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed_to_start(command, &e))?;
        Ok(Self {
            child,
            shown: shown(command),
        })
    }

    /// Gives it its input and waits for its end.
    pub fn finish(mut self, input: &str) -> Result<String> {
        if let Some(mut stdin) = self.child.stdin.take() {
            // A program that refuses its input early says why on stderr, which is the better message.
            let _ = stdin.write_all(input.as_bytes());
        }
        let result = self.child.wait_with_output()?;
        if result.status.success() {
            return Ok(String::from_utf8_lossy(&result.stdout).into_owned());
        }
        let complaint = String::from_utf8_lossy(&result.stderr);
        Err(LabError::new(format!(
            "{}: {}\non the input:\n{input}",
            self.shown,
            complaint.trim()
        )))
    }
}

fn failed_to_start(command: &Command, error: &std::io::Error) -> LabError {
    LabError::new(format!("cannot run {}: {error}", shown(command)))
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    words.join(" ")
}

fn checked(command: &Command, result: &Output) -> Result<String> {
    if result.status.success() {
        return Ok(String::from_utf8_lossy(&result.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&result.stderr);
    Err(LabError::new(format!(
        "{}: {} ({})",
        shown(command),
        complaint.trim(),
        result.status
    )))
}

/// A process that runs beside us. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` in a process group of its own.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|e| failed_to_start(command, &e))?;
        Ok(Self { child })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The pipes that were asked for.
    pub fn pipes(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends the signal of this name (`TERM`, `INT`).
    pub fn signal(&self, name: &str) -> Result<()> {
        run("sh", &["-c", &format!("kill -{name} {}", self.id())]).map(drop)
    }

    /// Kills it (SIGKILL) and waits for its end. Without effect if it has ended.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(LabError::new(format!(
                    "process {} did not end within {patience:?}: {}",
                    self.id(),
                    self.condition()
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its name and state, and where in the kernel it waits.
    fn condition(&self) -> String {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.id())).unwrap_or_default();
        let status = read("status");
        let field = |name: &str| {
            status
                .lines()
                .find(|l| l.starts_with(name))
                .unwrap_or_default()
                .to_owned()
        };
        let fields = [
            "Name:", "State:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:",
        ]
        .map(field);
        format!("{} {}", fields.join(" ").replace('\t', " "), read("wchan"))
    }

    /// Leaves it running.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
