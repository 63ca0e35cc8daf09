//! `check`

use super::{Failure, Global, Outcome, output};
use crate::app::certificate_warnings;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config, Environment};
use crate::store::{OpenError, Store};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also asks Serval whether it accepts the credentials and knows the integration ids
    #[arg(long)]
    online: bool,
    /// Has SQLite check the whole database, its indexes too; takes minutes where it is large
    #[arg(long)]
    integrity: bool,
}

pub(super) async fn run(global: &Global, args: Args) -> Outcome {
    let loaded = Config::load(&global.files, &Environment::from_process());
    let report = config::report(&loaded);
    output::line(report.text.trim_end());
    if !report.ready {
        return Err(Failure::Usage(
            "the configuration is not ready for `serve`".to_owned(),
        ));
    }
    let Ok(loaded) = loaded else { return Ok(()) };
    for warning in certificate_warnings(&loaded.config, SystemClock.now()) {
        output::line(format!("warning: {warning}"));
    }
    check_database(&loaded.config, args.integrity).await?;
    if args.online {
        super::discover::check_online(&loaded.config).await?;
    }
    Ok(())
}

async fn check_database(config: &Config, integrity: bool) -> Outcome {
    let url = &config.database.url;
    let found = if integrity {
        Store::inspect_thoroughly(url).await
    } else {
        Store::inspect(url).await
    };
    match found {
        Ok(None) => output::line(format!(
            "database: {url} does not exist yet; `serve` creates it"
        )),
        Ok(Some(events)) => output::line(format!("database: {url} is sound, with {events} events")),
        Err(error @ OpenError::Url { .. }) => return Err(Failure::Usage(error.to_string())),
        Err(error) => return Err(Failure::Failed(error.into())),
    }
    Ok(())
}
