//! The daemon by its own account, and the disk that it writes to.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::Value;

use super::findings::{Finding, Findings, State};
use crate::cli::backend::{Backend, Call};
use crate::cli::backup::last_backup;
use crate::config::Config;
use crate::edge::clock::{Clock as _, SystemClock};
use crate::edge::{disk, units};
use crate::process::database;
use crate::terminal::Failure;

const DAY: Duration = Duration::from_hours(24);
/// An event that is due for so long shows that the calls do not keep up.
const LATE: i64 = 300;
/// Room that is little, whatever the rate.
const LITTLE: u64 = 1 << 30;
/// A backup that is older is looked at.
const OLD_BACKUP: Duration = Duration::from_hours(48);

pub(super) async fn look(config: &Config, findings: &mut Findings) -> Result<(), Failure> {
    match Backend::ask(config, &Call::new(Method::GET, &["stats"])).await {
        Ok(answer) => account(&answer.body, findings),
        Err(failure) => findings.add(Finding::new("daemon", State::Failed, failure.to_string())),
    }
    let database = database(config);
    if database.is_on_server() {
        let detail = format!("{} is a server, which has its own", database.shown());
        findings.add(Finding::new("disk and backup", State::Unknown, detail));
        return Ok(());
    }
    let path = database.file();
    let path = path.map_err(|error| Failure::Usage(error.to_string()))?;
    let now = now();
    findings.add(room(&path, config.retention.events, now));
    findings.add(backup(&path, now));
    Ok(())
}

fn now() -> SystemTime {
    SystemClock.now().into()
}

/// Reads the statistics.
fn account(stats: &Value, findings: &mut Findings) {
    findings.add(backlog(stats));
    for (name, feed) in stats["feeds"].as_object().into_iter().flatten() {
        findings.add(of_feed(name, feed));
    }
}

fn backlog(stats: &Value) -> Finding {
    let count = |state: &str| stats["totals"][state].as_i64().unwrap_or_default();
    let late = stats["oldest_due_age_s"].as_i64().unwrap_or_default();
    let detail = format!(
        "{} queued, {} parked, {} dead; the oldest due event waits for {late} s",
        count("queued"),
        count("parked"),
        count("dead")
    );
    let finding = |state| Finding::new("backlog", state, detail.clone());
    if stats["paused"] == true {
        return finding(State::Warning)
            .remedy("the calls are paused: serval-connect connects resume");
    }
    if !stats["hold"].is_null() {
        return finding(State::Failed).remedy("Serval refuses the credentials: see serval above");
    }
    if stats["breaker"]["state"] == "open" || late > LATE {
        return finding(State::Failed)
            .remedy("the calls do not get through: `serval-connect events list --state queued` shows the last errors");
    }
    if count("dead") > 0 {
        return finding(State::Warning).remedy(
            "`serval-connect events list --state dead` shows why; mend the cause, then replay",
        );
    }
    finding(State::Ok)
}

fn of_feed(name: &str, feed: &Value) -> Finding {
    let check = format!("feed {name}");
    let last = feed["last_webhook_at"].as_str().unwrap_or("never");
    let refused = feed["refused_last_hour"].as_u64().unwrap_or_default();
    let detail = format!("last webhook: {last}; refused in the last hour: {refused}");
    match feed["trouble"].as_str() {
        None if last == "never" => Finding::new(check, State::Warning, detail)
            .remedy("no webhook has come yet: set up the sender"),
        None => Finding::new(check, State::Ok, detail),
        Some(trouble) => Finding::new(check, State::Failed, format!("{trouble}; {detail}"))
            .remedy("docs/operations.md, \"A source in trouble\""),
    }
}

/// Compares the room on the disk with what the database takes at its present rate until its oldest events go.
fn room(path: &Path, retention: Duration, now: SystemTime) -> Finding {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let free = disk::room(folder.unwrap_or(Path::new(".")));
    let (Ok(free), Ok(file)) = (free, fs::metadata(path)) else {
        let detail = format!("{} cannot be looked at from here", path.display());
        return Finding::new("disk", State::Unknown, detail);
    };
    let age = file
        .created()
        .ok()
        .and_then(|made| now.duration_since(made).ok());
    judge_room(free, file.len(), age.unwrap_or_default(), retention)
}

fn judge_room(free: u64, size: u64, age: Duration, retention: Duration) -> Finding {
    let shown = |bytes: u64| bytesize::ByteSize(bytes).to_string();
    let detail = format!("{} free, the database takes {}", shown(free), shown(size));
    let remedy = "give the disk more room, or shorten retention.payloads and retention.events";
    if age < DAY {
        let state = if free < LITTLE {
            State::Warning
        } else {
            State::Ok
        };
        let detail = format!("{detail}; too young for a rate");
        return Finding::new("disk", state, detail).remedy(remedy);
    }
    let days = age.as_secs_f64() / DAY.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (rate, free_bytes, size) = (size as f64 / days, free as f64, size as f64);
    // Without an end of the retention, a year must fit.
    let kept = if retention.is_zero() {
        365 * DAY
    } else {
        retention
    };
    let needed = (rate * kept.as_secs_f64() / DAY.as_secs_f64() - size).max(0.0);
    let left = if rate > 0.0 {
        free_bytes / rate
    } else {
        f64::INFINITY
    };
    let detail = format!(
        "{detail}; at the present rate the disk is full in {left:.0} days, and retention.events is {}",
        units::shown_duration(retention)
    );
    let state = if needed > free_bytes {
        State::Failed
    } else if free < LITTLE {
        State::Warning
    } else {
        return Finding::new("disk", State::Ok, detail);
    };
    Finding::new("disk", state, detail).remedy(remedy)
}

fn backup(path: &Path, now: SystemTime) -> Finding {
    let remedy = "serval-connect backup FILE, once a day, to another disk";
    let Some(at) = last_backup(path) else {
        return Finding::new(
            "backup",
            State::Warning,
            "`serval-connect backup` has made none here",
        )
        .remedy(remedy);
    };
    let age = now.duration_since(at).unwrap_or_default();
    let detail = format!("the last one is {} hours old", age.as_secs() / 3600);
    let state = if age > OLD_BACKUP {
        State::Warning
    } else {
        State::Ok
    };
    Finding::new("backup", state, detail).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(finding: &Finding) -> Value {
        serde_json::to_value(finding).unwrap()["state"].clone()
    }

    #[test]
    fn the_room_must_last_for_the_retention() {
        let gib = 1 << 30;
        for (free, size, days, retention, expected) in [
            (100 * gib, gib, 10, 90, "ok"),
            (4 * gib, gib, 10, 90, "failed"),
            (100 * gib, gib, 10, 0, "ok"),
            (20 * gib, gib, 10, 0, "failed"),
            (gib / 2, gib, 90, 90, "warning"),
            (gib / 2, gib, 0, 90, "warning"),
            (2 * gib, gib, 0, 90, "ok"),
        ] {
            let found = judge_room(free, size, days * DAY, retention * DAY);
            assert_eq!(state(&found), expected, "{found:?}");
        }
    }

    #[test]
    fn the_statistics_are_read() {
        for (stats, expected) in [
            (
                json!({"totals": {"queued": 1}, "breaker": {"state": "closed"}}),
                "ok",
            ),
            (json!({"totals": {"dead": 1}}), "warning"),
            (json!({"paused": true}), "warning"),
            (json!({"hold": {"since": "x"}}), "failed"),
            (json!({"breaker": {"state": "open"}}), "failed"),
            (json!({"oldest_due_age_s": 301}), "failed"),
        ] {
            assert_eq!(state(&backlog(&stats)), expected, "{stats}");
        }
        for (feed, expected) in [
            (
                json!({"last_webhook_at": "2026-01-01T00:00:00Z", "trouble": null}),
                "ok",
            ),
            (json!({"last_webhook_at": null, "trouble": null}), "warning"),
            (json!({"trouble": "refusing"}), "failed"),
        ] {
            assert_eq!(state(&of_feed("crm", &feed)), expected, "{feed}");
        }
    }
}
