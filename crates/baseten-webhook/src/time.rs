//! The body's `time`: UTC, `2024-04-30T20:01:08.512345Z`, read and written.
//!
//! The calendar is `humantime`'s: one crate with none below it and std's `SystemTime` on both sides,
//! where `jiff`, `time` and `chrono` bring time zones, locales or up to six crates for one format. It
//! reads a few texts that are no times (`…08Z123Z`), so the shape is checked here.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serializer, de, ser};

/// Why a text is no time of a webhook.
///
/// Taken are RFC 3339 times in UTC since 1970: Baseten's six digits of a second, fewer, more or none
/// (Python leaves them out when they are zero), and `+00:00` for `Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTime {
    text: Box<str>,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Shape,
    Range,
}

/// What is kept of a text that is no time, in characters.
const TEXT_MAX: usize = 40;

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Shape => {
                write!(f, "{:?} does not look like 2024-04-30T20:01:08.512345Z", self.text)
            }
            Fault::Range => write!(f, "{:?} is not in the calendar from 1970 to 9999", self.text),
        }
    }
}

impl std::error::Error for InvalidTime {}

pub(crate) fn parse(text: &str) -> Result<SystemTime, InvalidTime> {
    let invalid = |fault| InvalidTime { text: text.chars().take(TEXT_MAX).collect(), fault };
    if !is_in_shape(text) {
        return Err(invalid(Fault::Shape));
    }
    humantime::parse_rfc3339(text).map_err(|_| invalid(Fault::Range))
}

/// Whether it is a date, `T`, a time, perhaps a fraction, and the sign for UTC.
fn is_in_shape(text: &str) -> bool {
    let Some((moment, rest)) = text.split_at_checked("2024-04-30T20:01:08".len()) else {
        return false;
    };
    let Some(fraction) = rest.strip_suffix('Z').or_else(|| rest.strip_suffix("+00:00")) else {
        return false;
    };
    let fits = |(byte, pattern): (u8, u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        sign => byte == sign,
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    moment.bytes().zip(*b"0000-00-00T00:00:00").all(fits)
        && (fraction.is_empty() || fraction.strip_prefix('.').is_some_and(digits))
}

/// For `#[serde(with)]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    // Owned, since a borrowed text could not hold an escape.
    let text = String::deserialize(from)?;
    parse(&text).map_err(de::Error::custom)
}

/// For `#[serde(with)]`; to the microsecond.
pub(crate) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    /// The first second of the year 10000, which has no spelling.
    const END: u64 = 253_402_300_800;
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) if since.as_secs() < END => {
            to.collect_str(&humantime::format_rfc3339_micros(*time))
        }
        _ => Err(ser::Error::custom("a webhook's time is from 1970 to 9999")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_read_to_the_microsecond() {
        // Microseconds since 1970, from Python:
        // datetime.fromisoformat(text).timestamp() in integer arithmetic
        for (text, micros) in [
            ("1970-01-01T00:00:00.000000Z", 0),
            ("2024-04-30T20:01:08.512345Z", 1_714_507_268_512_345),
            ("2024-04-30T20:01:08.512345+00:00", 1_714_507_268_512_345), // Python's own spelling
            ("2024-04-30T20:01:08Z", 1_714_507_268_000_000), // Python's, once in a million
            ("2024-04-30T20:01:08.5Z", 1_714_507_268_500_000),
            ("2000-02-29T23:59:59.999999Z", 951_868_799_999_999), // leap: by 400
            ("2024-02-29T00:00:00.000001Z", 1_709_164_800_000_001), // leap: by 4
            ("2016-12-31T23:59:60.000000Z", 1_483_228_799_000_000), // a leap second is the one before
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ] {
            let time = parse(text).unwrap();
            assert_eq!(time, UNIX_EPOCH + Duration::from_micros(micros), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        let (shape, range) = ("does not look like", "not in the calendar");
        for (text, expect) in [
            ("", shape),
            ("now", shape),
            ("1714507268", shape),                  // a number in quotes
            ("2024-04-30 20:01:08.512345Z", shape), // a space for the T
            ("2024-04-30T20:01:08.512345", shape),  // which zone?
            ("2024-04-30T20:01:08.512345z", shape),
            ("2024-04-30T20:01:08.512345+02:00", shape), // not UTC
            ("2024-04-30T20:01:08.512345-00:00", shape),
            ("2024-04-30T20:01:08.Z", shape), // no digit behind the point
            ("2024-04-30T20:01:08.5+1234Z", shape), // the calendar's reader takes it
            ("2024-04-30T20:01:08Z123Z", shape), // and this
            ("2024-4-30T20:01:08.512345Z", shape),
            ("+024-04-30T20:01:08.512345Z", shape),
            ("20240430T200108.512345Z", shape),
            (" 2024-04-30T20:01:08.512345Z", shape),
            ("２024-04-30T20:01:08.512345Z", shape), // a wide digit
            ("1969-12-31T23:59:59.999999Z", range),
            ("2024-00-10T00:00:00.000000Z", range),
            ("2024-13-01T00:00:00.000000Z", range),
            ("2024-04-31T00:00:00.000000Z", range),
            ("2023-02-29T00:00:00.000000Z", range),
            ("2100-02-29T00:00:00.000000Z", range), // by 100: no leap year
            ("2024-04-30T24:00:00.000000Z", range),
            ("2024-04-30T20:60:00.000000Z", range),
            ("2024-04-30T20:00:61.000000Z", range),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(expect), "{text:?}: {message}");
        }
        let long = parse(&"9".repeat(5000)).unwrap_err();
        assert!(long.to_string().len() < 100, "{long}");
    }

    #[test]
    fn a_time_without_a_spelling_is_an_error_and_no_panic() {
        let mut before = Vec::new();
        let mut json = serde_json::Serializer::new(&mut before);
        assert!(serialize(&(UNIX_EPOCH - Duration::from_micros(1)), &mut json).is_err());
        assert!(
            serialize(&(UNIX_EPOCH + Duration::from_secs(253_402_300_800)), &mut json).is_err()
        );
        assert!(serialize(&(UNIX_EPOCH + Duration::from_secs(253_402_300_799)), &mut json).is_ok());
    }
}
