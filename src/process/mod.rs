//! Builds the daemon from its configuration, and runs its tasks. No business decision is made here.

pub mod lifecycle;
mod parts;
mod reload;
mod retention;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::delivery::Worker;
use crate::edge::blot::Blot;
use crate::edge::clock::{SharedClock, SteadyClock};
use crate::edge::live::Live;
use crate::edge::metrics::Metrics;
use crate::operators::Operators;
use crate::serval::ServalClient;
use crate::store::{Store, Writer};
use crate::web::console::{self, Console};
use crate::web::listener::{self, Limits, Listener, Options};
use crate::web::{self, AppState, Bodies, Refusals, RequestLimit};
use lifecycle::Lifecycle;
use parts::Parts;
pub(crate) use parts::{certificate_warnings, database, renames};
use reload::Reloader;
pub use reload::Reloading;

/// A daemon that has its database, its ports and its sources, but does not run yet.
#[derive(Debug)]
pub struct App {
    worker: Worker,
    writer: Writer,
    public: Listener,
    admin: Listener,
    shutdown_timeout: Duration,
    reloader: Reloader,
}

impl App {
    /// Opens the database, builds the sources and the client, and binds both listeners.
    pub async fn bind(config: &Config, clock: SharedClock) -> anyhow::Result<Self> {
        let (server, admin) = (&config.server, &config.admin);
        let steady = Arc::new(SteadyClock::new(clock));
        let clock: SharedClock = Arc::<SteadyClock>::clone(&steady);
        let parts = Parts::build(config, clock.now())?;
        let slots = config.delivery.concurrency;
        let blot = Blot::new(&config.secrets);
        let serval = ServalClient::new(&config.serval, Arc::clone(&clock), slots, blot.clone())?;
        parts::log_warnings(&parts.warnings);
        let metrics = Metrics::new(config.kinds.iter().filter_map(|kind| kind.counter()));
        let (store, mut writer) = Store::open_database(&database(config), clock.now()).await?;
        parts::rename_sources(config, &mut writer).await?;
        let writer = writer.with_metrics(metrics.clone());
        let refusals = Refusals::new(metrics.clone());
        let bind = |addr, key, name, connections, identity| {
            let options = Options {
                name,
                limits: Limits {
                    read_timeout: server.read_timeout,
                    keep_alive: server.keep_alive,
                },
                grace: server.shutdown_timeout,
                connections,
            };
            let (metrics, refusals) = (metrics.clone(), refusals.clone());
            Listener::bind(addr, key, options, identity, metrics, refusals)
        };
        parts::note_ends(&parts.identities, &metrics);
        let [identity, of_admin] = parts.identities;
        let limit = server.connection_limit;
        let public = bind(server.listen, "server.listen", "webhooks", limit, identity)?;
        let limit = admin.connection_limit;
        let admin_listener = bind(admin.listen, "admin.listen", "admin", limit, of_admin)?;
        let worker = Worker::new(
            store.clone(),
            serval,
            steady,
            Arc::clone(&parts.sources),
            parts.delivery,
            metrics.clone(),
        );
        // Series start at 0 before the first webhook: see `edge::metrics`.
        metrics.configured(clock.now());
        parts::introduce(&parts.sources, &metrics);
        metrics.introduce_listener("webhooks", &listener::CAUSES);
        metrics.introduce_listener("admin", &listener::CAUSES);
        let (shared, time) = (metrics.clone(), Arc::clone(&clock));
        let operators = Operators::new(store.clone(), time, shared, parts.rules);
        operators
            .heard()
            .introduce(parts.sources.keys(), clock.now());
        let (reloads, requests) = mpsc::channel(4);
        let limit = |name, requests| RequestLimit::new(name, requests, metrics.clone());
        let state = Live::new(AppState {
            operators: operators.with_worker(worker.monitor()),
            store,
            sources: parts.sources,
            clock,
            body_limit: server.body_limit,
            bodies: Bodies::new(server.memory_for_bodies),
            read_timeout: server.read_timeout,
            webhook_limit: limit("webhooks", server.request_limit),
            admin_limit: limit("admin", admin.request_limit),
            reloads,
            metrics,
            refusals,
        });
        let reloader = Reloader {
            state,
            worker: worker.monitor(),
            identities: [public.identity(), admin_listener.identity()],
            retention: watch::Sender::new(config.retention),
            requests,
            reloading: None,
            blot,
        };
        Ok(Self {
            worker,
            writer,
            public,
            admin: admin_listener,
            shutdown_timeout: server.shutdown_timeout,
            reloader,
        })
    }

    /// Lets the daemon read its configuration again on request.
    #[must_use]
    pub fn reloading(mut self, reloading: Reloading) -> Self {
        self.reloader.reloading = Some(reloading);
        self
    }

    /// Address for webhooks.
    pub fn public_addr(&self) -> std::io::Result<SocketAddr> {
        self.public.addr()
    }

    /// Address for operators.
    pub fn admin_addr(&self) -> std::io::Result<SocketAddr> {
        self.admin.addr()
    }

    /// The store, for programs that run the daemon in their own process.
    pub fn store(&self) -> Store {
        self.reloader.state.now().store.clone()
    }

    /// Runs until `stop`, then takes nothing new, finishes what is under way and returns. An error:
    /// a task ended by itself.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut lifecycle = Lifecycle::new(self.shutdown_timeout);
        let (soft, hard) = (lifecycle.soft.clone(), lifecycle.hard.clone());
        // The writer is no task of the lifecycle: it must run until all other tasks have ended, because
        // they still settle their claims during a stop.
        let writer_stop = CancellationToken::new();
        let writer_died = CancellationToken::new();
        let (until, on_end) = (writer_stop.clone(), writer_died.clone().drop_guard());
        #[expect(clippy::disallowed_methods, reason = "awaited at the end")]
        let writer = tokio::spawn(async move {
            let _on_end = on_end;
            self.writer.run(until).await;
        });
        // Ends the process if the writer dies, which the lifecycle cannot see.
        let stopped = soft.clone().cancelled_owned();
        lifecycle.spawn("store writer", async move {
            tokio::select! {
                () = writer_died.cancelled() => {}
                () = stopped => {}
            }
        });
        // The pause that an operator set must be in force before the first claim.
        self.worker.restore_pause().await;
        let calls = self.reloader.state.now().operators.calls_to_tell();
        self.worker.join_replicas(calls).await;
        lifecycle.spawn(
            "delivery worker",
            self.worker.run(soft.clone(), hard.clone()),
        );
        let live = self.reloader.state.clone();
        let state = AppState::clone(&live.now());
        let (store, clock) = (state.store, state.clock);
        let told = state.operators.clone();
        let console = console::routes(Console::new(state.operators));
        let public = web::public_router(live.clone());
        let admin = console::with_pages(web::admin_router(live, console));
        for (name, listener, router) in [
            ("webhook listener", self.public, public),
            ("admin listener", self.admin, admin),
        ] {
            let serving = listener.serve(router, soft.clone(), hard.clone());
            lifecycle.spawn(name, async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "a listener failed");
                }
            });
        }
        let retention = self.reloader.retention.subscribe();
        lifecycle.spawn(
            "retention",
            retention::run(store.clone(), clock, retention, soft.clone()),
        );
        lifecycle.spawn("configuration", self.reloader.run(soft.clone()));
        let (others, until) = (store.clone(), soft.clone());
        lifecycle.spawn("listener to replicas", async move {
            others.listen_to_replicas(until).await;
        });
        let (replica, until) = (store.clone(), soft.clone());
        lifecycle.spawn("replica", async move {
            let calls = || told.calls_to_tell();
            replica.beat_as_replica(calls, until).await;
        });
        let (checkpointed, until) = (store.clone(), soft.clone());
        lifecycle.spawn("checkpoints", async move {
            checkpointed.keep_log_short(until).await;
        });
        let (staging, until) = (store.clone(), soft.clone());
        lifecycle.spawn("staging", async move {
            staging.keep_staging_empty(until).await;
        });
        lifecycle.spawn("database check", async move {
            // The check ends long before the daemon. Its task must last: a task that ends is a failure.
            tokio::select! {
                () = store.look_for_damage() => soft.cancelled().await,
                () = soft.cancelled() => {}
            }
        });
        let verdict = lifecycle.run(stop).await;
        // Nobody writes any more, so the writer can close the database.
        writer_stop.cancel();
        // The text of a panic may quote an event, so it is not passed on.
        let ended = writer.await;
        ended.map_err(|_| anyhow::anyhow!("the store's writer panicked; see the log"))?;
        verdict
    }
}
