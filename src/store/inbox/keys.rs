//! Keys of deliveries and contents, as stored.

use sha2::{Digest as _, Sha256};
use twox_hash::XxHash3_64;

/// Key of a content: 128 bits of a SHA-256 hash. Two different contents have the same key neither by
/// chance nor on purpose.
pub(super) type ContentKey = [u8; 16];

pub(super) fn content_key(name: &str) -> ContentKey {
    let digest = Sha256::digest(name);
    let mut key = ContentKey::default();
    key.copy_from_slice(&digest[..16]);
    key
}

/// Key of a delivery: its name, so that names with a counter keep their order, and their index grows at
/// its end. A name over 48 bytes is stored as its first 33 bytes plus a 16-byte hash: 49 bytes, so never
/// equal to a short name.
pub(super) type DeliveryKey = Vec<u8>;

pub(super) fn delivery_key(name: &str) -> DeliveryKey {
    const LONGEST: usize = 48;
    const BEGINNING: usize = LONGEST + 1 - size_of::<ContentKey>();
    if name.len() <= LONGEST {
        return name.into();
    }
    [&name.as_bytes()[..BEGINNING], &content_key(name)].concat()
}

/// Fingerprint of what a delivery brought, as stored beside its key: 63 bits of an XXH3 hash. Two contents
/// under one name have the same fingerprint with a chance of 1 to 9 * 10^18. It is no cryptographic hash:
/// who wants two contents to be taken for one must write both, and only under one name.
pub(super) type Fingerprint = i64;

/// Fingerprint of an event that has none: nothing names its delivery, or an earlier version stored it.
/// No content has it.
pub(super) const NO_FINGERPRINT: Fingerprint = 0;

/// Fingerprint of an event: its type and its object, as they are stored. What the sender adds for the
/// way, such as the time of a retry, is no part of it.
pub(super) fn fingerprint(event_type: &str, object: &[u8]) -> Fingerprint {
    // The type is hashed first, and its hash is the seed: so it cannot run into the object.
    let seed = XxHash3_64::oneshot(event_type.as_bytes());
    let hash = XxHash3_64::oneshot_with_seed(seed, object);
    (hash.cast_signed() & Fingerprint::MAX).max(1)
}

/// A delivery, as stored.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Delivery<'a> {
    pub(super) name: DeliveryName<'a>,
    pub(super) fingerprint: Fingerprint,
}

/// Source and key of a delivery.
pub(super) type DeliveryName<'a> = (&'a str, DeliveryKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_types_and_objects_apart_and_is_positive() {
        let rows = [
            ("incident.update", "{}"),
            ("incident.delete", "{}"),
            ("incident.update", "{ }"),
            ("incident.updat", "e{}"),
            ("", ""),
        ];
        let prints = rows.map(|(kind, object)| fingerprint(kind, object.as_bytes()));
        let different: std::collections::HashSet<_> = prints.into_iter().collect();
        assert_eq!(different.len(), rows.len());
        assert!(prints.iter().all(|print| *print > NO_FINGERPRINT));
        assert_eq!(prints[0], fingerprint("incident.update", b"{}"));
    }

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
