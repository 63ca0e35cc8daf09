//! What must hold for every input, tried on the inputs that are kept and on some of our own making.
//!
//! The invariants are those of the fuzz targets, in `fuzz/src`; the kept inputs are the fixtures and
//! `fuzz/seeds`. An input that a fuzz target finds goes there, so that it is tried in every run.

#[path = "../../../fuzz/src/lib.rs"]
#[expect(
    unreachable_pub,
    reason = "the fuzz targets, too, are made from these files"
)]
mod kept;

mod servicenow;
mod signatures;
mod slack;
mod slack_types;

use std::fs;
use std::path::Path;

use proptest::prelude::{Strategy, any};
use proptest::sample::Index;

/// The files of a folder of this repository, in the order of their names.
fn inputs(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Tries the files of `folders`; says which one it was that failed by the panic's message.
fn try_all(folders: &[&str], check: fn(&[u8])) {
    for folder in folders {
        let inputs = inputs(folder);
        assert!(inputs.len() > 4, "{folder} is where it was");
        for input in inputs {
            check(&input);
            for end in [
                input.len() / 3,
                input.len() / 2,
                input.len().saturating_sub(1),
            ] {
                check(&input[..end]);
            }
        }
    }
}

/// One of the files of `folders`, with a few bytes changed, put in, taken out, or all from some
/// place on.
fn damaged(folders: &[&str]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds: Vec<Vec<u8>> = folders.iter().flat_map(|folder| inputs(folder)).collect();
    let edits = proptest::collection::vec((any::<Index>(), any::<u8>(), 0..8_u8), 1..6);
    (proptest::sample::select(seeds), edits).prop_map(|(mut input, edits)| {
        for (at, byte, edit) in edits {
            if input.is_empty() {
                break;
            }
            let at = at.index(input.len());
            match edit {
                0..3 => input[at] = byte,
                3..5 => input.insert(at, byte),
                5..7 => drop(input.remove(at)),
                _ => input.truncate(at),
            }
        }
        input
    })
}

#[test]
fn kept_configurations_are_read_or_refused_without_showing_a_secret() {
    try_all(&["fuzz/seeds/configuration"], kept::configuration::check);
}

proptest::proptest! {
    #[test]
    fn damaged_configurations_are_read_or_refused_without_showing_a_secret(
        input in damaged(&["fuzz/seeds/configuration"]),
    ) {
        kept::configuration::check(&input);
    }
}
