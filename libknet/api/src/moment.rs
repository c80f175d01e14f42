//! Points in time as people write them (RFC 3339), in UTC.

use std::str::FromStr;

/// Seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub u64);

impl FromStr for Moment {
    type Err = &'static str;

    /// `2027-03-01`, the beginning of that day, or `2027-03-01T12:30:00Z`.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        parse(text).ok_or("expected: a day as in 2027-03-01, or a moment as in 2027-03-01T12:30:00Z")
    }
}

/// RFC 3339 with milliseconds.
pub fn utc(unix_ms: u64) -> String {
    format!("{}T{}Z", date(unix_ms), time_of_day(unix_ms))
}

/// The day of milliseconds since 1970. Days are counted as in Howard Hinnant's `civil_from_days`: years that begin in March,
/// in eras of 400.
pub fn date(unix_ms: u64) -> String {
    let shifted = unix_ms / 86_400_000 + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The time of day of milliseconds since 1970, with milliseconds.
pub fn time_of_day(unix_ms: u64) -> String {
    let ms = unix_ms % 86_400_000;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{:03}", ms % 1000)
}

/// The same of whole seconds since 1970, without milliseconds.
pub fn utc_seconds(unix: u64) -> String {
    utc(unix.saturating_mul(1000)).replace(".000Z", "Z")
}

fn parse(text: &str) -> Option<Moment> {
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let numbers = |text: &str, separator: char, lengths: [usize; 3]| -> Option<[u64; 3]> {
        let mut parts = text.split(separator);
        let mut numbers = [0; 3];
        for (number, length) in numbers.iter_mut().zip(lengths) {
            let part = parts.next()?;
            let digits = part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
            *number = part.parse().ok().filter(|_| digits)?;
        }
        parts.next().is_none().then_some(numbers)
    };
    let [year, month, day] = numbers(day, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time.strip_suffix('Z')?, ':', [2, 2, 2])?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return None;
    }
    // Howard Hinnant's `days_from_civil`: years begin in March.
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let moment = days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second;
    // A day that its month does not have would be another one.
    let same = |text: &str, length| text.get(..length) == utc(moment * 1000).get(..length);
    same(text, 10).then_some(Moment(moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(utc(1_709_210_096_789), "2024-02-29T12:34:56.789Z");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn days_and_moments_are_read_and_others_are_not() {
        let read = |text: &str| text.parse::<Moment>().ok().map(|moment| moment.0);
        assert_eq!(read("1970-01-01"), Some(0));
        assert_eq!(read("2000-02-29T23:59:59Z"), Some(951_868_799));
        assert_eq!(read("2024-02-29T12:34:56Z"), Some(1_709_210_096));
        assert_eq!(read("9999-12-31T23:59:59Z"), Some(253_402_300_799));
        for wrong in [
            "2023-02-29",
            "2024-04-31",
            "24-01-01",
            "2024-1-01",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "1969-12-31",
            "2024-01-01-01",
            "",
            "T",
            "2024-13-01",
            "2024-00-01",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        for unix in [0, 86_399, 951_782_400, 4_107_542_400] {
            assert_eq!(read(&utc_seconds(unix)), Some(unix));
        }
    }
}
