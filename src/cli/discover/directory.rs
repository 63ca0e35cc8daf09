//! Reads Serval's directory: teams, their app instances, and the integrations of those.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::serval::{self, ServalClient, ServalError};
use crate::sources::{self, BUILT_IN};

/// The part of the directory that the API key may see.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) teams: Vec<Team>,
    /// Parts that the API key may not see, a phrase each.
    pub(super) hidden: Vec<String>,
}

/// A team and the systems that it has connected.
#[derive(Debug, Serialize)]
pub(super) struct Team {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) app_instances: Vec<App>,
}

/// A connected system.
#[derive(Debug, Serialize)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) service: String,
    /// True if Serval itself knows the service, which is not so for custom services.
    #[serde(skip)]
    pub(super) is_standard: bool,
    pub(super) integrations: Vec<Integration>,
}

/// An integration, and the keys of a source that name it. Services that are not a kind have none.
#[derive(Debug, Serialize)]
pub(super) struct Integration {
    pub(super) id: String,
    pub(super) api_domain: Option<String>,
    #[serde(flatten)]
    pub(super) targets: Map<String, Value>,
}

impl Directory {
    /// Reads everything, or only the team with the id, prefix or name `wanted`. A refusal with 403
    /// hides a part; any other failure is an error.
    pub(super) async fn read(
        client: &ServalClient,
        wanted: Option<&str>,
    ) -> Result<Self, ServalError> {
        let mut directory = Self::default();
        // A key without the scope to list teams can still read a team whose id is given.
        let teams = match (client.teams().await, wanted) {
            (Err(error), Some(id)) if is_forbidden(&error) => {
                directory
                    .hidden
                    .push("the API key may not list teams".to_owned());
                vec![serval::Team {
                    id: id.to_owned(),
                    ..serval::Team::default()
                }]
            }
            (teams, _) => teams?,
        };
        for team in teams {
            if wanted.is_none_or(|wanted| is_called(&team, wanted)) {
                let app_instances = directory.apps(client, &team.id).await?;
                directory.teams.push(Team {
                    id: team.id,
                    name: team.name,
                    prefix: team.prefix,
                    app_instances,
                });
            }
        }
        Ok(directory)
    }

    async fn apps(&mut self, client: &ServalClient, team: &str) -> Result<Vec<App>, ServalError> {
        let what = || format!("the API key may not list the app instances of team {team}");
        let mut apps = Vec::new();
        // A key that may not read one team can still read the others, so a refusal becomes a remark
        // and the list goes on.
        for app in self.seen(client.app_instances(team).await, what)? {
            let what = || format!("the API key may not list the integrations of {}", app.name);
            let integrations = self.seen(client.integrations(&app.id).await, what)?;
            // An app has either a service of Serval's, or a custom one that a customer defined.
            let is_standard = app.service.is_some();
            let service = app.service.or(app.custom_service_id);
            let service = service.unwrap_or_else(|| "unknown".to_owned());
            let integration = |found: serval::Integration| Integration {
                targets: targets(&service, &found.id),
                id: found.id,
                api_domain: found.api_domain,
            };
            apps.push(App {
                integrations: integrations.into_iter().map(integration).collect(),
                id: app.id,
                name: app.name,
                service,
                is_standard,
            });
        }
        Ok(apps)
    }

    fn seen<T>(
        &mut self,
        outcome: Result<Vec<T>, ServalError>,
        what: impl Fn() -> String,
    ) -> Result<Vec<T>, ServalError> {
        match outcome {
            Err(error) if is_forbidden(&error) => {
                self.hidden.push(what());
                Ok(Vec::new())
            }
            outcome => outcome,
        }
    }

    /// The integration with this id, its app instance and its team.
    pub(super) fn integration(&self, id: &str) -> Option<(&Team, &App, &Integration)> {
        let apps = self
            .teams
            .iter()
            .flat_map(|team| team.app_instances.iter().map(move |app| (team, app)));
        let mut all = apps.flat_map(|(team, app)| {
            let integrations = app.integrations.iter();
            integrations.map(move |integration| (team, app, integration))
        });
        all.find(|(.., integration)| integration.id == id)
    }
}

/// The keys of a source that an integration of this service can stand in, with their values.
pub(super) fn targets(service: &str, integration: &str) -> Map<String, Value> {
    let kind = sources::kind_named(BUILT_IN, service);
    let targets = kind.map(|kind| kind.targets(integration));
    let named = |(key, value): (&str, Value)| (key.to_owned(), value);
    targets.into_iter().flatten().map(named).collect()
}

/// True if Serval accepts the credentials, but not for this request.
pub(super) fn is_forbidden(error: &ServalError) -> bool {
    error.code() == Some(serval::Code::PermissionDenied)
}

fn is_called(team: &serval::Team, wanted: &str) -> bool {
    team.id == wanted
        || team.name.eq_ignore_ascii_case(wanted)
        || team.prefix.eq_ignore_ascii_case(wanted)
}
