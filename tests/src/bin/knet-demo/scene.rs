//! The script: what is cut, where, and what it is called.

use knet_tests::lab::{Cut, HostId, NetworkId, mesh::NAMES};

/// The host whose cables are cut.
pub(crate) const VICTIM: HostId = HostId(0);
/// The host whose daemon is killed.
pub(crate) const KILLED: HostId = HostId(3);
/// Who pings whom. No source is [`KILLED`], for with its daemon its TAP goes, and nothing could be captured.
pub(crate) const PAIRS: [(HostId, HostId); 4] = [
    (HostId(0), HostId(1)),
    (HostId(1), HostId(2)),
    (HostId(2), HostId(0)),
    (HostId(0), HostId(3)),
];
/// Hosts.
pub(crate) const HOSTS: usize = 4;

/// One cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    SilentBoth,
    SilentFrom,
    SilentTo,
    Carrier,
    AllButOne,
    Killed,
}

impl Scene {
    /// In the order of the demonstration.
    pub(crate) const ALL: [Self; 6] = [
        Self::SilentBoth,
        Self::SilentFrom,
        Self::SilentTo,
        Self::Carrier,
        Self::AllButOne,
        Self::Killed,
    ];

    /// The stable name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SilentBoth => "silent-both-ways",
            Self::SilentFrom => "silent-one-way-from",
            Self::SilentTo => "silent-one-way-to",
            Self::Carrier => "carrier-loss",
            Self::AllButOne => "all-but-one",
            Self::Killed => "daemon-killed",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> String {
        let (victim, killed) = (NAMES[VICTIM.0], NAMES[KILLED.0]);
        match self {
            Self::SilentBoth => format!("{victim}, link 0: silent, both ways"),
            Self::SilentFrom => format!("{victim}, link 0: silent, sending only"),
            Self::SilentTo => format!("{victim}, link 0: silent, receiving only"),
            Self::Carrier => format!("{victim}, link 0: carrier lost"),
            Self::AllButOne => "every host: all links but the last, silent".into(),
            Self::Killed => format!("{killed}: knetd killed (-9), restarted"),
        }
    }

    /// The cables that are cut.
    pub(crate) fn cuts(self, links: usize) -> Vec<Cut> {
        let first = NetworkId(0);
        match self {
            Self::SilentBoth => vec![Cut::Silent(VICTIM, first)],
            Self::SilentFrom => vec![Cut::SilentFrom(VICTIM, first)],
            Self::SilentTo => vec![Cut::SilentTo(VICTIM, first)],
            Self::Carrier => vec![Cut::Carrier(VICTIM, first)],
            Self::AllButOne => (0..HOSTS)
                .flat_map(|host| (0..links - 1).map(move |link| Cut::Silent(HostId(host), NetworkId(link))))
                .collect(),
            Self::Killed => Vec::new(),
        }
    }

    /// Whether frames of the pair go where something is cut.
    pub(crate) fn touches(self, pair: usize) -> bool {
        let (source, target) = PAIRS[pair];
        match self {
            Self::AllButOne => true,
            Self::Killed => target == KILLED,
            _ => source == VICTIM || target == VICTIM,
        }
    }

    /// Whether an event about `link` between `host` and `peer` can be the sign that this cut was noticed.
    pub(crate) fn concerns(
        self,
        host: HostId,
        peer: Option<&str>,
        link: Option<usize>,
        links: usize,
    ) -> bool {
        let touches = |other: HostId| host == other || peer == Some(NAMES[other.0]);
        match self {
            Self::Killed => host != KILLED && touches(KILLED),
            Self::AllButOne => link.is_some_and(|l| l < links - 1),
            _ => link == Some(0) && touches(VICTIM),
        }
    }
}
