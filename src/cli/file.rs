//! The database file of a command: what is said where there is none.
//!
//! Invariant: only `serve`, `migrate`, `restore` and `demo` make a database.

use std::path::{Path, PathBuf};

use crate::config::{Loaded, may_exist};
use crate::store::Database;
use crate::terminal::{Failure, Outcome};

/// The file of a database that must exist.
pub(super) fn existing(database: &Database) -> Result<PathBuf, Failure> {
    let path = database.file();
    let path = path.map_err(|error| Failure::Usage(error.to_string()))?;
    if may_exist(&path) {
        Ok(path)
    } else {
        Err(none_at(&path))
    }
}

/// The failure of a command that finds no database.
pub(super) fn none_at(path: &Path) -> Failure {
    Failure::failed(format_args!(
        "there is no database at {} yet: give the daemon's configuration with --config, and mind that a relative \
         path counts from the folder of its file, that of a variable from the working directory; `serve` and \
         `migrate` make a new one",
        absolute(path).display()
    ))
}

/// Refuses to make a new database where an earlier version, which counted all paths from the working directory, left
/// one at another place.
pub(super) fn refuse_to_leave_behind(loaded: &Loaded, database: &Database) -> Outcome {
    let (Some(earlier), Ok(path)) = (loaded.earlier_place(), database.file()) else {
        return Ok(());
    };
    if may_exist(&path) || !earlier.exists() {
        return Ok(());
    }
    let [earlier, path] = [absolute(&earlier), absolute(&path)];
    if earlier == path {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "database.url is {path} now, which does not exist, and there is a database at {earlier}, where earlier versions \
         looked: relative paths count from the folder of the configuration file, no longer from the working directory. \
         To go on with it, set database.url = \"sqlite://{earlier}\"; to begin anew, move it away",
        path = path.display(),
        earlier = earlier.display(),
    )))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
