//! Applies another configuration while the daemon runs, at SIGHUP and at a call of the API.
//!
//! All parts are built before anything changes, so a configuration is applied as a whole or not at
//! all. What is under way ends with the parts that it began with.
//!
//! Invariant: one reload at a time. Each is logged once, and without a secret.

use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::parts::{self, Parts, TLS_KEYS};
use crate::config::{Changes, Config, ConfigError, Loaded, RetentionConfig};
use crate::delivery::Monitor;
use crate::edge::blot::Blot;
use crate::edge::live::Live;
use crate::edge::tls::Identity;
use crate::operators::reload::{ReloadRequest, Reloaded};
use crate::serval::ServalClient;
use crate::web::AppState;

type Load = Arc<dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync>;
type SetLevel = Box<dyn Fn(&Config) -> Result<(), String> + Send + Sync>;

/// Everything that a daemon needs to reload.
pub struct Reloading {
    /// The configuration that the daemon was started with.
    pub running: Loaded,
    /// Reads the same files and environment again.
    pub load: Load,
    /// Applies `log.level`.
    pub set_level: SetLevel,
    /// The signals that ask for a reload.
    pub hangups: Option<Signal>,
}

impl std::fmt::Debug for Reloading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloading").finish_non_exhaustive()
    }
}

/// The task that reloads, with handles of everything that it replaces.
#[derive(Debug)]
pub(super) struct Reloader {
    pub(super) state: Live<AppState>,
    pub(super) worker: Monitor,
    pub(super) identities: [Live<Option<Identity>>; 2],
    pub(super) retention: watch::Sender<RetentionConfig>,
    pub(super) requests: mpsc::Receiver<ReloadRequest>,
    pub(super) reloading: Option<Reloading>,
    /// The secrets that no error may repeat.
    pub(super) blot: Blot,
}

impl Reloader {
    /// Reloads on request, until `soft`.
    pub(super) async fn run(mut self, soft: CancellationToken) {
        let Some(mut reloading) = self.reloading.take() else {
            // Without the receiver, callers get the answer that there is no daemon to reload.
            drop(self.requests);
            return soft.cancelled().await;
        };
        loop {
            let request = tokio::select! {
                () = soft.cancelled() => return,
                Some(request) = self.requests.recv() => Some(request),
                // Without a receiver of signals, this branch is disabled.
                Some(()) = async { reloading.hangups.as_mut()?.recv().await } => None,
            };
            let outcome = self.reload(&mut reloading).await;
            match &outcome {
                Ok(reloaded) => {
                    tracing::info!(
                        changed = reloaded.changed.join(","),
                        needs_restart = reloaded.needs_restart.join(","),
                        "the configuration was reloaded"
                    );
                    parts::log_warnings(&reloaded.warnings);
                }
                Err(problems) => {
                    self.state.now().metrics.reload_refused();
                    let error = problems.join("; ");
                    tracing::error!(
                        error,
                        "the configuration was not reloaded; the old one stays in force"
                    );
                }
            }
            if let Some(request) = request {
                // The caller may have gone. The outcome is in the log.
                drop(request.send(outcome));
            }
        }
    }

    /// Reads, checks and applies the configuration.
    async fn reload(&self, reloading: &mut Reloading) -> Result<Reloaded, Vec<String>> {
        let load = Arc::clone(&reloading.load);
        // Files of secrets may be on a slow file system.
        let read = tokio::task::spawn_blocking(move || load()).await;
        let (loaded, changes) = read
            .map_err(|_| vec!["it could not be read, by a fault of ours; see the log".to_owned()])?
            .and_then(|next| reloading.running.reloaded(next))
            .map_err(|error| error.problems)?;
        let reloaded = self
            .apply(&reloading.set_level, &loaded, changes)
            .map_err(|problem| vec![problem.to_string()])?;
        reloading.running = loaded;
        Ok(reloaded)
    }

    /// Builds everything that can fail, then replaces the parts. An error: nothing was replaced.
    fn apply(
        &self,
        set_level: &SetLevel,
        loaded: &Loaded,
        Changes {
            mut changed,
            needs_restart,
        }: Changes,
    ) -> anyhow::Result<Reloaded> {
        let config = &loaded.config;
        let state = AppState::clone(&self.state.now());
        let now = state.clock.now();
        let parts = Parts::build(config, now)?;
        // A new client forgets its token and its connections, so it is made only where it must be.
        let needs_client =
            |key: &String| key.starts_with("serval.") || key == "delivery.concurrency";
        let (clock, slots) = (Arc::clone(&state.clock), config.delivery.concurrency);
        self.blot.add(&config.secrets);
        let client = || ServalClient::new(&config.serval, clock, slots, self.blot.clone());
        let serval = changed.iter().any(needs_client).then(client).transpose()?;
        // The last step that can fail, and the first that changes something.
        set_level(config).map_err(anyhow::Error::msg)?;

        // Delivery comes first: the worker must know a new source before its first webhook arrives.
        self.worker
            .steer(serval, Arc::clone(&parts.sources), parts.delivery);
        parts::note_ends(&parts.identities, &state.metrics);
        let identities = parts.identities.into_iter().zip(&self.identities);
        for (key, (identity, live)) in TLS_KEYS.into_iter().zip(identities) {
            if *live.now() != identity {
                // The content of the file may have changed while the setting has not.
                changed.push(key.to_owned());
                live.replace(identity);
            }
        }
        changed.sort();
        changed.dedup();
        self.retention.send_replace(config.retention);
        parts::introduce(&parts.sources, &state.metrics);
        state.operators.heard().introduce(parts.sources.keys(), now);
        state.operators.set_rules(parts.rules);
        self.state.replace(AppState {
            sources: parts.sources,
            body_limit: config.server.body_limit,
            ..state
        });
        self.state.now().metrics.reloaded(now);
        Ok(Reloaded {
            changed,
            needs_restart,
            warnings: [loaded.warnings.clone(), parts.warnings].concat(),
        })
    }
}
