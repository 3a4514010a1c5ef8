//! Numbers that no mutation of JSON would come upon: halfway between two `f32`, and next to that. Five
//! bytes make one: the `f32` below it, and what is done to its digits.

#![no_main]

use baseten_openai::EmbeddingResponse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (fives, _) = input.as_chunks::<5>();
    let texts: Vec<String> = fives.iter().filter_map(|five| number(*five)).collect();
    if texts.is_empty() {
        return;
    }
    let body = format!(r#"{{"data":[{{"embedding":[{}]}}]}}"#, texts.join(","));
    let found = EmbeddingResponse::decode(body.as_bytes()).expect("an answer");
    assert_eq!(found.values().len(), texts.len());
    for (value, text) in found.values().iter().zip(&texts) {
        let expected: f32 = text.parse().expect("a number");
        assert_eq!(value.to_bits(), expected.to_bits(), "{text}");
    }
});

fn number([a, b, c, d, how]: [u8; 5]) -> Option<String> {
    let below = f32::from_bits(u32::from_be_bytes([a, b, c, d]));
    let above = below.next_up();
    if !below.is_finite() || !above.is_finite() {
        return None;
    }
    let half = f64::midpoint(below.into(), above.into());
    // All digits of it, the shortest that mean it, or it with an exponent.
    let mut text = match how & 3 {
        0 | 1 => format!("{half:.*}", 8 + usize::from(how >> 4) * 3),
        2 => format!("{half}"),
        _ => return Some(format!("{half:e}")),
    };
    // A bit more, wherever there is a fraction.
    if how & 4 != 0 && text.contains('.') {
        text.push('1');
    }
    // A bit less, as the last digit goes down.
    if how & 8 != 0
        && let Some(last @ '1'..='9') = text.pop()
    {
        text.push(char::from(last as u8 - 1));
        text.push('9');
    }
    (!text.ends_with('.') && text.ends_with(|last: char| last.is_ascii_digit())).then_some(text)
}
