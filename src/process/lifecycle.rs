//! Starts and stops the tasks of the process, and receives its signals.
//!
//! A stop has two stages. *Soft*: take nothing new, finish what is under way. *Hard*: drop what is
//! under way; the next start continues it. A second signal, or the end of the grace period, turns a
//! soft stop into a hard one.
//!
//! Invariant: a task that ends by itself ends the process with an error, so that its supervisor
//! restarts it with all tasks.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The tasks of the daemon.
#[derive(Debug)]
pub struct Lifecycle {
    /// Token of the soft stop: take nothing new.
    pub soft: CancellationToken,
    /// Token of the hard stop: drop what is under way.
    pub hard: CancellationToken,
    tasks: JoinSet<&'static str>,
    grace: Duration,
}

impl Lifecycle {
    /// Creates a lifecycle whose soft stop turns hard after `grace`.
    pub fn new(grace: Duration) -> Self {
        let hard = CancellationToken::new();
        Self {
            soft: hard.child_token(),
            hard,
            tasks: JoinSet::new(),
            grace,
        }
    }

    /// Runs a task that lasts until the soft stop.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits for `stop` or the death of a task, which is an error, then for the end of all tasks.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let verdict = tokio::select! {
            () = stop => Ok(()),
            ended = self.tasks.join_next() => Err(death(ended)),
        };
        if let Err(error) = &verdict {
            tracing::error!(%error, "stopping");
        }
        // After a soft stop, the end of all tasks, the end of the grace period or a second signal comes first.
        self.soft.cancel();
        let hard = self.hard.clone();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        tokio::pin!(all);
        tokio::select! {
            () = &mut all => return verdict,
            () = tokio::time::sleep(self.grace) => tracing::warn!("the grace period is over, dropping what is under way"),
            () = interrupted() => tracing::warn!("second signal, dropping what is under way"),
        }
        hard.cancel();
        all.await;
        verdict
    }
}

fn death(ended: Option<Result<&'static str, JoinError>>) -> anyhow::Error {
    let name = match ended {
        Some(Ok(name)) => name,
        Some(Err(error)) if error.is_panic() => "task that panicked",
        Some(Err(_)) | None => "last task",
    };
    anyhow::anyhow!("the {name} ended unexpectedly")
}

/// Resolves at SIGTERM or SIGINT. Listens from the call of this function, not from the first poll:
/// a signal that arrives while the daemon starts must stop it, not kill it.
pub fn interrupted() -> impl Future<Output = ()> {
    let both = signal(SignalKind::terminate())
        .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    async move {
        match both {
            Ok((mut term, mut int)) => tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            },
            Err(error) => {
                tracing::error!(%error, "the handlers of signals cannot be installed");
                // A daemon that cannot be stopped by a signal still stores webhooks, so it goes on.
                std::future::pending::<()>().await;
            }
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
        let soft = lifecycle.soft.clone();
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
        let hard = lifecycle.hard.clone();
        lifecycle.spawn("worker", async move { hard.cancelled().await });
        let started = tokio::time::Instant::now();
        lifecycle.run(async {}).await.unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_dies_ends_the_process_with_an_error() {
        for does_panic in [false, true] {
            let mut lifecycle = Lifecycle::new(Duration::from_secs(1));
            let soft = lifecycle.soft.clone();
            lifecycle.spawn("listener", async move { soft.cancelled().await });
            lifecycle.spawn("worker", async move { assert!(!does_panic, "a bug") });
            assert!(lifecycle.run(std::future::pending()).await.is_err());
        }
    }
}
