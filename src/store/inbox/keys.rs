//! The names of deliveries and contents, as they are stored.

use sha2::{Digest as _, Sha256};

/// The name of a content as it is stored: short, whatever it is made of. Of 128 bits of a hash no two
/// are the same by chance, and nobody can make two that are.
pub(super) type ContentKey = [u8; 16];

pub(super) fn content_key(name: &str) -> ContentKey {
    let digest = Sha256::digest(name);
    let mut key = ContentKey::default();
    key.copy_from_slice(&digest[..16]);
    key
}

/// The name of a delivery as it is stored: itself, so that names which senders count up stay in
/// order, and the index of them grows at its end. In the place of a long one stands its beginning
/// with a hash, which makes it one byte longer than any that stands for itself.
pub(super) type DeliveryKey = Vec<u8>;

pub(super) fn delivery_key(name: &str) -> DeliveryKey {
    const LONGEST: usize = 48;
    const BEGINNING: usize = LONGEST + 1 - size_of::<ContentKey>();
    if name.len() <= LONGEST {
        return name.into();
    }
    [&name.as_bytes()[..BEGINNING], &content_key(name)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_stands_for_itself_or_for_its_beginning_and_a_hash() {
        assert_eq!(delivery_key("wh:msg_1"), b"wh:msg_1");
        let longest = "a".repeat(48);
        assert_eq!(delivery_key(&longest), longest.as_bytes());
        let (long, other) = (format!("{longest}b"), format!("{longest}c"));
        let key = delivery_key(&long);
        assert_eq!((key.len(), &key[..33]), (49, &longest.as_bytes()[..33]));
        assert_ne!(key, delivery_key(&other));
        assert!(delivery_key("wh:0001-x") < delivery_key("wh:0002-a"));
        // A beginning may end within a letter.
        assert_eq!(delivery_key(&"\u{e9}".repeat(40)).len(), 49);
    }
}
