//! Which configuration a command reads, from where its paths count, and that no command makes a database by accident.

use std::fs;
use std::path::Path;

use serval_connect::rehearsal::mock_serval::MockConfig;
use tokio::process::Command;

use crate::cli_run::{Ended, Site, bare, ended};

/// A configuration that `check` accepts, with a client id to tell it by.
fn config(client_id: &str, more: &str) -> String {
    format!(
        "{more}\n[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[serval]\nclient_id = \
         \"{client_id}\"\nclient_secret = \"a-secret-of-the-tests\"\n[sources.servicenow]\nbearer_tokens = \
         [\"a-token-of-the-tests\"]\nchannel_target = {{ ticketSource = {{ integrationId = \"i\" }} }}\n"
    )
}

async fn run(folder: &Path, line: &str, variable: Option<&str>) -> Ended {
    let mut command: Command = bare(line);
    command.current_dir(folder);
    if let Some(value) = variable {
        command.env("SERVAL_CONNECT_CONFIG", value);
    }
    ended(command).await
}

fn n_files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn the_option_comes_before_the_variable_and_that_before_the_usual_place() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    for name in ["serval-connect", "one", "two"] {
        fs::write(here.join(format!("{name}.toml")), config(name, "")).unwrap();
    }
    for (line, variable, id, said) in [
        ("check", None, "serval-connect", "serval-connect.toml"),
        ("check", Some(""), "serval-connect", "serval-connect.toml"),
        ("check", Some("one.toml"), "one", "SERVAL_CONNECT_CONFIG"),
        ("check", Some("one.toml:two.toml"), "two", "two.toml"),
        ("check --config two.toml", Some("one.toml"), "two", ""),
        ("--config one.toml check", None, "one", ""),
    ] {
        let check = run(here, line, variable).await;
        assert_eq!(check.code, 0, "{line} {variable:?}: {check:?}");
        let shown = format!("client_id = \"{id}\"");
        assert!(check.out.contains(&shown), "{line} {variable:?}: {check:?}");
        assert_eq!(check.err.is_empty(), said.is_empty(), "{check:?}");
        assert!(check.err.contains(said), "{check:?}");
    }
    assert_eq!(n_files(here), 3, "a check makes nothing");
}

#[tokio::test]
async fn a_file_that_is_named_and_missing_is_an_error_of_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("serval-connect.toml"), config("x", "")).unwrap();
    for command in ["check", "serve", "migrate", "events list", "discover"] {
        for (line, variable) in [
            (format!("{command} --config gone.toml"), None),
            (command.to_owned(), Some("gone.toml")),
            (command.to_owned(), Some("serval-connect.toml:gone.toml")),
        ] {
            let refused = run(here, &line, variable).await;
            let said = format!("{}{}", refused.out, refused.err);
            assert_eq!(refused.code, 2, "{line} {variable:?}: {refused:?}");
            assert!(said.contains("gone.toml"), "{line}: {said}");
            assert!(!said.contains("panicked"), "{said}");
        }
    }
    assert_eq!(n_files(here), 1);
}

#[tokio::test]
async fn without_any_file_a_command_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(folder.path(), "check", None).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    for place in [
        "./serval-connect.toml",
        "/etc/serval-connect/serval-connect.toml",
    ] {
        assert!(refused.err.contains(place), "{refused:?}");
    }
}

#[tokio::test]
async fn paths_of_a_file_count_from_its_folder_and_those_of_variables_from_the_working_one() {
    let folder = tempfile::tempdir().unwrap();
    let [theirs, mine] = ["theirs", "mine"].map(|name| folder.path().join(name));
    fs::create_dir(&theirs).unwrap();
    fs::create_dir(&mine).unwrap();
    let secrets = "[database]\nurl = \"sqlite://data/x.db\"";
    let text = config("x", secrets).replace(
        "client_secret = \"a-secret-of-the-tests\"",
        "client_secret_file = \"secret\"",
    );
    fs::write(theirs.join("c.toml"), &text).unwrap();
    fs::write(theirs.join("usual.toml"), config("x", "")).unwrap();
    fs::write(theirs.join("secret"), "a-secret-of-a-file").unwrap();
    for (file, variable, made) in [
        ("c.toml", None, theirs.join("data/x.db")),
        ("usual.toml", None, theirs.join("data/serval-connect.db")),
        ("c.toml", Some("sqlite://own/y.db"), mine.join("own/y.db")),
    ] {
        let mut command = bare("migrate --config");
        command.arg(theirs.join(file)).current_dir(&mine);
        if let Some(url) = variable {
            command.env("SERVAL_CONNECT__DATABASE__URL", url);
        }
        let migrated = ended(command).await;
        assert_eq!(migrated.code, 0, "{migrated:?}");
        assert!(made.is_file(), "{file} {variable:?}: {migrated:?}");
    }
    assert_eq!(n_files(&mine), 1, "only what the variable named");
    let missing = text.replace("\"secret\"", "\"other\"");
    fs::write(theirs.join("c.toml"), missing).unwrap();
    let refused = run(&mine, "check --config ../theirs/c.toml", None).await;
    assert!(refused.out.contains("../theirs/other"), "{refused:?}");
}

#[tokio::test]
async fn no_other_command_makes_a_database_and_each_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("serval-connect.toml"), config("x", "")).unwrap();
    fs::write(here.join("pairs.csv"), "source,external_id,ticket_id\n").unwrap();
    let id = "6f1d0c93db2a6410c7e3f4a2ce9619aa";
    let mapping = format!("servicenow {id}");
    for command in [
        format!("map set {mapping} ticket-1"),
        format!("map get {mapping}"),
        format!("map remove {mapping}"),
        "map list".to_owned(),
        "map export".to_owned(),
        "map import pairs.csv".to_owned(),
        "events list".to_owned(),
        "events show evt_1".to_owned(),
        "events replay evt_1".to_owned(),
        "connects pause".to_owned(),
        "backup copy.db".to_owned(),
        format!("erase --external-id {id}"),
        "move --to postgres://u@127.0.0.1:1/d".to_owned(),
    ] {
        let refused = run(here, &command, None).await;
        assert_eq!(refused.code, 1, "{command}: {refused:?}");
        let looked = here.canonicalize().unwrap().join("data/serval-connect.db");
        let looked = looked.display().to_string();
        assert!(refused.err.contains(&looked), "{command}: {refused:?}");
        assert!(
            refused.err.contains("serval-connect.toml"),
            "{command}: {refused:?}"
        );
        assert_eq!(refused.out, "", "{command}: {refused:?}");
        assert_eq!(n_files(here), 2, "{command}");
    }
}

#[tokio::test]
async fn a_command_beside_the_daemon_finds_it_from_any_folder() {
    let site = Site::new(MockConfig::default()).await;
    let text = fs::read_to_string(site.path("config.toml")).unwrap();
    let url = site.database_url();
    let relative = text.replace(&url, "sqlite://data/x.db");
    fs::write(site.path("config.toml"), &relative).unwrap();
    let daemon = site.serve().await;
    let id = site.incident("6f1d0c93db2a6410c7e3f4a2ce9619aa").await;
    let elsewhere = tempfile::tempdir().unwrap();
    let of_variable = ["SERVAL_CONNECT__DATABASE__URL", "sqlite://data/x.db"];
    for variable in [None, Some(of_variable)] {
        let mut command = site.command("events list --json");
        command.current_dir(elsewhere.path());
        if let Some([name, value]) = variable {
            command.env(name, value);
        }
        let listed = ended(command).await;
        assert_eq!(listed.json()["data"][0]["id"], id, "{variable:?}");
        assert_eq!(n_files(elsewhere.path()), 0, "{variable:?}");
    }
    // A database that somebody left there is not taken for the daemon's.
    let [name, value] = of_variable;
    for (line, code, said) in [
        ("migrate", 0, "created"),
        ("events list", 1, "another database"),
        ("map list", 1, "another database"),
    ] {
        let mut command = site.command(line);
        command.current_dir(elsewhere.path()).env(name, value);
        let ended = ended(command).await;
        assert_eq!(ended.code, code, "{line}: {ended:?}");
        assert!(
            format!("{}{}", ended.out, ended.err).contains(said),
            "{line}: {ended:?}"
        );
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_database_at_the_place_of_earlier_versions_is_not_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::write(folder.path().join("c.toml"), config("x", "")).unwrap();
    let old = "sqlite://data/serval-connect.db";
    let mut command = bare("migrate --config ../c.toml");
    command
        .current_dir(&work)
        .env("SERVAL_CONNECT__DATABASE__URL", old);
    assert_eq!(ended(command).await.code, 0);
    for command in ["serve", "check", "migrate"] {
        let line = format!("{command} --config ../c.toml");
        let refused = run(&work, &line, None).await;
        assert_eq!(refused.code, 2, "{command}: {refused:?}");
        let named = work.canonicalize().unwrap().join("data/serval-connect.db");
        let remedy = format!("database.url = \"sqlite://{}\"", named.display());
        assert!(refused.err.contains(&remedy), "{command}: {refused:?}");
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");
}
