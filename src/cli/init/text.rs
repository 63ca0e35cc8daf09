//! The text of a first configuration file.

use serde_json::Value;

use super::questions::Answers;
use super::systems::System;
use crate::config::{PLACEHOLDER, toml_text};
use crate::terminal::Failure;

/// The file for these answers, with fresh secrets.
pub(super) fn of(answers: &Answers) -> Result<String, Failure> {
    let client_id = toml_text(&Value::from(
        answers.client_id.as_deref().unwrap_or(PLACEHOLDER),
    ));
    let token = hex::encode(random()?);
    let mut text = format!(
        "\
# Written by `serval-connect init`. `serval-connect check` names what is left to fill in. Every key:
# docs/configuration.md. Relative paths count from the folder of this file.

[admin]
# The console is at http://127.0.0.1:8081/, and asks for this token.
tokens = [\"{token}\"]

[database]
url = \"sqlite://data/serval-connect.db\"

[serval]
# The API key at https://app.serval.com/admin/settings. SERVAL_CLIENT_SECRET, or client_secret_file, takes the place
# of the line with the secret.
client_id = {client_id}
client_secret = \"{PLACEHOLDER}\"
"
    );
    for system in &answers.systems {
        text.push_str(&section(system)?);
    }
    Ok(text)
}

fn section(system: &System) -> Result<String, Failure> {
    let name = system.kind.name();
    let id = system.integration_id.as_deref().unwrap_or(PLACEHOLDER);
    let mut text = format!("\n# Webhooks come to the path /webhooks/{name}.\n[sources.{name}]\n");
    text.push_str(&system.kind.first_lines(&random()?));
    // The first target is that of all events; others belong to switches that are off.
    for (key, target) in system.kind.targets(id).into_iter().take(1) {
        text.extend([key, " = ", &toml_text(&target), "\n"]);
    }
    Ok(text)
}

fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::failed(format_args!("the system gives no randomness: {error}"))
    })?;
    Ok(bytes)
}
