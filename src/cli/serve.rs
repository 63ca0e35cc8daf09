//! `serve`

use std::sync::Arc;

use anyhow::Context as _;

use super::{Failure, Global, Outcome};
use crate::app::App;
use crate::clock::SystemClock;
use crate::store::OpenError;
use crate::{lifecycle, telemetry};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(global: &Global, _args: Args) -> Outcome {
    let loaded = global.load()?;
    loaded.validate_for_serve()?;
    let config = &loaded.config;
    let (_, traces) = telemetry::init_with_traces(&config.log, &config.telemetry)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let stop = lifecycle::interrupted();
    let app = App::bind(config, Arc::new(SystemClock))
        .await
        .map_err(refused)?;
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
