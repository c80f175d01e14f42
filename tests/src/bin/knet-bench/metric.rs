//! What is measured.

/// A quantity, with one value for each round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Metric {
    /// TCP, one stream, in Gbit/s at the receiver.
    Tcp,
    /// The same, sent by the other host.
    TcpBack,
    /// TCP, four streams together.
    Tcp4,
    /// The same, sent by the other host.
    Tcp4Back,
    /// Datagrams of 64 bytes in thousands per second, where less than 1 % of them are lost.
    Datagrams,
    /// Round trip of an idle path in microseconds: median.
    Idle,
    /// The same: 99th percentile.
    IdleWorst,
    /// Round trip while one TCP stream runs: median.
    Loaded,
    /// The same: 99th percentile.
    LoadedWorst,
    /// Processor seconds of both daemons for a gigabyte of one TCP stream.
    Cost,
    /// System calls of a daemon for a thousand datagrams, of the one that needs more.
    Calls,
    /// Resident memory of the larger daemon after the TCP streams, in MiB.
    Memory,
}

impl Metric {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 12] = [
        Self::Tcp,
        Self::TcpBack,
        Self::Tcp4,
        Self::Tcp4Back,
        Self::Datagrams,
        Self::Idle,
        Self::IdleWorst,
        Self::Loaded,
        Self::LoadedWorst,
        Self::Cost,
        Self::Calls,
        Self::Memory,
    ];

    /// The head of its column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Tcp => "TCP →",
            Self::TcpBack => "TCP ←",
            Self::Tcp4 => "4 × TCP →",
            Self::Tcp4Back => "4 × TCP ←",
            Self::Datagrams => "64 B kpps",
            Self::Idle => "RTT p50",
            Self::IdleWorst => "RTT p99",
            Self::Loaded => "loaded p50",
            Self::LoadedWorst => "loaded p99",
            Self::Cost => "CPU s/GB",
            Self::Calls => "calls/1000",
            Self::Memory => "MiB",
        }
    }

    /// Its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp_gbit_per_s",
            Self::TcpBack => "tcp_back_gbit_per_s",
            Self::Tcp4 => "tcp_4_gbit_per_s",
            Self::Tcp4Back => "tcp_4_back_gbit_per_s",
            Self::Datagrams => "datagrams_64_byte_k_per_s",
            Self::Idle => "rtt_idle_p50_us",
            Self::IdleWorst => "rtt_idle_p99_us",
            Self::Loaded => "rtt_loaded_p50_us",
            Self::LoadedWorst => "rtt_loaded_p99_us",
            Self::Cost => "cpu_s_per_gb",
            Self::Calls => "system_calls_per_1000_datagrams",
            Self::Memory => "resident_mib",
        }
    }

    /// A value for people.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Tcp | Self::TcpBack | Self::Tcp4 | Self::Tcp4Back | Self::Cost => format!("{value:.2}"),
            Self::Datagrams
            | Self::Idle
            | Self::IdleWorst
            | Self::Loaded
            | Self::LoadedWorst
            | Self::Calls
            | Self::Memory => format!("{value:.0}"),
        }
    }
}
