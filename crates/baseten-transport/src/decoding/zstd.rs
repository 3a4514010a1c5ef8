//! zstd frames (RFC 8878) out of bytes that come in any pieces.
//!
//! The library decodes a block that is there in whole; this finds where one ends. So what has come is
//! decoded without waiting for the rest, and no more than one block of it before somebody counts.

use std::io::{self, Write};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The largest window that a frame may ask for, in bytes: what HTTP allows (RFC 9659).
const WINDOW_MAX: u64 = 8 << 20;

const MAGIC: u32 = 0xFD2F_B528;
/// Of frames that are to be skipped, but for the last four bits.
const SKIPPABLE: u32 = 0x184D_2A50;

pub(super) struct Zstd {
    frames: FrameDecoder,
    /// What has come of the next part.
    pending: Vec<u8>,
    next: Part,
    /// Whether there was a frame at all.
    begun: bool,
    /// How many bytes of this frame were decoded and handed on.
    given: u64,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Part {
    /// The head of a frame, or the end.
    Frame,
    /// A block; behind the last one may be a checksum, and all together may have been announced to be of
    /// that size.
    Block { checksum: bool, announced: Option<u64> },
    /// So many bytes that mean nothing.
    Skipped(usize),
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut frames = FrameDecoder::new();
        frames.set_max_window_size(WINDOW_MAX);
        Self { frames, pending: Vec::new(), next: Part::Frame, begun: false, given: 0 }
    }

    /// # Errors
    /// Of the encoding, or of `decoded`.
    pub(super) fn push(&mut self, bytes: &[u8], decoded: &mut impl Write) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some((part, behind)) =
            self.length(rest).and_then(|len| rest.split_at_checked(len))
        {
            self.take(part, decoded)?;
            rest = behind;
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    /// Whether it ended where a frame ends.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if not.
    pub(super) fn finish(&self) -> io::Result<()> {
        match self.next {
            Part::Frame if self.begun && self.pending.is_empty() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// How long the next part is, if enough has come to tell.
    fn length(&self, rest: &[u8]) -> Option<usize> {
        match self.next {
            Part::Skipped(left) if !rest.is_empty() => Some(left.min(rest.len())),
            Part::Skipped(_) => None,
            Part::Frame => head_length(rest),
            Part::Block { checksum, .. } => block_length(rest, checksum),
        }
    }

    fn take(&mut self, part: &[u8], decoded: &mut impl Write) -> io::Result<()> {
        self.next = match self.next {
            Part::Skipped(left) if left > part.len() => Part::Skipped(left - part.len()),
            Part::Skipped(_) => Part::Frame,
            Part::Frame => self.begin(part)?,
            Part::Block { checksum, announced } => {
                self.block(part, decoded)?;
                if !self.frames.is_finished() {
                    self.next
                } else if announced.is_some_and(|size| size != self.given) {
                    return Err(garbled("a frame has another size than it announced"));
                } else if checksum && self.frames.get_checksum_from_data() != self.checksum() {
                    return Err(garbled("a frame has another checksum than it says"));
                } else {
                    Part::Frame
                }
            }
        };
        Ok(())
    }

    fn begin(&mut self, head: &[u8]) -> io::Result<Part> {
        self.begun = true;
        if is_skippable(head) {
            return Ok(match number(&head[4..]) as usize {
                0 => Part::Frame,
                length => Part::Skipped(length),
            });
        }
        self.frames.reset(head).map_err(garbled)?;
        self.given = 0;
        // One segment (bit 5), or a field for it (bits 6 and 7): either has the size.
        let announced = (head[4] & 0xE0 != 0).then(|| self.frames.content_size());
        Ok(Part::Block { checksum: head[4] & 4 != 0, announced })
    }

    fn block(&mut self, block: &[u8], decoded: &mut impl Write) -> io::Result<()> {
        let one = BlockDecodingStrategy::UptoBlocks(1);
        self.frames.decode_blocks(block, one).map_err(garbled)?;
        self.given += self.frames.collect_to_writer(decoded)? as u64;
        Ok(())
    }

    fn checksum(&self) -> Option<u32> {
        self.frames.get_calculated_checksum()
    }
}

fn garbled(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn is_skippable(head: &[u8]) -> bool {
    number(head) & !0xF == SKIPPABLE
}

/// The first bytes, at most four, as a number.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

/// The length of a frame's head. What is none is as long as its magic number, for the library to refuse.
fn head_length(rest: &[u8]) -> Option<usize> {
    if rest.len() < 4 {
        return None;
    }
    if is_skippable(rest) {
        return Some(8);
    }
    if number(rest) != MAGIC {
        return Some(4);
    }
    let descriptor = rest.get(4)?;
    let single = descriptor >> 5 & 1;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)];
    Some(5 + usize::from(1 - single) + dictionary + size)
}

fn block_length(rest: &[u8], checksum: bool) -> Option<usize> {
    let head = number(rest.get(..3)?) as usize;
    let (is_last, repeats) = (head & 1 != 0, head >> 1 & 3 == 1);
    let content = if repeats { 1 } else { head >> 3 };
    Some(3 + content + if is_last && checksum { 4 } else { 0 })
}
