//! `show tech-support`: everything that helps to find a fault, in one text without secrets.

mod archive;

use std::{
    collections::BTreeSet,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use knet_api::{
    grammar::{Show, schema},
    message::Only,
};
use regex::{Captures, Regex};
use serde_json::{Value, json};

use crate::{
    client::Client,
    document::{Document, Format},
    failure::Failure,
    file::{self, Existing},
    output::clean_lines,
    show::{self, drops::Seen},
    units::date_time,
};

/// Peers that are shown with everything about them: those that are not well come first.
const PEERS: usize = 32;
/// Events of each of these.
const EVENTS: u32 = 100;
/// Lines of the log.
const LOG: u32 = 1000;
/// What the kernel tells of this host.
const FILES: [&str; 6] = [
    "/proc/version",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/net/snmp",
    "/proc/net/snmp6",
];
/// In place of what nobody else is to know.
const REMOVED: &str = "<removed>";

/// A part with its title.
struct Section {
    title: String,
    lines: Vec<String>,
}

/// Everything, as text and as an object with a field for each part.
pub(crate) fn document(client: &mut Client) -> Result<Document, Failure> {
    let sections = collect(client)?;
    let mut lines = vec![format!("knet tech-support of {} UTC", date_time(unix_ms()))];
    let mut value = json!({});
    for section in &sections {
        lines.push(String::new());
        lines.push(format!("------ {} ------", section.title));
        lines.extend(section.lines.iter().cloned());
        value[&section.title] = json!(section.lines);
    }
    Ok(Document::object("tech_support", value, lines))
}

/// The same as a compressed archive.
pub(crate) fn archive(client: &mut Client, name: &str, existing: Existing) -> Result<Document, Failure> {
    let document = document(client)?;
    let part = |format| document.write(format).unwrap_or_default();
    let (text, json) = (part(Format::Text), part(Format::Json));
    let files = [
        ("knet-tech-support/tech-support.txt", text.as_bytes()),
        ("knet-tech-support/tech-support.json", json.as_bytes()),
    ];
    let bytes = archive::tar_gz(&files, unix_ms() / 1000)
        .map_err(|error| Failure::Unusable(format!("the archive cannot be made: {error}")))?;
    let path = file::write(name, &bytes, existing)?;
    Ok(file::written(&path, bytes.len()))
}

fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

fn collect(client: &mut Client) -> Result<Vec<Section>, Failure> {
    let everything = || Only::default();
    let lists = [
        ("show version", Show::Version),
        ("show interfaces", Show::Interfaces { interface: None }),
        ("show drops", Show::Drops { interface: None }),
        ("show limits", Show::Limits { interface: None }),
        (
            "show peers",
            Show::Peers {
                interface: None,
                only: everything(),
            },
        ),
        (
            "show links",
            Show::Links {
                peer: None,
                interface: None,
                only: everything(),
            },
        ),
        ("show mac address-table", Show::MacTable { interface: None }),
        (
            "show arp",
            Show::Arp {
                peer: None,
                interface: None,
            },
        ),
        ("show certificates", Show::Certificates { interface: None }),
        (
            "show ip igmp snooping",
            Show::Listeners {
                ipv6: false,
                interface: None,
            },
        ),
        (
            "show ipv6 mld snooping",
            Show::Listeners {
                ipv6: true,
                interface: None,
            },
        ),
        (
            "show vlan",
            Show::Vlans {
                vlan: None,
                interface: None,
            },
        ),
        (
            "show running-config",
            Show::RunningConfig {
                all: true,
                interface: None,
            },
        ),
        ("show logging", Show::Logging { lines: LOG }),
    ];
    let mut sections = Vec::new();
    let mut public = BTreeSet::new();
    let mut worst = Vec::new();
    for (title, what) in lists {
        let (section, value) = section(client, title, &what)?;
        public_keys(&value, &mut public);
        if title == "show peers" {
            worst = worst_peers(&value);
        }
        sections.push(section);
    }
    for (interface, peer) in worst {
        let interface = Some(interface);
        let of_peer = Show::Peer {
            peer: peer.clone(),
            interface: interface.clone(),
        };
        let history = Show::PeerHistory {
            peer: peer.clone(),
            last: Some(EVENTS),
            interface,
        };
        sections.push(section(client, &format!("show peer {peer}"), &of_peer)?.0);
        sections.push(section(client, &format!("show peer {peer} history"), &history)?.0);
    }
    sections.extend(FILES.map(host_file));
    let scrub = Scrub::new(public)?;
    for section in &mut sections {
        section.lines.iter_mut().for_each(|line| *line = scrub.line(line));
    }
    Ok(sections)
}

/// What one command shows. That the daemon refuses it is worth knowing, too.
fn section(client: &mut Client, title: &str, what: &Show) -> Result<(Section, Value), Failure> {
    let (lines, value) = match show::document(client, &mut Seen::default(), what) {
        Ok(document) => {
            let text = |format| document.write(format).unwrap_or_default();
            let value = serde_json::from_str(&text(Format::Json)).unwrap_or_default();
            (text(Format::Text).lines().map(str::to_owned).collect(), value)
        }
        Err(failure @ Failure::Refused { .. }) => (clean_lines(&failure.report(0)), Value::Null),
        Err(failure) => return Err(failure),
    };
    let title = title.to_owned();
    Ok((Section { title, lines }, value))
}

/// Interface and name of the peers to look at closely.
fn worst_peers(value: &Value) -> Vec<(String, String)> {
    let mut peers: Vec<_> = value["peers"].as_array().into_iter().flatten().collect();
    peers.sort_by_key(|peer| peer["state"] == "up" && peer["links_up"] == peer["links_total"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let places = peers
        .into_iter()
        .map(|peer| (text(&peer["interface"]), text(&peer["peer"])));
    places.take(PEERS).collect()
}

fn host_file(path: &str) -> Section {
    let lines = match fs::read_to_string(path) {
        Ok(text) => clean_lines(&text),
        Err(error) => vec![format!("% {error}")],
    };
    let title = path.to_owned();
    Section { title, lines }
}

fn public_keys(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| public_keys(value, keys)),
        Value::Object(fields) => {
            keys.extend(
                fields
                    .get("public_key")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            fields.values().for_each(|value| public_keys(value, keys));
        }
        _ => {}
    }
}

/// Takes out what could be a secret: where keys are, and whatever looks like a key and is no public one that is known.
struct Scrub {
    public: BTreeSet<String>,
    key: Regex,
    secret_line: Regex,
}

impl Scrub {
    fn new(public: BTreeSet<String>) -> Result<Self, Failure> {
        let secrets: BTreeSet<&str> = schema::all()
            .filter(|row| row.secret)
            .map(|row| row.key)
            .collect();
        let secrets = Vec::from_iter(secrets).join("|");
        let regex = |text: &str| {
            Regex::new(text).map_err(|error| Failure::Unusable(format!("a mistake of this program: {error}")))
        };
        Ok(Self {
            public,
            // 32 bytes in base64 or in hexadecimal digits.
            key: regex(r"[A-Za-z0-9+/]{43}=|\b[0-9A-Fa-f]{64}\b")?,
            secret_line: regex(&format!(r"^(\s*(?:no )?(?:{secrets})) .*$"))?,
        })
    }

    fn line(&self, line: &str) -> String {
        let line = self.secret_line.replace(line, |found: &Captures<'_>| {
            format!("{} {REMOVED}", found.get(1).map_or("", |key| key.as_str()))
        });
        let key = |found: &Captures<'_>| {
            let text = found.get(0).map_or("", |key| key.as_str());
            if self.public.contains(text) {
                text.to_owned()
            } else {
                REMOVED.to_owned()
            }
        };
        self.key.replace_all(&line, key).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out() {
        let public = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
        let secret = "iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=";
        let scrub = Scrub::new(BTreeSet::from([public.to_owned()])).expect("patterns");
        for (line, left) in [
            (" private-key file fra1.key", " private-key <removed>"),
            ("  preshared-key file \"a b\"", "  preshared-key <removed>"),
            (
                " description private-key file x",
                " description private-key file x",
            ),
            (
                &format!("a {public} b {secret}c"),
                &format!("a {public} b <removed>c"),
            ),
            (&format!("psk={}", "0F".repeat(32)), "psk=<removed>"),
        ] {
            assert_eq!(scrub.line(line), left);
        }
    }
}
