//! The command line.

use std::str::FromStr;

use clap::Parser;

const LANGUAGE: &str = "\
COMMANDS, one per line on standard input, or with --set; each is answered by `ok` or `error: REASON`:

  [WIRE] DIRECTION PROPERTY VALUE [PROPERTY VALUE]...
        WIRE       number of a wire, the first is 0; without it: all wires
        DIRECTION  a>b, b>a or both; a is the left end of END=END
  [WIRE] a|b carrier off|on    the host at this end sees its cable pulled, or plugged in again
  [WIRE] clear                 as `both clear`, and carriers on
  [WIRE] zero                  all counters to zero
  [WIRE] show                  properties and counters, in lines for people
  [WIRE] show json             the same in one line for programs
  quit

PROPERTIES. Percentages are chances for each frame by itself, 0 to 100; times are like 20ms, 500us, 1.5s.

  delay TIME          every frame is so much later
  jitter TIME         up to so much later still, evenly spread
  order keep|free     whether frames that jitter made unequally late keep their order (default: keep)
  loss PERCENT        lost
  burst-loss P,R      lost in bursts (Gilbert): in P % of the frames a burst begins, after R % of those lost in it
                      it ends: P/(P+R) are lost, 100/R in a row on average; `burst-loss 0` for none
  duplicate PERCENT   delivered twice
  reorder PERCENT     held back by `reorder-by` and overtaken by what comes behind
  reorder-by TIME     default 1ms
  corrupt PERCENT     delivered with bits changed such that the checksum of UDP and TCP still matches
  rate RATE|none      like 100mbit, 512kbit, 1gbit: what a bottleneck carries, Ethernet headers included
  queue TIME|BYTES    what waits before the bottleneck at most, like 50ms (the default), 64kB, 9000B
  mtu BYTES|none      longer IP packets are lost, and nobody is told
  cut                 nothing passes, and what is under way is lost; nobody is told
  restore             ends the cut
  clear               all of these as on a cable; others may follow: `both clear delay 5ms`

EXAMPLE: two hosts in network namespaces, joined by a slow line of 20 Mbit/s that is cut now and then

  knet-wire fra1:wan0=ams1:wan0 --set 'both delay 20ms jitter 5ms rate 20mbit'
  both loss 5
  a>b cut
  both restore
  show";

/// Wires that delay, lose, damage and limit what they carry, as told while they run.
///
/// Each wire joins two Ethernet interfaces, which are made for it: they appear, up and without address, in the
/// network namespaces named, and go when this program ends. What a host sends on one end arrives at the other.
/// Needs root; /dev/net/tun; and `ip` for ends in other namespaces. All of it runs in one thread.
///
/// The program prints `ready` when the interfaces are there, and ends when its standard input does (--stay:
/// when it is killed).
#[derive(Debug, Parser)]
#[command(name = "knet-wire", after_help = LANGUAGE, after_long_help = LANGUAGE)]
pub(crate) struct Args {
    /// A wire: the interfaces at its ends, each [NAMESPACE:]INTERFACE.
    #[arg(required = true, value_name = "END=END")]
    pub(crate) wires: Vec<WireEnds>,
    /// A command to begin with; may be given again and again.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) set: Vec<String>,
    /// MTU of the interfaces themselves, in bytes. Hosts see it, unlike the property `mtu`.
    #[arg(long, default_value_t = 1500, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(68..=65521))]
    pub(crate) device_mtu: u16,
    /// What chances are drawn from: the same frames at the same times meet the same fate.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub(crate) seed: u64,
    /// Frames that come or are due within this time of each other may be carried together, in microseconds. Less is
    /// more exact, and costs more processor time.
    #[arg(long, default_value_t = 200, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub(crate) grain: u64,
    /// Go on when standard input has ended.
    #[arg(long)]
    pub(crate) stay: bool,
}

/// `END=END`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WireEnds(pub(crate) [EndName; 2]);

/// `[NAMESPACE:]INTERFACE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndName {
    /// A name that `ip netns list` shows; `None`: the namespace of this program.
    pub(crate) namespace: Option<String>,
    pub(crate) interface: String,
}

impl FromStr for WireEnds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((a, b)) = text.split_once('=') else {
            return Err("a wire has two ends: write END=END, for example fra1:wan0=ams1:wan0".into());
        };
        let ends = [a.parse()?, b.parse()?];
        if ends[0] == ends[1] {
            return Err("both ends are the same interface".into());
        }
        Ok(Self(ends))
    }
}

impl FromStr for EndName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The last colon: a namespace may have one in its name, an interface not.
        let (namespace, interface) = match text.rsplit_once(':') {
            Some((namespace, interface)) => (Some(namespace), interface),
            None => (None, text),
        };
        if namespace.is_some_and(|n| n.is_empty() || n.contains('/')) {
            return Err(format!(
                "'{text}': before the colon there must be the name of a network namespace"
            ));
        }
        if !knet_io::tap::is_interface_name(interface) {
            return Err(format!(
                "'{interface}' cannot be the name of an interface: 1 to 15 bytes without space, '/', ':' and '%'"
            ));
        }
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            interface: interface.to_owned(),
        })
    }
}

impl std::fmt::Display for EndName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}:")?;
        }
        f.write_str(&self.interface)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn ends() {
        let ends: WireEnds = "fra1:wan0=wan1".parse().expect("ends");
        assert_eq!(ends.0[0].namespace.as_deref(), Some("fra1"));
        assert_eq!(ends.0[0].to_string(), "fra1:wan0");
        assert_eq!(ends.0[1].namespace, None);
        assert_eq!(ends.0[1].to_string(), "wan1");
        for wrong in [
            "",
            "wan0",
            "wan0=",
            "=wan0",
            ":wan0=b",
            "a/b:wan0=b",
            "b=b",
            "a:b%d=c",
        ] {
            assert!(wrong.parse::<WireEnds>().is_err(), "{wrong}");
        }
    }
}
