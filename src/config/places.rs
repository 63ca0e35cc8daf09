//! The files that a command reads: those of `--config`, else those of a variable, else the first one that exists at
//! the usual places.

use std::path::{Path, PathBuf};

use super::env::Environment;

/// Names files, with a colon between them.
const VARIABLE: &str = "SERVAL_CONNECT_CONFIG";
/// Places of a file that nobody named.
const PLACES: [&str; 2] = [
    "serval-connect.toml",
    "/etc/serval-connect/serval-connect.toml",
];

/// The files of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Their paths, later ones win.
    pub paths: Vec<PathBuf>,
    /// Where they come from, for a person who did not name them on the command line.
    pub remark: Option<String>,
}

impl Files {
    /// Chooses the files. `named`: those of the command line.
    pub fn choose(
        named: &[PathBuf],
        environment: &Environment,
        exists: impl Fn(&Path) -> bool,
    ) -> Self {
        if !named.is_empty() {
            return Self {
                paths: named.to_vec(),
                remark: None,
            };
        }
        let listed = environment.get(VARIABLE).unwrap_or_default();
        let listed = listed.split(':').filter(|path| !path.is_empty());
        let listed: Vec<PathBuf> = listed.map(PathBuf::from).collect();
        if !listed.is_empty() {
            return Self {
                remark: Some(format!("configuration: {}, by {VARIABLE}", shown(&listed))),
                paths: listed,
            };
        }
        let mut places = PLACES.iter().map(PathBuf::from);
        match places.find(|path| exists(path)) {
            Some(path) => Self {
                remark: Some(format!(
                    "configuration: {}",
                    shown(std::slice::from_ref(&path))
                )),
                paths: vec![path],
            },
            None => Self {
                paths: Vec::new(),
                remark: Some(format!(
                    "configuration: no file, only variables: none is named, and there is no ./{}",
                    PLACES.join(" and no ")
                )),
            },
        }
    }
}

fn shown(paths: &[PathBuf]) -> String {
    let whole = |path: &PathBuf| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        path.display().to_string()
    };
    let all: Vec<_> = paths.iter().map(whole).collect();
    all.join(" and ")
}

/// True unless it is certain that there is no such file: one that cannot be looked at is not passed over.
pub fn may_exist(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_comes_before_the_usual_places() {
        let [here, there] = PLACES;
        let both = &[here, there][..];
        for (named, variable, exist, expected, said) in [
            (&["a", "b"][..], "c", both, &["a", "b"][..], None),
            (
                &[],
                "/c:/d",
                both,
                &["/c", "/d"],
                Some("by SERVAL_CONNECT_CONFIG"),
            ),
            (&[], "/c", &[], &["/c"], Some("configuration: /c,")),
            (&[], "", both, &[here], Some("/serval-connect.toml")),
            (&[], ":", &[there], &[there], Some(there)),
            (
                &[],
                "",
                &[],
                &[],
                Some("no ./serval-connect.toml and no /etc/"),
            ),
        ] {
            let named: Vec<_> = named.iter().map(PathBuf::from).collect();
            let environment = [(VARIABLE, variable)].into_iter().collect();
            let files = Files::choose(&named, &environment, |path| {
                exist.iter().any(|there| Path::new(there) == path)
            });
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(files.paths, expected, "{named:?} {variable:?}");
            let remark = files.remark.unwrap_or_default();
            assert_eq!(remark.is_empty(), said.is_none(), "{remark}");
            assert!(remark.contains(said.unwrap_or_default()), "{remark}");
        }
    }
}
