//! `knetd` on a host of the laboratory, and `knet-cli` to talk to it.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{HostId, Lab, LabError, Result, process, process::Process, program, time::wait_until};

/// Private and public key of an interface.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// Base64.
    pub private: String,
    /// Base64.
    pub public: String,
}

impl KeyPair {
    /// A new pair from `knetd genkey` and `knetd pubkey`.
    pub fn generate() -> Result<Self> {
        let knetd = program("knetd")?.to_string_lossy().into_owned();
        let private = process::run(&knetd, &["genkey"])?;
        let public = process::feed(&knetd, &["pubkey"], &private)?;
        Ok(Self {
            private: private.trim().into(),
            public: public.trim().into(),
        })
    }
}

/// A new preshared key from `knetd genpsk`.
pub fn generate_preshared_key() -> Result<String> {
    process::run(&program("knetd")?.to_string_lossy(), &["genpsk"]).map(|k| k.trim().into())
}

/// Writes a file that only its owner can read.
pub fn write_secret(path: &Path, secret: &str) -> Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(format!("{secret}\n").as_bytes())?;
    Ok(())
}

/// One link as `show links` sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Peer's name.
    pub peer: String,
    /// Id.
    pub link: usize,
    /// State of the sending side.
    pub state: String,
    /// Whether what the peer sends arrives.
    pub receiving: bool,
    /// Whether frames go out on it.
    pub in_use: bool,
    /// Where it goes to.
    pub remote: String,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams received.
    pub received: u64,
    /// Times that it went down.
    pub downs: u64,
}

impl Link {
    fn from_row(row: &Value) -> Option<Self> {
        Some(Self {
            peer: row["peer"].as_str()?.into(),
            link: row["link"].as_u64()? as usize,
            state: row["state"].as_str()?.into(),
            receiving: row["receiving"].as_bool()?,
            in_use: row["in_use"].as_bool()?,
            remote: row["remote"].as_str().unwrap_or_default().into(),
            sent: row["tx"]["packets"].as_u64()?,
            received: row["rx"]["packets"].as_u64()?,
            downs: row["downs"].as_u64()?,
        })
    }

    /// Whether it works in both directions.
    pub fn is_up(&self) -> bool {
        self.state == "up" && self.receiving
    }

    /// As [`Link::is_up`], or in doubt at this moment: on a busy machine a report is easily late.
    pub fn may_be_used(&self) -> bool {
        self.receiving && (self.state == "up" || self.state == "suspect")
    }
}

/// A daemon that runs on a host, or has run.
#[derive(Debug)]
pub struct Daemon {
    host: HostId,
    name: String,
    config: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    /// Further arguments (`--no-offload tso`), from the next start on.
    pub arguments: Vec<String>,
    process: Option<Process>,
}

impl Daemon {
    /// The daemon of `host`, not started: configuration, socket and log are in the host's directory.
    pub fn new(lab: &Lab, host: HostId) -> Self {
        let directory = lab.host_directory(host);
        Self {
            host,
            name: lab.host_name(host).into(),
            config: directory.join("knetd.conf"),
            socket: directory.join("knetd.sock"),
            log: directory.join("knetd.log"),
            arguments: Vec::new(),
            process: None,
        }
    }

    /// Writes its configuration.
    pub fn configure(&self, config: &str) -> Result<()> {
        Ok(fs::write(&self.config, config)?)
    }

    /// Its configuration file.
    pub fn configuration(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.config)?)
    }

    /// Starts it, without waiting until it answers.
    pub fn spawn(&mut self, lab: &Lab) -> Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = lab.command(self.host, program("knetd")?);
        command
            .arg("--config")
            .arg(&self.config)
            .arg("--socket")
            .arg(&self.socket)
            .args(&self.arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(Process::spawn(&mut command)?);
        Ok(())
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self, lab: &Lab) -> Result<()> {
        self.spawn(lab)?;
        self.wait_until_it_answers()
    }

    /// Waits until it answers; an error with the end of its log if it ends instead.
    pub fn wait_until_it_answers(&mut self) -> Result<()> {
        let patience = Duration::from_secs(10);
        let ended = std::cell::Cell::new(false);
        let answer = wait_until(&format!("knetd of {}", self.name), patience, || {
            if !self.is_running() {
                ended.set(true);
                return Ok(());
            }
            self.show("show version").map(drop).map_err(|e| e.to_string())
        });
        if ended.get() || answer.is_err() {
            let why = answer
                .err()
                .map_or_else(|| "it has ended".into(), |e| e.to_string());
            return Err(LabError::new(format!(
                "knetd of {}: {why}; its log:\n{}",
                self.name,
                self.log_end(30)
            )));
        }
        Ok(())
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends it by SIGTERM.
    pub fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        let Some(mut process) = self.process.take() else {
            return Err(LabError::new(format!("knetd of {} does not run", self.name)));
        };
        process.signal("TERM")?;
        process.wait(patience)
    }

    /// Has it read its configuration again (SIGHUP).
    pub fn reload(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), |p| p.signal("HUP"))
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Leaves it running for ever.
    pub fn leave(mut self) {
        if let Some(process) = self.process.take() {
            process.leave();
        }
    }

    /// Its control socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `knet-cli --socket … --json`, ready for `-c`.
    pub fn shell(&self) -> Result<Command> {
        let mut command = Command::new(program("knet-cli")?);
        command.arg("--socket").arg(&self.socket).arg("--json");
        Ok(command)
    }

    /// What `knet-cli --json -c COMMAND` prints.
    pub fn show(&self, command: &str) -> Result<Value> {
        let text = process::output(self.shell()?.args(["-c", command]))?;
        serde_json::from_str(&text)
            .map_err(|e| LabError::new(format!("`{command}` printed no JSON ({e}): {text}")))
    }

    /// Carries out configuration commands, from `configure terminal` to `end`.
    pub fn edit(&self, lines: &[&str]) -> Result<()> {
        let script = format!("configure terminal\n{}\nend\n", lines.join("\n"));
        process::Feeding::prepare(&mut self.shell()?)?
            .finish(&script)
            .map(drop)
    }

    /// All links of all peers.
    pub fn links(&self) -> Result<Vec<Link>> {
        let shown = self.show("show links")?;
        let links: Option<Vec<Link>> = rows(&shown).iter().map(|row| Link::from_row(row)).collect();
        links.ok_or_else(|| LabError::new(format!("`show links` printed other fields: {shown}")))
    }

    /// The links to `peer`, by id.
    pub fn links_to(&self, peer: &str) -> Result<Vec<Link>> {
        let mut links = self.links()?;
        links.retain(|l| l.peer == peer);
        links.sort_by_key(|l| l.link);
        Ok(links)
    }

    /// How many packets were dropped, by the name of the reason.
    pub fn drops(&self) -> Result<std::collections::BTreeMap<String, u64>> {
        let shown = self.show("show interfaces")?;
        let mut drops = std::collections::BTreeMap::new();
        for row in rows(&shown)
            .iter()
            .flat_map(|interface| rows(&interface["drops"]))
        {
            if let (Some(reason), Some(count)) = (row["reason"].as_str(), row["count"].as_u64()) {
                *drops.entry(reason.to_owned()).or_default() += count;
            }
        }
        Ok(drops)
    }

    /// The last lines of its log.
    pub fn log_end(&self, lines: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that fails is easier to understand with what the daemon said.
        if std::thread::panicking() {
            eprintln!("--- end of the log of {}:\n{}", self.name, self.log_end(40));
        }
    }
}

/// The rows of an answer: `{"schema": 1, NAME: rows}`, or a list of rows inside it.
pub fn rows(shown: &Value) -> Vec<&Value> {
    match shown {
        Value::Array(rows) => rows.iter().collect(),
        Value::Object(fields) if fields.contains_key("schema") => {
            let list = fields.values().find_map(Value::as_array);
            list.map_or_else(
                || fields.values().filter(|v| v.is_object()).collect(),
                |l| l.iter().collect(),
            )
        }
        _ => Vec::new(),
    }
}
