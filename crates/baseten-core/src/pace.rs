//! How long a server asks to wait, in all the ways servers say it.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// The pause that an answer asks for, counted from when it came.
///
/// Read in this order: `retry-after-ms` (milliseconds), `retry-after` (whole or fractional seconds,
/// or a date), `llm_provider-retry-after` (what LiteLLM 1.106 renames it to). A date is taken
/// against the answer's own `date` header, so that clocks need not agree, or against `wall` without
/// one. What cannot be read is no pause.
pub(crate) fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(pause) = text("retry-after-ms").and_then(|ms| seconds(ms, 1000.0)) {
        return Some(pause);
    }
    let here =
        || text("date").and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(wall);
    ["retry-after", "llm_provider-retry-after"].into_iter().filter_map(text).find_map(|value| {
        seconds(value, 1.0).or_else(|| {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(here()).unwrap_or_default())
        })
    })
}

/// What is left of the day, by UTC. A daily limit lifts then: Baseten's Frontier Gateway answers 429
/// until that time and names none.
pub(crate) fn until_midnight(wall: SystemTime) -> Duration {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    DAY - Duration::new(since.as_secs() % DAY.as_secs(), since.subsec_nanos())
}

/// A number of units, `per_second` of which make a second. Negative and non-finite ones are not
/// pauses; one beyond what a `Duration` holds is the longest there is.
fn seconds(text: &str, per_second: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number >= 0.0)
        .then(|| Duration::try_from_secs_f64(number / per_second).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight() {
        for (wall, left) in [
            ("Mon, 23 Nov 2026 00:00:00 GMT", 86_400),
            ("Mon, 23 Nov 2026 12:00:00 GMT", 43_200),
            ("Mon, 23 Nov 2026 23:59:59 GMT", 1),
        ] {
            let wall = httpdate::parse_http_date(wall).unwrap();
            assert_eq!(until_midnight(wall), Duration::from_secs(left));
        }
    }

    #[test]
    fn every_spelling_is_read() {
        let ms = Duration::from_millis;
        let wall = httpdate::parse_http_date("Mon, 23 Nov 2026 12:00:00 GMT").unwrap();
        let later = "Mon, 23 Nov 2026 12:00:30 GMT";
        let elsewhere = "Mon, 23 Nov 2026 12:00:20 GMT";
        //   headers                                              pause
        for (headers, pause) in [
            (&[][..], None),
            (&[("retry-after", "2")], Some(ms(2000))),
            (&[("retry-after", "0")], Some(ms(0))),
            (&[("retry-after", " 1.5 ")], Some(ms(1500))),
            (&[("retry-after", later)], Some(ms(30_000))),
            (&[("retry-after", later), ("date", elsewhere)], Some(ms(10_000))), // the server's clock
            (&[("retry-after", "Mon, 23 Nov 2020 12:00:00 GMT")], Some(ms(0))), // gone by
            (&[("retry-after-ms", "250"), ("retry-after", "9")], Some(ms(250))),
            (&[("retry-after-ms", "soon"), ("retry-after", "9")], Some(ms(9000))),
            (&[("llm_provider-retry-after", "7")], Some(ms(7000))),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "tomorrow")], None),
            (&[("retry-after", "1e300")], Some(Duration::MAX)),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
                .into_iter()
                .collect();
            assert_eq!(retry_after(&map, wall), pause, "{headers:?}");
        }
    }
}
