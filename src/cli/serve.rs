//! `serve`

use std::sync::Arc;

use anyhow::Context as _;

use super::{Failure, Global, Outcome};
use crate::app::{App, Reloading};
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::lifecycle::Hangups;
use crate::store::OpenError;
use crate::{lifecycle, telemetry};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(global: &Global, _args: Args) -> Outcome {
    let loaded = global.load()?;
    loaded.validate_for_serve()?;
    let config = &loaded.config;
    let (log, traces) = telemetry::init_with_traces(&config.log, &config.telemetry)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    telemetry::log_panics();
    let stop = lifecycle::interrupted();
    let hangups = Hangups::listen().context("SIGHUP cannot be heard")?;
    let app = App::bind(config, Arc::new(SystemClock))
        .await
        .map_err(refused)?;
    let files = global.files.clone();
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
        database = config.database.url,
        serval = config.serval.base_url,
        sources = config.sources.keys().map(ToString::to_string).collect::<Vec<_>>().join(","),
        "serving"
    );
    let ended = app.run(stop).await;
    traces.close().await;
    ended?;
    tracing::info!("stopped");
    Ok(())
}

/// A database that another process holds, or that is not named rightly, is for the user to mend.
fn refused(error: anyhow::Error) -> Failure {
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::Url { .. }) => Failure::Usage(error.to_string()),
        _ => Failure::Failed(error),
    }
}
