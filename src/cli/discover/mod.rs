//! `discover`: lists what Serval has, to fill in `channel_target`; and the online part of `check`.

mod advice;
mod directory;
mod online;
mod target;

use serde_json::json;

use crate::config::{Config, Environment, may_exist, toml_text};
use crate::edge::blot::Blot;
use crate::terminal::{Failure, Form, Global, Outcome, output};
use directory::{App, Directory, Team};
use output::shown;

pub(super) use online::check_online;

/// Arguments of `discover`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this team: its id, its prefix or its name
    #[arg(long)]
    team: Option<String>,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let files = global.files();
    // Other faults elsewhere do not matter here, but without a file the account may be another one.
    if let Some(missing) = files.iter().find(|file| !may_exist(file)) {
        return Err(Failure::Usage(format!(
            "{}: there is no such file",
            missing.display()
        )));
    }
    let serval = Config::load_serval(&files, &Environment::from_process())?;
    for warning in &serval.warnings {
        output::warn(warning);
    }
    let serval = serval.section;
    let client = online::client(&serval, Blot::default())?;
    let read = Directory::read(&client, args.team.as_deref()).await;
    let directory = read.map_err(|error| advice::failure(&error, &serval))?;
    let Directory { teams, hidden } = &directory;
    // An empty list would look as if the team had no app instances.
    if let (Some(team), []) = (&args.team, &teams[..]) {
        return Err(Failure::failed(format_args!(
            "Serval shows no team with the id, prefix or name {team:?}; `discover` without --team \
             lists all teams"
        )));
    }
    if args.form.json {
        output::json(&json!({ "data": teams, "next_cursor": null }));
    } else {
        show(teams);
    }
    for what in hidden {
        output::warn(format_args!("{what}; {}", advice::SCOPE));
    }
    Ok(())
}

fn show(teams: &[Team]) {
    if teams.is_empty() {
        output::note("Serval shows no team to this API key");
    }
    for (n, team) in teams.iter().enumerate() {
        if n > 0 {
            output::line("");
        }
        output::line(format_args!(
            "team {} ({})",
            shown(&team.name),
            shown(&team.prefix)
        ));
        output::facts([("id", Some(shown(&team.id)))]);
        if team.app_instances.is_empty() {
            output::line("  no app instances");
        }
        team.app_instances.iter().for_each(show_app);
    }
}

fn show_app(app: &App) {
    output::line(format_args!(
        "\n  {} ({}), app instance {}",
        shown(&app.name),
        shown(&app.service),
        shown(&app.id)
    ));
    if app.integrations.is_empty() {
        output::line("    no integrations: connect it at https://app.serval.com first");
    }
    for integration in &app.integrations {
        let domain = integration.api_domain.as_deref().unwrap_or("no domain");
        output::line(format_args!(
            "    integration {}, {}",
            shown(&integration.id),
            shown(domain)
        ));
        for (key, target) in &integration.targets {
            output::line(format_args!("      {key} = {}", toml_text(target)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::directory::targets;
    use super::*;

    #[test]
    fn what_is_to_be_pasted_is_taken_by_the_configuration() {
        for (service, n) in [("servicenow", 1), ("slack", 2), ("okta", 0)] {
            let targets = targets(service, "a\"b");
            assert_eq!(targets.len(), n, "{service}");
            let mut text = format!("[sources.{service}]\n");
            for (key, target) in targets {
                text.extend([key.as_str(), " = ", &toml_text(&target), "\n"]);
            }
            if n == 0 {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("c.toml");
            std::fs::write(&file, &text).unwrap();
            let loaded = Config::load(&[file], &Environment::default()).unwrap();
            let shown = loaded.redacted();
            assert!(shown.contains(r#"integrationId = "a\"b""#), "{shown}");
        }
    }
}
