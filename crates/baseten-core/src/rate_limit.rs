//! What servers tell of their limits on requests and tokens, in all the ways they spell it.
//!
//! It only tells: nothing here makes a call wait. The pause that a server asks for is `retry-after`.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::response;

/// What an answer tells of the caller's limits, from [`crate::Meta::rate_limits`] or
/// [`crate::Error::rate_limits`].
///
/// Read from `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` (OpenAI, LiteLLM 1.106, Baseten's
/// Model APIs) and what is like them: words in another order, `x-rate-limit-`, `ratelimit-`, further
/// words such as `-minute`, and LiteLLM's `llm_provider-` in front. Of several that say the same, the
/// one with the fewest further words counts. Without a unit it is requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimits {
    /// On requests.
    pub requests: RateLimit,
    /// On tokens.
    pub tokens: RateLimit,
}

/// One limit; `None` is what the server did not tell, or not so that it can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// How many there may be in a window of time.
    pub limit: Option<u64>,
    /// How many of them are left.
    pub remaining: Option<u64>,
    /// How long it takes until all of them are there again, counted from the answer: not how long to
    /// wait for one. Read as seconds, as a text like `1m2s` or `12ms`, as a date, or as seconds or
    /// milliseconds since 1970; the last two need the answer's own `date` header.
    pub reset: Option<Duration>,
}

impl RateLimits {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let mut ranks = [u32::MAX; 6];
        let date =
            response::text(headers, "date").and_then(|date| httpdate::parse_http_date(date).ok());
        for (name, value) in headers {
            let Some(Named { unit, what, rank }) = Named::read(name.as_str()) else { continue };
            let Some(text) = value.to_str().ok().map(first) else { continue };
            let of = if unit == Unit::Tokens { &mut found.tokens } else { &mut found.requests };
            let best = &mut ranks[unit as usize * 3 + what as usize];
            if rank >= *best {
                continue;
            }
            let is_read = match what {
                What::Limit => set(&mut of.limit, count(text)),
                What::Remaining => set(&mut of.remaining, count(text)),
                What::Reset => set(&mut of.reset, reset(text, date)),
            };
            if is_read {
                *best = rank;
            }
        }
        found
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Requests,
    Tokens,
}

#[derive(Clone, Copy)]
enum What {
    Limit,
    Remaining,
    Reset,
}

/// What the name of a header says.
struct Named {
    unit: Unit,
    what: What,
    /// The lower, the plainer the name.
    rank: u32,
}

impl Named {
    fn read(name: &str) -> Option<Self> {
        let (name, mut rank) = match name.strip_prefix("llm_provider-") {
            Some(name) => (name, 100),
            None => (name, 0),
        };
        let (_, words) = name
            .split_once("ratelimit-")
            .or_else(|| name.split_once("rate-limit-"))
            .filter(|(before, _)| matches!(*before, "x-" | "" | "anthropic-"))?;
        let (mut unit, mut what) = (None, None);
        for word in words.split(['-', '_']) {
            match word {
                "limit" => what = Some(What::Limit),
                "remaining" => what = Some(What::Remaining),
                "reset" => what = Some(What::Reset),
                "requests" | "request" => unit = Some(Unit::Requests),
                "tokens" | "token" => unit = Some(Unit::Tokens),
                _ => rank += 1,
            }
        }
        // A plain count of requests beside one without a unit is the better word.
        rank += u32::from(unit.is_none());
        Some(Self { unit: unit.unwrap_or(Unit::Requests), what: what?, rank })
    }
}

/// Keeps what could be read, and says whether that was something.
fn set<T>(place: &mut Option<T>, read: Option<T>) -> bool {
    let is_read = read.is_some();
    if is_read {
        *place = read;
    }
    is_read
}

/// The first of a list, without parameters: `100` of `100, 100;w=60`.
fn first(text: &str) -> &str {
    let is_date = text.contains("GMT");
    let end = if is_date { None } else { text.find([',', ';']) };
    text[..end.unwrap_or(text.len())].trim()
}

fn count(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Some servers count in floats, and tell an overdrawn account in negative ones.
        number.is_finite().then_some(number.max(0.0) as u64)
    })
}

/// Numbers from here on are no spans but seconds since 1970, and from there on milliseconds.
const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLIS: f64 = 1e12;

fn reset(text: &str, date: Option<SystemTime>) -> Option<Duration> {
    let until = |time: SystemTime| Some(time.duration_since(date?).unwrap_or_default());
    let since_1970 =
        |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?);
    match text.parse::<f64>() {
        Ok(number) if number >= EPOCH_MILLIS => until(since_1970(number / 1000.0)?),
        Ok(number) if number >= EPOCH_SECONDS => until(since_1970(number)?),
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => span(text).or_else(|| until(httpdate::parse_http_date(text).ok()?)),
    }
}

/// `1h2m3.5s`, `6m0s`, `12ms`: numbers, each with its unit.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let worth = match unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * worth;
        rest = tail;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> RateLimits {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())
            })
            .collect();
        RateLimits::of(&headers)
    }

    #[test]
    fn every_spelling_of_a_name_is_read() {
        //   name                                       limits on requests and tokens
        for (name, requests, tokens) in [
            ("x-ratelimit-limit-requests", Some(7), None), // OpenAI, LiteLLM
            ("x-ratelimit-limit-tokens", None, Some(7)),
            ("x-ratelimit-requests-limit", Some(7), None), // the other way round
            ("anthropic-ratelimit-tokens-limit", None, Some(7)),
            ("x-rate-limit-limit-tokens", None, Some(7)),
            ("x-ratelimit-limit", Some(7), None), // no unit
            ("ratelimit-limit", Some(7), None),
            ("x-ratelimit-limit-requests-minute", Some(7), None), // a window in the name
            ("x-ratelimit-limit-tokens_usage_based", None, Some(7)),
            ("llm_provider-x-ratelimit-limit-tokens", None, Some(7)), // LiteLLM hands it on
            ("x-ratelimit-requests", None, None),                     // what of them?
            ("not-x-ratelimit-limit-requests", None, None),
            ("x-limit-requests", None, None),
        ] {
            let found = of(&[(name, "7")]);
            assert_eq!((found.requests.limit, found.tokens.limit), (requests, tokens), "{name}");
            assert_eq!((found.requests.remaining, found.tokens.reset), (None, None), "{name}");
        }
    }

    #[test]
    fn of_several_the_plainest_that_can_be_read_counts() {
        let plain = ("x-ratelimit-remaining-requests", "3");
        for (headers, expect) in [
            (&[("llm_provider-x-ratelimit-remaining-requests", "9"), plain][..], Some(3)),
            (&[("x-ratelimit-remaining-requests-day", "9"), plain], Some(3)),
            (&[plain, ("x-ratelimit-remaining", "9")], Some(3)),
            (
                &[("x-ratelimit-remaining-requests", "many"), ("x-ratelimit-remaining", "9")],
                Some(9),
            ),
            (&[("x-ratelimit-remaining-requests", "many")], None),
        ] {
            assert_eq!(of(headers).requests.remaining, expect, "{headers:?}");
        }
    }

    #[test]
    fn every_spelling_of_a_value_is_read() {
        for (text, expect) in [
            ("100", Some(100)),
            (" 100 ", Some(100)),
            ("100.0", Some(100)),
            ("-5", Some(0)), // overdrawn
            ("100, 100;w=60", Some(100)),
            ("100;w=60", Some(100)),
            ("18446744073709551615", Some(u64::MAX)),
            ("1e300", Some(u64::MAX)),
            ("unlimited", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(of(&[("x-ratelimit-limit", text)]).requests.limit, expect, "{text:?}");
        }
    }

    #[test]
    fn every_spelling_of_a_reset_is_read() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let date = ("date", "Mon, 23 Nov 2026 12:00:00 GMT"); // 1795435200
        //   reset                             with a date  without one
        for (text, dated, undated) in [
            ("1", ms(1000), ms(1000)),
            ("0.25", ms(250), ms(250)),
            ("1s", ms(1000), ms(1000)),
            ("6m0s", ms(360_000), ms(360_000)), // OpenAI
            ("1m2s", ms(62_000), ms(62_000)),
            ("12ms", ms(12), ms(12)),
            ("1.5s", ms(1500), ms(1500)),
            ("1d2h", ms(93_600_000), ms(93_600_000)),
            ("1795435230", ms(30_000), None),
            ("1795435230.5", ms(30_500), None),
            ("1795435230000", ms(30_000), None),
            ("1795435100", ms(0), None), // gone by
            ("Mon, 23 Nov 2026 12:01:00 GMT", ms(60_000), None),
            ("-1", None, None),
            ("1x", None, None),
            ("s", None, None),
            ("1..2s", None, None),
            ("soon", None, None),
            ("", None, None),
            ("NaN", None, None),
            ("9e99", None, None),
        ] {
            let reset = ("x-ratelimit-reset-tokens", text);
            assert_eq!(of(&[reset, date]).tokens.reset, dated, "{text:?}");
            assert_eq!(of(&[reset]).tokens.reset, undated, "{text:?}");
        }
    }
}
