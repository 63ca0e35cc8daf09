//! Secrets that work but are not safe: short ones, one in two places, and files that others may read.
//!
//! Invariant: a warning names keys and files, never a value.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::super::layers::Origin;
use super::super::merge::{Merged, Setting};
use crate::domain::token;

/// Secrets of fewer characters are a mistake, or can be guessed.
const SHORT: usize = 8;
/// Keys that have warnings of their own: see the module above.
const ADMIN: &str = "admin.";
/// Remedy for a file of another user.
const SHARED: &str = "give it to the user or the group of this program, and chmod o= FILE";
/// Keys of files whose content is read elsewhere.
const KEY_FILES: [&str; 3] = [
    "server.tls_key_file",
    "admin.tls_key_file",
    "database.password_file",
];

/// Warns of secrets that are not safe. `is_placeholder`: a text that holds no secret.
pub(super) fn warn(merged: &Merged, is_placeholder: fn(&str) -> bool, warnings: &mut Vec<String>) {
    let secrets: Vec<(&str, &str)> = merged.secrets().collect();
    short(&secrets, warnings);
    shared(&secrets, warnings);
    unexpanded(&secrets, warnings);
    for (file, keys) in files(merged, is_placeholder) {
        if let Some(remedy) = remedy(&file) {
            let keys = Vec::from_iter(keys).join(", ");
            warnings.push(format!(
                "{}: other users may read or change it, and it holds {keys}; take their rights away: \
                 {remedy}",
                file.display()
            ));
        }
    }
}

fn short(secrets: &[(&str, &str)], warnings: &mut Vec<String>) {
    let is_short = |secret: &str| secret.trim().chars().count() < SHORT;
    let found = secrets.iter().filter(|(_, secret)| is_short(secret));
    let keys: BTreeSet<&str> = found.map(|(key, _)| *key).collect();
    for key in keys.into_iter().filter(|key| !key.starts_with(ADMIN)) {
        warnings.push(format!(
            "{key}: a secret is shorter than {SHORT} characters: is it cut?"
        ));
    }
}

fn shared(secrets: &[(&str, &str)], warnings: &mut Vec<String>) {
    let mut holders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, secret) in secrets {
        let bare = token::split(secret).map_or(*secret, |split| split.token);
        holders.entry(bare.trim()).or_default().insert(key);
    }
    let shared: BTreeSet<_> = holders
        .into_values()
        .filter(|keys| keys.len() > 1)
        .collect();
    for keys in shared {
        if !keys.iter().all(|key| key.starts_with(ADMIN)) {
            let keys = Vec::from_iter(keys).join(" and ");
            warnings.push(format!(
                "{keys} hold the same secret: whoever has it for one can speak for the other"
            ));
        }
    }
}

/// Warns of secrets such as `${SECRET}`: somebody expects them to be replaced.
fn unexpanded(secrets: &[(&str, &str)], warnings: &mut Vec<String>) {
    let is_variable = |secret: &str| secret.starts_with("${") && secret.ends_with('}');
    let found = secrets.iter().filter(|(_, secret)| is_variable(secret));
    let keys: BTreeSet<&str> = found.map(|(key, _)| *key).collect();
    warnings.extend(keys.into_iter().map(|key| {
        format!(
            "{key}: a secret has the form ${{NAME}}, and no variable is replaced here: write the secret, or leave the \
             key out and set its own variable"
        )
    }));
}

/// The files that hold secrets, each with the keys of those.
fn files(merged: &Merged, is_placeholder: fn(&str) -> bool) -> BTreeMap<PathBuf, BTreeSet<&str>> {
    let mut files: BTreeMap<PathBuf, BTreeSet<&str>> = BTreeMap::new();
    let settings = merged.settings.iter();
    let mut add = |file: PathBuf, key| files.entry(file).or_default().insert(key);
    for (key, setting) in settings {
        let key = key.as_str();
        if KEY_FILES.contains(&key) {
            setting.value.as_str().map(|file| add(file.into(), key));
        }
        if setting.is_secret() && !is_placeholder(&setting.value.to_string()) {
            file_of(setting).map(|file| add(file, key));
        }
    }
    files
}

fn file_of(setting: &Setting) -> Option<PathBuf> {
    match (&setting.file, &setting.origin) {
        (Some(file), _) => Some(file.clone()),
        (None, Origin::File { path, .. }) => Some(path.clone()),
        (None, Origin::Default | Origin::Variable(_)) => None,
    }
}

/// Says how to take needless rights to the file away, if there are any.
fn remedy(file: &Path) -> Option<&'static str> {
    let file = std::fs::metadata(file).ok()?;
    remedy_for(file.mode(), file.uid() == geteuid().as_raw())
}

/// The group needs its rights only where the file is another user's: platforms for containers hand a secret
/// to the user of a program by its group.
fn remedy_for(mode: u32, is_own: bool) -> Option<&'static str> {
    match (mode & 0o060, mode & 0o006) {
        (0, 0) => None,
        (_, 0) if !is_own => None,
        _ if is_own => Some("chmod go= FILE"),
        _ => Some(SHARED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(
        check: fn(&[(&str, &str)], &mut Vec<String>),
        secrets: &[(&str, &str)],
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        check(secrets, &mut warnings);
        let begin = |warning: String| warning.split(" hold ").next().map(str::to_owned);
        warnings.into_iter().filter_map(begin).collect()
    }

    #[test]
    fn one_secret_in_two_places_is_warned_of_once() {
        let own = [("sources.a.secrets", "one"), ("sources.a.secrets", "one")];
        let two = [
            ("sources.a.secrets", " one"),
            ("sources.b.secrets", "one\n"),
        ];
        let other = [
            ("admin.tokens", "ann one"),
            ("sources.a.bearer_tokens", "one"),
        ];
        let admin = [
            ("admin.tokens", "ann one"),
            ("admin.read_only_tokens", "one"),
        ];
        let twice = [
            two,
            [("sources.a.secrets", "x"), ("sources.b.secrets", "x")],
        ]
        .concat();
        for (secrets, expected) in [
            (&own[..], &[][..]),
            (&two, &["sources.a.secrets and sources.b.secrets"]),
            (&other, &["admin.tokens and sources.a.bearer_tokens"]),
            (&admin, &[]),
            (&twice, &["sources.a.secrets and sources.b.secrets"]),
        ] {
            assert_eq!(found(shared, secrets), expected, "{secrets:?}");
        }
    }

    #[test]
    fn nobody_but_the_user_of_the_program_needs_rights_to_a_secret() {
        for (mode, own, of_another) in [
            (0o100_400, None, None),
            (0o100_600, None, None),
            (0o100_440, Some("chmod go= FILE"), None),
            (0o100_660, Some("chmod go= FILE"), None),
            (0o100_644, Some("chmod go= FILE"), Some(SHARED)),
            (0o100_604, Some("chmod go= FILE"), Some(SHARED)),
            (0o100_602, Some("chmod go= FILE"), Some(SHARED)),
        ] {
            assert_eq!(remedy_for(mode, true), own, "{mode:o}");
            assert_eq!(remedy_for(mode, false), of_another, "{mode:o}");
        }
        assert_eq!(remedy(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_short_secret_is_warned_of_without_its_value() {
        let secrets = [
            ("serval.client_secret", "short"),
            ("serval.bearer_token", "eight ch"),
            ("admin.tokens", "a"),
        ];
        let warnings = found(short, &secrets);
        let expected = "serval.client_secret: a secret is shorter than 8 characters: is it cut?";
        assert_eq!(warnings, [expected]);
    }
}
