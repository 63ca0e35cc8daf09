//! The online part of `check`: whether Serval accepts the credentials and knows the integrations.

use serde_json::Value;

use super::directory::{Directory, is_forbidden};
use super::{advice, client, service};
use crate::cli::{Failure, Outcome, output};
use crate::config::Config;
use crate::domain::ids::SourceKind;
use crate::sources::SourceConfig;

/// Asks Serval, prints what it says, and fails when a connect could not succeed.
pub(in crate::cli) async fn check_online(config: &Config) -> Outcome {
    let serval = &config.serval;
    let client = client(serval)?;
    // A refusal of the list that a bearer token is tried with is no refusal of the token.
    match client.check_credentials().await {
        Err(error) if !is_forbidden(&error) => return Err(advice::failure(&error, serval)),
        Ok(()) | Err(_) => {}
    }
    output::line(format_args!(
        "serval: {} accepts the credentials",
        serval.base_url
    ));
    let unchecked = |what: &str| {
        output::warn(format_args!(
            "serval: {what}, so not every integrationId can be checked; {}",
            advice::SCOPE
        ));
    };
    let directory = match Directory::read(&client, None).await {
        Ok(directory) => directory,
        Err(error) if is_forbidden(&error) => {
            unchecked("the API key may not list teams");
            return Ok(());
        }
        Err(error) => return Err(advice::failure(&error, serval)),
    };
    for what in &directory.hidden {
        unchecked(what);
    }
    let mut n_unknown = 0_usize;
    for target in targets(config) {
        n_unknown += usize::from(report(&target, &directory));
    }
    if n_unknown == 0 {
        return Ok(());
    }
    Err(Failure::Failed(anyhow::anyhow!(
        "{n_unknown} of the configured integrations are unknown to Serval, so every connect of \
         those sources would fail: `serval-connect discover` lists the ids that there are"
    )))
}

/// A key of a source that names an integration.
#[derive(Debug)]
struct Target<'a> {
    key: String,
    kind: SourceKind,
    integration: Option<&'a str>,
}

fn targets(config: &Config) -> Vec<Target<'_>> {
    let mut all = Vec::new();
    for (name, source) in &config.sources {
        let (channel, direct) = match source {
            SourceConfig::ServiceNow(source) => (&source.channel_target, &None),
            SourceConfig::Slack(source) => (&source.channel_target, &source.direct_message_target),
        };
        for (key, target) in [
            ("channel_target", channel),
            ("direct_message_target", direct),
        ] {
            if let Some(target) = target {
                all.push(Target {
                    key: format!("sources.{name}.{key}"),
                    kind: source.kind(),
                    integration: integration_of(target),
                });
            }
        }
    }
    all
}

/// The `integrationId` of a target, whatever its kind.
fn integration_of(target: &Value) -> Option<&str> {
    let (_, fields) = target.as_object()?.iter().next()?;
    fields["integrationId"].as_str()
}

/// Says where a target leads; true when it certainly leads nowhere.
fn report(target: &Target<'_>, directory: &Directory) -> bool {
    let Target {
        key,
        kind,
        integration,
    } = target;
    let Some(id) = integration else {
        output::line(format_args!("{key}: names no integrationId, not checked"));
        return false;
    };
    if let Some((team, app, integration)) = directory.integration(id) {
        let service = service(&app.app);
        let at = integration.api_domain.as_deref().unwrap_or("no domain");
        output::line(format_args!(
            "{key}: {id} is {} of team {}, {}",
            output::shown(&app.app.name),
            output::shown(&team.team.name),
            output::shown(at)
        ));
        if app.app.service.is_some() && service != kind.as_str() {
            output::warn(format_args!(
                "{key}: that integration is one of {}, and the source is of kind {}",
                output::shown(service),
                kind.as_str()
            ));
        }
        return false;
    }
    if directory.hidden.is_empty() {
        output::line(format_args!("{key}: Serval knows no integration {id}"));
        true
    } else {
        output::warn(format_args!(
            "{key}: no integration {id} among those that the API key may see"
        ));
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_integration_of_a_target_is_found_whatever_its_kind() {
        for (target, expected) in [
            (json!({"ticketSource": {"integrationId": "i"}}), Some("i")),
            (json!({"tomorrow": {"integrationId": "i"}}), Some("i")),
            (json!({"email": {"targetUserType": "x"}}), None),
            (json!({"ticketSource": {"integrationId": 1}}), None),
            (json!({}), None),
            (json!("x"), None),
        ] {
            assert_eq!(integration_of(&target), expected, "{target}");
        }
    }
}
