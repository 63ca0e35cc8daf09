//! The composition root: opens, builds, binds and starts. No business decision is made here.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum_server::Handle;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::config::Config;
use crate::delivery::{Monitor, Routes, Settings, SourceRoute, Worker};
use crate::http::{self, AdminTokens, AppState, MountedSource, Sources};
use crate::lifecycle::Lifecycle;
use crate::serval::ServalClient;
use crate::sources::{self, SourceConfig};
use crate::store::{Store, Writer};

/// A daemon that has its database, its ports and its sources, and does not run yet.
#[derive(Debug)]
pub struct App {
    state: AppState,
    worker: Worker,
    writer: Writer,
    public: TcpListener,
    admin: TcpListener,
    read_timeout: Duration,
    shutdown_timeout: Duration,
}

impl App {
    /// Opens the database, builds the sources and the client, and binds both listeners.
    pub async fn bind(config: &Config, clock: SharedClock) -> anyhow::Result<Self> {
        let serval = ServalClient::new(
            &config.serval,
            Arc::clone(&clock),
            config.delivery.concurrency,
        )?;
        let (sources, routes) = mount(config)?;
        let (store, writer) = Store::open(&config.database.url, clock.now()).await?;
        let public = listen(config.server.listen, "server.listen")?;
        let admin = listen(config.admin.listen, "admin.listen")?;
        let settings = Settings::new(&config.delivery, config.serval.timeout);
        let worker = Worker::new(store.clone(), serval, Arc::clone(&clock), routes, settings);
        let state = AppState {
            store,
            sources: Arc::new(sources),
            clock,
            body_limit: config.server.body_limit,
            read_timeout: config.server.read_timeout,
            monitor: worker.monitor(),
            tokens: Arc::new(
                AdminTokens::new(&config.admin.tokens)
                    .with_mapping_tokens(&config.admin.mapping_tokens),
            ),
        };
        Ok(Self {
            state,
            worker,
            writer,
            public,
            admin,
            read_timeout: config.server.read_timeout,
            shutdown_timeout: config.server.shutdown_timeout,
        })
    }

    /// Where webhooks arrive.
    pub fn public_addr(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// Where operators look.
    pub fn admin_addr(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// The store, for those who run the daemon in their own process.
    pub fn store(&self) -> Store {
        self.state.store.clone()
    }

    /// The worker as operators see it.
    pub fn monitor(&self) -> Monitor {
        self.state.monitor.clone()
    }

    /// Runs until `stop`, then takes nothing new, finishes what is in hand and returns. An error:
    /// a task ended by itself.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        // The writer outlives everybody who writes: what is in hand must still be settled.
        let writer_stop = CancellationToken::new();
        let writer_died = CancellationToken::new();
        let writer = tokio_writer(self.writer, writer_stop.clone(), writer_died.clone());
        let mut lifecycle = Lifecycle::new(self.shutdown_timeout);
        let (soft, hard) = (lifecycle.soft(), lifecycle.hard());
        lifecycle.spawn(
            "delivery worker",
            self.worker.run(soft.clone(), hard.clone()),
        );
        for (name, listener, router) in [
            (
                "webhook listener",
                self.public,
                http::public_router(self.state.clone()),
            ),
            (
                "admin listener",
                self.admin,
                http::admin_router(self.state.clone()),
            ),
        ] {
            let serving = serve(
                listener,
                router,
                self.read_timeout,
                self.shutdown_timeout,
                soft.clone(),
            );
            lifecycle.spawn(name, async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "a listener failed");
                }
            });
        }
        let store = self.state.store;
        let checked = soft.clone();
        lifecycle.spawn("database check", async move {
            tokio::select! {
                () = store.look_for_damage() => checked.cancelled().await,
                () = checked.cancelled() => {}
            }
        });
        lifecycle.spawn("store writer", async move {
            tokio::select! {
                () = writer_died.cancelled() => {}
                () = soft.cancelled() => {}
            }
        });
        let verdict = lifecycle.run(stop).await;
        writer_stop.cancel();
        writer.await.context("the store's writer panicked")?;
        verdict?;
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "ends after all tasks of the lifecycle, by hand"
)]
fn tokio_writer(
    writer: Writer,
    stop: CancellationToken,
    died: CancellationToken,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let _on_end = died.drop_guard();
        writer.run(stop).await;
    })
}

/// The sources as the listeners and as delivery need them.
fn mount(config: &Config) -> anyhow::Result<(Sources, Routes)> {
    let mut mounted = Sources::new();
    let mut routes = Routes::new();
    for (name, source) in &config.sources {
        let (keep_ignored_bodies, route) = route(source);
        let park_for_ms = i64::try_from(route.park_for.as_millis()).unwrap_or(i64::MAX);
        let source = sources::build(name, source)?;
        mounted.insert(
            name.clone(),
            MountedSource {
                source,
                park_for_ms,
                keep_ignored_bodies,
            },
        );
        routes.insert(name.clone(), route);
    }
    Ok((mounted, routes))
}

fn route(source: &SourceConfig) -> (bool, SourceRoute) {
    let (keep, target, direct, park_for) = match source {
        SourceConfig::ServiceNow(config) => (
            config.keep_ignored_bodies,
            &config.channel_target,
            None,
            config.park_for,
        ),
        SourceConfig::Slack(config) => (
            config.keep_ignored_bodies,
            &config.channel_target,
            config.direct_message_target.clone().map(Arc::new),
            config.park_for,
        ),
    };
    let channel_target = Arc::new(target.clone().unwrap_or_default());
    (
        keep,
        SourceRoute {
            channel_target,
            direct_message_target: direct,
            park_for,
        },
    )
}

fn listen(addr: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener =
        TcpListener::bind(addr).with_context(|| format!("cannot listen on {key} {addr}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until `soft`, then lets open exchanges end within `grace`.
async fn serve(
    listener: TcpListener,
    router: Router,
    read_timeout: Duration,
    grace: Duration,
    soft: CancellationToken,
) -> std::io::Result<()> {
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener)?
        .http1_only()
        .first_request_timeout(read_timeout)
        .handle(handle.clone());
    server
        .http_builder()
        .http1()
        .header_read_timeout(read_timeout);
    let stop = async {
        soft.cancelled().await;
        handle.graceful_shutdown(Some(grace));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = server.serve(router.into_make_service()) => result,
        () = stop => Ok(()),
    }
}
