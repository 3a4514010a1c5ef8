//! A walk over JSON text by hand, for what is too long to go through a general parser.
//!
//! It steps over braces, brackets and commas; every value that is not the long one is read by
//! `serde_json`, so what is valid and what is not stays its decision.

use serde::Deserialize;
use serde_json::{Deserializer, Error};

/// A place in a JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

/// Why the walk cannot go on.
#[derive(Debug)]
pub(crate) enum Stuck {
    /// A value is not what it should be.
    Value(Error),
    /// Something else stands here.
    Here(&'static str),
}

impl From<Error> for Stuck {
    fn from(error: Error) -> Self {
        Self::Value(error)
    }
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The text from here on.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    pub(crate) fn skip(&mut self, count: usize) {
        self.at = self.text.len().min(self.at + count);
    }

    /// The next byte that is not blank, without taking it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let blanks = self.rest().iter().take_while(|byte| is_blank(**byte)).count();
        self.at += blanks;
        self.rest().first().copied()
    }

    /// Takes this byte if it is the next one that is not blank.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), Stuck> {
        if self.take(byte) { Ok(()) } else { Err(Stuck::Here(otherwise)) }
    }

    /// Reads one whole value.
    pub(crate) fn value<T: Deserialize<'a>>(&mut self) -> Result<T, Stuck> {
        let mut values = Deserializer::from_slice(self.rest()).into_iter();
        let value = values.next().ok_or(Stuck::Here("has a member without a value"))??;
        self.at += values.byte_offset();
        Ok(value)
    }

    /// Reads the members of an object; `read` is called at each value and must take it.
    pub(crate) fn members(
        &mut self,
        mut read: impl FnMut(&mut Self, &str) -> Result<(), Stuck>,
    ) -> Result<(), Stuck> {
        self.expect(b'{', "is no JSON object, or has none where one must be")?;
        let mut more = !self.take(b'}');
        while more {
            let Some(b'"') = self.peek() else {
                return Err(Stuck::Here("has a member without a name"));
            };
            let name: String = self.value()?;
            self.expect(b':', "has a member without a colon")?;
            read(self, &name)?;
            more = self.take(b',');
            if !more {
                self.expect(b'}', "has an object without an end")?;
            }
        }
        Ok(())
    }

    /// Reads the items of an array; `read` is called at each value and must take it.
    pub(crate) fn items(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<(), Stuck>,
    ) -> Result<(), Stuck> {
        self.expect(b'[', "has no array where one must be")?;
        let mut more = !self.take(b']');
        while more {
            read(self)?;
            more = self.take(b',');
            if !more {
                self.expect(b']', "has an array without an end")?;
            }
        }
        Ok(())
    }
}

pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
