//! `discover`: what stands at Serval, to fill in `channel_target`; and the online part of `check`.

mod advice;
mod directory;
mod online;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Failure, Global, Outcome, output};
use crate::clock::SystemClock;
use crate::config::{Config, Environment, ServalConfig};
use crate::serval::ServalClient;
use directory::{App, Directory, TeamApps};

pub(super) use online::check_online;

/// Arguments of `discover`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One team only: its id, its prefix or its name
    #[arg(long)]
    team: Option<String>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let serval = Config::load_serval(&global.files, &Environment::from_process())?;
    for warning in &serval.warnings {
        output::warn(warning);
    }
    let serval = serval.section;
    let client = client(&serval)?;
    let read = Directory::read(&client, args.team.as_deref()).await;
    let directory = read.map_err(|error| advice::failure(&error, &serval))?;
    let Directory { teams, hidden } = &directory;
    if let (Some(team), []) = (&args.team, &teams[..]) {
        return Err(Failure::Failed(anyhow::anyhow!(
            "Serval shows no team with the id, prefix or name {team:?}; `discover` without --team \
             lists those that there are"
        )));
    }
    if args.json {
        let data: Vec<_> = teams.iter().map(team_json).collect();
        output::json(&json!({ "data": data, "next_cursor": null }));
    } else {
        show(teams);
    }
    for what in hidden {
        output::warn(format_args!("{what}; {}", advice::SCOPE));
    }
    Ok(())
}

/// A client for `[serval]`.
fn client(serval: &ServalConfig) -> Result<ServalClient, Failure> {
    ServalClient::new(serval, Arc::new(SystemClock), 1)
        .map_err(|error| Failure::Usage(error.to_string()))
}

fn show(teams: &[TeamApps]) {
    if teams.is_empty() {
        output::note("Serval shows no team to this API key");
    }
    for (n, TeamApps { team, apps }) in teams.iter().enumerate() {
        if n > 0 {
            output::line("");
        }
        let name = output::shown(&team.name);
        output::line(format_args!(
            "team {name} ({})",
            output::shown(&team.prefix)
        ));
        output::facts([("id", Some(output::shown(&team.id)))]);
        if apps.is_empty() {
            output::line("  no app instances");
        }
        for app in apps {
            show_app(app);
        }
    }
}

fn show_app(App { app, integrations }: &App) {
    output::line("");
    output::line(format_args!(
        "  {} ({}), app instance {}",
        output::shown(&app.name),
        output::shown(service(app)),
        output::shown(&app.id)
    ));
    if integrations.is_empty() {
        output::line("    no integrations: connect it at https://app.serval.com first");
    }
    for integration in integrations {
        let at = integration.api_domain.as_deref().unwrap_or("no domain");
        output::line(format_args!(
            "    integration {}, {}",
            output::shown(&integration.id),
            output::shown(at)
        ));
        for (key, target) in targets(service(app), &integration.id) {
            output::line(format_args!("      {key} = {}", toml(&target)));
        }
    }
}

fn service(app: &crate::serval::AppInstance) -> &str {
    let custom = || app.custom_service_id.as_deref();
    app.service.as_deref().or_else(custom).unwrap_or("unknown")
}

/// The keys of a source that an integration can stand in. None for services that are no source.
fn targets(service: &str, integration: &str) -> Vec<(&'static str, Value)> {
    match service {
        "servicenow" => vec![(
            "channel_target",
            json!({ "ticketSource": { "integrationId": integration } }),
        )],
        "slack" => vec![
            (
                "channel_target",
                json!({ "slackChannel": { "integrationId": integration } }),
            ),
            (
                "direct_message_target",
                json!({ "slackDm": {
                    "integrationId": integration,
                    "targetUserType": "CHANNEL_SYNC_TARGET_USER_TICKET_REQUESTOR",
                } }),
            ),
        ],
        _ => Vec::new(),
    }
}

/// A target as it stands in the configuration, to be pasted.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{key} = {}", toml(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        // Texts are quoted as in JSON, which TOML reads as well.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            value.to_string()
        }
    }
}

fn team_json(TeamApps { team, apps }: &TeamApps) -> Value {
    let apps: Vec<_> = apps
        .iter()
        .map(|App { app, integrations }| {
            let integrations: Vec<_> = integrations
                .iter()
                .map(|integration| {
                    let mut shown = json!({
                        "id": integration.id,
                        "api_domain": integration.api_domain,
                    });
                    for (key, target) in targets(service(app), &integration.id) {
                        shown[key] = target;
                    }
                    shown
                })
                .collect();
            json!({
                "id": app.id,
                "name": app.name,
                "service": service(app),
                "integrations": integrations,
            })
        })
        .collect();
    json!({
        "id": team.id,
        "name": team.name,
        "prefix": team.prefix,
        "app_instances": apps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    #[test]
    fn what_is_to_be_pasted_is_taken_by_the_configuration() {
        for (service, n) in [("servicenow", 1), ("slack", 2), ("okta", 0)] {
            let targets = targets(service, "a\"b");
            assert_eq!(targets.len(), n, "{service}");
            let mut text = format!("[sources.{service}]\n");
            for (key, target) in targets {
                text.extend([key, " = ", &toml(&target), "\n"]);
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
