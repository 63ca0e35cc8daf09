//! The composition root: opens, builds, binds and starts. No business decision is made here.

mod mount;
mod reload;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::config::Config;
use crate::console::{self, Console};
use crate::delivery::{Monitor, Settings, Worker};
use crate::http::{self, AppState, Places, Sources};
use crate::lifecycle::Lifecycle;
use crate::listener::{Listener, Options};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::operator::{AdminTokens, Desk, Rules};
use crate::reload::channel;
use crate::serval::ServalClient;
use crate::store::{Store, Writer};
#[cfg(feature = "otel")]
use crate::telemetry::Numbers;
use crate::tls::{self, Identity, TlsError};
use crate::upkeep;
pub(crate) use mount::mount_one;
pub use reload::Reloading;
use reload::{Reloader, Running};

/// A daemon that has its database, its ports and its sources, and does not run yet.
#[derive(Debug)]
pub struct App {
    state: Live<AppState>,
    worker: Worker,
    writer: Writer,
    public: Listener,
    admin: Listener,
    shutdown_timeout: Duration,
    reloader: Reloader,
    #[cfg(feature = "otel")]
    numbers: Option<Numbers>,
}

impl App {
    /// Opens the database, builds the sources and the client, and binds both listeners.
    pub async fn bind(config: &Config, clock: SharedClock) -> anyhow::Result<Self> {
        let serval = ServalClient::new(
            &config.serval,
            Arc::clone(&clock),
            config.delivery.concurrency,
        )?;
        let (sources, routes) = mount::mount(config)?;
        let (public_identity, admin_identity) = identities(config)?;
        for warning in certificate_warnings(config, clock.now()) {
            tracing::warn!(warning, "the configuration should be looked at");
        }
        let metrics = Metrics::default();
        let (store, writer) = Store::open(&config.database.url, clock.now()).await?;
        let writer = writer.telling(metrics.clone());
        let options = |name, connections| Options {
            name,
            read_timeout: config.server.read_timeout,
            grace: config.server.shutdown_timeout,
            connections,
        };
        let public = Listener::bind(
            config.server.listen,
            "server.listen",
            options("webhooks", config.server.connection_limit),
            public_identity,
            metrics.clone(),
        )?;
        let admin = Listener::bind(
            config.admin.listen,
            "admin.listen",
            options("admin", config.admin.connection_limit),
            admin_identity,
            metrics.clone(),
        )?;
        let worker = Worker::new(
            store.clone(),
            serval,
            Arc::clone(&clock),
            routes,
            Settings::new(&config.delivery, config.serval.timeout),
            metrics.clone(),
        );
        let (reloads, requests) = channel();
        let started = clock.now();
        metrics.configured(started);
        mount::introduce(&sources, &metrics);
        metrics.introduce_listener("webhooks");
        metrics.introduce_listener("admin");
        let places = |name, limit| Places::new(name, limit, metrics.clone());
        let desk = Desk::new(
            store.clone(),
            worker.monitor(),
            Arc::clone(&clock),
            metrics.clone(),
            rules(config, &sources),
        );
        let state = Live::new(AppState {
            desk,
            store,
            sources: Arc::new(sources),
            clock,
            body_limit: config.server.body_limit,
            read_timeout: config.server.read_timeout,
            monitor: worker.monitor(),
            webhook_places: places("webhooks", config.server.request_limit),
            admin_places: places("admin", config.admin.request_limit),
            reloads,
            metrics,
        });
        let running = Running {
            state: state.clone(),
            steering: worker.steering(),
            public: public.identity(),
            admin: admin.identity(),
            retention: watch::Sender::new(config.retention),
        };
        Ok(Self {
            state,
            worker,
            writer,
            public,
            admin,
            shutdown_timeout: config.server.shutdown_timeout,
            reloader: Reloader::new(running, requests),
            #[cfg(feature = "otel")]
            numbers: Numbers::new(&config.telemetry, started)?,
        })
    }

    /// The same, and it reads its configuration again when it is asked to.
    #[must_use]
    pub fn reloading(mut self, reloading: Reloading) -> Self {
        self.reloader.reloading = Some(reloading);
        self
    }

    /// Where webhooks arrive.
    pub fn public_addr(&self) -> std::io::Result<SocketAddr> {
        self.public.addr()
    }

    /// Where operators look.
    pub fn admin_addr(&self) -> std::io::Result<SocketAddr> {
        self.admin.addr()
    }

    /// The store, for those who run the daemon in their own process.
    pub fn store(&self) -> Store {
        self.state.now().store.clone()
    }

    /// The worker as operators see it.
    pub fn monitor(&self) -> Monitor {
        self.state.now().monitor.clone()
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
        let console = Console::new(self.state.now().desk.clone())?;
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
            let serving = listener.serve(router, soft.clone(), hard.clone());
            lifecycle.spawn(name, async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "a listener failed");
                }
            });
        }
        let AppState { clock, store, .. } = AppState::clone(&self.state.now());
        let retention = self.reloader.retention();
        lifecycle.spawn(
            "upkeep",
            upkeep::run(store.clone(), clock, retention, soft.clone()),
        );
        lifecycle.spawn("configuration", self.reloader.run(soft.clone()));
        #[cfg(feature = "otel")]
        if let Some(numbers) = self.numbers {
            let live = self.state.clone();
            let page = move || {
                let state = live.now();
                async move { http::metrics_page(&state).await }
            };
            lifecycle.spawn("metrics export", numbers.run(page, soft.clone()));
        }
        let short = store.clone();
        let until = soft.clone();
        lifecycle.spawn(
            "checkpoints",
            async move { short.keep_log_short(until).await },
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
        // The text of a panic may quote an event.
        let ended = writer.await;
        ended.map_err(|_| anyhow::anyhow!("the store's writer panicked; see the log"))?;
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

/// What operators may see and do.
fn rules(config: &Config, sources: &Sources) -> Rules {
    let admin = &config.admin;
    Rules {
        tokens: AdminTokens::new(&admin.tokens)
            .with_mapping_tokens(&admin.mapping_tokens)
            .with_read_only_tokens(&admin.read_only_tokens),
        shows_payloads: admin.show_payloads,
        speaks_tls: admin.tls_cert_file.is_some(),
        sources: http::policies(sources),
    }
}

/// What the two listeners prove themselves with.
fn identities(config: &Config) -> Result<(Option<Identity>, Option<Identity>), TlsError> {
    let (server, admin) = (&config.server, &config.admin);
    Ok((
        tls::identity(
            "server",
            server.tls_cert_file.as_deref(),
            server.tls_key_file.as_deref(),
        )?,
        tls::identity(
            "admin",
            admin.tls_cert_file.as_deref(),
            admin.tls_key_file.as_deref(),
        )?,
    ))
}

/// What should be looked at: certificates that count no more, or not yet.
pub(crate) fn certificate_warnings(config: &Config, now: Timestamp) -> Vec<String> {
    let now = u64::try_from(now.as_second()).unwrap_or_default();
    let Ok((server, admin)) = identities(config) else {
        return Vec::new();
    };
    let sections = [("server", server), ("admin", admin)].into_iter();
    let outdated = sections.filter(|(_, one)| one.as_ref().is_some_and(|one| one.is_outdated(now)));
    outdated
        .map(|(section, _)| {
            format!(
                "{section}.tls_cert_file: the certificate has run out or does not count yet, so \
                 peers will refuse it"
            )
        })
        .collect()
}
