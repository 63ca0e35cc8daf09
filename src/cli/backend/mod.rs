//! Reaches the inbox and the mappings for a command: through the daemon's admin API if a daemon has
//! the database, otherwise in the database itself. The user need not know which. Of a database on a server nobody
//! knows which daemons have it, so the one on this machine is asked first.
//!
//! Invariant: both ways end in the handlers of the admin API, so their answers are the same.

mod answer;
mod call;
mod direct;
mod remote;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::file::existing;
use crate::config::Config;
use crate::process::database;
use crate::store::{Database, DatabaseLock, OpenError, Store};
use crate::terminal::{Failure, output};
use crate::web::Pieces;
pub(super) use answer::{Answer, broke_off};
pub(super) use call::Call;
use direct::Direct;
use remote::Remote;

/// Longest wait while the database is locked and no API answers: a daemon may be starting, or
/// another command may be about to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// A way to the data.
#[derive(Debug)]
pub(super) enum Backend {
    /// No daemon has the database: this process does.
    Direct(Direct),
    /// The database is on a server, and this process has it beside whichever daemons.
    Beside(Direct),
    /// The daemon's admin API.
    Remote(Remote),
}

impl Backend {
    /// Runs `work` over the way that is open now, and closes it again.
    pub(super) async fn with<T>(
        config: &Config,
        work: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let backend = Self::choose(config, PATIENCE).await?;
        let result = work(&backend).await;
        if let Self::Direct(direct) | Self::Beside(direct) = backend {
            direct.close().await;
        }
        result
    }

    /// Makes one call to a database that must exist.
    pub(super) async fn ask(config: &Config, call: &Call) -> Result<Answer, Failure> {
        Self::with(config, async |backend: &Self| backend.call(call).await).await
    }

    /// A daemon may hold the lock before its API listens, and another command releases the lock
    /// soon. So both are tried until `patience` has passed.
    async fn choose(config: &Config, patience: Duration) -> Result<Self, Failure> {
        let database = database(config);
        if database.is_on_server() {
            return Self::choose_beside(config, &database).await;
        }
        let url = database.url.expose_secret();
        let path = match existing(&database) {
            Ok(path) => path,
            // An empty list would be a false answer to a wrong path. A daemon may have the database at a path that
            // counts from its own folder, or in its container.
            Err(none) => return Self::of_daemon(config).await.ok_or(none),
        };
        // The lock is tried first: it tells for certain whether a daemon has the database, while an
        // address that does not answer proves nothing.
        let until = Instant::now() + patience;
        loop {
            let locked = match DatabaseLock::acquire(url) {
                Ok(_) if answers(config).await => return Err(of_another(config, &path)),
                Ok(lock) => return Ok(Self::Direct(Direct::open(config, lock).await?)),
                Err(error) if may_be_the_daemons(&error) => error,
                Err(error) => return Err(Failure::Failed(error.into())),
            };
            let remote = Remote::new(&config.admin)?;
            match remote.probe().await {
                Ok(()) => return Ok(Self::Remote(remote)),
                Err(_) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                Err(why) => return Err(unanswered(&locked, &remote, &why)),
            }
        }
    }

    /// The daemon that answers at `admin.listen`, though its database is not where this command looks.
    async fn of_daemon(config: &Config) -> Option<Self> {
        let remote = Remote::new(&config.admin).ok()?;
        remote.probe().await.ok()?;
        output::note(format_args!(
            "there is no database at {} here; asking the daemon at {remote}",
            database(config).shown()
        ));
        Some(Self::Remote(remote))
    }

    /// The way to a database on a server.
    async fn choose_beside(config: &Config, database: &Database) -> Result<Self, Failure> {
        if answers(config).await {
            return Ok(Self::Remote(Remote::new(&config.admin)?));
        }
        let inspected = Store::inspect_server(database).await;
        let inspected = inspected.map_err(|error| Failure::Failed(error.into()))?;
        if inspected.schema.is_none() {
            return Err(Failure::failed(format_args!(
                "there is nothing of serval-connect in {} yet: give the daemon's configuration with --config; `serve` \
                 and `migrate` make a new schema",
                database.shown()
            )));
        }
        Ok(Self::Beside(Direct::open_server(config, database).await?))
    }

    /// Makes a call. An answer other than 2xx is a failure.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        let answer = self.answer(call).await?;
        match answer.refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(answer),
        }
    }

    /// Makes a call and returns the answer, also if it is a refusal.
    pub(super) async fn answer(&self, call: &Call) -> Result<Answer, Failure> {
        self.upload(call, call.pieces()).await
    }

    /// Sends a file and returns the answer of the API, also if it is a refusal.
    pub(super) async fn upload(&self, call: &Call, file: Pieces) -> Result<Answer, Failure> {
        let (status, body) = self.exchange(call, file).await?;
        Ok(Answer {
            status,
            body: answer::read_whole(body).await?,
            is_direct: matches!(self, Self::Direct(_)),
        })
    }

    /// Asks for a file. A refusal is a failure.
    pub(super) async fn download(&self, call: &Call) -> Result<Pieces, Failure> {
        let (status, file) = self.exchange(call, call.pieces()).await?;
        if status.is_success() {
            return Ok(file);
        }
        Err(answer::refused(status, &answer::read_whole(file).await?))
    }

    async fn exchange(&self, call: &Call, body: Pieces) -> Result<(StatusCode, Pieces), Failure> {
        match self {
            Self::Direct(direct) | Self::Beside(direct) => Ok(direct.exchange(call, body).await?),
            Self::Remote(remote) => remote.exchange(call, body).await,
        }
    }
}

/// True if a daemon answers at `admin.listen`.
pub(super) async fn answers(config: &Config) -> bool {
    match Remote::new(&config.admin) {
        Ok(remote) => remote.probe().await.is_ok(),
        // With port 0 nobody knows where it listens.
        Err(_) => false,
    }
}

/// True if a daemon may hold the database: it is locked, or it belongs to another user.
fn may_be_the_daemons(error: &OpenError) -> bool {
    let is_denied = |source: &std::io::Error| source.kind() == ErrorKind::PermissionDenied;
    matches!(error, OpenError::Locked { .. })
        || matches!(error, OpenError::File { source, .. } if is_denied(source))
}

/// The failure where a daemon runs, and has another database than the one that this command found.
fn of_another(config: &Config, path: &Path) -> Failure {
    Failure::failed(format_args!(
        "a daemon answers at admin.listen ({}), and it has another database than {}: give this command the daemon's \
         configuration with --config. If it is that file which you mean, let the command ask no daemon: \
         SERVAL_CONNECT__ADMIN__LISTEN=127.0.0.1:0",
        config.admin.listen,
        path.display()
    ))
}

fn unanswered(locked: &OpenError, remote: &Remote, why: &str) -> Failure {
    let held = if let OpenError::Locked { path, .. } = locked {
        format!("{path} is in use by a running serval-connect")
    } else {
        locked.to_string()
    };
    Failure::failed(format_args!(
        "{held}, and its admin API does not answer at {remote} ({why}): give this command the \
         daemon's configuration with --config, so that admin.listen is the same, or stop the \
         daemon and try again"
    ))
}
