//! The online part of `check`: Serval must accept the credentials and know the integrations.

use std::sync::Arc;

use serde_json::Value;

use super::advice;
use super::directory::{Directory, is_forbidden};
use crate::config::{Config, ServalConfig};
use crate::edge::blot::Blot;
use crate::edge::clock::SystemClock;
use crate::serval::ServalClient;
use crate::sources::SourceKind;
use crate::terminal::{Failure, Outcome, output};

/// A client for `[serval]`.
pub(super) fn client(serval: &ServalConfig, blot: Blot) -> Result<ServalClient, Failure> {
    ServalClient::new(serval, Arc::new(SystemClock), 1, blot)
        .map_err(|error| Failure::Usage(error.to_string()))
}

/// Asks Serval, prints its answers, and fails when a connect could not succeed.
pub(crate) async fn check_online(config: &Config) -> Outcome {
    let serval = &config.serval;
    let client = client(serval, Blot::new(&config.secrets))?;
    // A bearer token is tried with a list. A 403 refuses the list, not the token.
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
    for (name, source) in &config.sources {
        for (key, target) in source.targets() {
            let key = format!("sources.{name}.{key}");
            n_unknown += usize::from(leads_nowhere(&key, source.kind, target, &directory));
        }
    }
    if n_unknown == 0 {
        return Ok(());
    }
    Err(Failure::failed(format_args!(
        "{n_unknown} of the configured integrations are unknown to Serval, so every connect of \
         those sources would fail: `serval-connect discover` lists the ids that exist"
    )))
}

/// The `integrationId` of a target, whatever its kind.
fn integration_of(target: &Value) -> Option<&str> {
    let (_, fields) = target.as_object()?.iter().next()?;
    fields["integrationId"].as_str()
}

/// Prints what Serval knows about a target. True if Serval certainly does not know it.
fn leads_nowhere(key: &str, kind: SourceKind, target: &Value, directory: &Directory) -> bool {
    let Some(id) = integration_of(target) else {
        output::line(format_args!("{key}: names no integrationId, not checked"));
        return false;
    };
    let Some((team, app, integration)) = directory.integration(id) else {
        // The integration may be in a part that the API key may not see.
        let is_certain = directory.hidden.is_empty();
        if is_certain {
            output::line(format_args!("{key}: Serval knows no integration {id}"));
        } else {
            output::warn(format_args!(
                "{key}: no integration {id} among those that the API key may see"
            ));
        }
        return is_certain;
    };
    let domain = integration.api_domain.as_deref().unwrap_or("no domain");
    output::line(format_args!(
        "{key}: {id} is {} of team {}, {}",
        output::shown(&app.name),
        output::shown(&team.name),
        output::shown(domain)
    ));
    if app.is_standard && app.service != kind.name() {
        output::warn(format_args!(
            "{key}: that integration is one of {}, and the source is of kind {}",
            output::shown(&app.service),
            kind.name()
        ));
    }
    false
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
