//! Vectors of `f32` out of JSON: arrays of numbers and base64, appended to one flat list.

use base64::engine::{
    DecodePaddingMode, Engine, Simd,
    general_purpose::{GeneralPurposeConfig, PAD},
};
use memchr::memchr2;

use crate::{
    cursor::{Cursor, Stuck, is_blank},
    number,
};

/// Reads the vector at the cursor, in whichever form it is, and appends it.
pub(crate) fn read(cursor: &mut Cursor<'_>, values: &mut Vec<f32>) -> Result<(), Stuck> {
    match cursor.peek() {
        Some(b'[') => read_numbers(cursor, values),
        Some(b'"') => read_base64(cursor, values),
        _ => Err(Stuck::Here("has a vector that is neither an array nor base64")),
    }
}

/// Reads an array of numbers. Each is the `f32` next to the number that is written, as
/// `str::parse::<f32>` gives it; going through `f64`, as is usual, can be off by one bit. Spellings
/// that JSON forbids and that mean the same, such as `1.` and `01`, are let pass.
fn read_numbers(cursor: &mut Cursor<'_>, values: &mut Vec<f32>) -> Result<(), Stuck> {
    cursor.skip(1);
    if cursor.take(b']') {
        return Ok(());
    }
    let mut rest = cursor.rest();
    let length = rest.len();
    loop {
        // A number begins with a digit, or a minus and a digit; so `NaN` and `-inf` are none.
        let start = match rest {
            [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..] => rest,
            [byte, after @ ..] if is_blank(*byte) => {
                rest = after;
                continue;
            }
            _ => return Err(Stuck::Here("has a vector with what is no number")),
        };
        let Some((value, digits)) = number::read(start) else {
            return Err(Stuck::Here("has a vector with what is no number"));
        };
        values.push(value);
        rest = &start[digits..];
        while let [byte, after @ ..] = rest
            && is_blank(*byte)
        {
            rest = after;
        }
        match rest {
            [b',', after @ ..] => rest = after,
            [b']', after @ ..] => {
                cursor.skip(length - after.len());
                return Ok(());
            }
            _ => return Err(Stuck::Here("has a vector without an end")),
        }
    }
}

/// Reads base64 of little-endian `f32`, with or without padding.
fn read_base64(cursor: &mut Cursor<'_>, values: &mut Vec<f32>) -> Result<(), Stuck> {
    let text = &cursor.rest()[1..];
    match memchr2(b'"', b'\\', text) {
        Some(end) if text[end] == b'"' => {
            cursor.skip(end + 2);
            decode(&text[..end], values)
        }
        // `\/` is a slash too.
        Some(_) => decode(cursor.value::<String>()?.as_bytes(), values),
        None => Err(Stuck::Here("has a vector without an end")),
    }
}

/// How much is decoded at a time: 768 floats.
const BLOCK: usize = 4096;

fn decode(text: &[u8], values: &mut Vec<f32>) -> Result<(), Stuck> {
    let config: GeneralPurposeConfig = PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = Simd::standard(config);
    values.reserve(text.len() / 16 * 3 + 3);
    let mut block = [0; BLOCK / 4 * 3];
    for text in text.chunks(BLOCK) {
        let Ok(length) = engine.decode_slice(text, &mut block) else {
            return Err(Stuck::Here("has a vector that is not base64"));
        };
        let (floats, rest) = block[..length].as_chunks();
        if !rest.is_empty() {
            return Err(Stuck::Here("has a vector of base64 that ends within a float"));
        }
        values.extend(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    Ok(())
}
