//! `show vlan`.

use knet_api::{
    message::{Only, PeerRow, Reply, RequestBody, SwitchportRow, VlanRow},
    switchport::VlanList,
};
use serde_json::{Value, json};

use super::addresses;
use crate::{
    client::Client,
    document::Document,
    failure::Failure,
    output::clean,
    table::{Align, table},
};

/// All VLANs that something is said of, or one of them with who is in it.
pub(super) fn document(
    client: &mut Client,
    vlan: Option<u32>,
    interface: Option<&String>,
) -> Result<Document, Failure> {
    let request = |page| RequestBody::Vlans {
        interface: interface.cloned(),
        page,
    };
    let mut rows = client.pages(request, |reply| match reply {
        Reply::Vlans(rows) => Some(rows),
        _ => None,
    })?;
    let Some(vlan) = vlan else {
        return Ok(Document::table("vlans", json!(rows), lines(&rows)));
    };
    rows.retain(|row| u32::from(row.vlan) == vlan);
    let peers = super::all_peers(client, interface, &Only::default())?;
    let members: Vec<Member> = rows
        .iter()
        .filter_map(Member::host)
        .chain(peers.iter().filter_map(|peer| Member::peer(peer, vlan)))
        .collect();
    let values: Vec<Value> = members.iter().map(Member::value).collect();
    Ok(Document::table("vlan", json!(values), member_lines(&members)))
}

/// A port that is in a VLAN.
struct Member<'a> {
    interface: &'a str,
    /// `None`: this host.
    peer: Option<&'a str>,
    tagging: &'a str,
    state: Option<&'a str>,
}

impl<'a> Member<'a> {
    fn host(row: &'a VlanRow) -> Option<Self> {
        Some(Self {
            interface: &row.interface,
            peer: None,
            tagging: row.tap.as_deref()?,
            state: None,
        })
    }

    fn peer(row: &'a PeerRow, vlan: u32) -> Option<Self> {
        Some(Self {
            interface: &row.interface,
            peer: Some(&row.peer),
            tagging: tagging(row.switchport.as_ref()?, vlan)?,
            state: Some(&row.state),
        })
    }

    fn value(&self) -> Value {
        json!({
            "interface": self.interface,
            "peer": self.peer,
            "tagging": self.tagging,
            "state": self.state,
        })
    }
}

fn lines(rows: &[VlanRow]) -> Vec<String> {
    let columns = [
        ("Interface", Align::Left),
        ("VLAN", Align::Right),
        ("This host", Align::Left),
        ("Untagged peers", Align::Right),
        ("Tagged peers", Align::Right),
        ("Up", Align::Right),
        ("MAC addresses", Align::Right),
    ];
    let cells = |row: &VlanRow| {
        vec![
            clean(&row.interface),
            row.vlan.to_string(),
            row.tap.as_deref().map_or("-".to_owned(), clean),
            row.untagged.to_string(),
            row.tagged.to_string(),
            row.up.to_string(),
            row.macs.to_string(),
        ]
    };
    table(&columns, &rows.iter().map(cells).collect::<Vec<_>>())
}

fn member_lines(members: &[Member<'_>]) -> Vec<String> {
    let columns = [
        ("Interface", Align::Left),
        ("Port", Align::Left),
        ("Frames", Align::Left),
        ("State", Align::Left),
    ];
    let cells = |member: &Member<'_>| {
        vec![
            clean(member.interface),
            addresses::behind(member.peer),
            clean(member.tagging),
            member.state.map_or("-".to_owned(), clean),
        ]
    };
    table(&columns, &members.iter().map(cells).collect::<Vec<_>>())
}

/// How a port has the frames of `vlan`, if it is in it.
fn tagging(port: &SwitchportRow, vlan: u32) -> Option<&'static str> {
    let vlan = u16::try_from(vlan).ok()?;
    let allowed: VlanList = port.allowed.parse().ok()?;
    allowed.contains(vlan).then_some(if port.untagged == Some(vlan) {
        "untagged"
    } else {
        "tagged"
    })
}

/// The VLANs of a port in one phrase.
pub(super) fn phrase(port: &SwitchportRow) -> String {
    match (port.mode.as_str(), port.untagged) {
        ("access", _) => format!("VLAN {}, without tags", clean(&port.allowed)),
        (_, None) => format!("VLANs {} with tags", clean(&port.allowed)),
        (_, Some(native)) => format!("VLANs {} with tags, {native} without", clean(&port.allowed)),
    }
}
