//! Points in time as people write them.

use std::str::FromStr;

use crate::logging::utc;

/// Seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) u64);

impl FromStr for Moment {
    type Err = &'static str;

    /// `2027-03-01`, the beginning of that day, or `2027-03-01T12:30:00Z`.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        parse(text).ok_or("expected: a day as in 2027-03-01, or a moment as in 2027-03-01T12:30:00Z")
    }
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
    use crate::logging::utc_seconds;

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
