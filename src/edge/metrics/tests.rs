use std::time::Duration;

use super::*;
use crate::domain::ids::SourceName;

fn source(name: &str) -> SourceName {
    name.parse().unwrap()
}

#[test]
fn what_happened_is_what_is_shown() {
    static RETRIES: SourceCounter = SourceCounter {
        name: "slack_retries",
        help: "Webhooks that were sent again",
        label: "reason",
        words: &["http_timeout", "other"],
    };
    let metrics = Metrics::new([&RETRIES]);
    let slack = source("slack");
    metrics.webhook(Some(&slack), 200, Duration::from_millis(2500));
    metrics.webhook(Some(&slack), 401, Duration::from_millis(1));
    metrics.webhook(None, 404, Duration::from_millis(1));
    metrics.verification_failed(&slack, "stale");
    metrics.count(&RETRIES, &slack, "http_timeout");
    metrics.count(&RETRIES, &slack, "other");
    metrics.count(&RETRIES, &slack, "other");
    metrics.connect(&slack, "connected", Duration::from_millis(40));
    metrics.committed(3, Duration::from_millis(4));
    let page = metrics.render(
        &Scrape {
            is_ready: true,
            breaker: Breaker::Open,
            requests_in_flight: vec![("webhooks", 5)],
            body_bytes: 8192,
            token_refreshes: 7,
            database_bytes: 4096,
            store: Some(StoreLevels {
                events: vec![("slack".to_owned(), "parked", 2)],
                oldest_parked_seconds: 90.0,
                ..StoreLevels::default()
            }),
            ..Scrape::default()
        },
        Format::OpenMetrics,
    );
    for line in [
        r#"serval_connect_webhooks_total{source="slack",status="200"} 1"#,
        r#"serval_connect_webhooks_total{source="slack",status="401"} 1"#,
        r#"serval_connect_webhooks_total{source="unknown",status="404"} 1"#,
        r#"serval_connect_verification_failures_total{source="slack",cause="stale"} 1"#,
        r#"serval_connect_slack_retries_total{source="slack",reason="http_timeout"} 1"#,
        r#"serval_connect_slack_retries_total{source="slack",reason="other"} 2"#,
        r#"serval_connect_acknowledgement_duration_seconds_bucket{le="2.0",source="slack"} 0"#,
        r#"serval_connect_acknowledgement_duration_seconds_bucket{le="3.0",source="slack"} 1"#,
        r#"serval_connect_acknowledgement_duration_seconds_count{source="slack"} 1"#,
        r#"serval_connect_connects_total{source="slack",outcome="connected"} 1"#,
        r#"serval_connect_connect_duration_seconds_count{outcome="connected"} 1"#,
        "serval_connect_store_commit_duration_seconds_count 1",
        "serval_connect_store_commit_writes_sum 3.0",
        r#"serval_connect_breaker_state{state="open"} 1"#,
        r#"serval_connect_breaker_state{state="closed"} 0"#,
        "serval_connect_ready 1",
        "serval_connect_held 0",
        r#"serval_connect_requests_in_flight{listener="webhooks"} 5"#,
        "serval_connect_webhook_bodies_bytes 8192",
        "serval_connect_token_refreshes_total 7",
        "serval_connect_database_size_bytes 4096",
        r#"serval_connect_events{source="slack",state="parked"} 2"#,
        "serval_connect_oldest_parked_age_seconds 90.0",
        concat!(
            r#"serval_connect_build_info{version=""#,
            env!("CARGO_PKG_VERSION"),
            r#""} 1"#
        ),
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
    }
    assert!(!page.contains("forged"), "{page}");
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn a_label_cannot_break_out_of_its_quotes() {
    let levels = StoreLevels {
        events: vec![("a\"b\\c\nd".to_owned(), "dead", 1)],
        ..StoreLevels::default()
    };
    let page = Metrics::default().render(
        &Scrape {
            store: Some(levels),
            ..Scrape::default()
        },
        Format::OpenMetrics,
    );
    let escaped = r#"serval_connect_events{source="a\"b\\c\nd",state="dead"} 1"#;
    assert!(page.lines().any(|line| line == escaped), "{page}");
}

#[test]
fn a_database_that_cannot_be_read_leaves_its_numbers_out() {
    let page = Metrics::default().render(&Scrape::default(), Format::Classic);
    assert!(!page.contains("serval_connect_events"), "{page}");
    assert!(page.contains("serval_connect_ready 0"), "{page}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_measured() {
    let page = Metrics::default().render(&Scrape::default(), Format::Classic);
    for name in [
        "process_cpu_seconds_total",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    ] {
        let line = page.lines().find(|line| line.starts_with(name)).unwrap();
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
    }
}
