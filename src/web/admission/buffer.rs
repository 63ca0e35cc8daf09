//! The bytes of one body, in one piece.
//!
//! A body of more than some pages has a mapping of its own. The allocator would keep its memory for later
//! bodies, and the process would stay as large as the largest crowd made it. A mapping takes memory only for
//! the pages that were written, and gives it back when it is dropped.

use std::io;

use memmap2::MmapMut;

/// Largest body without a mapping of its own, in bytes: nearly all webhooks.
const SMALL: usize = 16 * 1024;

/// A body as far as it has arrived.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Largest length that the whole body may have.
    most: usize,
    len: usize,
    small: Vec<u8>,
    large: Option<MmapMut>,
}

impl Buffer {
    /// An empty one, for a body of at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            len: 0,
            small: Vec::new(),
            large: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends a chunk. An error: the body is longer than `most`, or the system gives no memory.
    pub(super) fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        let end = self.len + chunk.len();
        if self.large.is_none() && end <= SMALL {
            self.small.extend_from_slice(chunk);
        } else {
            if self.large.is_none() {
                let mut map = MmapMut::map_anon(self.most)?;
                // Else a system with huge pages may take 2 MiB for the first byte.
                #[cfg(target_os = "linux")]
                drop(map.advise(memmap2::Advice::NoHugePage));
                let begin = map.get_mut(..self.len).ok_or(io::ErrorKind::FileTooLarge)?;
                begin.copy_from_slice(&self.small);
                self.small = Vec::new();
                self.large = Some(map);
            }
            let place = self
                .large
                .as_mut()
                .and_then(|map| map.get_mut(self.len..end));
            let place = place.ok_or(io::ErrorKind::FileTooLarge)?;
            place.copy_from_slice(chunk);
        }
        self.len = end;
        Ok(())
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match &self.large {
            Some(map) => map.get(..self.len).unwrap_or_default(),
            None => &self.small,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_arrived_however_it_was_cut() {
        let whole: Vec<u8> = (0..50_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for size in [1, 7, 4096, SMALL - 1, SMALL, SMALL + 1, 50_000] {
            let mut buffer = Buffer::new(whole.len());
            for chunk in whole.chunks(size) {
                buffer.push(chunk).unwrap();
            }
            assert_eq!(buffer.len(), whole.len());
            assert_eq!(buffer.as_ref(), whole, "chunks of {size}");
            assert!(buffer.push(b"x").is_err(), "longer than it may be");
        }
        assert_eq!(Buffer::new(0).as_ref(), b"");
    }
}
