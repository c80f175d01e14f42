//! Links whose remote is a DNS name: which address the name has, when it is looked up again, and what an answer
//! means for the link.
//!
//! The system's resolver does the look-ups (`getaddrinfo`, so `/etc/hosts`, mDNS and search domains work as for every
//! other program), on threads of their own, because it blocks. A link whose name has no address yet is to the data
//! plane a link that the peer opens.

mod schedule;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    rc::Rc,
    time::Instant,
};

use libknet::api::{
    diff::peer_differences,
    model::{Config, InterfaceConfig, LinkConfig, PeerConfig, Remote},
};
use schedule::Schedule;
use tokio::sync::Semaphore;

/// Look-ups at once: each holds a thread, for a minute where the name servers do not answer.
const LOOKUPS: usize = 8;

/// Where a link is configured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkPlace {
    /// Interface.
    pub interface: String,
    /// Peer.
    pub peer: String,
    /// Link.
    pub link: u8,
}

/// What a look-up gave: addresses in the order of preference (RFC 6724), or why there are none.
pub(crate) type Answer = Result<Vec<IpAddr>, String>;

/// The names of all links.
#[derive(Debug)]
pub(crate) struct Resolver {
    links: BTreeMap<LinkPlace, Named>,
    /// Places for look-ups.
    pub lookups: Rc<Semaphore>,
}

/// One link with a name.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    families: Families,
    address: Option<IpAddr>,
    /// Why the latest look-up gave no address, or that none has ended.
    error: Option<String>,
    schedule: Schedule,
}

/// Which addresses the link's local socket can send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Families {
    v4: bool,
    v6: bool,
}

/// What an answer changed, for the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The link goes to another address from now on.
    Moved {
        /// The name.
        name: String,
        /// Before.
        from: Option<IpAddr>,
        /// From now on.
        to: IpAddr,
    },
    /// There is no address any more, or for another reason.
    NotResolved {
        /// The name.
        name: String,
        /// Why.
        error: String,
        /// Where the link goes to all the same.
        kept: Option<IpAddr>,
    },
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            links: BTreeMap::new(),
            lookups: Rc::new(Semaphore::new(LOOKUPS)),
        }
    }
}

impl Resolver {
    /// Follows a change of the configuration. What stays as it was keeps its address.
    pub(crate) fn follow(&mut self, before: &Config, after: &Config, now: Instant) {
        for (name, difference) in peer_differences(before, after) {
            let new = after.interfaces.get(name).zip(difference.new);
            self.follow_peer(name, difference.key, new, now);
        }
        // On these depends what the links of all peers can do with an address.
        let differ =
            |a: &InterfaceConfig, b: &InterfaceConfig| a.locals != b.locals || a.shutdown != b.shutdown;
        for (name, interface) in &after.interfaces {
            if before
                .interfaces
                .get(name)
                .is_some_and(|old| differ(old, interface))
            {
                for (peer, config) in &interface.peers {
                    self.follow_peer(name, peer, Some((interface, config)), now);
                }
            }
        }
    }

    /// The same for the links of one peer, which is `new` with its interface from now on.
    fn follow_peer(
        &mut self,
        interface: &str,
        peer: &str,
        new: Option<(&InterfaceConfig, &PeerConfig)>,
        now: Instant,
    ) {
        let place = |link| LinkPlace {
            interface: interface.to_owned(),
            peer: peer.to_owned(),
            link,
        };
        let mut known = BTreeMap::new();
        while let Some((at, _)) = self.links.range(place(0)..=place(u8::MAX)).next() {
            let at = at.clone();
            known.extend(self.links.remove(&at).map(|link| (at.link, link)));
        }
        let Some((interface, peer)) = new.filter(|(interface, peer)| !interface.shutdown && !peer.shutdown)
        else {
            return;
        };
        for (id, link) in peer.links.iter().filter(|(_, link)| !link.shutdown) {
            let Remote::Named { name, .. } = &link.remote else {
                continue;
            };
            let families = Families::of(interface, link);
            let known = known
                .remove(id)
                .filter(|known| known.name == *name && known.families == families);
            let new = || Named {
                name: name.clone(),
                families,
                address: None,
                error: Some("it is being looked up".into()),
                schedule: Schedule::new(now),
            };
            self.links.insert(place(*id), known.unwrap_or_else(new));
        }
    }

    /// Everything is looked up again now.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.links.values_mut().for_each(|link| link.schedule.hurry(now));
    }

    /// The address of a link that goes to `name`, if that is known.
    pub(crate) fn address(
        &self,
        place: &LinkPlace,
        interface: &InterfaceConfig,
        link: &LinkConfig,
    ) -> Option<IpAddr> {
        let Remote::Named { name, .. } = &link.remote else {
            return None;
        };
        let known = self.links.get(place)?;
        let families = Families::of(interface, link);
        known
            .address
            .filter(|address| known.name == *name && families.have(*address))
    }

    /// Why the link has no address, or perhaps an old one.
    pub(crate) fn reason(&self, place: &LinkPlace) -> Option<String> {
        let known = self.links.get(place)?;
        let error = known.error.as_ref()?;
        Some(match known.address {
            None => format!("name not resolved: {error}"),
            Some(address) => format!("name not resolved: {error}; {address} is still used"),
        })
    }

    /// The names to be looked up now, once each; they count as begun.
    pub(crate) fn take_due(&mut self, now: Instant) -> BTreeSet<String> {
        let due: BTreeSet<String> = self
            .links
            .values()
            .filter(|link| link.schedule.is_due(now))
            .map(|link| link.name.clone())
            .collect();
        for link in self.links.values_mut().filter(|link| due.contains(&link.name)) {
            link.schedule.begun();
        }
        due
    }

    /// The links that go to `name`.
    pub(crate) fn links_to(&self, name: &str) -> Vec<LinkPlace> {
        self.links
            .iter()
            .filter(|(_, link)| link.name == name)
            .map(|(place, _)| place.clone())
            .collect()
    }

    /// The link is up or down.
    pub(crate) fn link(&mut self, place: &LinkPlace, now: Instant, up: bool) {
        if let Some(link) = self.links.get_mut(place) {
            link.schedule.link(now, up);
        }
    }

    /// What `answer` to a look-up of `name` means for one link, which works or does not.
    pub(crate) fn answered(
        &mut self,
        place: &LinkPlace,
        name: &str,
        answer: &Answer,
        works: bool,
        now: Instant,
    ) -> Option<News> {
        // Meanwhile it may have been configured otherwise.
        let link = self.links.get_mut(place).filter(|link| link.name == name)?;
        link.schedule.link(now, works);
        let found = match answer {
            Ok(addresses) => link.families.choose(addresses, link.address, works),
            Err(error) => Err(error.clone()),
        };
        link.schedule.ended(now, found.is_ok());
        match found {
            Ok(to) => {
                link.error = None;
                let from = link.address.replace(to);
                (from != Some(to)).then(|| News::Moved {
                    name: name.into(),
                    from,
                    to,
                })
            }
            Err(error) => {
                let known = link.error.replace(error.clone()).as_ref() == Some(&error);
                (!known).then(|| News::NotResolved {
                    name: name.into(),
                    error,
                    kept: link.address,
                })
            }
        }
    }
}

impl Families {
    fn of(interface: &InterfaceConfig, link: &LinkConfig) -> Self {
        let usable = |v4: bool| {
            interface
                .locals
                .iter()
                .filter(|(number, _)| link.local.is_none_or(|local| local == **number))
                .any(|(_, local)| local.address.is_ipv4() == v4)
        };
        Self {
            v4: usable(true),
            v6: usable(false),
        }
    }

    fn have(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }

    /// The address in use as long as it works and is still one of the name; otherwise the one after it, so that all
    /// are tried in turn.
    fn choose(self, addresses: &[IpAddr], current: Option<IpAddr>, works: bool) -> Result<IpAddr, String> {
        let mut usable: Vec<IpAddr> = Vec::new();
        for address in addresses {
            if self.have(*address) && !address.is_unspecified() && !usable.contains(address) {
                usable.push(*address);
            }
        }
        let Some(first) = usable.first() else {
            return Err(match (addresses.is_empty(), self.v4, self.v6) {
                (true, ..) | (_, true, true) => "it has no address".into(),
                (false, true, false) => "it has no IPv4 address, and the local is IPv4".into(),
                (false, false, true) => "it has no IPv6 address, and the local is IPv6".into(),
                (false, false, false) => "the interface has no local".into(),
            });
        };
        let at = current.and_then(|current| usable.iter().position(|a| *a == current));
        Ok(match at {
            None => *first,
            Some(at) if works => usable[at],
            Some(at) => usable[(at + 1) % usable.len()],
        })
    }
}

/// Asks the system's resolver. The port is only there because the interface wants one.
pub(crate) async fn look_up(name: &str) -> Answer {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(addresses) => Ok(addresses.map(|address| address.ip()).collect()),
        Err(error) => Err(message(&error)),
    }
}

fn message(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text);
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libknet::api::load::load;

    use super::*;

    fn config(lines: &str) -> Config {
        let loaded = load(lines.as_bytes());
        assert_eq!(loaded.errors().count(), 0, "{:?}", loaded.problems);
        loaded.config
    }

    fn place(link: u8) -> LinkPlace {
        LinkPlace {
            interface: "knet0".into(),
            peer: "a".into(),
            link,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const TWO: &str = "interface knet0\n local 0 192.0.2.1 port 7700\n local 1 any6 port 7700\n peer a\n  \
                       link 0 local 0 remote vpn.example.net port 1\n  link 1 remote vpn.example.net port 2\n  \
                       link 2 local 1 remote other.example.net port 3\n  link 3 remote dynamic\n";

    fn moved(from: Option<&str>, to: &str) -> News {
        News::Moved {
            name: "vpn.example.net".into(),
            from: from.map(ip),
            to: ip(to),
        }
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_its_links_and_each_takes_what_it_can_use() {
        let (config, now) = (config(TWO), Instant::now());
        let mut resolver = Resolver::default();
        resolver.follow(&Config::default(), &config, now);
        let due: Vec<String> = resolver.take_due(now).into_iter().collect();
        assert_eq!(due, ["other.example.net", "vpn.example.net"]);
        assert!(resolver.take_due(now).is_empty());
        assert_eq!(resolver.links_to("vpn.example.net"), [place(0), place(1)]);
        let interface = &config.interfaces["knet0"];
        let address =
            |resolver: &Resolver, n| resolver.address(&place(n), interface, &interface.peers["a"].links[&n]);
        assert_eq!(address(&resolver, 0), None);

        let answer = Ok(vec![ip("2001:db8::7"), ip("198.51.100.7")]);
        let mut told = |n, works| resolver.answered(&place(n), "vpn.example.net", &answer, works, now);
        assert_eq!(told(0, false), Some(moved(None, "198.51.100.7")));
        assert_eq!(told(1, false), Some(moved(None, "2001:db8::7")));
        assert_eq!(told(1, true), None);
        assert_eq!(told(3, false), None, "a link without a name");
        assert_eq!(address(&resolver, 0), Some(ip("198.51.100.7")));
        assert_eq!(resolver.reason(&place(0)), None);

        let mapped = Ok(vec![ip("192.0.2.77")]);
        resolver.answered(&place(2), "other.example.net", &mapped, false, now);
        assert_eq!(
            resolver.reason(&place(2)).unwrap(),
            "name not resolved: it has no IPv6 address, and the local is IPv6"
        );
    }

    #[test]
    fn an_address_that_works_is_kept_and_one_that_does_not_gives_way_to_the_next() {
        let now = Instant::now();
        let mut resolver = Resolver::default();
        resolver.follow(&Config::default(), &config(TWO), now);
        let mut told = |list: &[&str], works| {
            let answer = Ok(list.iter().map(|a| ip(a)).collect());
            resolver.answered(&place(0), "vpn.example.net", &answer, works, now)
        };
        let all = ["192.0.2.11", "192.0.2.12", "192.0.2.13"];
        assert_eq!(told(&all, false), Some(moved(None, all[0])));
        assert_eq!(told(&all, false), Some(moved(Some(all[0]), all[1])));
        assert_eq!(told(&[all[2], all[1], all[0]], true), None);
        assert_eq!(told(&all, false), Some(moved(Some(all[1]), all[2])));
        assert_eq!(
            told(&all, false),
            Some(moved(Some(all[2]), all[0])),
            "in a circle"
        );
        assert_eq!(
            told(&all[1..], true),
            Some(moved(Some(all[0]), all[1])),
            "the name moved"
        );
        assert_eq!(told(&all[1..2], false), None, "there is no other");
    }

    #[test]
    fn what_cannot_be_looked_up_keeps_its_address_and_says_so_once() {
        let now = Instant::now();
        let mut resolver = Resolver::default();
        resolver.follow(&Config::default(), &config(TWO), now);
        assert_eq!(
            resolver.reason(&place(0)).unwrap(),
            "name not resolved: it is being looked up"
        );
        let failed: Answer = Err("Name or service not known".into());
        let news = |kept| {
            Some(News::NotResolved {
                name: "vpn.example.net".into(),
                error: "Name or service not known".into(),
                kept,
            })
        };
        let mut told = |answer: &Answer| resolver.answered(&place(0), "vpn.example.net", answer, false, now);
        assert_eq!(told(&failed), news(None));
        assert_eq!(told(&failed), None);
        let found = Ok(vec![ip("192.0.2.11")]);
        assert_eq!(told(&found), Some(moved(None, "192.0.2.11")));
        assert_eq!(told(&failed), news(Some(ip("192.0.2.11"))));
        assert_eq!(
            resolver.reason(&place(0)).unwrap(),
            "name not resolved: Name or service not known; 192.0.2.11 is still used"
        );
    }

    #[test]
    fn a_change_of_the_configuration_keeps_what_is_still_true() {
        let (before, now) = (config(TWO), Instant::now());
        let mut resolver = Resolver::default();
        resolver.follow(&Config::default(), &before, now);
        resolver.take_due(now);
        let found = Ok(vec![ip("192.0.2.11")]);
        for n in [0, 1] {
            resolver.answered(&place(n), "vpn.example.net", &found, true, now);
        }
        let after = config(
            &TWO.replace("link 0 local 0 remote vpn.", "link 0 local 0 remote new.")
                .replace("port 2", "port 9"),
        );
        resolver.follow(&before, &after, now);
        let interface = &after.interfaces["knet0"];
        let address = |n| resolver.address(&place(n), interface, &interface.peers["a"].links[&n]);
        assert_eq!((address(0), address(1)), (None, Some(ip("192.0.2.11"))));
        assert_eq!(
            resolver.take_due(now).into_iter().collect::<Vec<_>>(),
            ["new.example.net"]
        );
        // An answer to a question of before.
        assert_eq!(
            resolver.answered(&place(0), "vpn.example.net", &found, false, now),
            None
        );
        resolver.follow(&after, &Config::default(), now);
        assert!(resolver.take_due(now + Duration::from_secs(9999)).is_empty());
    }
}
