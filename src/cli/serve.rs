//! `serve`: runs the daemon until it is stopped by a signal.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::file::refuse_to_leave_behind;
use crate::config::{Config, Environment};
use crate::edge::clock::SystemClock;
use crate::edge::telemetry::{self, Telemetry};
use crate::process::{App, Reloading, database, lifecycle};
use crate::store::OpenError;
use crate::terminal::{self, Failure, Global, Outcome};

pub(super) async fn run(global: &Global) -> Outcome {
    let files = global.files();
    let loaded = terminal::load(&files)?;
    loaded.validate_for_serve()?;
    refuse_to_leave_behind(&loaded, &database(&loaded.config))?;
    let config = &loaded.config;
    let telemetry = telemetry::init_for_daemon(&config.log, &config.telemetry);
    let Telemetry { log, lines, traces } =
        telemetry.map_err(|error| Failure::Usage(error.to_string()))?;
    telemetry::log_panics();
    // From here on: a signal that arrives during the start must stop the daemon in order.
    let stop = lifecycle::interrupted();
    let hangups = signal(SignalKind::hangup()).context("SIGHUP cannot be heard")?;
    let app = App::bind(config, Arc::new(SystemClock))
        .await
        .map_err(refused)?;
    let app = app.reloading(Reloading {
        running: loaded.clone(),
        load: Arc::new(move || Config::load(&files, &Environment::from_process())),
        set_level: Box::new(move |config| {
            log.set_level(&config.log)
                .map_err(|error| error.to_string())
        }),
        hangups: Some(hangups),
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        webhooks = %app.public_addr().context("no local address")?,
        admin = %app.admin_addr().context("no local address")?,
        database = database(config).shown(),
        serval = config.serval.base_url,
        sources = config.sources.keys().map(ToString::to_string).collect::<Vec<_>>().join(","),
        "serving"
    );
    let ended = app.run(stop).await;
    // The spans of the stop itself are exported, too, also after a failure.
    traces.close().await;
    ended?;
    tracing::info!("stopped");
    drop(lines);
    Ok(())
}

/// A wrong database URL is a fault of the configuration.
fn refused(error: anyhow::Error) -> Failure {
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::Url { .. }) => Failure::Usage(error.to_string()),
        _ => Failure::Failed(error),
    }
}
