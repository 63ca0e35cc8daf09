//! The listeners speak TLS by themselves: from the files to a client that trusts them, over a change
//! of the certificate.
#![cfg(feature = "tls")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use reqwest::Client;
use serde_json::Value;
use serval_connect::edge::outbound::{self, Limits};
use serval_connect::edge::tls::{self, Own};
use serval_connect::rehearsal::mock_serval::MockConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cli_run::{Ended, Site};
use crate::support::eventually;

const PATIENCE: Duration = Duration::from_secs(20);
const TICKET: &str = "9d385017-c611-4b52-9c37-3f9b2d6a1e55";
const SYS_ID: &str = "6f1d0c93db2a6410c7e3f4a2ce9619aa";

/// Writes a certificate of its own making, and its key.
pub(crate) fn write_pair(cert: &Path, key: &Path, until: i32) {
    let pair = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["connect.example.com".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    std::fs::write(cert, parameters.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(key, pair.serialize_pem()).unwrap();
}

/// A site whose listeners both speak TLS, with the same certificate.
async fn site(until: i32) -> Site {
    let site = Site::new(MockConfig::default()).await;
    let (cert, key) = (site.path("own.crt"), site.path("own.key"));
    write_pair(&cert, &key, until);
    let keys = format!(
        "tls_cert_file = \"{}\"\ntls_key_file = \"{}\"\n",
        cert.display(),
        key.display()
    );
    edit(&site, |config| {
        let config = config.replace("[server]\n", &format!("[server]\n{keys}"));
        config.replace("[admin]\n", &format!("[admin]\n{keys}"))
    });
    site
}

fn edit(site: &Site, change: impl Fn(String) -> String) {
    let path = site.path("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, change(config)).unwrap();
}

/// Where a listener is; the configuration names that of `[server]` first.
fn addresses(site: &Site) -> (String, String) {
    let config = std::fs::read_to_string(site.path("config.toml")).unwrap();
    let mut listens = config.split("listen = \"").skip(1);
    let mut next = || {
        listens
            .next()
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    (next(), next())
}

/// A client that trusts the certificate in this file, and makes a new connection for each request.
fn trusting(cert: &Path) -> Client {
    let limits = Limits {
        connect_timeout: PATIENCE,
        timeout: PATIENCE,
        idle_connections: 0,
        is_local: true,
    };
    let own = Own::Of(tls::certificates(cert).unwrap());
    outbound::client_trusting(limits, own.client_config()).unwrap()
}

async fn reload(client: &Client, admin: &str) -> Value {
    let call = client.post(format!("https://{admin}/api/v1/reload"));
    let answer = call
        .bearer_auth("first-token-of-the-tests")
        .send()
        .await
        .unwrap();
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_listeners_speak_tls_and_the_commands_do_so_with_them() {
    let site = site(2100).await;
    let daemon = site.serve().await;
    let (public, admin) = addresses(&site);
    let client = trusting(&site.path("own.crt"));
    for address in [&public, &admin] {
        let url = format!("https://{address}/healthz");
        assert_eq!(client.get(url).send().await.unwrap().status(), 200);
        let plain = client.get(format!("http://{address}/healthz")).send().await;
        assert!(plain.is_err(), "nothing is said in the clear");
    }
    let healthy = site.run("healthcheck").await;
    assert!(
        healthy.text().contains("healthy: https://127.0.0.1"),
        "{healthy:?}"
    );
    let set = site
        .run(&format!("map set servicenow {SYS_ID} {TICKET}"))
        .await;
    assert_eq!(set.code, 0, "{set:?}");
    let record = format!(r#"{{"sys_id":"{SYS_ID}","sys_class_name":"incident"}}"#);
    std::fs::write(site.path("record.json"), record).unwrap();
    let send = format!(
        "send servicenow --bearer webhook-bearer-token-of-the-tests {}",
        site.path("record.json").display()
    );
    let answered = site.run(&send).await;
    assert!(answered.text().contains("202 Accepted"), "{answered:?}");
    let id = answered.out.split("evt_").nth(1).unwrap();
    let digits: String = id.chars().take_while(char::is_ascii_digit).collect();
    site.wait_for(&format!("evt_{digits}"), "connected").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_after_a_reload_and_not_before() {
    let site = site(2100).await;
    let daemon = site.serve().await;
    let (public, admin) = addresses(&site);
    let (cert, key) = (site.path("own.crt"), site.path("own.key"));
    let old = trusting(&cert);
    let is_good = async |client: &Client, address: &str| {
        client
            .get(format!("https://{address}/healthz"))
            .send()
            .await
            .is_ok()
    };
    write_pair(&cert, &key, 2100);
    let new = trusting(&cert);
    assert!(is_good(&old, &public).await && !is_good(&new, &public).await);
    assert_eq!(
        site.run("healthcheck").await.code,
        0,
        "a new file is no sign of death"
    );
    let Ended { code, err, .. } = site.run("map list").await;
    assert!(code == 1 && err.contains("reload the daemon"), "{err}");

    let reloaded = reload(&old, &admin).await;
    let expected = ["admin.tls_cert_file", "server.tls_cert_file"];
    assert_eq!(reloaded["changed"], serde_json::json!(expected));
    for address in [&public, &admin] {
        assert!(is_good(&new, address).await && !is_good(&old, address).await);
    }
    assert_eq!(site.run("map list").await.code, 0);

    // Half of a new pair is refused, and the old one stays.
    let spare = site.path("spare.key");
    write_pair(&cert, &spare, 2100);
    let refused = reload(&new, &admin).await;
    let problems = refused["problems"].to_string();
    assert!(
        problems.contains("does not belong to the certificate"),
        "{refused}"
    );
    assert!(is_good(&new, &public).await);

    // One that has run out is taken, and said.
    write_pair(&cert, &key, 2020);
    let reloaded = reload(&new, &admin).await;
    assert!(
        reloaded["warnings"].to_string().contains("has run out"),
        "{reloaded}"
    );
    daemon.stop().await;
}

/// The listeners of which the metrics say when their certificate ends, with the year.
async fn ends(client: &Client, admin: &str) -> Vec<String> {
    let Ok(answer) = client.get(format!("https://{admin}/metrics")).send().await else {
        return Vec::new();
    };
    let page = answer.text().await.unwrap();
    let series = "serval_connect_tls_certificate_expiry_timestamp_seconds{listener=\"";
    let lines = page.lines().filter_map(|line| line.strip_prefix(series));
    let mut ends: Vec<String> = lines
        .map(|line| {
            let (listener, end) = line.split_once("\"} ").unwrap();
            let end = jiff::Timestamp::from_second(end.parse().unwrap()).unwrap();
            format!("{listener} {}", &end.to_string()[..4])
        })
        .collect();
    ends.sort();
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_certificate_in_the_metrics_follows_its_file() {
    let site = site(2100).await;
    let daemon = site.serve().await;
    let (_, admin) = addresses(&site);
    let (cert, key) = (site.path("own.crt"), site.path("own.key"));
    let client = trusting(&cert);
    assert_eq!(ends(&client, &admin).await, ["admin 2100", "webhooks 2100"]);
    write_pair(&cert, &key, 2090);
    let client = trusting(&cert);
    daemon.hang_up().await;
    eventually("both ends are new", async || {
        (ends(&client, &admin).await == ["admin 2090", "webhooks 2090"]).then_some(())
    })
    .await;
    // A listener without TLS has none: an old one would raise an alert one day.
    edit(&site, |config| {
        let (server, rest) = config.split_once("[admin]").unwrap();
        let lines = server.lines().filter(|line| !line.starts_with("tls_"));
        let server: Vec<_> = lines.collect();
        format!("{}\n[admin]{rest}", server.join("\n"))
    });
    daemon.hang_up().await;
    eventually("one of them is gone", async || {
        (ends(&client, &admin).await == ["admin 2090"]).then_some(())
    })
    .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_begins_and_ends_with_a_reload_too() {
    let site = site(2100).await;
    let with_tls = std::fs::read_to_string(site.path("config.toml")).unwrap();
    edit(&site, |config| {
        let lines = config
            .lines()
            .filter(|line| !line.trim().starts_with("tls_"));
        lines.collect::<Vec<_>>().join("\n")
    });
    let daemon = site.serve().await;
    let (_, admin) = addresses(&site);
    let client = trusting(&site.path("own.crt"));
    let plain = client.post(format!("http://{admin}/api/v1/reload"));
    std::fs::write(site.path("config.toml"), with_tls).unwrap();
    let answer = plain
        .bearer_auth("first-token-of-the-tests")
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["changed"].as_array().unwrap().len(), 4, "{answer}");
    assert_eq!(site.run("map list").await.code, 0);
    assert_eq!(site.run("healthcheck").await.code, 0);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_are_named_by_check_and_serve() {
    let site = site(2020).await;
    let check = site.run("check").await;
    let said = check.text();
    assert!(
        said.contains("warning: server.tls_cert_file: the certificate has run out"),
        "{said}"
    );
    assert!(
        said.contains("admin.tls_cert_file: the certificate has run out"),
        "{said}"
    );
    std::fs::remove_file(site.path("own.key")).unwrap();
    for command in ["check", "serve"] {
        let refused = site.run(command).await;
        assert_eq!(refused.code, 2, "{refused:?}");
        let said = refused.out + &refused.err;
        assert!(said.contains("server.tls_key_file: the file"), "{said}");
        assert!(said.contains("own.key cannot be read"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_inside_tls_is_not_taken_for_tls_without_a_certificate() {
    let site = site(2100).await;
    let daemon = site.serve().await;
    let (public, admin) = addresses(&site);
    let client = trusting(&site.path("own.crt"));
    let own = Own::Of(tls::certificates(&site.path("own.crt")).unwrap());
    let connector = tokio_rustls::TlsConnector::from(Arc::new(own.client_config()));
    let name = public.split(':').next().unwrap().to_owned();
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000));
    for (bytes, cause, n) in [
        ("\0\x01 hello\r\n\r\n", "not_http", 1),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", "not_http", 2),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2", 1),
        (long.as_str(), "head_too_large", 1),
    ] {
        let stream = TcpStream::connect(&public).await.unwrap();
        let name = name.clone().try_into().unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        // The daemon may hang up in the middle of a long one.
        drop(stream.write_all(bytes.as_bytes()).await);
        drop(stream.read(&mut [0; 64]).await);
        let metrics = async || {
            let call = client.get(format!("https://{admin}/metrics"));
            let call = call.bearer_auth("first-token-of-the-tests");
            call.send().await.unwrap().text().await.unwrap()
        };
        let series = |cause: &str, n: u64| {
            let name = "serval_connect_http_refusals_total";
            format!("{name}{{listener=\"webhooks\",cause=\"{cause}\"}} {n}\n")
        };
        eventually(&format!("{cause} is counted"), async || {
            metrics().await.contains(&series(cause, n)).then_some(())
        })
        .await;
        assert!(metrics().await.contains(&series("tls", 0)), "{bytes:.20}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_fails_leaves_the_line_of_the_listener_alone() {
    let site = site(2100).await;
    let daemon = site.serve().await;
    let (public, _) = addresses(&site);
    // Records of TLS that hold no hello of a client, and one that a client of another age would send.
    for bytes in [
        &b"\x16\x03\x01\x00\x05hello"[..],
        b"\x16\x03\x01\x00\x04\x00\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x0e\x00\x00\x00",
    ] {
        let mut stream = TcpStream::connect(&public).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // The daemon may reset the connection.
        drop(stream.read_to_end(&mut answer).await);
    }
    let log = || std::fs::read_to_string(site.path("log")).unwrap();
    eventually("three lines", async || {
        (log().matches("connection refused").count() >= 3).then_some(())
    })
    .await;
    daemon.stop().await;
    assert!(!log().contains("rustls"), "{}", log());
}
