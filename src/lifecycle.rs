//! The life of the process: its tasks, its signals, its end.
//!
//! A stop has two stages. *Soft*: take nothing new, finish what is in hand. *Hard*: drop what is in
//! hand; the next start takes it up. The second signal, or the grace period, makes it hard.
//!
//! Invariant: a task that ends by itself ends the process with an error, so that its supervisor
//! starts a whole one.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The tasks of the daemon.
#[derive(Debug)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: JoinSet<&'static str>,
    grace: Duration,
}

/// A task that ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
#[error("the {0} ended unexpectedly")]
pub struct TaskDied(String);

impl Lifecycle {
    /// A lifecycle whose soft stop turns hard after `grace`.
    pub fn new(grace: Duration) -> Self {
        let hard = CancellationToken::new();
        Self {
            soft: hard.child_token(),
            hard,
            tasks: JoinSet::new(),
            grace,
        }
    }

    /// Cancelled when nothing new should be taken.
    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Cancelled when what is in hand should be dropped.
    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// Runs a task that should last until the soft stop.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits for `stop` or the death of a task, then for the end of all tasks.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), TaskDied> {
        let verdict = tokio::select! {
            () = stop => Ok(()),
            ended = self.tasks.join_next() => Err(death(ended)),
        };
        if let Err(error) = &verdict {
            tracing::error!(%error, "stopping");
        }
        self.soft.cancel();
        let hard = self.hard.clone();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        tokio::pin!(all);
        tokio::select! {
            () = &mut all => return verdict,
            () = tokio::time::sleep(self.grace) => tracing::warn!("the time to stop is over"),
            () = interrupted() => tracing::warn!("asked to stop again"),
        }
        hard.cancel();
        all.await;
        verdict
    }
}

fn death(ended: Option<Result<&'static str, tokio::task::JoinError>>) -> TaskDied {
    TaskDied(match ended {
        Some(Ok(name)) => name.to_owned(),
        Some(Err(error)) if error.is_panic() => "task that panicked".to_owned(),
        Some(Err(_)) | None => "last task".to_owned(),
    })
}

/// Resolves at SIGTERM or SIGINT. Signals count from the call of this function on, not from the
/// first poll: one that arrives while the daemon starts must stop it, not kill it.
pub fn interrupted() -> impl Future<Output = ()> {
    let both = signal(SignalKind::terminate())
        .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    async move {
        match both {
            Ok((mut term, mut int)) => {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "signals cannot be heard");
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The SIGHUPs that arrive. They count from the making of this on, and no longer end the process.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Listens from now on.
    pub fn listen() -> std::io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Resolves at the next one. Several that come at once may count as one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_tasks_finish() {
        let mut lifecycle = Lifecycle::new(Duration::from_secs(20));
        let soft = lifecycle.soft();
        let has_finished = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&has_finished);
        lifecycle.spawn("worker", async move {
            soft.cancelled().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            finished.store(true, Ordering::SeqCst);
        });
        lifecycle.run(async {}).await.unwrap();
        assert!(has_finished.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_period_makes_a_stop_hard() {
        let mut lifecycle = Lifecycle::new(Duration::from_secs(20));
        let hard = lifecycle.hard();
        lifecycle.spawn("worker", async move { hard.cancelled().await });
        let started = tokio::time::Instant::now();
        lifecycle.run(async {}).await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_dies_ends_the_process_with_an_error() {
        for does_panic in [false, true] {
            let mut lifecycle = Lifecycle::new(Duration::from_secs(1));
            let soft = lifecycle.soft();
            lifecycle.spawn("listener", async move { soft.cancelled().await });
            lifecycle.spawn("worker", async move { assert!(!does_panic, "a bug") });
            assert!(lifecycle.run(std::future::pending()).await.is_err());
        }
    }
}
