//! The parts of the daemon that follow from the configuration alone. The start and every reload build
//! them with the same function.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Config;
use crate::delivery::Settings;
use crate::edge::metrics::{LabelValues, Metrics};
use crate::edge::tls::{self, Identity, TlsError};
use crate::operators::{AdminTokens, Rules};
use crate::sources::{Refused, Sources};
use crate::store::{AttemptOutcome, DEAD_AFTER, Database, Rename, Writer};

/// The settings of the TLS identities, in their order.
pub(super) const TLS_KEYS: [&str; 2] = ["server.tls_cert_file", "admin.tls_cert_file"];

/// Everything that a reload builds, except the client of Serval. Plain values are read from the
/// configuration.
pub(super) struct Parts {
    pub(super) sources: Sources,
    pub(super) identities: Identities,
    pub(super) rules: Rules,
    pub(super) delivery: Settings,
    /// Warnings about certificates.
    pub(super) warnings: Vec<String>,
}

/// The TLS identities of the listeners for webhooks and for operators; `None`: no TLS.
type Identities = [Option<Identity>; 2];

impl Parts {
    /// Builds all parts and changes nothing, so that an error leaves the daemon as it is.
    pub(super) fn build(config: &Config, now: Timestamp) -> anyhow::Result<Self> {
        let mut sources = BTreeMap::new();
        for (name, source) in &config.sources {
            sources.insert(name.clone(), source.build(name)?);
        }
        // The first source that cannot be built ends the reload: half of a new configuration would
        // be worse than the old one.
        let admin = &config.admin;
        let rules = Rules {
            tokens: AdminTokens::new(&admin.tokens)
                .with_mapping_tokens(&admin.mapping_tokens)
                .with_read_only_tokens(&admin.read_only_tokens),
            shows_payloads: admin.show_payloads,
            speaks_tls: admin.tls_cert_file.is_some(),
            sources: config.sources.clone(),
            kinds: config.kinds,
            config_hash: config.hash.clone(),
        };
        Ok(Self {
            sources: Arc::new(sources),
            identities: identities(config)?,
            rules,
            delivery: Settings::new(&config.delivery, config.serval.timeout),
            warnings: certificate_warnings(config, now),
        })
    }
}

fn identities(config: &Config) -> Result<Identities, TlsError> {
    let (server, admin) = (&config.server, &config.admin);
    let read = |section, cert: &Option<_>, key: &Option<_>| {
        tls::identity(section, cert.as_deref(), key.as_deref())
    };
    Ok([
        read("server", &server.tls_cert_file, &server.tls_key_file)?,
        read("admin", &admin.tls_cert_file, &admin.tls_key_file)?,
    ])
}

/// The database that the configuration names.
pub(crate) fn database(config: &Config) -> Database {
    let config = &config.database;
    Database {
        url: config.url.clone(),
        password_file: config.password_file.clone(),
        migrate: config.migrate,
        direct_url: config.direct_url.clone(),
        dead_after: config.replica_dead_after.unwrap_or(DEAD_AFTER),
    }
}

/// The sources that have an earlier name.
pub(crate) fn renames(config: &Config) -> anyhow::Result<Vec<Rename>> {
    let mut renames = Vec::new();
    for (name, source) in &config.sources {
        if let Some(old) = &source.policy.renamed_from {
            let kind = source.kind;
            renames.push(Rename {
                from: old.parse()?,
                to: name.clone(),
                is_of_kind: Box::new(move |id| kind.parse_external_id(id.as_str()).is_ok()),
            });
        }
    }
    Ok(renames)
}

/// Moves what is stored under earlier names of sources.
pub(super) async fn rename_sources(config: &Config, writer: &mut Writer) -> anyhow::Result<()> {
    for Rename { from, to, .. } in writer.rename_sources(renames(config)?).await? {
        tracing::info!(source = %to, old = %from, "the source was renamed; all that was stored is now its own");
    }
    Ok(())
}

/// Logs values that are allowed but are probably a mistake.
pub(super) fn log_warnings(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(warning, "the configuration should be looked at");
    }
}

/// Creates the time series of all sources at 0.
pub(super) fn introduce(sources: &Sources, metrics: &Metrics) {
    let outcomes = AttemptOutcome::ALL.map(AttemptOutcome::as_str);
    for (name, source) in &**sources {
        let values = LabelValues {
            statuses: source.kind.statuses(),
            causes: &Refused::CAUSES,
            outcomes: &outcomes,
            counter: source.kind.counter(),
        };
        metrics.introduce(name, values);
    }
}

/// Records when the certificates end.
pub(super) fn note_ends(identities: &Identities, metrics: &Metrics) {
    for (listener, identity) in ["webhooks", "admin"].into_iter().zip(identities) {
        let validity = identity.as_ref().and_then(Identity::validity);
        metrics.certificate_ends(listener, validity.map(|(_, until)| until));
    }
}

/// Warnings about certificates that have expired or are not valid yet.
pub(crate) fn certificate_warnings(config: &Config, now: Timestamp) -> Vec<String> {
    // A certificate that cannot be read is refused elsewhere, with its reason.
    let identities = identities(config).unwrap_or_default();
    let outdated = |(key, identity): (_, Option<Identity>)| {
        identity.filter(|one| one.is_outdated(now)).map(|_| {
            format!(
                "{key}: the certificate has run out or does not count yet, so peers will refuse it"
            )
        })
    };
    let named = TLS_KEYS.into_iter().zip(identities);
    named.filter_map(outdated).collect()
}
