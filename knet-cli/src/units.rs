//! Times, rates and counts as people read them.

pub(crate) use knet_api::moment::time_of_day;

/// Microseconds.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..1000 => format!("{us}us"),
        1000..10_000 => format!("{:.2}ms", us as f64 / 1e3),
        10_000..100_000 => format!("{:.1}ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{}ms", us / 1000),
        _ => format!("{:.1}s", us as f64 / 1e6),
    }
}

/// Microseconds that may not have been measured.
pub(crate) fn maybe_micros(us: Option<u64>) -> String {
    us.map_or("-".to_owned(), micros)
}

/// Milliseconds of a longer time: the two largest units.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{}.{}s", seconds, ms % 1000 / 100),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

/// Bits in a second, with three digits that count.
pub(crate) fn bits_per_second(bits: f64) -> String {
    let units = ["b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s"];
    let (mut value, mut unit) = (bits.max(0.0), 0);
    // What rounding would make a thousand belongs to the next unit.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    match value {
        _ if unit == 0 => format!("{value:.0}b/s"),
        ..9.995 => format!("{value:.2}{}", units[unit]),
        ..99.95 => format!("{value:.1}{}", units[unit]),
        _ => format!("{value:.0}{}", units[unit]),
    }
}

/// Parts per million as percent.
pub(crate) fn percent(ppm: u32) -> String {
    match ppm {
        0 => "0%".to_owned(),
        1..1000 => "<0.1%".to_owned(),
        _ => format!("{:.1}%", f64::from(ppm) / 1e4),
    }
}

/// Whoever says a later day has said something else: it would be longer than a column.
const LATEST: u64 = 3_000_000 * 86_400_000;

/// Date and time of day (UTC) of milliseconds since 1970.
pub(crate) fn date_time(unix_ms: u64) -> String {
    format!("{} {}", date(unix_ms), time_of_day(unix_ms))
}

/// Date (UTC) of milliseconds since 1970, of the next 8,000 years.
pub(crate) fn date(unix_ms: u64) -> String {
    knet_api::moment::date(unix_ms.min(LATEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_they_should() {
        let written: Vec<String> = [999, 1000, 9_999, 10_000, 99_999, 100_000, 999_999, 1_000_000]
            .map(micros)
            .into();
        assert_eq!(
            written,
            [
                "999us", "1.00ms", "10.00ms", "10.0ms", "100.0ms", "100ms", "999ms", "1.0s"
            ]
        );
        let written: Vec<String> = [0, 9_900, 10_000, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000]
            .map(duration)
            .into();
        assert_eq!(
            written,
            ["0.0s", "9.9s", "10s", "59s", "1m00s", "59m59s", "1h00m", "1d00h"]
        );
        assert_eq!(
            [0, 1, 1000, 15_000, 1_000_000].map(percent),
            ["0%", "<0.1%", "0.1%", "1.5%", "100.0%"]
        );
    }

    #[test]
    fn rates_have_three_digits() {
        let written = [0.0, 999.0, 999.6, 9_994.0, 9_996.0, 99_960.0, 1.5e9, 2.0e15].map(bits_per_second);
        assert_eq!(
            written,
            [
                "0b/s", "999b/s", "1.00kb/s", "9.99kb/s", "10.0kb/s", "100kb/s", "1.50Gb/s", "2000Tb/s"
            ]
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix, date) in [
            (0, "1970-01-01 00:00:00.000"),
            (951_782_400_000, "2000-02-29 00:00:00.000"),
            (951_868_800_000, "2000-03-01 00:00:00.000"),
            (1_735_689_599_999, "2024-12-31 23:59:59.999"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000"),
        ] {
            assert_eq!(date_time(unix), date);
        }
    }
}
