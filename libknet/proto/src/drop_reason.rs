//! Why a packet was discarded. Nothing vanishes: each discarded packet is counted under one of these.

macro_rules! drop_reasons {
    ($($variant:ident $name:literal $help:literal,)*) => {
        /// The reason for which a datagram or a frame was discarded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason { $(#[doc = $help] $variant,)* }

        impl DropReason {
            /// Every reason, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name that `show interfaces` and JSON use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for people.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

drop_reasons! {
    // Datagrams from the network, before authentication
    WireLength "wire-length" "The datagram's length does not fit its type.",
    WireType "wire-type" "The datagram's first byte is no message type of this version.",
    WireReserved "wire-reserved" "A reserved field of the datagram is not zero.",
    UnknownIndex "unknown-index" "No session has the datagram's receiver index.",
    // Handshake
    HandshakeQueueFull "handshake-queue-full" "The queue to the handshake thread was full.",
    HandshakeRate "handshake-rate" "Too many handshakes from this source address.",
    HandshakePeerRate "handshake-peer-rate" "Too many handshakes of this peer.",
    HandshakeMac1 "handshake-mac1" "MAC1 is wrong: the sender does not know our public key, or the bytes are damaged.",
    HandshakeMac2 "handshake-mac2" "MAC2 is wrong or missing while cookies are demanded; a cookie was sent.",
    HandshakeVersion "handshake-version" "No wire version in common.",
    HandshakeCipher "handshake-cipher" "No cipher in common: the `cipher` lines of both sides leave none.",
    HandshakeCrypto "handshake-crypto" "The handshake message does not decrypt: other key, other preshared key, or damaged bytes.",
    HandshakeUnknownPeer "handshake-unknown-peer" "The sender's public key is not configured here.",
    HandshakeCredentialRate "handshake-credential-rate" "Credentials of strangers beyond what is looked at.",
    HandshakeStale "handshake-stale" "The handshake's time stamp is not newer than the last; a RETRY was sent or withheld by its rate limit.",
    HandshakeReplay "handshake-replay" "The handshake repeats one already accepted.",
    HandshakeUnexpected "handshake-unexpected" "An answer to a handshake that we did not begin, or have already completed.",
    HandshakePayload "handshake-payload" "An authenticated handshake whose contents make no sense.",
    HandshakeNoIndex "handshake-no-index" "No receiver index was free for a new session.",
    // Datagrams of a session
    Replay "replay" "A counter seen before: a copy (normal under the active policy) or a replay.",
    LateDrop "late" "A counter older than the replay window.",
    AeadOpen "aead-open" "The datagram does not decrypt: damaged or forged.",
    SessionExpired "session-expired" "The session is too old or has sent too much to be used.",
    LaneInvalid "lane-invalid" "The lane was not agreed on.",
    LinkMismatch "link-mismatch" "A control message came over another socket or from another address than its link's, and was no part of finding out whether the link is there now.",
    LinkUnknown "link-unknown" "A control message for a link that this peer may not open.",
    RecordInvalid "record-invalid" "An authenticated control message that breaks the rules.",
    RecordRate "record-rate" "Control records beyond what a peer may send.",
    FragmentRefused "fragment-refused" "A fragment whose header breaks the rules.",
    FragmentConflict "fragment-conflict" "Fragments that contradict each other: the whole is discarded, and what comes of it later.",
    FragmentCopy "fragment-copy" "A fragment that was here already.",
    FragmentTimeout "fragment-timeout" "A frame of which a fragment did not come in time.",
    ReassemblyFull "reassembly-full" "A frame discarded because too much was waiting for fragments.",
    // Frames
    FrameShort "frame-short" "A frame shorter than an Ethernet header.",
    FrameLong "frame-long" "A frame longer than the interface takes.",
    PacketTooBig "packet-too-big" "An IP packet too long for the path; its sender was told (mtu-policy signal).",
    FrameReserved "frame-reserved" "Addressed to 01:80:c2:00:00:00-0f, which no bridge forwards.",
    FrameSourceGroup "frame-source-group" "The frame's source address is a group address.",
    NoSession "no-session" "No session with the peer, and the waiting queue was full or the wait too long.",
    NoLink "no-link" "No link to the peer can be used.",
    PeerShutdown "peer-shutdown" "The peer is administratively down.",
    VlanIngress "vlan-ingress" "The frame's VLAN, or a frame without one, is none that the port it came in by is in.",
    VlanEgress "vlan-egress" "The destination is behind a port that is not in the frame's VLAN.",
    VlanTag "vlan-tag" "The frame's tag is cut off or has the reserved VLAN id 4095; or without its tag the frame would look like one of another VLAN.",
    Isolated "isolated" "From an isolated peer to another peer.",
    SplitHorizon "split-horizon" "The destination is where the frame came from, or behind a mesh neighbour of the peer it came from.",
    MacFrozen "mac-frozen" "The source address belongs to another port: it is configured there or sticks to it, or it moved too often.",
    LoopGuard "loop-guard" "From or for a peer that is closed for a while because there is a loop through it, or the probe that found that out.",
    MacLimit "mac-limit" "The source address is one more than the `mac limit` of its peer.",
    PortSecurity "port-security" "The source address is none that the peer may use: not one of its `mac allowed`, or one more than stick to it (`mac sticky`).",
    SourceGuard "source-guard" "An IP packet from an address that was not given to the peer (`ip verify source`), or one that could not be looked at.",
    ArpInspection "arp-inspection" "ARP or neighbour discovery that claims an address that was not given to the peer (`arp inspection`), or names a MAC address that is not the frame's (`arp inspection validate source-mac`), or that could not be looked at.",
    StormControl "storm-control" "Broadcast, multicast or unknown unicast beyond the rate for one peer.",
    HubStandby "hub-standby" "A frame of a hub that is not the active one of its group, and for no station of ours: the active one brings it too.",
    HubEcho "hub-echo" "A frame of our own that came back from the hub that has just taken over.",
    FloodBudget "flood-budget" "Copies of flooded frames beyond the budget.",
    FloodQueueFull "flood-queue-full" "Copies of flooded frames that could not be made at once, where too many waited already.",
    DhcpSnooping "dhcp-snooping" "What only a DHCP server says, from a peer that is not trusted to have one behind it.",
    RaGuard "ra-guard" "A router advertisement or a redirect, from a peer that is not trusted to have a router behind it.",
    RouterGuard "router-guard" "What only a multicast router sends (queries of IGMP and MLD, PIM), from a peer that is to be none (`router-guard ip multicast`).",
    NoListener "no-listener" "Multicast that nobody listens to, where who listens is known.",
    NoPort "no-port" "A frame, and nobody to send it to: a flooded one, or one for a peer that has just been removed.",
    HandoverFull "handover-full" "A frame or datagram for a peer of another worker, which did not keep up.",
    PartialChecksum "partial-checksum" "A frame that is neither TCP nor UDP, from a peer that says its checksum is left to do.",
    TapOffload "tap-offload" "A frame of the TAP whose offload header contradicts it.",
    OwnDatagram "own-datagram" "A datagram of our own came out of the TAP: a peer's address is routed into the tunnel to it.",
    // The rim
    TapWrite "tap-write" "The TAP did not take the frame.",
    SendFailed "send-failed" "The kernel refused to send the datagram.",
    SendBufferFull "send-buffer-full" "The socket's send buffer stayed full.",
    ReceiveOverflow "receive-overflow" "The kernel dropped datagrams because the socket's receive buffer was full.",
}

/// One counter per reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// Counts one.
    pub fn count(&mut self, reason: DropReason) {
        self.add(reason, 1);
    }

    /// Counts `n`.
    pub fn add(&mut self, reason: DropReason, n: u64) {
        if let Some(c) = self.0.get_mut(reason as usize) {
            *c = c.saturating_add(n);
        }
    }

    /// How many were dropped for `reason`.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// All reasons with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.iter().map(|r| (*r, self.get(*r)))
    }

    /// The sum over all reasons.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, n)| n).sum()
    }

    /// Sets all to zero.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
