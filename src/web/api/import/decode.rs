//! Turns the bytes of a file into UTF-8: from UTF-8 or UTF-16, with or without a byte order mark.
//!
//! Invariant: text that is no text stays faulty. It becomes a byte that UTF-8 does not have, so the row that
//! holds it is refused.

use std::borrow::Cow;
use std::mem;

use super::advice::{self, HOW_TO_SAVE};

/// Number of bytes that tell what a file is.
const OPENING: usize = 4;
/// Stands for half a character. UTF-8 has no such byte.
const NO_TEXT: u8 = 0xff;

/// Decodes a file piece by piece.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// `None`: too little of the file has arrived.
    encoding: Option<Encoding>,
    /// Bytes that wait for the next piece: the opening, or a part of a character.
    held: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Utf8,
    /// The function makes a unit of two bytes.
    Utf16(fn([u8; 2]) -> u16),
}

impl Decoder {
    /// Decodes a piece; an empty one ends the file. Fails if the file is no text.
    pub(super) fn decode<'a>(&mut self, piece: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        let is_end = piece.is_empty();
        let Some(encoding) = self.encoding else {
            return Ok(Cow::Owned(self.open(piece, is_end)?));
        };
        Ok(match encoding {
            Encoding::Utf8 => Cow::Borrowed(piece),
            Encoding::Utf16(unit) => Cow::Owned(self.utf16(piece, unit, is_end)),
        })
    }

    /// Decodes the beginning, once enough has arrived to tell the encoding.
    fn open(&mut self, piece: &[u8], is_end: bool) -> Result<Vec<u8>, String> {
        self.held.extend_from_slice(piece);
        if self.held.len() < OPENING && !is_end {
            return Ok(Vec::new());
        }
        let (encoding, mark) = recognized(&self.held)?;
        self.encoding = Some(encoding);
        let text = self.held.split_off(mark);
        self.held.clear();
        Ok(match encoding {
            Encoding::Utf8 => text,
            Encoding::Utf16(unit) => self.utf16(&text, unit, is_end),
        })
    }

    fn utf16(&mut self, piece: &[u8], unit: fn([u8; 2]) -> u16, is_end: bool) -> Vec<u8> {
        let mut bytes = mem::take(&mut self.held);
        bytes.extend_from_slice(piece);
        let (pairs, rest) = bytes.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        // The second half of a character may be in the next piece.
        let is_half = |unit: &mut u16| (0xd800..0xdc00).contains(unit);
        if !is_end && units.pop_if(is_half).is_some() {
            self.held.extend_from_slice(&pairs[units.len()]);
        }
        let mut text = String::new();
        let mut utf8 = Vec::with_capacity(units.len());
        for decoded in char::decode_utf16(units) {
            if let Ok(c) = decoded {
                text.push(c);
            } else {
                utf8.extend(mem::take(&mut text).into_bytes());
                utf8.push(NO_TEXT);
            }
        }
        utf8.extend(text.into_bytes());
        if is_end && !rest.is_empty() {
            utf8.push(NO_TEXT);
        } else {
            self.held.extend_from_slice(rest);
        }
        utf8
    }
}

/// The encoding of a file that begins like this, and the length of its byte order mark.
fn recognized(opening: &[u8]) -> Result<(Encoding, usize), String> {
    if let Some(what) = advice::foreign(opening) {
        return Err(format!("this is {what}, not a text file: {HOW_TO_SAVE}"));
    }
    let (little, big) = (
        Encoding::Utf16(u16::from_le_bytes),
        Encoding::Utf16(u16::from_be_bytes),
    );
    Ok(match opening {
        [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
        [0xff, 0xfe, ..] => (little, 2),
        [0xfe, 0xff, ..] => (big, 2),
        // Without a mark: our files begin with characters that have a zero byte in UTF-16.
        [a, 0, b, 0, ..] if *a > 0 && *b > 0 => (little, 0),
        [0, a, 0, b, ..] if *a > 0 && *b > 0 => (big, 0),
        _ => (Encoding::Utf8, 0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8], cut: usize) -> Result<Vec<u8>, String> {
        let mut decoder = Decoder::default();
        let mut text = Vec::new();
        for piece in bytes.chunks(cut) {
            text.extend_from_slice(&decoder.decode(piece)?);
        }
        text.extend_from_slice(&decoder.decode(&[])?);
        Ok(text)
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn utf_8_and_utf_16_are_told_by_their_beginning() {
        let cases: [(&[u8], &[u8]); 13] = [
            (b"", b""),
            (b"a", b"a"),
            (b"source", b"source"),
            (b"\xef\xbb\xbfsource", b"source"),
            (b"\xef\xbb\xbf", b""),
            // Half a mark is none, and a second one is text.
            (b"\xef\xbbsource", b"\xef\xbbsource"),
            (b"\xef\xbb\xbf\xef\xbb\xbfa", b"\xef\xbb\xbfa"),
            (b"\xff\xfes\0o\0", b"so"),
            (b"\xfe\xff\0s\0o", b"so"),
            (b"s\0o\0", b"so"),
            (b"\0s\0o", b"so"),
            // Half a unit, and half a character.
            (b"\xff\xfes\0o", b"s\xff"),
            (b"\xff\xfes\0\x00\xd8s\0", b"s\xffs"),
        ];
        for (bytes, expected) in cases {
            for cut in [1, 2, 3, 100] {
                let text = decoded(bytes, cut).unwrap();
                assert_eq!(text, expected, "{bytes:x?} {cut}");
            }
        }
    }

    #[test]
    fn a_workbook_is_refused_with_the_way_to_save_it() {
        for (bytes, what) in [
            (&b"PK\x03\x04\x14\0"[..], "a workbook"),
            (b"\xd0\xcf\x11\xe0\xa1", "an old Excel workbook"),
            (b"\x1f\x8b\x08\0", "compressed"),
        ] {
            let refused = decoded(bytes, 1).unwrap_err();
            assert!(refused.contains(what), "{refused}");
            assert!(refused.contains("CSV UTF-8"), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn utf_16_comes_out_as_it_was_however_it_is_cut(text in "[a-z\"é€😀,\r\n]{0,20}", cut in 1_usize..9) {
            for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                let file = utf16(&format!("\u{feff}{text}"), bytes);
                prop_assert_eq!(decoded(&file, cut).unwrap(), text.as_bytes());
            }
        }
    }
}
