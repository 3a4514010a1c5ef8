//! Decimal numbers to the nearest `f32`.

use fast_float2::parse_partial;

/// Reads the number at the start of a text: its value and its length. The value is what
/// `str::parse::<f32>` gives, bit for bit. The text begins with a digit, or with a minus and a digit.
#[inline]
pub(crate) fn read(text: &[u8]) -> Option<(f32, usize)> {
    match read_plain(text) {
        None => read_careful(text),
        number => number,
    }
}

/// Out of line, or its size makes the plain way slow.
#[cold]
#[inline(never)]
fn read_careful(text: &[u8]) -> Option<(f32, usize)> {
    parse_partial(text).ok()
}

/// Integers up to here are exact as `f64`.
const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

/// The powers of ten that are exact as `f64`.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// A number without an exponent, unless it is one of the few that need more care.
///
/// As many digits as fit make an integer that `f64` holds exactly. If there are more digits, the number
/// lies between that integer and the next one, both divided by the same power of ten; where both come
/// to one `f32`, so does the number.
#[inline]
fn read_plain(text: &[u8]) -> Option<(f32, usize)> {
    let negative = text.first() == Some(&b'-');
    let (mut digits, mut rest) = read_digits(0, &text[usize::from(negative)..]);
    let mut power = POWERS[0];
    let mut more = 0;
    if let [b'.', fraction @ ..] = rest {
        (digits, rest) = read_fraction(digits, fraction);
        power = *POWERS.get(fraction.len() - rest.len())?;
        if let [b'0'..=b'9', ..] = rest {
            more = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest = &rest[more..];
        }
    }
    if let [b'0'..=b'9' | b'.' | b'e' | b'E', ..] = rest {
        return None;
    }
    let value = nearest(digits, power)?;
    if more > 0 && nearest(digits + 1, power)? != value {
        return None;
    }
    Some((if negative { -value } else { value }, text.len() - rest.len()))
}

/// The `f32` nearest to a quotient. The `f64` nearest to it lies on the same side of every point
/// half-way between two `f32`, unless it is such a point: `None` then.
#[inline]
fn nearest(digits: u64, power: f64) -> Option<f32> {
    let quotient = digits as f64 / power;
    let value = quotient as f32;
    let half_way = quotient.to_bits() & 0x1FFF_FFFF == 0x1000_0000;
    // Half-way points look different below the least normal number.
    let normal = value >= f32::MIN_POSITIVE || digits == 0;
    (normal && !half_way).then_some(value)
}

/// Adds the digits after a point, as long as the integer stays exact.
#[inline]
fn read_fraction(mut number: u64, mut text: &[u8]) -> (u64, &[u8]) {
    while number < EXACT / 100_000_000 - 1 {
        match text.split_first_chunk().map(|(&eight, rest)| (eight_digits(eight), rest)) {
            Some((Some(eight), rest)) => {
                number = number * 100_000_000 + eight;
                text = rest;
            }
            _ => break,
        }
    }
    read_digits(number, text)
}

/// Adds digits one by one, as long as the integer stays exact.
#[inline]
fn read_digits(mut number: u64, mut text: &[u8]) -> (u64, &[u8]) {
    while let [digit @ b'0'..=b'9', rest @ ..] = text
        && number < EXACT / 10 - 1
    {
        number = number * 10 + u64::from(digit - b'0');
        text = rest;
    }
    (number, text)
}

/// The number that eight digits are: neighbours are put together to twos, fours and all eight.
#[inline]
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(text).wrapping_sub(0x3030_3030_3030_3030);
    let above_nine = digits.wrapping_add(0x7676_7676_7676_7676);
    if (digits | above_nine) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let twos = (digits & 0x000F_000F_000F_000F) * 10 + ((digits >> 8) & 0x000F_000F_000F_000F);
    let fours = (twos & 0x0000_00FF_0000_00FF) * 100 + ((twos >> 16) & 0x0000_00FF_0000_00FF);
    Some((fours & 0xFFFF) * 10_000 + (fours >> 32))
}

#[cfg(test)]
mod tests {
    use super::{eight_digits, read, read_plain};

    #[test]
    fn plain_numbers_are_read_by_hand_and_others_are_not() {
        #[rustfmt::skip]
        let table = [
            //   text                         by hand
            ("0",                             true),
            ("-0",                            true),
            ("0.1",                           true),
            ("-0.012345678",                  true),
            ("0.019374936819076538",          true),  // 18 digits
            ("0.10000000000000000000000001",  true),
            ("123456789.987654321",           true),
            ("16777217",                      false), // half-way between two floats
            ("16777217.5",                    true),  // beside it
            ("16777217.0000000000000000001",  false), // beside it, but not in the digits that fit
            ("9007199254740993",              false), // above 2^53
            ("90071992547409930",             false), // a digit too many before the point
            ("0.000000000000000000000001",    false), // a power that is not exact
            ("0.00000000000000000000000",     false),
            ("1e3",                           false),
            ("1.5E3",                         false),
            ("340282350000000000000000000000000000000", false),
        ];
        for (text, by_hand) in table {
            let expected: f32 = text.parse().unwrap();
            for tail in ["", ",1", "]", " "] {
                let text = format!("{text}{tail}");
                assert_eq!(read_plain(text.as_bytes()).is_some(), by_hand, "{text}");
                let (value, length) = read(text.as_bytes()).unwrap();
                assert_eq!(value.to_bits(), expected.to_bits(), "{text}");
                assert_eq!(length, text.len() - tail.len(), "{text}");
            }
        }
    }

    #[test]
    fn eight_digits_are_eight_digits() {
        assert_eq!(eight_digits(*b"12345678"), Some(12_345_678));
        assert_eq!(eight_digits(*b"00000000"), Some(0));
        assert_eq!(eight_digits(*b"99999999"), Some(99_999_999));
        for at in 0..8 {
            for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                let mut text = *b"12345678";
                text[at] = byte;
                assert_eq!(eight_digits(text), None, "{text:?}");
            }
        }
    }
}
