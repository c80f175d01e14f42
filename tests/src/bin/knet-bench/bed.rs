//! Two hosts joined by cables, and what runs on them.

use std::{fs, net::IpAddr, path::PathBuf, process::Stdio, time::Duration};

use knet_tests::lab::{
    Family, HostId, Lab, LabError, NetworkId, Result, daemon::Daemon, mesh, process, process::Process,
    time::wait_until,
};

/// The two hosts.
pub(crate) const HOSTS: [HostId; 2] = [HostId(0), HostId(1)];
/// The cable between them.
pub(crate) const CABLE: NetworkId = NetworkId(0);
/// All VPNs need some time for their handshakes; tinc tries again after 5 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// What runs on the hosts.
enum Daemons {
    Knet(Vec<Daemon>),
    Others(Vec<Process>),
}

/// Two hosts, what runs on them, and the network that they measure.
pub(crate) struct Bed {
    // Before the laboratory, so that they end before their namespaces go.
    daemons: Daemons,
    pub(crate) lab: Lab,
    /// The addresses of the hosts in the network that is measured.
    pub(crate) addresses: [IpAddr; 2],
}

impl Bed {
    /// Two hosts with a cable and nothing else; what is measured is the cable.
    pub(crate) fn new() -> Result<Self> {
        let mut lab = Lab::new()?;
        let cable = lab.add_cable(Family::V4, 1500);
        for name in ["a", "b"] {
            lab.add_host(name, &[cable])?;
        }
        let addresses = HOSTS.map(|host| lab.address(host, cable));
        Ok(Self {
            daemons: Daemons::Others(Vec::new()),
            lab,
            addresses,
        })
    }

    /// The hosts of a mesh.
    pub(crate) fn of_mesh(mesh: mesh::Mesh) -> Self {
        let mesh::Mesh { daemons, lab, .. } = mesh;
        Self {
            daemons: Daemons::Knet(daemons),
            lab,
            addresses: HOSTS.map(mesh::overlay_v4),
        }
    }

    /// The address of a host on the cable.
    pub(crate) fn outer(&self, host: HostId) -> IpAddr {
        self.lab.address(host, CABLE)
    }

    /// A file of a host.
    pub(crate) fn file(&self, host: HostId, name: &str) -> PathBuf {
        self.lab.host_directory(host).join(name)
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn write(&self, host: HostId, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.file(host, name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        knet_tests::lab::daemon::write_secret(&path, text)?;
        Ok(path)
    }

    /// Starts a daemon on a host; what it says goes to a file.
    pub(crate) fn spawn(&mut self, host: HostId, program: &str, arguments: &[&str]) -> Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file(host, "log"))?;
        let mut command = self.lab.command(host, program);
        command
            .args(arguments)
            .current_dir(self.lab.host_directory(host))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = Process::spawn(&mut command)?;
        match &mut self.daemons {
            Daemons::Others(processes) => processes.push(process),
            Daemons::Knet(_) => return Err(LabError::new("a mesh starts its own daemons")),
        }
        Ok(())
    }

    /// Gives `device` of each host, once it is there, an address of the network that is measured from now on.
    pub(crate) fn raise(&mut self, devices: [&str; 2]) -> Result<()> {
        for (host, device) in HOSTS.into_iter().zip(devices) {
            let address = mesh::overlay_v4(host);
            wait_until(&format!("device {device}"), PATIENCE, || {
                self.lab
                    .run(host, "ip", &["link", "show", "dev", device])
                    .map_err(|e| format!("{e}; {}", self.log_end(host)))
            })?;
            let batch = format!("address add {address}/24 dev {device}\nlink set dev {device} up\n");
            process::feed("ip", &["-n", &self.lab.namespace(host), "-batch", "-"], &batch)?;
            self.addresses[host.0] = address;
        }
        Ok(())
    }

    /// Waits until the hosts reach each other.
    pub(crate) fn wait_until_it_works(&self) -> Result<()> {
        let target = self.addresses[1].to_string();
        wait_until("ping", PATIENCE, || {
            self.lab
                .run(HOSTS[0], "ping", &["-n", "-q", "-c1", "-W1", &target])
                .map_err(|e| format!("{e}; {}; {}", self.log_end(HOSTS[0]), self.log_end(HOSTS[1])))
        })?;
        Ok(())
    }

    fn log_end(&self, host: HostId) -> String {
        let text = fs::read_to_string(self.file(host, "log")).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(5)..].join(" / ")
    }

    /// System calls of each knetd, and the datagrams that it has sent and received.
    pub(crate) fn system_calls(&self) -> Result<Vec<(u64, u64)>> {
        let Daemons::Knet(daemons) = &self.daemons else {
            return Ok(Vec::new());
        };
        let numbers = |daemon: &Daemon| {
            let shown = daemon.show("show interfaces knet0")?;
            let row = &shown["interfaces"][0];
            let calls = row["system_calls"]
                .as_object()
                .map(|calls| calls.values().filter_map(serde_json::Value::as_u64).sum());
            let datagrams = |way: &str| row[way]["packets"].as_u64();
            calls
                .zip(datagrams("wire_tx").zip(datagrams("wire_rx")))
                .map(|(calls, (sent, received))| (calls, sent + received))
                .ok_or_else(|| LabError::new(format!("`show interfaces` printed other fields: {shown}")))
        };
        daemons.iter().map(numbers).collect()
    }

    /// The daemons' process ids.
    pub(crate) fn daemons(&self) -> Vec<u32> {
        match &self.daemons {
            Daemons::Knet(daemons) => daemons.iter().filter_map(Daemon::id).collect(),
            Daemons::Others(processes) => processes.iter().map(Process::id).collect(),
        }
    }
}
