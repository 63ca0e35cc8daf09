//! Takes over another configuration while the daemon runs, at SIGHUP and when the API is asked to.
//!
//! All that can fail is done before anything is changed: a configuration is taken over as a whole or
//! not at all. Delivery comes first, so that no webhook of a new source meets a worker that does not
//! know it; each part then changes in one step, and what is under way ends as it began.
//!
//! Invariant: one reload at a time, and each is said in the log, once and without a secret.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{certificate_warnings, identities, mount, rules};
use crate::config::{Changes, Config, ConfigError, Loaded, RetentionConfig};
use crate::delivery::{Settings, Steering};
use crate::http::AppState;
use crate::lifecycle::Hangups;
use crate::live::Live;
use crate::reload::{NotReloaded, ReloadRequests, Reloaded};
use crate::serval::ServalClient;
use crate::tls::Identity;

type Load = Arc<dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync>;
type SetLevel = Box<dyn Fn(&Config) -> Result<(), String> + Send + Sync>;

/// What a daemon needs to reload.
pub struct Reloading {
    /// What it was started with.
    pub running: Loaded,
    /// Reads the same files and environment again.
    pub load: Load,
    /// Follows `log.level`.
    pub set_level: SetLevel,
    /// The signals that ask for it.
    pub hangups: Option<Hangups>,
}

impl std::fmt::Debug for Reloading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloading").finish_non_exhaustive()
    }
}

/// The parts that change.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) state: Live<AppState>,
    pub(super) steering: Steering,
    pub(super) public: Live<Option<Identity>>,
    pub(super) admin: Live<Option<Identity>>,
    pub(super) retention: watch::Sender<RetentionConfig>,
}

/// The task that reloads.
#[derive(Debug)]
pub(super) struct Reloader {
    running: Running,
    requests: ReloadRequests,
    pub(super) reloading: Option<Reloading>,
}

impl Reloader {
    pub(super) fn new(running: Running, requests: ReloadRequests) -> Self {
        Self {
            running,
            requests,
            reloading: None,
        }
    }

    pub(super) fn retention(&self) -> watch::Receiver<RetentionConfig> {
        self.running.retention.subscribe()
    }

    /// Serves whoever asks, until `soft`.
    pub(super) async fn run(self, soft: CancellationToken) {
        let Self {
            running,
            mut requests,
            reloading,
        } = self;
        let Some(mut reloading) = reloading else {
            // Whoever asks is told that nobody is here.
            drop(requests);
            return soft.cancelled().await;
        };
        loop {
            let asked = tokio::select! {
                () = soft.cancelled() => return,
                asked = requests.next() => asked,
                () = hangup(&mut reloading.hangups) => None,
            };
            let outcome = reload(&running, &mut reloading).await;
            if let Some(answer) = asked {
                // Whoever asked may have gone; the log has it all the same.
                drop(answer.send(outcome));
            }
        }
    }
}

async fn hangup(hangups: &mut Option<Hangups>) {
    match hangups {
        Some(hangups) => hangups.next().await,
        None => std::future::pending().await,
    }
}

/// Reads, judges, takes over; and says how it went.
async fn reload(running: &Running, reloading: &mut Reloading) -> Result<Reloaded, NotReloaded> {
    let state = running.state.now();
    let load = Arc::clone(&reloading.load);
    // Secrets may lie where reading takes its time.
    let read = tokio::task::spawn_blocking(move || load()).await;
    let read = read.unwrap_or_else(|_| {
        let problems = vec!["it could not be read, by a fault of ours; see the log".to_owned()];
        Err(ConfigError { problems })
    });
    match read.and_then(|next| reloading.running.reloaded(next)) {
        Ok((loaded, changes)) => match take_over(running, reloading, &loaded, changes) {
            Ok(reloaded) => {
                reloading.running = loaded;
                state.metrics.reloaded(state.clock.now());
                tracing::info!(
                    changed = reloaded.changed.join(","),
                    needs_restart = reloaded.needs_restart.join(","),
                    "the configuration was reloaded"
                );
                for warning in &reloaded.warnings {
                    tracing::warn!(warning, "the configuration should be looked at");
                }
                Ok(reloaded)
            }
            Err(problem) => refuse(&state, vec![problem]),
        },
        Err(ConfigError { problems }) => refuse(&state, problems),
    }
}

fn refuse(state: &AppState, problems: Vec<String>) -> Result<Reloaded, NotReloaded> {
    state.metrics.reload_refused();
    let refused = NotReloaded::Refused(problems);
    tracing::error!(error = %refused, "the configuration was not reloaded");
    Err(refused)
}

/// Prepares all that can fail, then changes what is in force. An error: nothing was changed.
fn take_over(
    running: &Running,
    reloading: &Reloading,
    loaded: &Loaded,
    changes: Changes,
) -> Result<Reloaded, String> {
    let state = AppState::clone(&running.state.now());
    let config = &loaded.config;
    let Changes {
        mut changed,
        needs_restart,
    } = changes;
    let (sources, routes) = mount::mount(config).map_err(|error| error.to_string())?;
    let (public, admin) = identities(config).map_err(|error| error.to_string())?;
    let concerns_client =
        |key: &String| key.starts_with("serval.") || key == "delivery.concurrency";
    let serval = if changed.iter().any(concerns_client) {
        let (clock, concurrency) = (Arc::clone(&state.clock), config.delivery.concurrency);
        let client = ServalClient::new(&config.serval, clock, concurrency);
        Some(client.map_err(|error| error.to_string())?)
    } else {
        None
    };
    (reloading.set_level)(config)?;

    let now = state.clock.now();
    let settings = Settings::new(&config.delivery, config.serval.timeout);
    running.steering.steer(serval, routes, settings);
    for (key, identity, live) in [
        ("server.tls_cert_file", public, &running.public),
        ("admin.tls_cert_file", admin, &running.admin),
    ] {
        if *live.now() != identity {
            // The file may have another content under the same name.
            if !changed.iter().any(|changed| changed == key) {
                changed.push(key.to_owned());
            }
            live.replace(identity);
        }
    }
    running.retention.send_replace(config.retention);
    mount::introduce(&sources, &state.metrics);
    state.desk.follow(rules(config, &sources));
    running.state.replace(AppState {
        sources: Arc::new(sources),
        body_limit: config.server.body_limit,
        ..state
    });
    changed.sort();
    let mut warnings = loaded.warnings.clone();
    warnings.extend(certificate_warnings(config, now));
    Ok(Reloaded {
        changed,
        needs_restart,
        warnings,
    })
}
