//! What a direction of a wire does to frames: the properties, as written by people.

use std::{fmt, fmt::Write as _};

/// Nanoseconds.
pub(crate) type Nanos = u64;

/// A chance between never (0) and always (2^32), as a share of all numbers of 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chance(u64);

impl Chance {
    const ALWAYS: f64 = 4_294_967_296.0;

    pub(crate) fn from_percent(percent: f64) -> Self {
        Self((percent / 100.0 * Self::ALWAYS).round() as u64)
    }

    /// Whether it happens, by a random number.
    pub(crate) fn happens(self, draw: u32) -> bool {
        u64::from(draw) < self.0
    }

    pub(crate) fn is_never(self) -> bool {
        self.0 == 0
    }
}

/// In percent, with as many digits as it was given with.
impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 as f64 * 100.0 / Self::ALWAYS;
        write!(f, "{}", (percent * 1e6).round() / 1e6)
    }
}

/// What waits before the bottleneck at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueLimit {
    Time(Nanos),
    Bytes(u64),
}

/// All properties of one direction. The default is a cable: everything passes at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) delay: Nanos,
    pub(crate) jitter: Nanos,
    pub(crate) keep_order: bool,
    pub(crate) loss: Chance,
    pub(crate) burst_begin: Chance,
    pub(crate) burst_end: Chance,
    pub(crate) duplicate: Chance,
    pub(crate) reorder: Chance,
    pub(crate) reorder_by: Nanos,
    pub(crate) corrupt: Chance,
    /// Bits per second; 0: no bottleneck.
    pub(crate) rate: u64,
    pub(crate) queue: QueueLimit,
    /// Bytes of an IP packet; 0: no limit.
    pub(crate) mtu: usize,
    pub(crate) cut: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay: 0,
            jitter: 0,
            keep_order: true,
            loss: Chance::default(),
            burst_begin: Chance::default(),
            burst_end: Chance::default(),
            duplicate: Chance::default(),
            reorder: Chance::default(),
            reorder_by: 1_000_000,
            corrupt: Chance::default(),
            rate: 0,
            queue: QueueLimit::Time(50_000_000),
            mtu: 0,
            cut: false,
        }
    }
}

const PROPERTIES: &str = "delay, jitter, order, loss, burst-loss, duplicate, reorder, reorder-by, corrupt, rate, \
                          queue, mtu, cut, restore and clear";

impl Settings {
    /// Takes in `PROPERTY VALUE PROPERTY VALUE ...`; nothing is changed if one of them is wrong.
    pub(crate) fn apply<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let mut words = words.peekable();
        let mut new = self.clone();
        if words.peek().is_none() {
            return Err(format!("what is to change? The properties are {PROPERTIES}"));
        }
        while let Some(property) = words.next() {
            match property {
                "cut" => new.cut = true,
                "restore" => new.cut = false,
                "clear" => new = Self::default(),
                _ => {
                    let value = words.next();
                    new.set(property, value)?;
                }
            }
        }
        *self = new;
        Ok(())
    }

    fn set(&mut self, property: &str, value: Option<&str>) -> Result<(), String> {
        let value = |what: &str| value.ok_or_else(|| format!("'{property}' needs a value: {what}"));
        match property {
            "delay" => self.delay = time(value(TIME)?)?,
            "jitter" => self.jitter = time(value(TIME)?)?,
            "order" => {
                self.keep_order = match value("keep or free")? {
                    "keep" => true,
                    "free" => false,
                    other => return Err(format!("'{other}': order is keep or free")),
                }
            }
            "loss" => self.loss = percent(value(PERCENT)?)?,
            "burst-loss" => (self.burst_begin, self.burst_end) = bursts(value(BURSTS)?)?,
            "duplicate" => self.duplicate = percent(value(PERCENT)?)?,
            "reorder" => self.reorder = percent(value(PERCENT)?)?,
            "reorder-by" => self.reorder_by = time(value(TIME)?)?,
            "corrupt" => self.corrupt = percent(value(PERCENT)?)?,
            "rate" => self.rate = rate(value(RATE)?)?,
            "queue" => self.queue = queue(value(QUEUE)?)?,
            "mtu" => self.mtu = mtu(value(MTU)?)?,
            other => return Err(format!("'{other}' is no property: there are {PROPERTIES}")),
        }
        Ok(())
    }

    /// Bytes that may wait before the bottleneck.
    pub(crate) fn queue_bytes(&self) -> u64 {
        match self.queue {
            QueueLimit::Bytes(bytes) => bytes,
            QueueLimit::Time(time) => (u128::from(time) * u128::from(self.rate) / 8_000_000_000) as u64,
        }
    }
}

/// In the words that [`Settings::apply`] reads; what is as at the start is left out.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = Self::default();
        let mut words = String::new();
        let mut say = |differs: bool, text: String| {
            if differs {
                let gap = if words.is_empty() { "" } else { " " };
                let _ = write!(words, "{gap}{text}");
            }
        };
        say(self.delay != start.delay, format!("delay {}", Time(self.delay)));
        say(
            self.jitter != start.jitter,
            format!("jitter {}", Time(self.jitter)),
        );
        say(!self.keep_order, "order free".into());
        say(!self.loss.is_never(), format!("loss {}", self.loss));
        say(
            !self.burst_begin.is_never(),
            format!("burst-loss {},{}", self.burst_begin, self.burst_end),
        );
        say(
            !self.duplicate.is_never(),
            format!("duplicate {}", self.duplicate),
        );
        say(!self.reorder.is_never(), format!("reorder {}", self.reorder));
        say(
            self.reorder_by != start.reorder_by,
            format!("reorder-by {}", Time(self.reorder_by)),
        );
        say(!self.corrupt.is_never(), format!("corrupt {}", self.corrupt));
        say(self.rate != start.rate, format!("rate {}", Rate(self.rate)));
        say(
            self.queue != start.queue,
            match self.queue {
                QueueLimit::Time(time) => format!("queue {}", Time(time)),
                QueueLimit::Bytes(bytes) => format!("queue {bytes}B"),
            },
        );
        say(self.mtu != start.mtu, format!("mtu {}", self.mtu));
        say(self.cut, "cut".into());
        f.write_str(&words)
    }
}

struct Time(Nanos);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            0 => (1, "s"),
            n if n % 1_000_000_000 == 0 => (1_000_000_000, "s"),
            n if n % 1_000_000 == 0 => (1_000_000, "ms"),
            n if n % 1000 == 0 => (1000, "us"),
            _ => (1, "ns"),
        };
        write!(f, "{}{name}", self.0 / unit)
    }
}

struct Rate(u64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n % 1_000_000_000 == 0 => write!(f, "{}gbit", n / 1_000_000_000),
            n if n % 1_000_000 == 0 => write!(f, "{}mbit", n / 1_000_000),
            n if n % 1000 == 0 => write!(f, "{}kbit", n / 1000),
            n => write!(f, "{n}bit"),
        }
    }
}

const TIME: &str = "a time like 20ms, 500us or 1.5s, one minute at most";
const PERCENT: &str = "percent, 0 to 100";
const BURSTS: &str = "P,R in percent, like 1,20, or 0 for none";
const RATE: &str = "a rate like 100mbit, 512kbit or 1gbit, or none";
const QUEUE: &str = "a time like 50ms or a size like 64kB or 9000B";
const MTU: &str = "bytes, 68 to 65535, or none";

/// A number followed by one of `units`.
fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().ok()?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    (number >= 0.0 && number.is_finite()).then_some(number * factor)
}

fn time(text: &str) -> Result<Nanos, String> {
    const UNITS: [(&str, f64); 4] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    let nanos = if text == "0" {
        Some(0.0)
    } else {
        with_unit(text, &UNITS)
    };
    nanos
        .filter(|n| *n <= 60e9)
        .map(|n| n.round() as Nanos)
        .ok_or_else(|| format!("'{text}' is not {TIME}"))
}

fn percent(text: &str) -> Result<Chance, String> {
    text.trim_end_matches('%')
        .parse()
        .ok()
        .filter(|p| (0.0..=100.0).contains(p))
        .map(Chance::from_percent)
        .ok_or_else(|| format!("'{text}' is not {PERCENT}"))
}

fn bursts(text: &str) -> Result<(Chance, Chance), String> {
    if text == "0" {
        return Ok((Chance::default(), Chance::default()));
    }
    let wrong = || format!("'{text}' is not {BURSTS}");
    let (begin, end) = text.split_once(',').ok_or_else(wrong)?;
    let (begin, end) = (percent(begin)?, percent(end)?);
    if end.is_never() {
        return Err(format!("'{text}': a burst that never ends is a cut"));
    }
    Ok((begin, end))
}

fn rate(text: &str) -> Result<u64, String> {
    if text == "none" {
        return Ok(0);
    }
    const UNITS: [(&str, f64); 4] = [("bit", 1.0), ("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
    with_unit(text, &UNITS)
        .filter(|bits| (1000.0..=1e12).contains(bits))
        .map(|bits| bits.round() as u64)
        .ok_or_else(|| format!("'{text}' is not {RATE}"))
}

fn queue(text: &str) -> Result<QueueLimit, String> {
    if let Ok(time) = time(text) {
        return Ok(QueueLimit::Time(time));
    }
    with_unit(text, &[("B", 1.0), ("kB", 1e3), ("MB", 1e6)])
        .filter(|bytes| *bytes <= 1e9)
        .map(|bytes| QueueLimit::Bytes(bytes.round() as u64))
        .ok_or_else(|| format!("'{text}' is not {QUEUE}"))
}

fn mtu(text: &str) -> Result<usize, String> {
    match text {
        "none" => Ok(0),
        _ => text
            .parse()
            .ok()
            .filter(|bytes| (68..=65_535).contains(bytes))
            .ok_or_else(|| format!("'{text}' is not {MTU}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        settings.apply(text.split_whitespace()).map(|()| settings)
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "delay 20ms jitter 5ms order free loss 0.1",
            "burst-loss 1,20 duplicate 2 reorder 3 reorder-by 500us corrupt 0.01",
            "rate 100mbit queue 20ms mtu 1400 cut",
            "delay 1500us rate 1gbit queue 65536B",
        ] {
            let settings = read(text).expect(text);
            assert_eq!(settings.to_string(), text);
            assert_eq!(read(&settings.to_string()), Ok(settings));
        }
        assert_eq!(
            read("delay 0 rate none mtu none burst-loss 0 restore"),
            Ok(Settings::default())
        );
        assert_eq!(read("loss 5 cut clear delay 5ms"), read("delay 5ms"));
        assert_eq!(Settings::default().to_string(), "");
    }

    #[test]
    fn units() {
        assert_eq!(read("delay 1.5s").expect("s").delay, 1_500_000_000);
        assert_eq!(read("rate 1.5mbit").expect("rate").rate, 1_500_000);
        assert_eq!(read("queue 64kB").expect("size").queue, QueueLimit::Bytes(64_000));
        let line = read("rate 8mbit queue 20ms").expect("line");
        assert_eq!(line.queue_bytes(), 20_000);
    }

    #[test]
    fn what_is_wrong_is_named_and_changes_nothing() {
        for (text, word) in [
            ("", "properties"),
            ("losss 5", "losss"),
            ("loss", "percent"),
            ("loss 101", "101"),
            ("loss -1", "-1"),
            ("loss nan", "nan"),
            ("delay 20", "20"),
            ("delay 61s", "61s"),
            ("delay -1ms", "-1ms"),
            ("rate 100", "100"),
            ("rate 1bit", "1bit"),
            ("queue much", "much"),
            ("mtu 10", "10"),
            ("order any", "any"),
            ("burst-loss 5", "5"),
            ("burst-loss 5,0", "never ends"),
            ("delay 5ms loss x", "x"),
        ] {
            let mut settings = read("delay 7ms").expect("a delay");
            let error = settings.apply(text.split_whitespace()).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
            assert_eq!(settings, read("delay 7ms").expect("a delay"), "{text}");
        }
    }

    #[test]
    fn chances_at_their_ends() {
        let (never, always) = (Chance::from_percent(0.0), Chance::from_percent(100.0));
        assert!(!never.happens(0) && !never.happens(u32::MAX));
        assert!(always.happens(0) && always.happens(u32::MAX));
    }
}
