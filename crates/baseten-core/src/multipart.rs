//! A body of several parts (`multipart/form-data`, RFC 7578), as pieces to send one after the other.
//!
//! It frames and escapes. Where the bytes of a file come from is its caller's affair: it never looks
//! into them.

use bytes::Bytes;

use crate::error::Error;
use crate::request::parse_content_type;

/// A form: fields and files, in the order in which they were added. `B` is what a file's content comes
/// from.
///
/// ```
/// use baseten_core::{Multipart, Piece};
/// let form = Multipart::<()>::new().text("model", "whisper-1").file("file", "a.wav", "audio/wav", ());
/// let encoded = form.encode(7)?;
/// assert!(encoded.content_type.starts_with("multipart/form-data; boundary="));
/// assert!(matches!(encoded.pieces[..], [Piece::Bytes(_), Piece::File(()), Piece::Bytes(_)]));
/// # Ok::<(), baseten_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Multipart<B> {
    parts: Vec<Part<B>>,
}

#[derive(Debug)]
struct Part<B> {
    name: String,
    /// File name and content type, which fields have not.
    file: Option<(String, String)>,
    content: Piece<B>,
}

/// A stretch of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<B> {
    /// Bytes that are here.
    Bytes(Bytes),
    /// The content of a file.
    File(B),
}

/// A form as it is sent.
#[derive(Debug)]
pub struct Encoded<B> {
    /// What the request says in `content-type`.
    pub content_type: String,
    /// The body. No two pieces of bytes are neighbours, so that one alone is a form without files.
    pub pieces: Vec<Piece<B>>,
}

impl<B> Default for Multipart<B> {
    fn default() -> Self {
        Self { parts: Vec::new() }
    }
}

impl<B> Multipart<B> {
    /// A form without parts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A field. Its value goes as it is.
    #[must_use]
    pub fn text(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let value = Bytes::from(value.into());
        self.part(name.into(), None, Piece::Bytes(value))
    }

    /// A file whose bytes are here.
    #[must_use]
    pub fn bytes(
        self,
        name: impl Into<String>,
        file_name: impl Into<String>,
        content_type: impl Into<String>,
        bytes: impl Into<Bytes>,
    ) -> Self {
        let file = Some((file_name.into(), content_type.into()));
        self.part(name.into(), file, Piece::Bytes(bytes.into()))
    }

    /// A file that is read while it is sent. A form with such a file can be sent only once.
    #[must_use]
    pub fn file(
        self,
        name: impl Into<String>,
        file_name: impl Into<String>,
        content_type: impl Into<String>,
        content: B,
    ) -> Self {
        let file = Some((file_name.into(), content_type.into()));
        self.part(name.into(), file, Piece::File(content))
    }

    /// The form as it is sent. `seed` makes the boundary between its parts. Contents are not searched for
    /// it: if all 128 bits of it are random, it is in none of them but by a chance of 2⁻¹²⁸ at each byte.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] naming the part whose content type is empty or cannot stand in a
    /// header.
    pub fn encode(self, seed: u128) -> Result<Encoded<B>, Error> {
        let boundary = format!("baseten-{seed:032x}");
        let (mut pieces, mut text) = (Vec::new(), Vec::new());
        for part in self.parts {
            text.extend_from_slice(part.head(&boundary)?.as_bytes());
            match part.content {
                Piece::Bytes(bytes) => text.extend_from_slice(&bytes),
                file => pieces.extend([Piece::Bytes(std::mem::take(&mut text).into()), file]),
            }
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        pieces.push(Piece::Bytes(text.into()));
        let content_type = format!("multipart/form-data; boundary={boundary}");
        Ok(Encoded { content_type, pieces })
    }

    fn part(mut self, name: String, file: Option<(String, String)>, content: Piece<B>) -> Self {
        self.parts.push(Part { name, file, content });
        self
    }
}

impl<B> Part<B> {
    fn head(&self, boundary: &str) -> Result<String, Error> {
        let name = escape(&with_crlf(&self.name));
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
        if let Some((file_name, content_type)) = &self.file {
            let what = format_args!("the content type of part {:?}", self.name);
            parse_content_type(what, content_type).map_err(Error::request)?;
            let file_name = escape(file_name);
            head += &format!("; filename=\"{file_name}\"\r\nContent-Type: {content_type}");
        }
        Ok(head + "\r\n\r\n")
    }
}

/// Names as the WHATWG's HTML standard has them: what would end the quotes or the line is
/// percent-encoded, all else is UTF-8 as it is.
fn escape(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// The same standard has every line of a field's name end in CR LF.
fn with_crlf(name: &str) -> String {
    name.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(form: Multipart<&str>) -> String {
        let text = |piece: &Piece<&str>| match piece {
            Piece::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Piece::File(file) => (*file).to_owned(),
        };
        form.encode(0xb).unwrap().pieces.iter().map(text).collect()
    }

    #[test]
    fn a_form_as_it_is_sent() {
        let form =
            Multipart::new().text("model", "w\r\n\"1\"").file("file", "a.wav", "audio/wav", "RIFF");
        let form = form.bytes("notes", "n.txt", "text/plain", "hi");
        let line = "--baseten-0000000000000000000000000000000b";
        let expect = format!(
            "{line}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw\r\n\"1\"\r\n\
             {line}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
             Content-Type: audio/wav\r\n\r\nRIFF\r\n\
             {line}\r\nContent-Disposition: form-data; name=\"notes\"; filename=\"n.txt\"\r\n\
             Content-Type: text/plain\r\n\r\nhi\r\n{line}--\r\n"
        );
        assert_eq!(sent(form), expect);
        assert_eq!(sent(Multipart::new()), format!("{line}--\r\n"), "no parts");
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        //   name          file name    in the head
        for (name, file, expect) in [
            ("a\"; b=\"c", "x", "name=\"a%22; b=%22c\"; filename=\"x\""),
            ("a\nb\rc\r\nd", "x", "name=\"a%0D%0Ab%0D%0Ac%0D%0Ad\"; filename=\"x\""),
            ("a", "x\r\ny\n\"z\"", "name=\"a\"; filename=\"x%0D%0Ay%0A%22z%22\""),
            ("naïve", "日本 %22.wav", "name=\"naïve\"; filename=\"日本 %22.wav\""), // `%` stays
            ("a\\", "..\\x", "name=\"a\\\"; filename=\"..\\x\""), // and so does the backslash
        ] {
            let form = Multipart::new().file(name, file, "a/b", "");
            assert!(
                sent(form).contains(&format!("form-data; {expect}\r\nContent-Type: a/b\r\n\r\n"))
            );
        }
    }

    #[test]
    fn a_content_type_is_checked() {
        let form = Multipart::new().file("audio", "x", "a/b\r\nX-Evil: 1", "");
        let error = form.encode(1).unwrap_err().to_string();
        let expect = "the content type of part \"audio\" has a control byte at 3 and cannot stand in a header";
        assert_eq!(error, expect);
        let error = Multipart::new().file("audio", "x", "", "").encode(1).unwrap_err().to_string();
        assert_eq!(error, "the content type of part \"audio\" is empty");
    }
}
