//! Bodies as they are stored: compressed with LZ4 where that saves something. A body is most of an event's bytes,
//! and each is written twice, to the log and to the database.
//!
//! LZ4 and not zstd: zstd at its lowest level stores a third less, and takes more time than all pages that it
//! saves.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::columns::Columns;
use super::engine::{Batch, Row};
use super::error::StoreError;

/// Shortest body that is compressed, in bytes.
const SHORTEST: usize = 256;
/// LZ4 makes no body longer than this many times its compressed length.
const LARGEST_RATIO: usize = 255;

/// The columns of [`BodyRow`], of the table `payloads` under the name `p`.
macro_rules! body_columns {
    () => {
        "p.body, p.unpacked, p.object_start, p.object_len"
    };
}
pub(crate) use body_columns;

/// Reads the [`Body`] of an event.
pub(crate) const OF_EVENT: &str = concat!(
    "-- store::body::of_event\nSELECT ",
    body_columns!(),
    " FROM payloads AS p WHERE p.event_id = $1"
);

/// A body as it stands in its row. Reads [`body_columns!`], which may be NULL after an outer
/// join.
pub(crate) struct BodyRow {
    bytes: Vec<u8>,
    /// Length before it was compressed; `None`: it is not compressed.
    unpacked: Option<i64>,
    start: i64,
    length: i64,
}

/// A body, byte for byte as it arrived, and where the external object is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    /// Place of the external object, within the bytes.
    pub object: Range<usize>,
}

impl Columns for Option<BodyRow> {
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError> {
        let bytes: Option<Vec<u8>> = Columns::read(row, next)?;
        let unpacked = Columns::read(row, next)?;
        let start: Option<i64> = Columns::read(row, next)?;
        let length: Option<i64> = Columns::read(row, next)?;
        Ok(bytes.map(|bytes| BodyRow {
            bytes,
            unpacked,
            start: start.unwrap_or_default(),
            length: length.unwrap_or_default(),
        }))
    }
}

impl Columns for Body {
    fn read(row: &Row, next: &mut usize) -> Result<Self, StoreError> {
        let stored: Option<BodyRow> = Columns::read(row, next)?;
        stored.ok_or_else(damaged)?.unpack()
    }
}

impl BodyRow {
    /// Returns the body as it arrived. Fails if the row is damaged.
    pub(crate) fn unpack(self) -> Result<Body, StoreError> {
        let bytes = unpack(self.bytes, self.unpacked)?;
        let index = |n: i64| usize::try_from(n).unwrap_or_default().min(bytes.len());
        let start = index(self.start);
        let end = index(self.start.saturating_add(self.length)).max(start);
        Ok(Body {
            bytes: bytes.into(),
            object: start..end,
        })
    }
}

impl Body {
    /// The external object.
    pub fn object(&self) -> Bytes {
        self.bytes.slice(self.object.clone())
    }
}

/// Binds the four columns of a body: itself, its length before it was compressed, and the place of its object.
pub(crate) fn bind(batch: &mut Batch, body: &[u8], object: Range<usize>) {
    let (bytes, unpacked) = pack(body);
    batch.bind(bytes.into_owned());
    batch.bind(unpacked);
    batch.bind(length(object.start));
    batch.bind(length(object.len()));
}

/// Returns the bytes to store, and the length before compression if they are compressed.
fn pack(body: &[u8]) -> (Cow<'_, [u8]>, Option<i64>) {
    if body.len() >= SHORTEST {
        let packed = lz4_flex::block::compress(body);
        // What saves less than an eighth saves no page.
        if packed.len() <= body.len() - body.len() / 8 {
            return (packed.into(), Some(length(body.len())));
        }
    }
    (body.into(), None)
}

fn unpack(stored: Vec<u8>, unpacked: Option<i64>) -> Result<Vec<u8>, StoreError> {
    let Some(unpacked) = unpacked else {
        return Ok(stored);
    };
    let length = usize::try_from(unpacked).map_err(|_| damaged())?;
    // A damaged length must not take all memory.
    if length > stored.len().saturating_mul(LARGEST_RATIO) {
        return Err(damaged());
    }
    let body = lz4_flex::block::decompress(&stored, length).map_err(|_| damaged())?;
    (body.len() == length).then_some(body).ok_or_else(damaged)
}

fn damaged() -> StoreError {
    StoreError::Corrupt("a stored body is damaged".to_owned())
}

fn length(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_bodies_that_repeat_themselves_are_compressed_and_others_are_not() {
        let repetitive = "\"short_description\":\"\",".repeat(40).into_bytes();
        let random: Vec<u8> = (0..4096_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect();
        let rows = [
            (repetitive.clone(), true),
            (repetitive[..SHORTEST].to_vec(), true),
            (repetitive[..SHORTEST - 1].to_vec(), false),
            (random, false),
            (Vec::new(), false),
        ];
        for (body, is_packed) in rows {
            let (bytes, unpacked) = pack(&body);
            assert_eq!(unpacked.is_some(), is_packed, "{} bytes", body.len());
            assert!(bytes.len() <= body.len());
            assert_eq!(unpack(bytes.into_owned(), unpacked).unwrap(), body);
        }
    }

    #[test]
    fn a_damaged_body_is_an_error_and_takes_no_memory() {
        let body = "0123456789".repeat(100).into_bytes();
        let (packed, unpacked) = pack(&body);
        let packed = packed.into_owned();
        let length = unpacked.unwrap();
        let rows = [
            (packed.clone(), length - 1),
            (packed.clone(), length + 1),
            (packed.clone(), i64::MAX),
            (packed.clone(), -1),
            (packed[..packed.len() / 2].to_vec(), length),
            (Vec::new(), length),
        ];
        for (stored, length) in rows {
            assert!(unpack(stored, Some(length)).is_err(), "{length}");
        }
    }

    #[test]
    fn an_object_is_cut_to_what_the_body_has() {
        let rows = [
            ((1, 2), "bc"),
            ((1, 9), "bcd"),
            ((9, 1), ""),
            ((-3, 2), ""),
            ((2, -1), ""),
        ];
        for ((start, length), expected) in rows {
            let stored = BodyRow {
                bytes: b"abcd".to_vec(),
                unpacked: None,
                start,
                length,
            };
            let body = stored.unpack().unwrap();
            assert_eq!(body.object(), expected, "{start} {length}");
        }
    }

    proptest! {
        #[test]
        fn every_body_comes_back_as_it_was(words in proptest::collection::vec("[a-z\"{}:, ]{0,12}", 0..400)) {
            let body = words.concat().into_bytes();
            let (bytes, unpacked) = pack(&body);
            prop_assert_eq!(unpack(bytes.into_owned(), unpacked).unwrap(), body);
        }

        #[test]
        fn no_stored_bytes_panic(stored in proptest::collection::vec(any::<u8>(), 0..200), length in any::<i16>()) {
            drop(unpack(stored, Some(length.into())));
        }
    }
}
