//! Reads Serval's directory: teams, their app instances, and the integrations of those.

use crate::serval::{AppInstance, Integration, ServalClient, ServalError, Team};

/// What the API key may see of the directory.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) teams: Vec<TeamApps>,
    /// What it may not see, a phrase each.
    pub(super) hidden: Vec<String>,
}

/// A team and what it has connected.
#[derive(Debug)]
pub(super) struct TeamApps {
    pub(super) team: Team,
    pub(super) apps: Vec<App>,
}

/// A connected system.
#[derive(Debug)]
pub(super) struct App {
    pub(super) app: AppInstance,
    pub(super) integrations: Vec<Integration>,
}

impl Directory {
    /// Reads all of it, or what belongs to one team: its id, its prefix or its name. A refusal with
    /// 403 hides a part; anything else that goes wrong is an error.
    pub(super) async fn read(
        client: &ServalClient,
        wanted: Option<&str>,
    ) -> Result<Self, ServalError> {
        let mut directory = Self::default();
        let teams = match (client.teams().await, wanted) {
            (Err(error), Some(id)) if is_forbidden(&error) => {
                // The list is not for us, but the team may be.
                directory
                    .hidden
                    .push("the API key may not list teams".to_owned());
                vec![Team {
                    id: id.to_owned(),
                    ..Team::default()
                }]
            }
            (teams, _) => teams?,
        };
        for team in teams {
            if wanted.is_none_or(|wanted| is_called(&team, wanted)) {
                let apps = directory.apps(client, &team).await?;
                directory.teams.push(TeamApps { team, apps });
            }
        }
        Ok(directory)
    }

    async fn apps(&mut self, client: &ServalClient, team: &Team) -> Result<Vec<App>, ServalError> {
        let what = || {
            format!(
                "the API key may not list the app instances of team {}",
                team.id
            )
        };
        let mut apps = Vec::new();
        for app in self.seen(client.app_instances(&team.id).await, what)? {
            let what = || format!("the API key may not list the integrations of {}", app.name);
            let integrations = self.seen(client.integrations(&app.id).await, what)?;
            apps.push(App { app, integrations });
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

    /// The integration with this id, and its app instance.
    pub(super) fn integration(&self, id: &str) -> Option<(&TeamApps, &App, &Integration)> {
        self.teams.iter().find_map(|team| {
            team.apps.iter().find_map(|app| {
                let found = app.integrations.iter().find(|found| found.id == id);
                found.map(|integration| (team, app, integration))
            })
        })
    }
}

/// Whether the answer says that the credentials are good, and not good for this.
pub(super) fn is_forbidden(error: &ServalError) -> bool {
    matches!(error, ServalError::Refused { status: 403, .. })
}

fn is_called(team: &Team, wanted: &str) -> bool {
    team.id == wanted
        || team.name.eq_ignore_ascii_case(wanted)
        || team.prefix.eq_ignore_ascii_case(wanted)
}
