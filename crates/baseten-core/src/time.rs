//! Times of day: read as RFC 3339 writes them (`2026-11-23T16:35:24.5+01:00`), to the second, and told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time, without its fraction; `None` for what is no such text, or before 1970.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked("2026-11-23".len())?;
    let (clock, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked("16:35:24".len())?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
    };
    let in_calendar = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    // A leap second is the second before it.
    let on_clock = hour < 24 && minute < 60 && second <= 60;
    if !(in_calendar && on_clock) {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second.min(59) - offset(zone)?;
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// The time in words, or the first or last one that has any.
pub(crate) fn told(time: SystemTime) -> String {
    let end = UNIX_EPOCH + Duration::from_secs(253_402_300_799); // the end of the year 9999
    httpdate::fmt_http_date(time.clamp(UNIX_EPOCH, end))
}

/// Three numbers of so many digits each, with this sign between them.
fn numbers(text: &str, sign: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(sign);
    let mut found = [0; 3];
    for (found, digits) in found.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        let all_digits = part.bytes().all(|byte| byte.is_ascii_digit());
        *found = part.parse().ok().filter(|_| all_digits)?;
    }
    parts.next().is_none().then_some(found)
}

/// How many seconds a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let [hours, minutes, _] = numbers(&format!("{rest}:00"), ':', [2, 2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counted in years that begin in March, so that the leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_even_if_no_calendar_has_it() {
        let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
        for (time, expect) in [
            (UNIX_EPOCH + Duration::from_secs(1_714_507_268), "Tue, 30 Apr 2024 20:01:08 GMT"),
            (UNIX_EPOCH - Duration::from_secs(1), "Thu, 01 Jan 1970 00:00:00 GMT"),
            (far, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(told(time), expect);
        }
    }

    #[test]
    fn times_are_read_in_any_zone() {
        // Seconds since 1970, from Python's datetime.fromisoformat(text).timestamp().
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-04-30T20:01:08.512345Z", Some(1_714_507_268)),
            ("2024-04-30T22:01:08.512345678+02:00", Some(1_714_507_268)),
            ("2024-04-30T14:31:08-05:30", Some(1_714_507_268)),
            ("2024-02-29t00:00:00z", Some(1_709_164_800)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("0001-01-01T00:00:00Z", None), // Go's word for never
            ("2023-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-04-30T24:00:00Z", None),
            ("2024-04-30T20:01:08", None), // which zone?
            ("2024-04-30T20:01:08.Z", None),
            ("2024-04-30T20:01:08+0200", None),
            ("2024-04-30T20:01:08+24:00", None),
            ("+024-04-30T20:01:08Z", None),
            ("2024-04-30", None),
            ("é024-04-30T20:01:08Z", None),
            ("", None),
        ] {
            let expect = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(parse(text), expect, "{text}");
        }
    }
}
