//! The online part of `check`: Serval must accept the credentials and know the integrations.

use std::sync::Arc;

use serde_json::Value;

use super::advice;
use super::directory::{Directory, is_forbidden};
use super::target::{self, Shape};
use crate::config::{Config, ServalConfig};
use crate::edge::blot::Blot;
use crate::edge::clock::SystemClock;
use crate::serval::ServalClient;
use crate::sources::{BUILT_IN, SourceKind};
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
            return Err(sees_nothing("the API key may not list teams"));
        }
        Err(error) => return Err(advice::failure(&error, serval)),
    };
    for what in &directory.hidden {
        unchecked(what);
    }
    let mut apps = directory.teams.iter().flat_map(|team| &team.app_instances);
    if let ([what, ..], true) = (
        &directory.hidden[..],
        apps.all(|app| app.integrations.is_empty()),
    ) {
        return Err(sees_nothing(what));
    }
    let mut n_wrong = 0_usize;
    for (name, source) in &config.sources {
        for (key, target) in source.targets() {
            let key = format!("sources.{name}.{key}");
            n_wrong += usize::from(leads_nowhere(&key, source.kind, target, &directory));
        }
    }
    if n_wrong == 0 {
        return Ok(());
    }
    Err(Failure::failed(format_args!(
        "{n_wrong} of the configured targets lead nowhere, so every connect with them would fail: `serval-connect \
         discover` lists what can be written"
    )))
}

/// The failure where the key may read nothing of what is needed.
fn sees_nothing(what: &str) -> Failure {
    Failure::failed(format_args!(
        "serval: {what}, so no integrationId can be checked; {}",
        advice::SCOPE
    ))
}

/// Prints what Serval knows about a target. True if every connect with it would certainly fail.
fn leads_nowhere(key: &str, kind: SourceKind, target: &Value, directory: &Directory) -> bool {
    let id = match target::shape(BUILT_IN, kind, target) {
        Shape::Names(id) => id,
        Shape::Unknown(remark) => {
            output::line(format_args!("{key}: {remark}"));
            return false;
        }
        Shape::Wrong(fault) => {
            output::line(format_args!("{key}: {fault}"));
            return true;
        }
    };
    let Some((team, app, integration)) = directory.integration(&id) else {
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
    let is_of_another = app.is_standard && app.service != kind.name();
    if is_of_another {
        output::line(format_args!(
            "{key}: that integration is one of {}, and the source is of kind {}",
            output::shown(&app.service),
            kind.name()
        ));
    }
    is_of_another
}
