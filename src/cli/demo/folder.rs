//! The demo's temporary folder: private to its owner, gone when the demo ends.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A folder that is removed, with all that is in it, when dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one whose name nobody else has.
    pub(super) fn create(random: [u8; 6]) -> anyhow::Result<Self> {
        let name = format!("serval-connect-demo-{}", hex::encode(random));
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it that only its owner can read.
    pub(super) fn write(&self, name: &str, content: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(name);
        fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clean up; there is nobody left to tell.
        drop(fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_with_what_is_in_it() {
        let random = fastrand::u64(..).to_be_bytes();
        let folder = Folder::create(random[..6].try_into().unwrap()).unwrap();
        let file = folder.write("secret", "s").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "s");
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
