//! The configuration of a test's daemon, as files that the production code reads.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serval_connect::rehearsal::mock_serval::{SERVICENOW_INTEGRATION, SLACK_INTEGRATION};
use serval_connect::sources::Kinds;

use super::admin::ADMIN_TOKEN;
use super::postgres;
use super::senders::{BASIC, BEARER, SERVICENOW_KEY, SLACK_SECRET, whsec};

/// What differs from the usual daemon of a test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Further TOML; it wins over the usual.
    pub(crate) toml: String,
    /// A bearer token for Serval, in the place of client credentials.
    pub(crate) bearer_token: Option<String>,
    /// The kinds of sources that the daemon knows, if not the usual ones.
    pub(crate) kinds: Option<Kinds>,
    /// The URL of its database, if not the usual one of its folder.
    pub(crate) database: Option<String>,
}

/// Writes the files into `folder`; later ones win.
pub(super) fn write(folder: &Path, serval_url: &str, settings: &Settings) -> Vec<PathBuf> {
    let credentials = match &settings.bearer_token {
        Some(token) => format!("bearer_token = \"{token}\""),
        None => "client_id = \"mock-client\"\nclient_secret = \"mock-secret\"".to_owned(),
    };
    let usual = format!(
        r#"
[server]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"
tokens = ["{ADMIN_TOKEN}"]

[database]
url = "{url}"

[serval]
base_url = "{serval_url}"
{credentials}
connect_timeout = "2s"
timeout = "10s"

[delivery]
rate = 0

[log]
format = "json"

[sources.servicenow]
secrets = ["{secret}"]
channel_target = {{ ticketSource = {{ integrationId = "{SERVICENOW_INTEGRATION}" }} }}
ignore_users = ["serval.integration"]

# Takes the weaker modes, too.
[sources.servicenow-eu]
kind = "servicenow"
secrets = ["{secret}"]
bearer_tokens = ["{BEARER}"]
basic_auth = ["{BASIC}"]
channel_target = {{ ticketSource = {{ integrationId = "{SERVICENOW_INTEGRATION}" }} }}

[sources.slack]
signing_secrets = ["{SLACK_SECRET}"]
channel_target = {{ slackChannel = {{ integrationId = "{SLACK_INTEGRATION}" }} }}
"#,
        url = settings
            .database
            .clone()
            .unwrap_or_else(|| database_url(folder)),
        secret = whsec(SERVICENOW_KEY),
    );
    let files = [("usual.toml", &usual), ("special.toml", &settings.toml)];
    files
        .map(|(name, toml)| {
            let path = folder.join(name);
            fs::write(&path, toml).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            path
        })
        .to_vec()
}

/// Where the daemon of `folder` keeps its inbox.
pub(crate) fn database_url(folder: &Path) -> String {
    if postgres::is_wanted() {
        return postgres::url(folder);
    }
    format!("sqlite://{}/data/inbox.db", folder.display())
}
