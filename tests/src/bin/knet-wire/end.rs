//! An end of a wire: a TAP that was moved into the network namespace of a host.

use std::process::{Command, Stdio};

use knet_io::tap::{PLAIN, Tap, TapOffloads, TapWrite, VNET_HEADER};

use super::args::EndName;

pub(crate) struct End {
    pub(crate) name: EndName,
    tap: Tap,
    carrier: bool,
}

impl End {
    /// Makes the interface, in its namespace and up.
    pub(crate) fn create(name: &EndName, number: usize, mtu: u16) -> Result<Self, String> {
        // In the host's namespace the name may be one that is taken here.
        let first_name = match &name.namespace {
            Some(_) => format!("kw{}n{number}", std::process::id()),
            None => name.interface.clone(),
        };
        let tap = Tap::create(&first_name, TapOffloads::default()).map_err(|e| e.to_string())?;
        let mtu = mtu.to_string();
        if let Some(namespace) = &name.namespace {
            let interface = &name.interface;
            ip(&[
                "link",
                "set",
                "dev",
                &first_name,
                "netns",
                namespace,
                "name",
                interface,
            ])?;
            ip(&[
                "-n", namespace, "link", "set", "dev", interface, "mtu", &mtu, "up",
            ])?;
        } else {
            ip(&["link", "set", "dev", &first_name, "mtu", &mtu, "up"])?;
        }
        Ok(Self {
            name: name.clone(),
            tap,
            carrier: true,
        })
    }

    pub(crate) fn tap(&self) -> &Tap {
        &self.tap
    }

    pub(crate) fn has_carrier(&self) -> bool {
        self.carrier
    }

    /// Takes the carrier away from the host, or gives it back.
    pub(crate) fn set_carrier(&mut self, on: bool) -> Result<(), String> {
        self.tap
            .set_carrier(on)
            .map_err(|e| format!("{}: the carrier cannot be switched: {e}", self.name))?;
        self.carrier = on;
        Ok(())
    }

    /// Hands a frame to the host; `false`: its interface does not take it.
    pub(crate) fn write(&self, frame: &[u8]) -> Result<bool, String> {
        match self.tap.write(&PLAIN, frame) {
            Ok(written) => Ok(written == TapWrite::Done),
            Err(_) => Err(self.gone()),
        }
    }

    /// A frame that the host has sent.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, String> {
        self.tap
            .read(&mut [0; VNET_HEADER], buffer)
            .map_err(|_| self.gone())
    }

    fn gone(&self) -> String {
        format!("the interface {} was deleted", self.name)
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let said = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run ip: {e}"))?;
    if said.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&said.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), complaint.trim()))
}
