//! How a body may arrive, for targets that compare.

use bytes::Bytes;

/// The same bytes as one piece, byte by byte, and in pieces whose lengths the bytes themselves decide.
#[must_use]
pub fn arrivals(body: &[u8]) -> [Vec<Bytes>; 3] {
    let whole = Bytes::copy_from_slice(body);
    let bytes = (0..whole.len()).map(|at| whole.slice(at..=at)).collect();
    let mut state = body.iter().fold(1_u32, |state, byte| next(state ^ u32::from(*byte)));
    let mut rest = whole.clone();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = next(state);
        // Mostly short, sometimes empty, now and then long.
        let length = if state & 0x70 == 0 { state >> 20 } else { (state >> 20) % 24 };
        pieces.push(rest.split_to(rest.len().min(length as usize)));
    }
    [vec![whole], bytes, pieces]
}

fn next(state: u32) -> u32 {
    state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
}
