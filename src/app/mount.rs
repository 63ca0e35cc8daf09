//! Makes of the configured sources what the listeners and delivery know of them.

use std::sync::Arc;

use crate::config::Config;
use crate::delivery::{Routes, SourceRoute};
use crate::domain::ids::SourceKind;
use crate::http::{MountedSource, Sources};
use crate::metrics::{Metrics, Words};
use crate::sources::linking::{AccountedFor, OnConflict, Reconnect};
use crate::sources::{self, DropFields, InvalidSource, Refused, Source, SourceConfig};
use crate::store::{AttemptOutcome, Decision};

/// The sources as the listeners and as delivery need them.
pub(super) fn mount(config: &Config) -> Result<(Sources, Routes), InvalidSource> {
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

/// Has the numbers of all sources begin at zero.
pub(super) fn introduce(sources: &Sources, metrics: &Metrics) {
    let outcomes = AttemptOutcome::ALL.map(AttemptOutcome::as_str);
    for (name, mounted) in sources {
        let is_slack = mounted.source.kind() == SourceKind::Slack;
        let statuses = if is_slack {
            &[200, 400, 401, 503][..]
        } else {
            &[202, 400, 401, 422, 503]
        };
        let words = Words {
            statuses,
            causes: &Refused::CAUSES,
            outcomes: &outcomes,
            is_slack,
        };
        metrics.introduce(name, words);
    }
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
