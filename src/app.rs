//! The composition root: opens, builds, binds and starts. No business decision is made here.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum_server::Handle;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::config::{Config, RetentionConfig};
use crate::console::{self, Console};
use crate::delivery::{Monitor, Routes, Settings, SourceRoute, Worker};
use crate::http::{self, AppState, MountedSource, Sources};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::operator::{AdminTokens, Desk};
use crate::serval::ServalClient;
use crate::sources::linking::{AccountedFor, OnConflict, Reconnect};
use crate::sources::{self, DropFields, Source, SourceConfig};
use crate::store::{Decision, Store, Writer};
use crate::upkeep;

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
    retention: RetentionConfig,
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
        let metrics = Metrics::default();
        let (store, writer) = Store::open(&config.database.url, clock.now()).await?;
        let writer = writer.telling(metrics.clone());
        let public = listen(config.server.listen, "server.listen")?;
        let admin = listen(config.admin.listen, "admin.listen")?;
        let settings = Settings::new(&config.delivery, config.serval.timeout);
        let worker = Worker::new(
            store.clone(),
            serval,
            Arc::clone(&clock),
            routes,
            settings,
            metrics.clone(),
        );
        let monitor = worker.monitor();
        let policies = http::policies(&sources);
        let desk = Desk::new(store.clone(), monitor.clone(), Arc::clone(&clock), policies);
        let state = AppState {
            desk,
            shows_payloads: config.admin.show_payloads,
            store,
            sources: Arc::new(sources),
            clock,
            body_limit: config.server.body_limit,
            read_timeout: config.server.read_timeout,
            monitor,
            metrics,
            tokens: Arc::new(
                AdminTokens::new(&config.admin.tokens)
                    .with_mapping_tokens(&config.admin.mapping_tokens)
                    .with_read_only_tokens(&config.admin.read_only_tokens),
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
            retention: config.retention,
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
        self.worker.restore_pause().await;
        let mut lifecycle = Lifecycle::new(self.shutdown_timeout);
        let (soft, hard) = (lifecycle.soft(), lifecycle.hard());
        lifecycle.spawn(
            "delivery worker",
            self.worker.run(soft.clone(), hard.clone()),
        );
        let console = Console::new(
            self.state.desk.clone(),
            Arc::clone(&self.state.tokens),
            self.state.shows_payloads,
        )?;
        for (name, listener, router) in [
            (
                "webhook listener",
                self.public,
                http::public_router(self.state.clone()),
            ),
            (
                "admin listener",
                self.admin,
                console::with_pages(http::admin_router(
                    self.state.clone(),
                    console::routes(console),
                )),
            ),
        ] {
            let serving = serve(
                listener,
                router,
                self.read_timeout,
                self.shutdown_timeout,
                (soft.clone(), hard.clone()),
            );
            lifecycle.spawn(name, async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "a listener failed");
                }
            });
        }
        let (clock, store) = (self.state.clock, self.state.store);
        lifecycle.spawn(
            "upkeep",
            upkeep::run(store.clone(), clock, self.retention, soft.clone()),
        );
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
        let drop_fields = sources::drop_fields(name, source)?;
        let (mounted_source, route) = mount_one(sources::build(name, source)?, source);
        let source = MountedSource {
            drop_fields,
            ..mounted_source
        };
        mounted.insert(name.clone(), source);
        routes.insert(name.clone(), route);
    }
    Ok((mounted, routes))
}

/// A source with the policies that `config` gives it; it drops no fields yet.
pub(crate) fn mount_one(
    source: Box<dyn Source>,
    config: &SourceConfig,
) -> (MountedSource, SourceRoute) {
    let (keep_ignored_bodies, route) = route(config);
    let mounted = MountedSource {
        source,
        drop_fields: DropFields::default(),
        park_for_ms: i64::try_from(route.park_for.as_millis()).unwrap_or(i64::MAX),
        keep_ignored_bodies,
        reconnects: route.reconnects,
        disconnects_old: route.disconnects_old,
        several_per_ticket: route.several_per_ticket,
    };
    (mounted, route)
}

/// Whether a source keeps the bodies of ignored events, and the way its events take.
fn route(source: &SourceConfig) -> (bool, SourceRoute) {
    /// The kinds have the same keys, in structs of their own.
    macro_rules! route {
        ($config:expr, $direct:expr) => {
            SourceRoute {
                channel_target: Arc::new($config.channel_target.clone().unwrap_or_default()),
                direct_message_target: $direct,
                park_for: $config.park_for,
                verifies_learned: $config.verify_learned,
                on_conflict: match $config.on_conflict {
                    OnConflict::Ask => None,
                    OnConflict::Keep => Some(Decision::Keep),
                    OnConflict::Replace => Some(Decision::Replace),
                },
                several_per_ticket: $config.several_per_ticket,
                looks_first: $config.check_existing,
                disconnects_old: $config.disconnect_on_remap,
                reconnects: $config.reconnect == Reconnect::OnChange,
                accounts_for_all: $config.accounted_for == AccountedFor::AllExisting,
            }
        };
    }
    match source {
        SourceConfig::ServiceNow(config) => (config.keep_ignored_bodies, route!(config, None)),
        SourceConfig::Slack(config) => {
            let direct = config.direct_message_target.clone().map(Arc::new);
            (config.keep_ignored_bodies, route!(config, direct))
        }
    }
}

fn listen(addr: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener =
        TcpListener::bind(addr).with_context(|| format!("cannot listen on {key} {addr}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until `soft`, then lets open exchanges end within `grace`, or until `hard`.
async fn serve(
    listener: TcpListener,
    router: Router,
    read_timeout: Duration,
    grace: Duration,
    (soft, hard): (CancellationToken, CancellationToken),
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
        hard.cancelled().await;
        handle.shutdown();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = server.serve(router.into_make_service_with_connect_info::<SocketAddr>()) => result,
        () = stop => Ok(()),
    }
}
